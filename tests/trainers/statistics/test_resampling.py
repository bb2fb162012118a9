# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests from shared draws equal those made one by one, and those of corpora that are scored anew."""

from itertools import product

import numpy as np
import pytest

from trainers.metrics import bleu_from_statistics, bleu_statistics, caption_bleu
from trainers.statistics.resampling import Resampler, cluster_bootstrap_ci, sign_flip_test


WORDS = ["a", "man", "on", "the", "horse", "in", "big", "boat", "with", "one", "red", "kite"]
GROUPS = [f"image{i % 8}" for i in range(16)]


def bleu_4(sums: np.ndarray) -> np.ndarray:
    return bleu_from_statistics(sums)["bleu_4"]


def mean_of(sums: np.ndarray) -> np.ndarray:
    """A mean as the score of a corpus whose samples add their value and 1."""
    return sums[..., 0] / sums[..., 1]


def make_captions(seed: int, kept: float) -> tuple[list[str], list[list[str]]]:
    """Captions with so large a share of the words of their first reference, and the references."""
    rng = np.random.default_rng(seed)
    references = [[" ".join(rng.choice(WORDS, 8)) for _ in range(2)] for _ in GROUPS]
    captions = []
    for own, _ in references:
        captions.append(" ".join(word if rng.random() < kept else str(rng.choice(WORDS)) for word in own.split()))
    return captions, references


class TestMeans:
    def test_are_those_of_the_metrics(self):
        values = np.random.default_rng(3).normal(0.3, 1, 40)
        groups = [f"g{i % 13}" for i in range(40)]
        found = Resampler(2_000, seed=5).mean(values, groups, chance=0.1)
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(
            cluster_bootstrap_ci(values, groups, num_resamples=2_000, seed=5), abs=1e-12
        )
        assert found["p"] == sign_flip_test(values - 0.1, groups, num_permutations=1_999, seed=5)
        assert (found["value"], found["num_samples"], found["num_groups"]) == (pytest.approx(values.mean()), 40, 13)

    def test_do_not_depend_on_what_was_asked_before(self):
        values, resampler = np.random.default_rng(0).normal(size=16), Resampler(500)
        first = resampler.mean(values, GROUPS)
        resampler.mean(values, [str(i) for i in range(16)])
        assert resampler.mean(values, GROUPS) == first


