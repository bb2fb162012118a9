# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Identification and pairwise accuracy: a planted effect is found, none is found in noise, identities hold."""

import numpy as np
import pytest
from scipy import stats

from trainers.metrics import (
    identify,
    pairwise_accuracy,
    pairwise_wins,
    remove_text_prior,
    two_way_identification,
)


def planted_losses(effect: float, num_groups: int = 40, per_group: int = 4, seed: int = 0):
    """Loss matrix (texts, brains): text difficulty, brain quality, noise, and `effect` for the right pair."""
    generator = np.random.default_rng(seed)
    size = num_groups * per_group
    losses = 4 + generator.standard_normal((size, 1)) + 0.2 * generator.standard_normal((1, size))
    losses = losses + 0.1 * generator.standard_normal((size, size)) - effect * np.eye(size)
    return losses, np.repeat(np.arange(num_groups), per_group)


class TestPairwise:
    def test_counts_wins_and_half_ties(self):
        assert pairwise_wins([1.0, 1.0, 1.0], [[2.0, 1.0, 0.5], [2.0, 2.0, 0.5]]).tolist() == [1.0, 0.75, 0.0]
        assert pairwise_accuracy([1.0, 1.0], [1.0, 1.0]) == 0.5

    def test_swapping_the_arms_gives_the_complement(self):
        own, control = np.random.default_rng(0).integers(0, 5, (2, 1000)) / 5
        assert pairwise_accuracy(own, control) + pairwise_accuracy(control, own) == pytest.approx(1)

    def test_planted_effect_found_and_none_in_noise(self):
        for effect, low, high in ((0.6, 0.95, 1.0), (0.0, 0.47, 0.53)):
            losses, _ = planted_losses(effect)
            others = np.stack([np.roll(losses, -shift, axis=1).diagonal() for shift in range(4, 150)])
            assert low <= pairwise_accuracy(losses.diagonal(), others) <= high

    def test_shapes_must_agree(self):
        with pytest.raises(ValueError, match="permutations, samples"):
            pairwise_wins(np.zeros(3), np.zeros((2, 4)))


class TestIdentify:
    def test_ranks_equal_scipy(self):
        scores = np.random.default_rng(0).integers(0, 9, (30, 30)).astype(float)
        expected = [stats.rankdata(-scores[:, brain])[brain] for brain in range(30)]
        assert identify(scores).ranks.tolist() == expected

    def test_perfect_and_reversed_order(self):
        summary = identify(np.eye(8)).summary()
        assert summary["pairwise_accuracy"] == summary["recall_at_1"] == summary["median_rank"] == 1
        assert summary["normalised_rank"] == 0
        assert identify(-np.eye(8)).summary()["pairwise_accuracy"] == 0

    def test_competitors_of_the_own_group_are_left_out(self):
        # Text 1 shares its group with text 0 and would beat it; text 2 is beaten.
        scores = np.array([[1.0, 0, 0], [2.0, 3, 0], [0.0, 0, 1]])
        result = identify(scores, ["a", "a", "b"])
        assert result.num_candidates.tolist() == [2, 2, 3]
        assert result.ranks.tolist() == [1, 1, 1]
        assert identify(scores).ranks.tolist() == [2, 1, 1]

    def test_equals_the_pairwise_loop(self):
        losses, groups = planted_losses(0.1, num_groups=6, per_group=3)
        wins = []
        for brain in range(18):
            others = [text for text in range(18) if groups[text] != groups[brain]]
            wins.append(np.mean([losses[brain, brain] < losses[text, brain] for text in others]))
        assert identify(-losses, groups).wins == pytest.approx(wins)

    def test_text_prior_hides_the_effect_until_it_is_removed(self):
        losses, groups = planted_losses(0.4)
        assert identify(-losses, groups).wins.mean() < 0.7
        assert identify(remove_text_prior(-losses), groups).wins.mean() > 0.95

    def test_nothing_found_in_noise(self):
        losses, groups = planted_losses(0.0)
        assert identify(remove_text_prior(-losses), groups).wins.mean() == pytest.approx(0.5, abs=0.06)
        assert identify(remove_text_prior(-losses), groups).chance(1) == pytest.approx(1 / 157)

    def test_refuses_what_cannot_be_ranked(self):
        with pytest.raises(ValueError, match="as many texts"):
            identify(np.zeros((2, 3)))
        with pytest.raises(ValueError, match="single group"):
            identify(np.zeros((3, 3)), ["a"] * 3)
        with pytest.raises(ValueError, match="NaN"):
            identify(np.full((2, 2), np.nan))


class TestTwoWay:
    def test_scale_is_ignored_and_the_truth_found(self):
        generator = np.random.default_rng(0)
        target = generator.standard_normal((50, 16))
        predicted = 100 * target + 30 * generator.standard_normal((50, 16))
        assert two_way_identification(predicted, target).summary()["pairwise_accuracy"] > 0.99
        noise = generator.standard_normal((50, 16))
        assert two_way_identification(noise, target).wins.mean() == pytest.approx(0.5, abs=0.1)
