# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Comparisons from a table: means are those of the raw values, and one correction holds for all subjects."""

import numpy as np
import pytest
from scipy import stats

from trainers.metrics import corpus_bleu, pairwise_wins
from trainers.scoring import comparisons
from trainers.scoring.arms import arm_scores
from trainers.scoring.comparisons import mean_with_tests
from trainers.scoring.rules import TEXT_RULES
from trainers.scoring.table import scores_of
from trainers.scoring.texts import score_texts
from trainers.statistics.permutations import permute_across_groups
from trainers.statistics.resampling import Resampler


def make_table(num_groups: int = 16, subjects=("s1", "s2"), effect: float = 0.3, seed: int = 0) -> list[dict]:
    """Two samples a group; brains differ in how likely they make everything."""
    generator = np.random.default_rng(seed)
    groups = np.repeat([f"g{i}" for i in range(num_groups)], 2)
    samples = []
    for subject in subjects:
        brains = [f"{subject}/{i}" for i in range(len(groups))]
        loud = dict(zip(brains, generator.normal(0, 2, len(brains)), strict=True))
        control_brains = permute_across_groups(groups, brains, 5, seed)
        for i, (group, brain) in enumerate(zip(groups, brains, strict=True)):
            lent = control_brains[:, i].tolist()
            losses = {"brain": loud[brain] - effect + generator.normal(0, 0.5)}
            losses["permuted"] = [loud[control_brain] + generator.normal(0, 0.5) for control_brain in lent]
            losses |= {"no_brain": 1.0} if subject == "s1" else {}
            names = {"sample_id": brain, "subject": subject, "group": group, "brain_id": brain}
            texts = {"task": "sentence", "prompt": "", "references": ["a"], "num_tokens": 3}
            samples.append(names | texts | {"losses": losses, "control_brains": {"permuted": lent}})
    return samples


RULES = {"sentence": TEXT_RULES}


def compare(samples):
    return comparisons.compare(samples, RULES, Resampler())


def compare_by_subject(samples):
    return comparisons.compare_by_subject(samples, RULES, Resampler())


def found(rows: list[dict], control: str, metric: str) -> dict:
    return next(row for row in rows if (row["control"], row["metric"]) == (control, metric))


def test_values_are_those_of_the_raw_losses_and_tests_are_sharper():
    samples = make_table()
    own = np.array([sample["losses"]["brain"] for sample in samples])
    others = np.array([sample["losses"]["permuted"] for sample in samples]).T
    rows = compare(samples)
    gain, wins = (found(rows, "permuted", metric) for metric in ("loss_gain", "pairwise_accuracy"))
    assert gain["value"] == pytest.approx((others.mean(0) - own).mean())
    assert wins["value"] == pytest.approx(pairwise_wins(own, others).mean())
    raw = mean_with_tests(others.mean(0) - own, samples, Resampler())
    assert gain["p"] < 0.05 < raw["p"]
    bare = compare([{k: v for k, v in sample.items() if k != "control_brains"} for sample in samples])
    assert found(bare, "permuted", "loss_gain")["p"] == pytest.approx(raw["p"], abs=0.02)


def test_an_arm_that_some_samples_lack_counts_where_it_is():
    samples = make_table()
    (row,) = [row for row in arm_scores(samples, Resampler()) if row["arm"] == "no_brain"]
    assert (row["num_samples"], row["loss"]) == (32, 1.0)
    assert found(compare(samples), "no_brain", "loss_gain")["num_samples"] == 32


