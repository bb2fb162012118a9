# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Centred gains have the mean of the gains, forget texts and brains, and keep tests at their level."""

import numpy as np
import pytest

from trainers.evaluation.controls import noise
from trainers.metrics import identify, pairwise_wins
from trainers.statistics.main_effects import BrainEffects, center_gains, center_wins, expected_wins, lose_shares
from trainers.statistics.permutations import permute_across_groups, shift_in_time
from trainers.statistics.resampling import sign_flip_test


def experiment(seed: int, sizes=(3,) * 14, brains=1.0, texts=1.0, pairs=0.5, effect=0.0, num_permutations=12):
    """Losses of texts under their own and lent brains: effects of brains, texts, pairs of groups, and noise."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    number = len(groups)
    losses = texts * generator.standard_normal((number, 1)) + brains * generator.standard_normal(number)
    losses = losses + pairs * generator.standard_normal((len(sizes),) * 2)[groups][:, groups]
    losses = losses + generator.standard_normal((number, number)) - effect * np.eye(number)
    control_brains = permute_across_groups(groups, np.arange(number), num_permutations, seed)
    own, others = np.diag(losses), losses[np.arange(number), control_brains]
    return own, others, np.arange(number), control_brains, groups


class TestCenterGains:
    def test_keeps_the_mean_and_takes_brains_and_texts_out(self):
        own, others, *lent = experiment(0)
        gains = center_gains(own, others, *lent[:2])
        assert gains.mean() == pytest.approx((others.mean(0) - own).mean())
        shifts = np.random.default_rng(1).normal(0, 10, len(own))
        same = center_gains(own + shifts, others + shifts[lent[1]], *lent[:2])
        assert same == pytest.approx(gains, abs=1e-4)
        assert center_gains(own + shifts, others + shifts, *lent[:2]) == pytest.approx(gains, abs=1e-6)

    def test_a_complete_table_is_centred_twice(self):
        """Where every brain meets every text once, the fit is the closed form of a two-way table."""
        number = 7
        losses = np.random.default_rng(0).normal(0, 1, (number, number))
        control_brains = np.array([(np.arange(number) + shift) % number for shift in range(1, number)])
        own, others = np.diag(losses), losses[np.arange(number), control_brains]
        double = losses - losses.mean(0) - losses.mean(1, keepdims=True) + losses.mean()
        expected = -np.diag(double) * number / (number - 1)
        expected = expected.mean() + np.sqrt(number / (number - 1)) * (expected - expected.mean())
        assert center_gains(own, others, np.arange(number), control_brains) == pytest.approx(expected, abs=1e-9)

    def test_one_permutation_leaves_the_gains_alone(self):
        own, others, *lent = experiment(0, num_permutations=1)
        assert (center_gains(own, others, *lent[:2]) == others.mean(0) - own).all()

    @pytest.mark.parametrize("score", ["gain", "wins"])
    def test_null_experiments_are_rejected_as_often_as_promised(self, score):
        rejected = np.zeros(2)
        for seed in range(400):
            own, others, *lent = experiment(seed, brains=2.0)
            raw, values = others.mean(0) - own, center_gains(own, others, *lent[:2])
            if score == "wins":
                shares = lose_shares(np.vstack([own, others]))
                raw, values = pairwise_wins(own, others) - 0.5, center_gains(shares[0], shares[1:], *lent[:2])
            rejected += [sign_flip_test(x, lent[2], 499, seed) <= 0.05 for x in (raw, values)]
        plain, centred = rejected / 400
        assert plain < 0.02  # what loud brains do to the plain test
        assert 0.025 <= centred <= 0.08

    def test_an_effect_is_found_that_loud_brains_would_hide(self):
        found = np.zeros(2)
        for seed in range(40):
            own, others, *lent = experiment(seed, brains=4.0, effect=0.8)
            found += [
                sign_flip_test(x, lent[2], 499, seed) <= 0.05
                for x in (others.mean(0) - own, center_gains(own, others, *lent[:2]))
            ]
        assert found[1] > 30 > found[0]

    @pytest.mark.parametrize(("effect", "least", "most"), [(0.0, 0.02, 0.085), (1.5, 0.95, 1.0)])
    def test_scores_of_texts_that_are_few_numbers(self, effect, least, most):
        """A text has some of five words right, more under the own brain if that tells; five permutations."""
        rejected = []
        for seed in range(300 if effect == 0 else 60):
            own, others, *lent = experiment(seed, sizes=(2,) * 20, effect=effect, num_permutations=5)
            own, others = (np.clip(np.round(losses + 2), 0, 5) / 5 for losses in (own, others))
            rejected.append(sign_flip_test(center_gains(own, others, *lent[:2]), lent[2], 499, seed) <= 0.05)
        assert least <= np.mean(rejected) <= most


def brains_and_texts(seed: int, loud: float, effect: float, num_groups: int = 20, per_group: int = 2):
    """Losses as a function of text and brain: brains of a group are alike, and some are loud whatever the text."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), per_group)
    brains = generator.standard_normal((num_groups, 6))[groups] + generator.standard_normal((len(groups), 6))
    codes, colours = generator.standard_normal((4, 6)), generator.integers(4, size=len(groups))
    brains += effect * codes[colours]
    texts, direction = generator.standard_normal(len(groups)), generator.standard_normal(6)

    def losses(given: np.ndarray) -> np.ndarray:
        heard = (codes[colours] * given).sum(axis=1)
        return texts - heard + loud * (given @ direction + (given**2).mean(axis=1))

    return brains.astype(np.float32), losses, groups


