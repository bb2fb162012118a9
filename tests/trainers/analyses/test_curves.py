# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Effects, bins and trends: against their equations, an independent bootstrap, and how often noise rings the alarm."""

from itertools import pairwise

import numpy as np
import pytest

from trainers.analyses import Effects, brain_effects, loss_effects, make_curve, trend
from trainers.analyses.effects import arm_losses, equal_count_bins
from trainers.metrics import pairwise_wins
from trainers.statistics.permutations import permute_across_groups
from trainers.statistics.resampling import cluster_bootstrap_ci, sign_flip_test


def clustered(generator, slope: float, num_groups: int = 60, per_group: int = 5):
    """Places and values with noise that the samples of a group share."""
    groups = np.repeat(np.arange(num_groups), per_group)
    x = generator.normal(0, 1, len(groups)) + generator.normal(0, 0.7, num_groups)[groups]
    noise = generator.normal(0, 1, len(groups)) + generator.normal(0, 1, num_groups)[groups]
    return x, slope * x + noise, groups


def with_loud_brains(samples: list[dict], loud: float, seed: int) -> list[dict]:
    """The samples with a lender for every permuted loss, and with what each brain adds to the loss of any text."""
    names = [sample["brain_id"] for sample in samples]
    number = len(samples[0]["losses"]["permuted"])
    control_brains = permute_across_groups([sample["group"] for sample in samples], names, number, seed)
    added = dict(zip(names, np.random.default_rng((seed, 1)).normal(0, loud, len(names)), strict=True))
    found = []
    for sample, lent in zip(samples, control_brains.T.tolist(), strict=True):
        losses = dict(sample["losses"])
        losses["brain"] += added[sample["brain_id"]]
        losses["permuted"] = [
            loss + added[control_brain] for loss, control_brain in zip(losses["permuted"], lent, strict=True)
        ]
        found.append(sample | {"losses": losses, "control_brains": {"permuted": lent}})
    return found


class TestEffects:
    def test_are_those_of_the_report(self, make_samples):
        samples = make_samples(lambda surprise: 0.1)
        own = np.array([sample["losses"]["brain"] for sample in samples])
        others = np.array([sample["losses"]["permuted"] for sample in samples]).T
        effects = loss_effects(samples)
        assert (effects.wins == pairwise_wins(own, others)).all()
        assert effects.gains == pytest.approx((others - own).mean(axis=0))
        found = effects.summary()
        assert found["accuracy"] == effects.wins.mean()
        assert (found["accuracy_low"], found["accuracy_high"]) == cluster_bootstrap_ci(effects.wins, effects.groups)
        assert (found["num_samples"], found["num_groups"]) == (240, 40)

    @pytest.mark.parametrize("loud", [0.5, 2.0])
    def test_loud_brains_do_not_hush_the_tests(self, make_samples, loud):
        """Without an effect one in twenty is found; without centring it would be next to none."""
        found = np.zeros(3)
        for seed in range(200):
            samples = with_loud_brains(make_samples(num_groups=16, per_group=3, seed=seed), loud, seed)
            own, others = arm_losses(samples, "brain")[0], arm_losses(samples, "permuted")
            effects = loss_effects(samples)
            assert effects.gains.mean() == pytest.approx((others.mean(axis=0) - own).mean())
            assert effects.wins.mean() == pytest.approx(pairwise_wins(own, others).mean())
            values = (pairwise_wins(own, others) - 0.5, effects.wins - 0.5, effects.gains)
            found += [sign_flip_test(x, effects.groups.tolist(), 499, seed) <= 0.05 for x in values]
        plain, wins, gains = found / 200
        assert plain <= 0.03
        assert 0.01 <= wins <= 0.1
        assert 0.01 <= gains <= 0.1

    def test_a_wrong_brain_wins_half(self, make_samples):
        effects = loss_effects(make_samples(lambda surprise: 1.0, num_groups=120))
        assert effects.wins.mean() > 0.95
        assert effects.null.mean() == pytest.approx(0.5, abs=0.03)

    def test_of_captions_are_gains_of_the_score(self):
        scores = [(0.9, 0.2), (0.4, 0.4), (0.1, 0.3)]
        samples = [
            {"task": "caption", "group": f"{i}", "scores": {"brain": {"cider": own}, "permuted": {"cider": [other]}}}
            for i, (own, other) in enumerate(scores)
        ]
        effects = brain_effects(samples)
        assert effects.wins.tolist() == [1.0, 0.5, 0.0]
        assert effects.gains == pytest.approx([0.7, 0.0, -0.2])
        assert effects.unit == "cider"

    def test_joined_and_taken_apart(self, make_samples):
        first, second = (loss_effects(make_samples(seed=seed)) for seed in (0, 1))
        both = Effects.join([first, second])
        again = both.take(np.arange(len(first.wins), len(both.wins)))
        assert all((getattr(again, name) == getattr(second, name)).all() for name in ("wins", "gains", "null"))

    def test_a_missing_arm_or_reading_is_named(self, make_samples):
        samples = make_samples()
        with pytest.raises(ValueError, match="No sample has the task 'sentence'; the table holds continuation"):
            brain_effects(samples, "sentence")
        del samples[3]["losses"]["permuted"]
        with pytest.raises(ValueError, match="1 of 240 samples have no loss of the arm 'permuted'.*'toy/3'"):
            loss_effects(samples)


