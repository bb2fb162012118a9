# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The estimate against simulations of known signal and noise, and the formula against numbers worked by hand."""

import numpy as np
import pytest

from dataset_builders.preparation.noise_ceiling import noise_ceiling, signal_to_noise


RATIOS = np.array([0.0, 0.25, 0.5, 1.0, 2.0], dtype=np.float32)


def simulate(ratios, num_repeats, num_frames, seed=0):
    """Repeats [repeats, frames, features] of a unit signal in noise, and the signal [frames, features]."""
    generator = np.random.default_rng(seed)
    signal = generator.standard_normal((num_frames, len(ratios)))
    noise = generator.standard_normal((num_repeats, num_frames, len(ratios)))
    return signal * ratios + noise, signal


class TestSignalToNoise:
    @pytest.mark.parametrize("num_repeats", [2, 3, 10])
    def test_the_planted_ratio_is_found(self, num_repeats):
        repeats, _ = simulate(RATIOS, num_repeats, num_frames=20_000)
        found = signal_to_noise(repeats)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[1:], RATIOS[1:], rtol=0.05, atol=0.02)
        assert found[0] < 0.15

    def test_it_is_not_biased_by_few_short_repeats(self):
        """20,000 features, 30 frames, twice: the mean of the estimates is the planted share."""
        repeats, _ = simulate(np.ones(20_000), num_repeats=2, num_frames=30)
        share = noise_ceiling(signal_to_noise(repeats)).mean()
        assert share == pytest.approx(50, abs=1.5)

    def test_it_agrees_with_the_correlation_of_two_repeats(self):
        """An independent estimate: repeats correlate by signal over signal plus noise, the explainable variance."""
        repeats, _ = simulate(RATIOS, 2, num_frames=20_000, seed=3)
        correlations = [np.corrcoef(repeats[0, :, v], repeats[1, :, v])[0, 1] for v in range(len(RATIOS))]
        np.testing.assert_allclose(
            noise_ceiling(signal_to_noise(repeats))[1:], 100 * np.array(correlations)[1:], atol=0.6
        )

    def test_it_ignores_the_level_and_the_scale_of_a_feature_and_the_level_of_a_run(self):
        repeats, _ = simulate(RATIOS, 3, num_frames=200)
        levels = np.arange(3)[:, None, None] * 5.0
        np.testing.assert_allclose(signal_to_noise(7 * repeats + levels), signal_to_noise(repeats), rtol=1e-5)

    def test_silent_equal_and_missing_features(self):
        repeats, signal = simulate(RATIOS[:3], 3, num_frames=50)
        repeats[:, :, 0] = 0
        repeats[:, :, 1] = signal[:, 1]
        repeats[1, 7, 2] = np.nan
        found = signal_to_noise(repeats)
        assert found[0] == 0
        assert noise_ceiling(found)[1] == pytest.approx(100, abs=1e-3)
        assert np.isnan(found[2])
        assert np.isnan(noise_ceiling(found)[2])

    def test_float32_serves_as_well(self):
        repeats, _ = simulate(RATIOS, 3, num_frames=200)
        np.testing.assert_allclose(signal_to_noise(repeats.astype(np.float32)), signal_to_noise(repeats), rtol=1e-4)

    def test_repeats_may_come_one_at_a_time(self):
        repeats, _ = simulate(RATIOS, 3, num_frames=200)
        np.testing.assert_array_equal(signal_to_noise(iter(repeats)), signal_to_noise(repeats))

    @pytest.mark.parametrize("shapes", [[], [(10, 4)], [(1, 4), (1, 4)], [(10,), (10,)], [(10, 4), (9, 4)]])
    def test_too_little_to_estimate_from(self, shapes):
        with pytest.raises(ValueError, match=r"needs at least 2 repeats \[frames, features\] of"):
            signal_to_noise(np.zeros(shape) for shape in shapes)


class TestNoiseCeiling:
    def test_nobody_explains_more(self):
        """The true signal, the best model there is, explains just as much of an average as the ceiling says."""
        repeats, signal = simulate(RATIOS, 6, num_frames=20_000, seed=1)
        for num_repeats in (1, 3, 6):
            average = repeats[:num_repeats].mean(axis=0)
            explained = [100 * np.corrcoef(signal[:, v], average[:, v])[0, 1] ** 2 for v in range(len(RATIOS))]
            np.testing.assert_allclose(noise_ceiling(RATIOS, num_repeats), explained, atol=1)

    def test_worked_by_hand(self):
        """Ratio 1: one repeat 1/(1+1), three repeats 1/(1+1/3), infinitely many all."""
        assert noise_ceiling(np.float32(1), 1) == 50
        assert noise_ceiling(np.float32(1), 3) == 75
        np.testing.assert_allclose(noise_ceiling(np.array([0, 0.5, np.inf]), 2), [0, 100 / 3, 100], rtol=1e-6)

    def test_images_seen_one_two_or_three_times(self):
        """The manual of NSD: ncsnr^2 / (ncsnr^2 + (A/3 + B/2 + C) / (A + B + C)) for A, B, C images so often."""
        a, b, c = 5, 3, 2
        expected = 100 * 0.8**2 / (0.8**2 + (a / 3 + b / 2 + c) / (a + b + c))
        assert noise_ceiling(np.float64(0.8), [3] * a + [2] * b + [1] * c) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("num_repeats", [0, [], [3, 0]])
    def test_averages_of_nothing(self, num_repeats):
        with pytest.raises(ValueError, match="average of at least 1 repeat"):
            noise_ceiling(RATIOS, num_repeats)