def over_controls(seed: int, control: str, loud: float, effect: float) -> list[bool]:
    """Whether gains are found: plain, centred; and wins, centred."""
    brains, losses, groups = brains_and_texts(seed, loud, effect)
    number = np.arange(len(groups))
    control_brains = permute_across_groups(groups, number, 12, seed)
    fit = BrainEffects(
        losses(brains), np.stack([losses(brains[lent]) for lent in control_brains]), number, control_brains
    )
    later = shift_in_time([0] * len(groups), 4.0 * number, seed=seed)
    if control == "noise":
        others, lent = np.stack([losses(noise(brains, 5 * seed + draw)) for draw in range(5)]), None
    else:
        others, lent = losses(brains[later])[None], later
    own = losses(brains)
    gains, wins = fit.center(number, own, others, lent)
    assert gains.mean() == pytest.approx((others.mean(axis=0) - own).mean(), abs=1e-5)
    assert wins.mean() == pytest.approx(pairwise_wins(own, others).mean())
    plain = others.mean(axis=0) - own
    return [sign_flip_test(values, groups, 499, seed) <= 0.05 for values in (plain, gains, wins - 0.5)]


class TestBrainEffects:
    @pytest.mark.parametrize("control", ["noise", "time_shift"])
    def test_null_experiments_are_rejected_as_often_as_promised(self, control):
        plain, gains, wins = np.mean([over_controls(seed, control, 1.0, 0.0) for seed in range(300)], axis=0)
        assert plain < 0.02
        assert 0.02 <= gains <= 0.085
        assert 0.01 <= wins <= 0.085

    @pytest.mark.parametrize("control", ["noise", "time_shift"])
    def test_an_effect_is_found_that_loud_brains_would_hide(self, control):
        plain, gains, _ = np.sum([over_controls(seed, control, 2.0, 0.7) for seed in range(30)], axis=0)
        assert gains > 20 > plain

    def test_loud_brains_are_forgotten_and_one_permutation_fits_nothing(self):
        own, others, brains, control_brains, _ = experiment(0)
        later, loud = np.roll(brains, 3), np.random.default_rng(1).normal(0, 10, len(own))
        control = np.random.default_rng(2).standard_normal((1, len(own)))
        plain = BrainEffects(own, others, brains, control_brains).center(brains, own, control, later)
        moved = BrainEffects(own + loud, others + loud[control_brains], brains, control_brains).center(
            brains, own + loud, control + loud[later], later
        )
        assert moved[0] == pytest.approx(plain[0], abs=1e-3)
        one = BrainEffects(own, others[:1], brains, control_brains[:1]).center(brains, own, control, later)
        assert (one[0] == control[0] - own).all()
        assert (one[1] == pairwise_wins(own, control)).all()


class TestShares:
    def test_are_the_wins_of_pairs(self):
        generator = np.random.default_rng(0)
        own, others = generator.integers(0, 4, 30), generator.integers(0, 4, (9, 30))
        shares = lose_shares(np.vstack([own, others]).astype(float))
        assert 1 - shares[0] == pytest.approx(pairwise_wins(own, others))
        assert shares.mean(0) == pytest.approx(0.5)

    def test_expected_wins_count_other_groups_brains(self):
        scores, groups = np.random.default_rng(0).normal(0, 1, (6, 6)), list("aabbcc")
        found = expected_wins(scores, groups)
        for text in range(6):
            beaten = [
                np.mean([scores[text, brain] > scores[other, brain] for other in range(6) if other != text])
                for brain in range(6)
                if groups[brain] != groups[text]
            ]
            assert found[text] == pytest.approx(np.mean(beaten))

    def test_a_likely_text_wins_nothing_of_its_own(self):
        scores = 10.0 * np.arange(8)[:, None] + np.random.default_rng(0).normal(0, 1, (8, 8))
        wins = identify(scores).wins
        centred = center_wins(wins, expected_wins(scores, list("abcdefgh")))
        assert np.std(wins) > 0.3
        assert centred == pytest.approx(0.5)