class TestRatios:
    def test_of_ones_are_means_and_others_are_corpora(self):
        generator = np.random.default_rng(0)
        values, weights = generator.normal(3, 1, 30), generator.integers(1, 9, 30).astype(float)
        groups, resampler = [str(i // 3) for i in range(30)], Resampler(500)
        tops, bottoms = np.stack([values, values * weights], axis=1), np.stack([np.ones(30), weights], axis=1)
        mean, ratio = resampler.ratios(tops, bottoms, groups)
        expected = resampler.mean(values, groups)
        assert mean == pytest.approx([expected[name] for name in ("value", "ci_low", "ci_high")])
        statistics = np.stack([values * weights, weights], axis=1)
        expected = resampler.corpus_score(statistics, groups, lambda sums: sums[..., 0] / sums[..., 1])
        assert ratio == pytest.approx([expected[name] for name in ("value", "ci_low", "ci_high")])

    def test_of_one_group_are_values_alone(self):
        assert Resampler(10).ratios(np.full((3, 1), 2.0), np.ones((3, 1)), ["a"] * 3).tolist() == [[2.0]]


class TestCorpora:
    def test_a_mean_is_the_score_of_a_corpus(self):
        rng, resampler = np.random.default_rng(1), Resampler(1_000, seed=2)
        own, other, ones = rng.normal(0.4, 1, 16), rng.normal(0, 1, 16), np.ones(16)
        found = resampler.corpus_gain(np.c_[own, ones], np.c_[other, ones], GROUPS, mean_of)
        expected = resampler.mean(own - other, GROUPS)
        for name in ("value", "ci_low", "ci_high", "p", "num_groups"):
            assert found[name] == pytest.approx(expected[name], abs=1e-12)
        alone, expected = resampler.corpus_score(np.c_[own, ones], GROUPS, mean_of), resampler.mean(own, GROUPS)
        assert {name: alone[name] for name in alone} == pytest.approx({name: expected[name] for name in alone})

    def test_an_interval_is_that_of_corpora_scored_anew(self):
        captions, references = make_captions(0, 0.6)
        found = Resampler(200, seed=7).corpus_score(bleu_statistics(captions, references), GROUPS, bleu_4)
        weights, scores = np.random.default_rng(7).multinomial(8, np.full(8, 1 / 8), 200), []
        for row in weights:
            # Groups in the order of their names, each as often as it was drawn.
            drawn = [i for group in range(8) for _ in range(row[group]) for i in (group, group + 8)]
            scores.append(caption_bleu([captions[i] for i in drawn], [references[i] for i in drawn])["bleu_4"])
        assert found["value"] == pytest.approx(caption_bleu(captions, references)["bleu_4"], abs=1e-12)
        low, high = np.quantile(scores, [0.025, 0.975])
        # The levels are a little further out than these, for there are few groups.
        assert min(scores) - 1e-9 <= found["ci_low"] <= low
        assert high <= found["ci_high"] <= max(scores) + 1e-9

    def test_p_is_that_of_all_swaps_scored_anew(self):
        (one, references), (two, _) = make_captions(0, 0.7), make_captions(0, 0.62)
        observed = caption_bleu(one, references)["bleu_4"] - caption_bleu(two, references)["bleu_4"]
        gains = []
        for swap in product((False, True), repeat=8):
            pairs = [(b, a) if swap[i % 8] else (a, b) for i, (a, b) in enumerate(zip(one, two, strict=True))]
            first, second = zip(*pairs, strict=True)
            gains.append(caption_bleu(first, references)["bleu_4"] - caption_bleu(second, references)["bleu_4"])
        exact = np.mean(np.abs(gains) >= abs(observed) - 1e-12)
        own, other = bleu_statistics(one, references), bleu_statistics(two, references)
        found = Resampler(20_000).corpus_gain(own, other, GROUPS, bleu_4)
        assert found["value"] == pytest.approx(observed, abs=1e-12)
        assert found["p"] == pytest.approx(exact, abs=0.015)
        back = Resampler(20_000).corpus_gain(other, own, GROUPS, bleu_4)
        assert (back["value"], back["p"]) == (pytest.approx(-observed), pytest.approx(found["p"]))

    def test_of_several_permutations_the_mean_score_counts(self):
        (one, references), (two, _), (three, _) = (make_captions(0, kept) for kept in (0.8, 0.5, 0.2))
        own, *others = (bleu_statistics(captions, references) for captions in (one, two, three))
        resampler = Resampler(500)
        alone = resampler.corpus_gain(own, others[0], GROUPS, bleu_4)
        assert resampler.corpus_gain(own, np.stack([others[0]] * 3, axis=1), GROUPS, bleu_4) == pytest.approx(alone)
        both = resampler.corpus_gain(own, np.stack(others, axis=1), GROUPS, bleu_4)
        baseline = np.mean([bleu_4(other.sum(axis=0)) for other in others])
        assert both["value"] == pytest.approx(bleu_4(own.sum(axis=0)) - baseline, abs=1e-12)

    def test_planted_and_null(self):
        """Arms of equal quality differ in about 5 % of tests, arms of another quality in all."""
        null, planted, resampler = [], [], Resampler(200)
        for seed in range(200):
            rng = np.random.default_rng(seed)
            own, other = rng.poisson(5, (24, 2)), rng.poisson(5, (24, 2))
            groups = [str(i // 2) for i in range(24)]
            null.append(resampler.corpus_gain(own, other, groups, mean_of)["p"])
            planted.append(resampler.corpus_gain(own + np.array([6, 0]), other, groups, mean_of)["p"])
        assert 0.01 <= np.mean(np.array(null) <= 0.05) <= 0.1
        assert np.mean(np.array(planted) <= 0.05) > 0.95

    def test_equal_arms_do_not_differ(self):
        captions, references = make_captions(0, 0.6)
        counts = bleu_statistics(captions, references)
        found = Resampler(300).corpus_gain(counts, counts, GROUPS, bleu_4)
        assert (found["value"], found["ci_low"], found["ci_high"], found["p"]) == (0, 0, 0, 1)


class TestErrors:
    def test_one_group_cannot_be_resampled(self):
        with pytest.raises(ValueError, match=r"form 1 group\(s\): nothing can be resampled"):
            Resampler(100).mean(np.ones(3), ["one"] * 3)

    def test_one_resample_is_none(self):
        with pytest.raises(ValueError, match="`num_resamples` must be 2 or more, found 1"):
            Resampler(1)
