# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Reports from tables made by hand: figures equal those computed otherwise, and no score stands without its baselines.
"""

import numpy as np
import pytest
from remembered_baselines import remembered_baselines  # noqa: F401 - a fixture

from trainers.evaluation.caption_arms import MANDATORY_ARMS
from trainers.metrics.captions import Cider, DocumentFrequencies, caption_rouge_l, caption_scores
from trainers.reports.report import EvaluationReport
from trainers.scoring.captions import CaptionScorer, human_scores, references_of_images, score_captions
from trainers.scoring.rules import CAPTION_RULES
from trainers.statistics.permutations import permute_across_groups
from trainers.statistics.resampling import benjamini_hochberg


SPLIT = {
    "corpus": "toy", "policy": "official", "fold": 0, "num_folds": 5, "seed": 0, "sizes": {"train": 9, "test": 24},
    "leaks": [], "leak_allowed": False, "evaluated": "test",
}  # fmt: skip
PROTOCOL = {
    "name": "held_out_subject", "source": "checkpoint", "training_brains": {"s1": 9, "s2": 8}, "subjects": ["s8"],
    "num_images": 24, "seen_images": 0,
}  # fmt: skip
SETTINGS = {"seed": 0, "max_identification": 64, "prompt": "<|brain|>the", "generation": {"do_sample": False}}
CONDITIONS = {"split": SPLIT, "protocol": PROTOCOL, "versions": {"torch": "2"}, "fingerprint": {"data": "f"}}
CONDITIONS |= {"parameters": {"interface": 103_824_388}}
# What the table of these tests lacks, and what may lack for their sake.
ALLOW = ["noise", "time_shift", "other_subject", "retrieval", "ridge"]
THINGS = ("horse", "boat", "clock", "pizza", "kite", "vase", "bear", "train")
PLACES = ("in the park", "on a table", "at the station")


def captions_of(image: int) -> list[str]:
    thing, place = THINGS[image % 8], PLACES[image // 8 % 3]
    return [f"A {thing} {place}.", f"There is one {thing} {place}.", f"a photo of the {thing}"]


def make_samples(hits: float, num_images: int = 24, subject: str = "s8", seed: int = 0) -> list[dict]:
    """A table whose real captions are of the right image as often as `hits` says; the controls' never know."""
    rng, samples = np.random.default_rng(seed), []
    for image in range(num_images):
        wrong = captions_of(image + int(rng.integers(1, 8)))[1]
        right = f"one {captions_of(image)[0][2:-1]}"
        texts = {arm: captions_of(image + int(rng.integers(1, 8)))[1] for arm in MANDATORY_ARMS}
        texts |= {"brain": right if rng.random() < hits else wrong, "zero": "a man on a table", "no_brain": ""}
        samples.append(
            {
                "task": "caption", "sample_id": f"toy/{subject}/{image}",
                "subject": subject, "group": f"image/{image}",
                "brain_id": f"toy/{subject}/{image}", "references": captions_of(image), "texts": texts,
                "control_brains": {},
            }
        )  # fmt: skip
    return samples


def make_report(hits: float = 0.8, samples: list[dict] | None = None, **options) -> EvaluationReport:
    samples = make_samples(hits) if samples is None else samples
    scorers = {name: options.pop(name, None) for name in ("frequencies", "embed")}
    frequencies = scorers["frequencies"] or DocumentFrequencies.fit(references_of_images(samples))
    scorer = CaptionScorer(frequencies, scorers["embed"])
    return EvaluationReport.from_samples(
        score_captions(samples, scorer, max_identification=options.pop("max_identification", 64)),
        rules={"caption": CAPTION_RULES},
        settings=SETTINGS,
        ceilings=human_scores(samples, scorer),
        **CONDITIONS | options,
    )


def bag_of_words(texts: list[str]) -> np.ndarray:
    words = sorted({word for i in range(24) for text in captions_of(i) for word in text.lower().strip(".").split()})
    return np.array([[1e-3] + [text.lower().strip(".").split().count(word) for word in words] for text in texts])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