def test_texts_are_compared_with_floors_and_with_all_permutations():
    """The own text is right, that under a lent brain in the first permutation alone, the baseline's never."""
    samples = make_table(subjects=("s1",))
    for i, sample in enumerate(samples):
        sample["references"][0] = "a b c d"
        sample["texts"] = {"brain": "a b c d", "permuted": ["a b c d", "a b x x"], "no_brain": "x x x x"}
        sample["texts"] |= {"constant": "a x x x"} if i % 4 else {}
    samples = score_texts(samples)
    assert scores_of(samples, "permuted", "brainllm_bleu_1").tolist() == [[1.0] * 32, [0.5] * 32]
    rows = compare(samples)
    values = {c: found(rows, c, "brainllm_bleu_1_gain")["value"] for c in ("permuted", "no_brain", "constant")}
    assert values == {"permuted": 0.25, "no_brain": 1.0, "constant": 0.75}
    assert found(rows, "constant", "brainllm_wer_gain")["num_samples"] == 24
    (row,) = [row for row in arm_scores(samples, Resampler()) if row["arm"] == "permuted"]
    assert (row["brainllm_bleu_1"], row["corpus_wer"]) == (0.75, 0.25)
    of_each = [corpus_bleu([sample["texts"]["permuted"][k] for sample in samples], ["a b c d"] * 32) for k in (0, 1)]
    assert row["corpus_bleu_4"] == pytest.approx(np.mean(of_each))


def test_gains_of_texts_are_sharper_without_loud_brains():
    """Some brains make every text better; the own brain makes it a little better than others do."""
    samples = make_table(subjects=("s1",), num_groups=20)
    generator = np.random.default_rng(3)
    words = {sample["brain_id"]: int(generator.integers(0, 6)) for sample in samples}
    for sample in samples:
        right = [
            words[sample["brain_id"]] + 1,
            *(words[control_brain] for control_brain in sample["control_brains"]["permuted"]),
        ]
        own, *others = (" ".join(["a"] * number + ["x"] * (8 - number)) for number in right)
        sample |= {"references": [" ".join("a" * 8)], "texts": {"brain": own, "permuted": others}}
    samples = score_texts(samples)
    row = found(compare(samples), "permuted", "brainllm_bleu_1_gain")
    own, others = (scores_of(samples, arm, "brainllm_bleu_1") for arm in ("brain", "permuted"))
    assert row["value"] == pytest.approx((own - others.mean(axis=0)).mean())
    raw = mean_with_tests((own - others.mean(axis=0))[0], samples, Resampler())
    assert row["ci_high"] - row["ci_low"] < 0.5 * (raw["ci_high"] - raw["ci_low"])
    assert row["p"] < 0.01


def test_intervals_of_arms_are_those_of_their_samples():
    samples = make_table(subjects=("s1",))
    groups = [sample["group"] for sample in samples]
    resampler = Resampler(seed=1)
    rows = {row["arm"]: row for row in arm_scores(samples, resampler)}
    losses = np.array([sample["losses"]["brain"] for sample in samples])
    expected = resampler.mean(losses, groups)
    assert rows["brain"]["intervals"]["loss"] == pytest.approx([expected["ci_low"], expected["ci_high"]])
    assert rows["brain"]["intervals"]["perplexity"] == pytest.approx(np.exp(rows["brain"]["intervals"]["loss"]))
    assert rows["brain"]["perplexity"] == pytest.approx(np.exp(losses.mean()))
    assert "intervals" not in arm_scores(samples[:2], resampler)[0]


def test_one_correction_over_subjects_metrics_and_controls():
    rows = compare_by_subject(make_table())
    assert {(row["subject"], row["control"]) for row in rows} == {
        ("s1", "permuted"), ("s1", "no_brain"), ("s2", "permuted"),
    }  # fmt: skip
    expected = stats.false_discovery_control([row["p"] for row in rows])
    assert [row["q"] for row in rows] == pytest.approx(expected)


def test_the_interval_over_subjects_needs_several():
    several, one = (found(compare(make_table(subjects=s)), "permuted", "loss_gain") for s in (("s1", "s2"), "s"))
    assert several["num_subjects"] == 2
    assert several["subject_ci_low"] < several["value"] < several["subject_ci_high"]
    assert "subject_ci_low" not in one
