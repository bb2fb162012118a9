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
"""What is left of a gain when easy texts and loud brains are taken out: the values that intervals and tests are of.

Some brains make every text likelier, and some texts are likely under every brain. Neither is decoding. Permuting
brains leaves both in place, so in the *mean* gain over permuted brains they cancel; but they stay in the samples'
values, where a test takes them for noise. It then rejects far too seldom: with effects of brains as large as all else,
in 1 % of null experiments and not in 5 %. Here they are taken out of every sample, and the mean stays as it is.
"""

from collections.abc import Sequence

import numpy as np


# Rounds of the two-way fit: its error falls by about the number of donors in each.
_ROUNDS = 30


def center_gains(
    own: np.ndarray, others: np.ndarray, brains: Sequence[str], donors: Sequence[Sequence[str]]
) -> np.ndarray:
    r"""
    Gains of the own brain over lent ones, without the main effects of texts and brains.

    Each loss is modelled as $L_{tb} = a_t + \beta_b + e_{tb}$, fitted by least squares to the own and the $K$ lent
    brains of each of $n$ texts. Of the residual $\hat e_{tt}$ of a text with its own brain the centred gain is
    $-\hat e_{tt} (1 + 1/K)$. A fit takes some of the noise along, by which its residuals are too small; with
    $m = K + 1$ they are widened by $\sqrt{(1 - 1/m) / (1 - 2/m + 1/(nm))}$ about their mean. So the variance of their
    sum under random signs is that of the gains' sum, for independent $e$ and balanced donors.

    Args:
        own (`np.ndarray` of shape `(samples,)`), others (`np.ndarray` of shape `(permutations, samples)`):
            Losses under the own brain and under lent ones.
        brains (`Sequence[str]` of length samples), donors (`Sequence[Sequence[str]]`, permutations by samples):
            Name of the own brain and of each lent one.

    Returns:
        `np.ndarray` of shape `(samples,)`: Centred gains, with the mean of `others.mean(0) - own`. With a single
        permutation these very gains, for then the fit would explain them whole.
    """
    gains = others.mean(axis=0) - own
    size, num_samples = len(others) + 1, len(own)
    if size == 2:
        return gains
    names = np.vstack([np.asarray(brains), np.asarray(donors)])
    index = np.unique(names, return_inverse=True)[1].reshape(names.shape)
    centred = -_two_way_residuals(np.vstack([own, others]), index)[0] * size / (size - 1)
    widening = np.sqrt((1 - 1 / size) / (1 - 2 / size + 1 / (num_samples * size)))
    return gains.mean() + widening * (centred - centred.mean())


def _two_way_residuals(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Residuals of `values` `(brains of a text, texts)` after effects of texts (columns) and brains (`index`)."""
    counts = np.bincount(index.ravel())
    effects = np.zeros(len(counts))
    texts = np.zeros(values.shape[1])
    for _ in range(_ROUNDS):
        texts = (values - effects[index]).mean(axis=0)
        effects = np.bincount(index.ravel(), (values - texts).ravel()) / counts
    return values - texts - effects[index]


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


__all__ = ["center_gains", "center_wins", "expected_wins", "lose_shares"]
