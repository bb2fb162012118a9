# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is left of a gain when easy texts and loud brains are taken out: the values that intervals and tests are of.

Some brains make every text likelier, and some texts are likely under every brain. Neither is decoding. Permuting
brains leaves both in place, so in the *mean* gain over permuted brains they cancel; but they stay in the samples'
values, where a test takes them for noise. It then rejects far too seldom: with effects of brains as large as all else,
in 1 % of null experiments and not in 5 %. Here they are taken out of every sample, and the mean stays as it is.

That holds for controls in which the brains' effects do cancel: those that hand the very brains around (permuted, or
shifted in time), and noise that has the brains' mean and covariance. What a brain of zeros does to a text is no
average over brains; gains over such a control keep the spread of the brains.
"""

from collections.abc import Sequence

import numpy as np

from ..metrics import pairwise_wins


# Rounds of the two-way fit: its error falls by about the number of control brains in each.
_ROUNDS = 30


def center_gains(
    own: np.ndarray, others: np.ndarray, brains: Sequence[str], control_brains: Sequence[Sequence[str]]
) -> np.ndarray:
    r"""
    Gains of the own brain over lent ones, without the main effects of texts and brains.

    Each loss is modelled as $L_{tb} = a_t + \beta_b + e_{tb}$, fitted by least squares to the own and the $K$ lent
    brains of each of $n$ texts. Of the residual $\hat e_{tt}$ of a text with its own brain the centred gain is
    $-\hat e_{tt} (1 + 1/K)$. A fit takes some of the noise along, by which its residuals are too small; with
    $m = K + 1$ they are widened by $\sqrt{(1 - 1/m) / (1 - 2/m + 1/(nm))}$ about their mean. So the variance of their
    sum under random signs is that of the gains' sum, for independent $e$ and balanced control brains.

    Args:
        own (`np.ndarray` of shape `(samples,)`), others (`np.ndarray` of shape `(permutations, samples)`):
            Losses under the own brain and under lent ones.
        brains (`Sequence[str]` of length samples), control_brains (`Sequence[Sequence[str]]`, permutations by
        samples):
            Name of the own brain and of each lent one.

    Returns:
        `np.ndarray` of shape `(samples,)`: Centred gains, with the mean of `others.mean(0) - own`. With a single
        permutation these very gains, for then the fit would explain them whole.
    """
    gains = others.mean(axis=0) - own
    size, num_samples = len(others) + 1, len(own)
    if size == 2:
        return gains
    values, index = np.vstack([own, others]), _brain_index(brains, control_brains)[1]
    texts, effects = _two_way_effects(values, index, np.ones(size))
    centred = -(values - texts - effects[index])[0] * size / (size - 1)
    widening = np.sqrt((1 - 1 / size) / (1 - 2 / size + 1 / (num_samples * size)))
    return gains.mean() + widening * (centred - centred.mean())


def center_gains_and_wins(
    own: np.ndarray, others: np.ndarray, brains: Sequence[str], control_brains: Sequence[Sequence[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """
    Gains of the own brain over permuted ones and shares of them that it beats, both centred ([`center_gains`]).

    Args:
        own (`np.ndarray` of shape `(samples,)`), others (`np.ndarray` of shape `(permutations, samples)`):
            Losses under the own brain and under lent ones.
        brains (`Sequence[str]` of length samples), control_brains (`Sequence[Sequence[str]]`, permutations by
        samples):
            Name of the own brain and of each lent one.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Gains `(samples,)`, and wins `(samples,)` with the mean of
        [`~trainers.metrics.pairwise_wins`].
    """
    shares = lose_shares(np.vstack([own, others]))
    # The mean share of all brains of a text is one half, so a gain in shares is 1 + 1 / K times (wins - 1/2).
    wins = 0.5 + center_gains(shares[0], shares[1:], brains, control_brains) * len(others) / (1 + len(others))
    return center_gains(own, others, brains, control_brains), wins


class BrainEffects:
    r"""
    What each brain does to the loss of any text, fitted to the permuted arm as in [`center_gains`].

    It is taken out of gains over other controls ([`BrainEffects.center`]). A fit takes some of the noise of the own
    losses along. Where lent brains are taken out too, their noise comes in for it, and the spread is right. Where the
    control's brains are unknown, nothing comes in; own losses then count one half in the fit, for with weight w the
    noise of a gain is $(1 - w / (w + K))^2 + K / (w + K)^2$ of what it was, which is 1 at
    $w = \sqrt{K (K + 1)} - K$, nearly one half for any K.

    Args:
        own (`np.ndarray` of shape `(samples,)`), others (`np.ndarray` of shape `(permutations, samples)`):
            Losses under the own brain and under lent ones.
        brains (`Sequence[str]` of length samples), control_brains (`Sequence[Sequence[str]]`, permutations by
        samples):
            Name of the own brain and of each lent one.
    """

    def __init__(
        self, own: np.ndarray, others: np.ndarray, brains: Sequence[str], control_brains: Sequence[Sequence[str]]
    ):
        names, index = _brain_index(brains, control_brains)
        values = np.vstack([own, others])
        self._places = {name: place for place, name in enumerate(names.tolist())}
        self._index = index
        self._others = others
        self._fits = {
            weight: _two_way_effects(values, index, np.array([weight, *np.ones(len(others))]))[1]
            for weight in (0.5, 1.0)
        }

    def center(
        self, chosen: np.ndarray, own: np.ndarray, control: np.ndarray, lent: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Gains over a control and wins against it, without what the brains do to any text; means stay as they are.

        A win is expected as often as the difference of a text under the control and under a lent brain, both without
        effects of brains, exceeds the difference of these effects.

        Args:
            chosen (`np.ndarray` of shape `(chosen samples,)`):
                Places of the samples that have the control.
            own (`np.ndarray` of shape `(chosen samples,)`), control (`np.ndarray` of shape `(draws, chosen samples)`):
                Losses under the own brain and under the control.
            lent (`Sequence[str]` of length chosen samples, *optional*):
                Brain of the control, where it is one of the brains.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: Gains and wins `(chosen samples,)`. With a single permutation these are
            not centred, for then the fit would explain all.
        """
        gains, wins = control.mean(axis=0) - own, pairwise_wins(own, control)
        if len(self._others) == 1:
            return gains, wins
        effects = self._fits[0.5 if lent is None else 1.0]
        index = self._index[:, chosen]
        brought = np.zeros(len(own)) if lent is None else effects[[self._places[name] for name in lent]]
        shifts = effects[index[0]] - brought
        plain = self._others[:, chosen] - effects[index[1:]]
        differences = np.sort((control - brought)[:, None] - plain, axis=None)
        below = [np.searchsorted(differences, shifts, side) for side in ("left", "right")]
        expected = 1 - np.mean(below, axis=0) / len(differences)
        return gains + shifts - shifts.mean(), center_wins(wins, expected)


