# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The report: figures from a simulated table with a known effect, pooling, and the order of what it says."""

import dataclasses
import pathlib

import numpy as np
import pytest
from reading_table import ALLOW, RULES, SETTINGS, SPLIT, make_report, make_samples

from trainers.metrics import best_constant_text, brainllm_scores
from trainers.reports.pooling import pool_reports
from trainers.reports.report import EvaluationReport
from trainers.reports.sections import Section
from trainers.scoring.texts import score_texts


class TestFigures:
    def test_planted_effect_is_found(self):
        found = make_report(0.5).find("sentence", "permuted", "loss_gain")
        assert found["ci_low"] < 0.5 < found["ci_high"]
        assert found["q"] < 0.01
        assert found["p"] <= found["q"]
        assert make_report(0.5).find("sentence", "permuted", "pairwise_accuracy")["ci_low"] > 0.8

    def test_no_effect_is_found_in_noise(self):
        report = make_report(0.0)
        for metric in ("loss_gain", "pairwise_accuracy"):
            found = report.find("sentence", "permuted", metric)
            assert found["ci_low"] < found["chance"] < found["ci_high"]
            assert found["q"] > 0.05
        assert "nothing that these samples can show" in report.describe_effect("sentence")

    @pytest.mark.slow
    def test_false_alarms_are_as_rare_as_they_should_be(self):
        alarms = []
        for seed in range(200):
            samples = [{k: v for k, v in s.items() if k != "texts"} for s in make_samples(0.0, seed=seed)]
            report = EvaluationReport.from_samples(
                samples, rules=RULES, split=SPLIT, settings=SETTINGS, versions={}, fingerprint={}
            )
            alarms.append(report.find("sentence", "permuted", "pairwise_accuracy")["p"] <= 0.05)
        assert np.mean(alarms) == pytest.approx(0.05, abs=0.03)

    def test_figures_equal_the_table(self):
        report = make_report(0.2)
        rows = {row["arm"]: row for row in report.arms}
        own = [sample["losses"]["brain"] for sample in report.samples]
        permuted = np.array([sample["losses"]["permuted"] for sample in report.samples])
        assert rows["brain"]["loss"] == pytest.approx(np.mean(own))
        assert rows["permuted"]["loss"] == pytest.approx(permuted.mean())
        assert rows["brain"]["perplexity"] == pytest.approx(np.exp(np.mean(own)))
        wins = (np.array(own)[:, None] < permuted).mean()
        assert report.find("sentence", "permuted", "pairwise_accuracy")["value"] == pytest.approx(wins)
        right = np.mean([sample["identification"]["brain"]["likelihood_gain"][0] == 1 for sample in report.samples])
        assert report.identification[0]["recall_at_1"] == pytest.approx(right)
        assert report.identification[0]["chance_at_1"] == pytest.approx(1 / 58)

    def test_scores_are_shown_with_their_intervals(self):
        report = make_report(0.5)
        (row,) = [row for row in report.arms if row["arm"] == "brain"]
        assert {"loss", "perplexity", "brainllm_bleu_1", "corpus_bleu_4", "corpus_wer"} <= set(row["intervals"])
        assert all(low <= row[name] <= high for name, (low, high) in row["intervals"].items())
        low, high = row["intervals"]["brainllm_bleu_1"]
        assert f"| {row['brainllm_bleu_1']:.4g} [{low:.4g}, {high:.4g}] |" in report.to_markdown()

    def test_gains_are_signed_so_that_more_is_better(self):
        report = make_report(0.5)
        for metric in ("brainllm_bleu_1", "brainllm_wer"):
            assert report.find("sentence", "permuted", f"{metric}_gain")["value"] > 0

    def test_floors_stand_beside_the_scores(self):
        report = make_report(0.5)
        assert report.score("sentence", "constant", "brainllm_wer") == pytest.approx(1 - 1 / 3 - 2 / 3 / 5, abs=0.05)
        assert 0 < report.score("sentence", "shuffled", "brainllm_bleu_1") < 1


