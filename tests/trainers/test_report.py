# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""The report: figures from a simulated table with a known effect, pooling, and the order of what it says."""

import copy

import numpy as np
import pytest

from trainers.comparisons import best_constant
from trainers.report import EvaluationReport, pool_reports


SPLIT = {
    "corpus": "toy", "policy": "passage", "fold": 0, "num_folds": 5, "seed": 0, "sizes": {"train": 9, "test": 60},
    "leaks": [], "leak_allowed": False, "evaluated": "test",
}  # fmt: skip
SETTINGS = {"seed": 0, "num_permutations": 8, "readings": ["continuation", "sentence"]}
TRUTHS = ["the red cat sleeps .", "a dog ran away .", "birds sing at dawn ."]


def make_samples(effect: float, fold: int = 0, num_groups: int = 20, seed: int = 0) -> list[dict]:
    """A table whose own brain lowers the loss by `effect`, and whose text is right as often as it says so."""
    generator = np.random.default_rng((seed, fold))
    samples = []
    for i in range(3 * num_groups):
        noise = generator.standard_normal(11) * 0.2
        truth, right = TRUTHS[i % 3], generator.random() < 0.3 + effect
        wrong = TRUTHS[(i + 1) % 3]
        samples.append(
            {
                "sample_id": f"toy/{fold}/{i}",
                "subject": "s1",
                "group": f"{fold}/{i // 3}",
                "brain_id": f"{fold}/{i}",
                "reading": "sentence",
                "prompt": "",
                "truth": truth,
                "num_tokens": 5,
                "losses": {
                    "brain": 4 - effect + noise[0],
                    "permuted": (4 + noise[1:9]).tolist(),
                    "no_brain": 4.5 + noise[9],
                },
                "texts": {
                    "brain": truth if right else wrong, "permuted": wrong, "no_brain": wrong,
                    "shuffled": wrong, "constant": TRUTHS[0],
                },
                "identification": {"likelihood_gain": [1.0 if right else 30.0, 58.0]},
            }
        )  # fmt: skip
    return samples


def make_report(effect: float, fold: int = 0, **split) -> EvaluationReport:
    return EvaluationReport.from_samples(
        make_samples(effect, fold),
        split=copy.deepcopy(SPLIT) | {"fold": fold} | split,
        settings=SETTINGS,
        versions={"torch": "2"},
        fingerprint={"data": f"hash{fold}", "checkpoint": "c"},
    )


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
                samples, split=SPLIT, settings=SETTINGS, versions={}, fingerprint={}
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
        right = np.mean([sample["identification"]["likelihood_gain"][0] == 1 for sample in report.samples])
        assert report.identification[0]["recall_at_1"] == pytest.approx(right)
        assert report.identification[0]["chance_at_1"] == pytest.approx(1 / 58)

    def test_gains_are_signed_so_that_more_is_better(self):
        report = make_report(0.5)
        for metric in ("brainllm_bleu_1", "brainllm_wer"):
            assert report.find("sentence", "permuted", f"{metric}_gain")["value"] > 0

    def test_floors_stand_beside_the_scores(self):
        floors = {(row["floor"], row["metric"]): row["value"] for row in make_report(0.5).floors}
        assert floors["constant", "brainllm_wer"] == pytest.approx(1 - 1 / 3 - 2 / 3 / 5, abs=0.05)
        assert 0 < floors["shuffled", "brainllm_bleu_1"] < 1


class TestReport:
    def test_round_trip(self, tmp_path):
        report = make_report(0.3)
        report.save(tmp_path / "out")
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "report.md", "samples.jsonl"}
        assert EvaluationReport.load(tmp_path / "out") == report

    def test_first_line_states_split_and_leaks(self):
        assert make_report(0.3).to_markdown().splitlines()[0].endswith("no leak was found.")
        leak = {"kind": "same brain sample", "splits": ["train", "test"], "count": 183, "examples": ["x"]}
        first, _, effect = make_report(0.3, policy="paper", leaks=[leak]).to_markdown().splitlines()[:3]
        assert "LEAKS that were allowed: same brain sample (183 rows)" in first
        assert effect.startswith("**What the brain adds** (sentence): information about the text.")

    def test_a_worse_brain_is_called_worse(self):
        assert "less than another group's brain would" in make_report(-0.5).describe_effect("sentence")

    def test_missing_report_and_other_schema_are_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="report.json is missing"):
            EvaluationReport.load(tmp_path)
        make_report(0.1).save(tmp_path)
        path = tmp_path / "report.json"
        path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 0'))
        with pytest.raises(ValueError, match="schema version 0, expected 1"):
            EvaluationReport.load(tmp_path)


class TestPool:
    def test_pooled_figures_are_those_of_the_joined_table(self, tmp_path):
        for fold in range(3):
            make_report(0.1, fold).save(tmp_path / str(fold))
        pooled = pool_reports([tmp_path / str(fold) for fold in range(3)])
        whole = [sample for fold in range(3) for sample in make_samples(0.1, fold)]
        joined = EvaluationReport.from_samples(whole, split=SPLIT, settings=SETTINGS, versions={}, fingerprint={})
        assert pooled.comparisons == joined.comparisons
        assert pooled.arms == joined.arms
        assert pooled.split["fold"] == [0, 1, 2]
        assert pooled.split["sizes"] == {"test": 180}
        assert pooled.fingerprint["data"] == ["hash0", "hash1", "hash2"]
        alone = make_report(0.1).find("sentence", "permuted", "loss_gain")
        both = pooled.find("sentence", "permuted", "loss_gain")
        assert both["ci_high"] - both["ci_low"] < alone["ci_high"] - alone["ci_low"]

    def test_unequal_or_overlapping_folds_are_refused(self, tmp_path):
        make_report(0.1).save(tmp_path / "a")
        make_report(0.1).save(tmp_path / "same")
        make_report(0.1, policy="paper").save(tmp_path / "other")
        with pytest.raises(ValueError, match="Pool disjoint folds"):
            pool_reports([tmp_path / "a", tmp_path / "same"])
        with pytest.raises(ValueError, match="differ in split policy"):
            pool_reports([tmp_path / "a", tmp_path / "other"])


class TestBestConstant:
    def test_finds_the_completion_that_scores_best(self):
        completions = ["the red cat", "the red dog", "the red bird", "some other words", "nothing in common"]
        assert best_constant(completions).startswith("the red")
