# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals cover and tests reject as often as they say, on data whose samples hang together in groups."""

import itertools

import numpy as np
import pytest
from scipy import stats

from trainers.statistics.resampling import benjamini_hochberg, cluster_bootstrap_ci, sign_flip_test, wilcoxon_test


NUM_GROUPS, PER_GROUP = 24, 5
GROUPS = np.repeat(np.arange(NUM_GROUPS), PER_GROUP)


def clustered(runs: int, seed: int, mean: float = 0.0) -> np.ndarray:
    """Samples `(runs, samples)`; half of the variance is shared within a group."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((runs, NUM_GROUPS)).repeat(PER_GROUP, axis=1)
    return mean + shared + generator.standard_normal((runs, len(GROUPS)))


class TestClusterBootstrap:
    def test_covers_the_mean_as_often_as_it_says(self):
        intervals = np.array([cluster_bootstrap_ci(x, GROUPS, num_resamples=500) for x in clustered(1000, 0, 1.0)])
        covered = (intervals[:, 0] <= 1) & (intervals[:, 1] >= 1)
        assert covered.mean() == pytest.approx(0.95, abs=0.02)

    def test_ignoring_the_groups_would_not_cover(self):
        singles = np.arange(len(GROUPS))
        intervals = np.array([cluster_bootstrap_ci(x, singles, num_resamples=300) for x in clustered(300, 1)])
        assert ((intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)).mean() < 0.85

    def test_unequal_groups_weigh_by_their_samples(self):
        values, groups = np.array([1.0, 1, 1, 0]), ["a", "a", "a", "b"]
        low, high = cluster_bootstrap_ci(values, groups)
        assert (low, high) == (0.0, 1.0)

    def test_is_seeded(self):
        values = clustered(1, 2)[0]
        assert cluster_bootstrap_ci(values, GROUPS, seed=3) == cluster_bootstrap_ci(values, GROUPS, seed=3)
        assert cluster_bootstrap_ci(values, GROUPS, seed=3) != cluster_bootstrap_ci(values, GROUPS, seed=4)

    def test_one_group_is_refused(self):
        for function in (cluster_bootstrap_ci, sign_flip_test):
            with pytest.raises(ValueError, match="two groups"):
                function(np.zeros(3), ["a"] * 3)
            with pytest.raises(ValueError, match="Each sample needs one group"):
                function(np.zeros(3), ["a", "b"])


class TestSignFlip:
    def test_rejects_true_nulls_at_the_nominal_rate(self):
        p_values = np.array([sign_flip_test(x, GROUPS, num_permutations=499) for x in clustered(2000, 0)])
        assert (p_values <= 0.05).mean() == pytest.approx(0.05, abs=0.01)
        assert p_values.mean() == pytest.approx(0.5, abs=0.03)

    def test_ignoring_the_groups_would_reject_too_often(self):
        singles = np.arange(len(GROUPS))
        p_values = np.array([sign_flip_test(x, singles, num_permutations=199) for x in clustered(300, 1)])
        assert (p_values <= 0.05).mean() > 0.15

    def test_finds_a_planted_difference(self):
        assert sign_flip_test(clustered(1, 0, mean=1.5)[0], GROUPS) < 0.001

    def test_equals_full_enumeration(self):
        sums = np.array([1.0, -0.5, 2.0, 0.7, 1.1, -0.2])
        flips = np.array(list(itertools.product((-1, 1), repeat=6))) @ sums
        exact = (np.abs(flips) >= np.abs(sums.sum()) - 1e-12).mean()
        assert sign_flip_test(sums, range(6), num_permutations=50_000) == pytest.approx(exact, abs=0.01)

    def test_no_difference_gives_one(self):
        assert sign_flip_test(np.zeros(6), range(6)) == 1.0


class TestWilcoxon:
    def test_is_scipy_on_group_means(self):
        values = clustered(1, 5, 0.3)[0]
        means = values.reshape(NUM_GROUPS, PER_GROUP).mean(axis=1)
        assert wilcoxon_test(values, GROUPS) == pytest.approx(stats.wilcoxon(means).pvalue)
        assert wilcoxon_test(values) == pytest.approx(stats.wilcoxon(values).pvalue)
        assert wilcoxon_test(np.zeros(5)) == 1.0


class TestBenjaminiHochberg:
    def test_equals_the_step_up_by_hand(self):
        assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
        assert benjamini_hochberg([]) == []

    def test_controls_false_discoveries(self):
        generator = np.random.default_rng(0)
        false_shares = []
        for _ in range(500):
            p_values = np.concatenate([generator.uniform(size=40), generator.uniform(0, 1e-4, 10)])
            found = np.array(benjamini_hochberg(p_values)) <= 0.1
            false_shares.append(found[:40].sum() / max(found.sum(), 1))
        assert np.mean(false_shares) <= 0.1