class TestReport:
    def test_round_trip(self, tmp_path):
        report = make_report(0.3)
        report.save(tmp_path / "out", allow=ALLOW)
        names = {"report.json", "report.md", "report.html", "samples.parquet"}
        assert {path.name for path in (tmp_path / "out").iterdir()} == names
        assert EvaluationReport.load(tmp_path / "out") == report

    def test_what_the_brain_adds_comes_first_and_the_split_next(self):
        absent = {"sentence": dict.fromkeys(ALLOW, "for the test")}
        settings = SETTINGS | {"absent_arms": absent, "num_resamples": 10_000}
        effect, _, split = dataclasses.replace(make_report(0.3), settings=settings).to_markdown().splitlines()[:3]
        assert effect.startswith("**What the brain adds** (sentence): likelihood. Over the best without it (`twin_1`")
        assert split.endswith("no leak was found.")

    def test_a_leak_is_told_before_everything(self):
        leak = {"kind": "shared_brain", "splits": ["train", "test"], "count": 183, "examples": ["x"]}
        told = make_report(0.3, policy="paper", leaks=[leak]).to_markdown()
        assert told.index("The split leaks: `shared_brain` (183 rows)") < told.index("What the brain adds")
        assert "LEAKS that were allowed: shared_brain (183 rows)" in told

    def test_each_subject_is_told_where_there_are_several(self):
        two = [sample | {"subject": f"s{1 + i % 2}"} for i, sample in enumerate(make_samples(0.5))]
        alone = [sample for sample in two if sample["subject"] == "s2"]
        both, one = (
            EvaluationReport.from_samples(
                samples, rules=RULES, split=SPLIT, settings=SETTINGS, versions={}, fingerprint={}
            )
            for samples in (two, alone)
        )
        names = ("s2", "permuted", "loss_gain")
        (row,) = [row for row in both.by_subject if (row["subject"], row["control"], row["metric"]) == names]
        assert row["value"] == one.find("sentence", "permuted", "loss_gain")["value"]
        assert "Subject by subject" in both.to_markdown()
        assert one.by_subject == []

    def test_a_worse_brain_is_called_worse(self):
        told = make_report(-0.5).describe_effect("sentence")
        assert told.startswith(
            "**What the brain adds** (sentence): nothing: its texts are less likely than without it"
        )

    def test_missing_report_and_other_schema_are_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="report.json is missing"):
            EvaluationReport.load(tmp_path)
        make_report(0.1).save(tmp_path, allow=ALLOW)
        path = tmp_path / "report.json"
        path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 4'))
        with pytest.raises(ValueError, match="schema version 4, expected 1"):
            EvaluationReport.load(tmp_path)

    def test_a_line_end_inside_a_text_is_no_end_of_a_sample(self, tmp_path):
        report = make_report(0.1)
        report.samples[0]["texts"]["brain"] = "one\u2028two\x85three\nfour"
        report.save(tmp_path, allow=ALLOW)
        assert EvaluationReport.load(tmp_path).samples == report.samples


class TestSections:
    SECTION = Section("surprise", "Surprise", "It **helps**.", {"bin": "bin"}, [{"bin": 1}], "")

    def test_are_saved_loaded_and_shown(self, tmp_path):
        report = make_report(0.3)
        report.add(self.SECTION)
        report.save(tmp_path, allow=ALLOW)
        (section,) = EvaluationReport.load(tmp_path).sections
        assert Section(**section) == self.SECTION
        assert "## Surprise\n\nIt **helps**.\n\n| bin |\n|---|\n| 1 |" in (tmp_path / "report.md").read_text()
        assert "It <strong>helps</strong>." in (tmp_path / "report.html").read_text()

    def test_a_second_section_of_a_name_is_refused(self):
        report = make_report(0.3)
        report.add(self.SECTION)
        with pytest.raises(ValueError, match="already has a section 'surprise'"):
            report.add(self.SECTION)

    @pytest.mark.parametrize("figure", ["figure.png", "<html></html>"])
    def test_a_figure_that_is_no_svg_is_refused(self, figure):
        with pytest.raises(ValueError, match="of section 'surprise' is no SVG"):
            make_report(0.3).add(dataclasses.replace(self.SECTION, figure=figure))


