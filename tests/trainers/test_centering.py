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
"""Centred gains have the mean of the gains, forget texts and brains, and keep tests at their level."""

import numpy as np
import pytest

from trainers.centering import center_gains, center_wins, expected_wins, lose_shares
from trainers.controls import permute_across_groups
from trainers.metrics import identify, pairwise_wins, sign_flip_test


def experiment(seed: int, sizes=(3,) * 14, brains=1.0, texts=1.0, pairs=0.5, effect=0.0, num_permutations=12):
    """Losses of texts under their own and lent brains: effects of brains, texts, pairs of groups, and noise."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    number = len(groups)
    losses = texts * generator.standard_normal((number, 1)) + brains * generator.standard_normal(number)
    losses = losses + pairs * generator.standard_normal((len(sizes),) * 2)[groups][:, groups]
    losses = losses + generator.standard_normal((number, number)) - effect * np.eye(number)
    donors = permute_across_groups(groups, np.arange(number), num_permutations, seed)
    own, others = np.diag(losses), losses[np.arange(number), donors]
    return own, others, np.arange(number), donors, groups


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
        donors = np.array([(np.arange(number) + shift) % number for shift in range(1, number)])
        own, others = np.diag(losses), losses[np.arange(number), donors]
        double = losses - losses.mean(0) - losses.mean(1, keepdims=True) + losses.mean()
        expected = -np.diag(double) * number / (number - 1)
        expected = expected.mean() + np.sqrt(number / (number - 1)) * (expected - expected.mean())
        assert center_gains(own, others, np.arange(number), donors) == pytest.approx(expected, abs=1e-9)

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