class TestScores:
    @pytest.mark.parametrize("arm", ["brain", "zero", "no_brain"])
    def test_are_those_of_the_metrics(self, arm):
        report, samples = make_report(), make_samples(0.8)
        found = caption_scores([s["texts"][arm] for s in samples], [s["references"] for s in samples])
        for metric, values in found.items():
            assert report.score("caption", arm, metric) == pytest.approx(np.mean(values), abs=1e-12)

    def test_one_image_counts_once_in_the_document_frequencies(self):
        twice = make_samples(0.8) + make_samples(0.8, subject="s7")
        assert make_report(samples=twice).score("caption", "brain", "cider") == pytest.approx(
            make_report().score("caption", "brain", "cider"), abs=1e-12
        )

    def test_with_given_document_frequencies(self):
        frequencies, samples = DocumentFrequencies.fit([captions_of(i) for i in range(5)]), make_samples(0.8)
        report = make_report(frequencies=frequencies)
        expected = Cider(frequencies)([s["texts"]["brain"] for s in samples], [s["references"] for s in samples])
        assert report.score("caption", "brain", "cider") == pytest.approx(expected.mean(), abs=1e-12)
        assert report.score("caption", "brain", "cider") != make_report().score("caption", "brain", "cider")

    def test_text_similarity_is_the_mean_cosine_with_the_references(self):
        report, expected = make_report(embed=bag_of_words), []
        for sample in make_samples(0.8):
            own, *others = bag_of_words([sample["texts"]["brain"], *sample["references"]])
            expected.append(np.mean([cosine(own, other) for other in others]))
        assert report.score("caption", "brain", "text_similarity") == pytest.approx(np.mean(expected), abs=1e-12)
        assert {row["score"] for row in report.identification} == {"cider", "text_similarity"}

    def test_an_arm_that_some_samples_lack(self):
        samples = make_samples(0.8)
        for sample in samples[:6]:
            sample["texts"]["other_subject_same_stimulus"] = sample["texts"]["brain"]
        report = make_report(samples=samples)
        (row,) = [row for row in report.arms if row["arm"] == "other_subject_same_stimulus"]
        assert row["num_samples"] == 6
        assert report.find("caption", "other_subject_same_stimulus", "cider_gain")["value"] == 0
        assert report.find("caption", "other_subject_same_stimulus", "cider_gain")["num_groups"] == 6
        assert report.find("caption", "zero", "cider_gain")["num_groups"] == 24

    def test_captions_are_described(self):
        rows = {row["arm"]: row for row in make_report().arms}
        assert rows["zero"]["distinct"] == pytest.approx(1 / 24)
        assert rows["zero"]["words"] == 5
        assert rows["no_brain"]["words"] == 0