class TestReplaced:
    def test_a_report_that_cannot_be_finished_leaves_the_old_one_whole(self, tmp_path, monkeypatch):
        make_report(0.3).save(tmp_path, allow=ALLOW)
        old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        broken = make_report(0.1)
        monkeypatch.setattr(pathlib.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            broken.save(tmp_path, allow=ALLOW)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
        monkeypatch.undo()
        broken.save(tmp_path, allow=ALLOW)
        assert EvaluationReport.load(tmp_path).describe() == broken.describe()
        assert {path.name for path in tmp_path.iterdir()} == old.keys()


class TestPool:
    def test_pooled_figures_are_those_of_the_joined_table(self, tmp_path):
        for fold in range(3):
            make_report(0.1, fold).save(tmp_path / str(fold), allow=ALLOW)
        pooled = pool_reports([tmp_path / str(fold) for fold in range(3)])
        whole = [sample for fold in range(3) for sample in make_samples(0.1, fold)]
        joined = EvaluationReport.from_samples(
            score_texts(whole), rules=RULES, split=SPLIT, settings=SETTINGS, versions={}, fingerprint={}
        )
        assert pooled.comparisons == joined.comparisons
        assert pooled.arms == joined.arms
        assert pooled.split["fold"] == [0, 1, 2]
        assert pooled.split["sizes"] == {"test": 180}
        assert pooled.fingerprint["data"] == ["hash0", "hash1", "hash2"]
        alone = make_report(0.1).find("sentence", "permuted", "loss_gain")
        both = pooled.find("sentence", "permuted", "loss_gain")
        assert both["ci_high"] - both["ci_low"] < alone["ci_high"] - alone["ci_low"]

    def test_a_fold_may_lack_an_arm_that_others_have(self, tmp_path):
        why = {"zero": "for the test", "time_shift": "the runs are short"}
        folds = [{}, {"sentence": {"zero": why["zero"]}}, {"sentence": why}]
        for fold, absent in enumerate(folds):
            report = make_report(0.1, fold)
            report = dataclasses.replace(report, settings=report.settings | {"absent_arms": absent})
            report.save(tmp_path / str(fold), allow=ALLOW)
        pooled = pool_reports([tmp_path / str(fold) for fold in range(3)])
        told = {"zero": "in 2 of 3 folds: for the test", "time_shift": "in 1 of 3 folds: the runs are short"}
        assert pooled.settings["absent_arms"] == {"sentence": told}
        same = pool_reports([tmp_path / "2"])
        assert same.settings["absent_arms"] == {"sentence": why}

    def test_protocols_are_pooled(self, tmp_path):
        protocol = {"name": "within_subject", "source": "checkpoint", "training_brains": {"s1": 8}, "subjects": ["s1"]}
        protocol |= {"num_images": 20, "seen_images": 1}
        folds = [protocol, protocol | {"training_brains": {"s1": 9}, "name": "few_shot"}]
        for fold, known in enumerate(folds):
            report = dataclasses.replace(make_report(0.1, fold), protocol=known)
            report.save(tmp_path / str(fold), allow=ALLOW)
        pooled = pool_reports([tmp_path / "0", tmp_path / "1"])
        expected = {"name": "mixed", "training_brains": {"s1": 9}, "num_images": 40, "seen_images": 2}
        assert pooled.protocol == protocol | expected
        assert "Protocol: `mixed`" in pooled.to_markdown()

    def test_unequal_or_overlapping_folds_are_refused(self, tmp_path):
        make_report(0.1).save(tmp_path / "a", allow=ALLOW)
        make_report(0.1).save(tmp_path / "same", allow=ALLOW)
        make_report(0.1, policy="paper").save(tmp_path / "other", allow=ALLOW)
        with pytest.raises(ValueError, match="Pool disjoint folds"):
            pool_reports([tmp_path / "a", tmp_path / "same"])
        with pytest.raises(ValueError, match="differ in split policy"):
            pool_reports([tmp_path / "a", tmp_path / "other"])


class TestBestConstant:
    def test_finds_the_completion_that_scores_best(self):
        completions = ["the red cat", "the red dog", "the red bird", "some other words", "nothing in common"]
        assert best_constant_text(completions).startswith("the red")

    def test_is_the_best_of_all_pairs(self):
        """Texts of unequal lengths with words that occur several times, each scored on each."""
        generator = np.random.default_rng(0)
        texts = [" ".join(generator.choice(list("aabcd"), generator.integers(1, 9))) for _ in range(60)]
        means = {
            text: np.mean(brainllm_scores([text] * len(texts), texts)["brainllm_bleu_1"])
            for text in sorted(set(texts))
        }
        assert means[best_constant_text(texts)] == pytest.approx(max(means.values()))

    def test_needs_a_word(self):
        with pytest.raises(ValueError, match="None of the 2 `completions` has a word"):
            best_constant_text(["", " "])