def _brain_index(brains: Sequence[str], control_brains: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Names of the brains, and which of them each text has `(1 + permutations, texts)`, its own first."""
    rows = np.vstack([np.asarray(brains), np.asarray(control_brains)])
    names, index = np.unique(rows, return_inverse=True)
    return names, index.reshape(rows.shape)


def _two_way_effects(values: np.ndarray, index: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects of texts and of brains on `values` `(brains of a text, texts)`, whose rows count by their weights."""
    each = np.broadcast_to(weights[:, None], values.shape).ravel()
    counts = np.bincount(index.ravel(), each)
    effects = np.zeros(len(counts))
    texts = np.zeros(values.shape[1])
    for _ in range(_ROUNDS):
        texts = np.average(values - effects[index], axis=0, weights=weights)
        effects = np.bincount(index.ravel(), (values - texts).ravel() * each) / counts
    return texts, effects


def lose_shares(losses: np.ndarray) -> np.ndarray:
    """
    Share of the other rows of a column that are smaller than each row, ties one half.

    Args:
        losses (`np.ndarray` of shape `(permutations, samples)`):
            Losses of each sample under several brains, or of several texts under each brain.

    Returns:
        `np.ndarray` of the same shape: One minus the own brain's share is [`~trainers.metrics.pairwise_wins`].
    """
    ordered, shares = np.sort(losses, axis=0), np.empty(losses.shape)
    for column in range(losses.shape[1]):
        below, up_to = (np.searchsorted(ordered[:, column], losses[:, column], side) for side in ("left", "right"))
        shares[:, column] = (below + up_to - 1) / 2 / (len(losses) - 1)
    return shares


def expected_wins(scores: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """
    Share of the other texts that each text beats, on average over the brains of other groups.

    Args:
        scores (`np.ndarray` of shape `(texts, brains)`):
            Higher is better; text i belongs to brain i.
        groups (`Sequence[str]` of length texts):
            Group of each text.

    Returns:
        `np.ndarray` of shape `(texts,)`: Shares; a text that is likely under every brain has nearly 1.
    """
    shares = 1 - lose_shares(-scores)
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    foreign = labels[:, None] != labels
    return (shares * foreign).sum(axis=1) / foreign.sum(axis=1)


def center_wins(wins: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """
    Shares of competitors beaten, without what each text beats under other people's brains.

    Args:
        wins (`np.ndarray` of shape `(samples,)`):
            Share of the other texts that the right text beats under its own brain.
        expected (`np.ndarray` of shape `(samples,)`):
            What it beats, on average, under brains of other groups.

    Returns:
        `np.ndarray` of shape `(samples,)`: Centred wins, with the mean of `wins`.
    """
    return wins - (expected - expected.mean())


__all__ = ["BrainEffects", "center_gains", "center_gains_and_wins", "center_wins", "expected_wins", "lose_shares"]