class TestBaselines:
    def test_gains_are_over_each_baseline(self):
        report = make_report()
        for baseline in ("constant", "shuffled"):
            for metric in ("cider", "rouge_l", "bleu_4"):
                own, other = (report.score("caption", arm, metric) for arm in ("brain", baseline))
                gain = report.find("caption", baseline, f"{metric}_gain")
                assert gain["value"] == pytest.approx(own - other)

    def test_constant_is_one_caption_that_beats_those_of_people(self):
        report, references = make_report(), [captions_of(i) for i in range(24)]
        frequencies = DocumentFrequencies.fit(references)
        cider = Cider(frequencies)
        assert report.score("caption", "constant", "cider") == pytest.approx(
            cider([report.samples[0]["texts"]["constant"]] * 24, references).mean()
        )
        assert report.score("caption", "constant", "cider") >= max(
            cider([t] * 24, references).mean() for own in references for t in own
        )
        best = max(caption_scores([t] * 24, references)["bleu_4"] for own in references for t in own)
        assert report.score("caption", "constant", "bleu_4") >= best

    def test_shuffled_is_the_mean_of_real_captions_on_other_images(self):
        report, samples = make_report(embed=bag_of_words), make_samples(0.8)
        groups = [sample["group"] for sample in samples]
        expected = []
        for control_brains in permute_across_groups(groups, range(24), 5, 0, ["s8"] * 24):
            moved = [samples[i]["texts"]["brain"] for i in control_brains]
            others = bag_of_words(moved)
            expected.append(
                [
                    caption_rouge_l(moved, [sample["references"] for sample in samples]).mean(),
                    np.mean(
                        [
                            cosine(own, other)
                            for own, s in zip(others, samples, strict=True)
                            for other in bag_of_words(s["references"])
                        ]
                    ),
                ]
            )
        for metric, values in zip(("rouge_l", "text_similarity"), np.transpose(expected), strict=True):
            assert report.score("caption", "shuffled", metric) == pytest.approx(values.mean())

    def test_human_is_each_caption_against_the_others(self):
        report, references = make_report(), [captions_of(i) for i in range(24)]
        own = [texts[k] for texts in references for k in range(3)]
        others = [[text for j, text in enumerate(texts) if j != k] for texts in references for k in range(3)]
        assert report.score("caption", "human", "rouge_l") == pytest.approx(caption_rouge_l(own, others).mean())

    def test_there_is_no_ceiling_where_images_have_one_caption(self):
        samples = [sample | {"references": sample["references"][:1]} for sample in make_samples(0.8)]
        report = make_report(samples=samples)
        assert report.ceilings == []
        assert "human" not in report.describe_effect("caption")

    def test_a_control_that_a_sample_lacks_is_missed(self):
        samples = make_samples(0.8)
        del samples[5]["texts"]["voxel_shuffle"]
        assert "voxel_shuffle" in [item.name for item in make_report(samples=samples).missing]


class TestComparisons:
    def test_a_brain_that_is_often_right_beats_all_controls(self):
        report = make_report(0.8)
        assert {row["control"] for row in report.comparisons} == {
            *MANDATORY_ARMS[1:], "no_brain", "constant", "shuffled", "other_texts",
        }  # fmt: skip
        for row in report.comparisons:
            if row["metric"] == "cider_gain":
                assert row["ci_low"] > 0
                assert row["q"] < 0.05

    def test_a_brain_that_is_never_right_beats_none(self):
        assert report_verdict(make_report(0.0)) == "nothing that these samples can show"
        assert report_verdict(make_report(0.8)) == "something of what was perceived"
        backwards = make_samples(0.0)
        for sample in backwards:
            sample["texts"]["permuted"] = sample["references"][0]
        assert report_verdict(make_report(samples=backwards)) == "less than chance would"

    def test_the_image_is_the_unit(self):
        one = make_report().find("caption", "permuted", "cider_gain")
        twice = make_report(samples=make_samples(0.8) + make_samples(0.8, subject="s7")).find(
            "caption", "permuted", "cider_gain"
        )
        for name in ("value", "ci_low", "ci_high", "num_groups"):
            assert twice[name] == pytest.approx(one[name])

    def test_subjects_are_drawn_too_and_each_is_tested(self):
        """One brain is always right and the other never: over images the gain is sure, over people it is not."""
        samples = make_samples(1.0) + make_samples(0.0, subject="s7", seed=1)
        report = make_report(samples=samples)
        for metric in ("cider", "bleu_4"):
            found = report.find("caption", "permuted", f"{metric}_gain")
            assert found["ci_low"] > 0 > found["subject_ci_low"]
            assert found["num_subjects"] == 2
            assert found["subject_ci_high"] > found["ci_high"]
        assert "over subjects" in report.to_markdown()
        by_subject = {row["subject"]: row for row in report.by_subject if row["control"] == "permuted"
                      and row["metric"] == "cider_gain"}  # fmt: skip
        alone = make_report(samples=samples[:24])
        assert by_subject["s8"]["value"] == pytest.approx(alone.find("caption", "permuted", "cider_gain")["value"])
        assert by_subject["s8"]["q"] < 0.05 < by_subject["s7"]["q"]
        assert "subject_ci_low" not in by_subject["s8"]
        assert alone.by_subject == []
        # One family over all subjects.
        tested = [row["p"] for row in report.by_subject]
        assert [row["q"] for row in report.by_subject] == pytest.approx(list(benjamini_hochberg(tested)))


