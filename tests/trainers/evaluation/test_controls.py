# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Controls break what they say they break, and nothing else."""

import numpy as np
import pytest
from scipy import stats

from trainers.evaluation.controls import noise, voxel_shuffle, zero
from trainers.statistics.permutations import NO_BRAIN, no_brain, permute_across_groups, shift_in_time


def layout(sizes: list[int], rows_per_brain: int = 2):
    """Groups of the given numbers of brains; several rows share a brain."""
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], np.array(sizes) * rows_per_brain)
    brains = np.repeat([f"b{i}" for i in range(sum(sizes))], rows_per_brain)
    return groups, brains, dict(zip(brains.tolist(), groups.tolist(), strict=True))


class TestPermuteAcrossGroups:
    @pytest.mark.parametrize("sizes", [[3, 4, 4, 3, 3], [1, 1], [5, 2, 3], [6, 1], [2, 2, 9]])
    def test_every_sample_gets_a_brain_of_another_group(self, sizes):
        groups, brains, group_of = layout(sizes)
        control_brains = permute_across_groups(groups, brains, num_permutations=50)
        assert control_brains.shape == (50, len(brains))
        for permutation in control_brains:
            assert all(
                group_of[control_brain] != group for control_brain, group in zip(permutation, groups, strict=True)
            )
            assert (permutation[::2] == permutation[1::2]).all()  # rows that shared a brain still do

    def test_every_brain_is_used_once_where_that_is_possible(self):
        groups, brains, _ = layout([3, 4, 4, 3, 3])
        for permutation in permute_across_groups(groups, brains, num_permutations=20):
            assert sorted(permutation) == sorted(brains)

    def test_all_other_brains_are_reached_about_equally(self):
        groups, brains, group_of = layout([3, 3, 3, 3], rows_per_brain=1)
        control_brains = permute_across_groups(groups, brains, num_permutations=4000)
        names, counts = np.unique(control_brains[:, 0], return_counts=True)
        assert {group_of[name] for name in names} == {"g1", "g2", "g3"}
        assert len(names) == 9
        assert counts.min() > 0.6 * 4000 / 9

    def test_neighbours_mostly_stay_neighbours(self):
        groups, brains, group_of = layout([4] * 10, rows_per_brain=1)
        control_brains = permute_across_groups(groups, brains, num_permutations=400)
        # Three of the four rotations within a group keep its first two brains together.
        together = [
            group_of[a] == group_of[b] for row in control_brains for a, b in zip(row[::4], row[1::4], strict=True)
        ]
        assert np.mean(together) == pytest.approx(0.75, abs=0.05)

    def test_donors_stay_within_the_block(self):
        groups, brains, _ = layout([2, 2, 2])
        both = np.concatenate([groups, groups]), np.concatenate([brains, [f"other{b}" for b in brains]])
        blocks = [("s1", 4)] * 12 + [("s2", 4)] * 12
        control_brains = permute_across_groups(*both, num_permutations=10, blocks=blocks)
        assert np.char.startswith(control_brains[:, 12:], "other").all()
        assert not np.char.startswith(control_brains[:, :12], "other").any()

    def test_is_deterministic(self):
        groups, brains, _ = layout([3, 3, 3])
        first, again = (permute_across_groups(groups, brains, 5, seed=1) for _ in range(2))
        assert (first == again).all()
        assert (first != permute_across_groups(groups, brains, 5, seed=2)).any()

    def test_a_single_group_is_refused(self):
        with pytest.raises(ValueError, match="another group"):
            permute_across_groups(["a", "a"], ["b1", "b2"])

    def test_a_brain_in_two_groups_is_refused(self):
        with pytest.raises(ValueError, match="belongs to two groups"):
            permute_across_groups(["a", "b", "c"], ["b1", "b1", "b2"])