class TestBins:
    def test_are_equally_large_and_in_order(self):
        x = np.random.default_rng(0).normal(size=103)
        bins = equal_count_bins(x, 10)
        assert sorted(len(chosen) for chosen in bins) == [10] * 7 + [11] * 3
        assert sorted(np.concatenate(bins)) == list(range(103))
        assert all(x[left].max() <= x[right].min() for left, right in pairwise(bins))

    @pytest.mark.parametrize("num_bins", [1, 6])
    def test_too_small_ones_are_refused(self, num_bins):
        with pytest.raises(ValueError, match=f"`num_bins={num_bins}` does not fit 10 samples"):
            equal_count_bins(np.arange(10.0), num_bins)


class TestTrend:
    def test_slope_is_that_of_least_squares(self):
        x, values, groups = clustered(np.random.default_rng(0), 0.4)
        assert trend(x, values, groups)["slope"] == pytest.approx(np.polyfit(x, values, 1)[0])

    def test_interval_is_that_of_a_bootstrap_of_whole_groups(self):
        """An independent implementation: groups are drawn, and the line is fitted anew each time."""
        generator = np.random.default_rng(1)
        x, values, groups = clustered(generator, 0.4, num_groups=80)
        places = [np.flatnonzero(groups == group) for group in range(80)]
        draws = [np.concatenate([places[i] for i in generator.integers(80, size=80)]) for _ in range(2000)]
        low, high = np.quantile([np.polyfit(x[rows], values[rows], 1)[0] for rows in draws], [0.025, 0.975])
        found = trend(x, values, groups)
        assert found["ci_low"] == pytest.approx(low, abs=0.12 * (high - low))
        assert found["ci_high"] == pytest.approx(high, abs=0.12 * (high - low))

    @pytest.mark.slow
    def test_alarms_without_a_trend_are_as_rare_as_they_should_be(self):
        generator = np.random.default_rng(2)
        found = [trend(*clustered(generator, 0.0, num_groups=24), seed=seed) for seed in range(250)]
        rate = np.mean([row["p"] <= 0.05 for row in found])
        missed = np.mean([not row["ci_low"] <= 0 <= row["ci_high"] for row in found])
        # 5 % +- three standard errors of 250 runs
        assert 0.009 <= rate <= 0.091
        assert 0.009 <= missed <= 0.091

    def test_one_place_is_refused(self):
        with pytest.raises(ValueError, match="All 6 samples lie at 2: a trend needs two different places"):
            trend(np.full(6, 2.0), np.arange(6.0), np.arange(6))


class TestCurve:
    def test_rows_describe_their_bins(self, make_samples):
        samples = make_samples(lambda surprise: 0.1)
        x = np.array([sample["losses"]["no_brain"] for sample in samples])
        bins, effects = equal_count_bins(x, 4), loss_effects(samples)
        curve = make_curve(effects, x, bins, "surprise", "nat")
        assert [row["accuracy"] for row in curve.rows] == [effects.wins[chosen].mean() for chosen in bins]
        assert [row["x"] for row in curve.rows] == pytest.approx([x[chosen].mean() for chosen in bins])
        assert all(row["q"] >= row["p"] for row in curve.trends.values())
        section = curve.section("name", "A title", "A text.")
        assert set(section.columns) <= set(section.rows[0])
        assert section.figure.startswith("<svg")
        assert "a wrong brain" in section.figure

    def test_a_logarithmic_trend_is_per_tenfold(self, make_samples):
        samples = make_samples()
        x = np.repeat([1.0, 10.0, 100.0], 80)
        bins = np.split(np.arange(240), 3)
        effects = loss_effects(samples)
        rising = Effects(effects.wins, 0.25 * np.log10(x), effects.groups)
        curve = make_curve(rising, x, bins, "training set", "group", log_x=True)
        assert curve.trends["gain"]["slope"] == pytest.approx(0.25)
        assert "grows: +0.2500" in curve.describe_trend()
        assert "per tenfold of training set" in curve.describe_trend()