def report_verdict(report: EvaluationReport) -> str:
    return report.describe_effect("caption").split(": ")[1].split(". CIDEr")[0]


class TestIdentification:
    def test_ranks_are_those_of_every_caption_on_every_image(self):
        report, samples = make_report(), make_samples(0.8)
        references = [sample["references"] for sample in samples]
        cider, ranks = Cider(DocumentFrequencies.fit(references)), []
        for i, sample in enumerate(samples):
            scores = cider([sample["texts"]["brain"]] * 24, references)
            ranks.append(1 + (scores > scores[i]).sum() + 0.5 * ((scores == scores[i]).sum() - 1))
        (row,) = [row for row in report.identification if row["arm"] == "brain"]
        assert row["median_rank"] == np.median(ranks)
        assert row["recall_at_5"] == np.mean(np.array(ranks) <= 5)
        assert (row["num_queries"], row["num_candidates"], row["chance_at_5"]) == (24, 24, pytest.approx(5 / 24))

    def test_one_caption_for_all_is_at_chance(self):
        found = {row["arm"]: row for row in make_report(embed=bag_of_words).identification}
        assert found["zero"]["pairwise_accuracy"] == pytest.approx(0.5)
        assert found["brain"]["pairwise_accuracy"] > 0.8

    def test_each_subject_has_a_gallery_of_limited_size(self):
        samples = make_samples(0.8) + make_samples(0.8, subject="s7")
        report = make_report(samples=samples, max_identification=10)
        (row,) = [row for row in report.identification if row["arm"] == "brain"]
        assert (row["num_queries"], row["num_candidates"]) == (20, 10)


class TestReport:
    def test_round_trip(self, tmp_path):
        report = make_report(embed=bag_of_words)
        with pytest.raises(ValueError, match="would miss noise, time_shift, other_subject, retrieval, ridge"):
            report.save(tmp_path / "out")
        report.save(tmp_path / "out", ALLOW)
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {"report.json", "report.md", "report.html", "samples.parquet"}
        assert EvaluationReport.load(tmp_path / "out") == report

    def test_order_of_the_samples_changes_no_score(self):
        report, backwards = make_report(), make_report(samples=make_samples(0.8)[::-1])
        for row, other in zip(report.arms, backwards.arms, strict=True):
            assert row["arm"] == other["arm"]
            assert row["cider"] == pytest.approx(other["cider"])

    def test_what_the_brain_adds_comes_first_then_split_and_protocol(self):
        absent = {"caption": dict.fromkeys(ALLOW, "made by hand")}
        report = make_report()
        report.settings["absent_arms"] = absent
        lines = report.to_markdown().splitlines()
        assert lines[0].startswith("**What the brain adds** (caption): something of what was perceived.")
        assert lines[2].endswith("no leak was found.")
        assert lines[4] == (
            "Protocol: `held_out_subject`, tested on s8 (0 of its brains in training); brains in training: s1 9, "
            "s2 8, according to the checkpoint; 24 stimuli, of which 0 are in the train split."
        )
        leak = {"kind": "same image", "splits": ["train", "test"], "count": 183, "examples": ["x"]}
        assert "LEAKS that were allowed" in make_report(split=SPLIT | {"leaks": [leak]}).to_markdown()

    def test_every_score_is_printed_with_its_interval(self):
        report = make_report()
        (table,) = [line for line in report.to_markdown().splitlines() if line.startswith("| brain | 24 |")]
        (row,) = [row for row in report.arms if row["arm"] == "brain"]
        low, high = row["intervals"]["cider"]
        assert f"| {100 * row['cider']:.2f} [{100 * low:.2f}, {100 * high:.2f}] |" in table
        assert report.to_markdown().count("| human |") == 1
        assert "103,824,388" in report.to_markdown()

    def test_missing_report_and_other_schema_are_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"report.json is missing.*evaluate.py"):
            EvaluationReport.load(tmp_path)
        make_report().save(tmp_path, ALLOW)
        path = tmp_path / "report.json"
        path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 0'))
        with pytest.raises(ValueError, match="schema version 0, expected 1"):
            EvaluationReport.load(tmp_path)