class TestBrokenValues:
    values = np.random.default_rng(0).normal(3, 2, (200, 4, 10)).astype(np.float32)

    def test_no_brain_and_zero(self):
        assert no_brain(["x", "y"]).tolist() == [-1, -1]
        assert not zero(self.values).any()

    def test_voxel_shuffle_keeps_the_values_of_each_frame(self):
        shuffled = voxel_shuffle(self.values)
        assert (np.sort(shuffled, axis=-1) == np.sort(self.values, axis=-1)).all()
        assert (shuffled != self.values).mean() > 0.8

    def test_noise_matches_moments_and_forgets_values(self):
        scaled = self.values * np.arange(1, 11, dtype=np.float32)
        drawn = noise(scaled)
        assert drawn.dtype == scaled.dtype
        assert drawn.mean((0, 1)) == pytest.approx(scaled.mean((0, 1)), rel=0.1)
        assert drawn.std((0, 1)) == pytest.approx(scaled.std((0, 1)), rel=0.1)
        assert abs(np.corrcoef(drawn[..., 0].ravel(), scaled[..., 0].ravel())[0, 1]) < 0.1

    def test_noise_has_the_covariance_of_frames_and_features(self):
        generator = np.random.default_rng(1)
        mixing = generator.normal(0, 1, (6, 6))
        values = (generator.normal(0, 1, (2000, 6)) @ mixing).reshape(2000, 2, 3) + 5
        drawn = noise(values)
        expected = np.cov(values.reshape(-1, 6).T)
        assert np.cov(drawn.reshape(-1, 6).T) == pytest.approx(expected, abs=0.15 * np.abs(expected).max())
        assert drawn.mean(0) == pytest.approx(values.mean(0), abs=0.3)

    def test_noise_of_few_brains_lies_in_their_span(self):
        values = np.random.default_rng(2).normal(1, 1, (8, 5000)).astype(np.float32)
        drawn, mean = noise(values), values.mean(0)
        assert drawn.shape == values.shape
        basis = np.linalg.svd(values - mean, full_matrices=False)[2][:7]
        inside = (drawn - mean) @ basis.T @ basis
        assert inside == pytest.approx(drawn - mean, abs=1e-3)

    def test_noise_is_gaussian_whatever_the_values(self):
        values = np.random.default_rng(3).exponential(1, (3000, 1)) ** 2
        drawn = noise(values)
        assert stats.kurtosis(values[:, 0]) > 10
        assert abs(stats.kurtosis(drawn[:, 0])) < 0.5

    @pytest.mark.parametrize("control", [voxel_shuffle, noise])
    def test_draws_are_seeded(self, control):
        assert (control(self.values, seed=1) == control(self.values, seed=1)).all()
        assert (control(self.values, seed=1) != control(self.values, seed=2)).any()


class TestShiftInTime:
    def test_the_same_run_at_another_time(self):
        runs, times = np.repeat(["a", "b"], 30), np.tile(2.0 * np.arange(30), 2)
        order = np.random.default_rng(0).permutation(60)
        runs, times = runs[order], times[order]
        control_brains = shift_in_time(runs.tolist(), times)
        assert (runs[control_brains] == runs).all()
        assert np.abs(times[control_brains] - times).min() >= 12
        assert sorted(control_brains) == list(range(60))

    def test_neighbours_stay_neighbours_but_at_the_seam(self):
        control_brains = shift_in_time(["run"] * 20, 2.0 * np.arange(20))
        steps = np.diff(control_brains) % 20
        assert (steps == 1).all()

    def test_what_is_too_short_has_no_donor(self):
        control_brains = shift_in_time(["long"] * 14 + ["short"] * 6, [2.0 * i for i in (*range(14), *range(6))])
        assert (control_brains[:14] != NO_BRAIN).all()
        assert (control_brains[14:] == NO_BRAIN).all()

    def test_is_seeded(self):
        draws = [shift_in_time(["run"] * 99, range(99), seed=seed).tolist() for seed in (0, 0, 1)]
        assert draws[0] == draws[1] != draws[2]
