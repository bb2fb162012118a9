# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Does the score know which brain belongs to which text? Pairwise accuracy and identification.

Axis words: samples, permutations, texts, brains (distinct brain samples). Ties count one half everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def pairwise_wins(true_losses: np.ndarray, control_losses: np.ndarray) -> np.ndarray:
    """Share of controls that a sample's own brain beats: `mean_k 1[true < control_k] + 1/2 1[true = control_k]`.

    Source: Ye et al. (2025), pairwise accuracy, with every permutation counted instead of one.

    Args:
        true_losses (`np.ndarray` of shape `(samples,)`):
            Loss with the sample's own brain.
        control_losses (`np.ndarray` of shape `(permutations, samples)` or `(samples,)`):
            Loss under each control.

    Returns:
        `np.ndarray` of shape `(samples,)`: Wins in [0, 1]; chance .5.
    """
    true, control = np.asarray(true_losses, float), np.atleast_2d(np.asarray(control_losses, float))
    if true.ndim != 1 or control.shape[1:] != true.shape:
        raise ValueError(
            f"`control_losses` must be (permutations, samples) for `true_losses` (samples,), found {control.shape} "
            f"and {true.shape}. Evaluate both arms on the same samples in the same order."
        )
    return ((true < control) + 0.5 * (true == control)).mean(axis=0)


def pairwise_accuracy(true_losses: np.ndarray, control_losses: np.ndarray) -> float:
    """Mean of [`pairwise_wins`] over samples; chance .5.

    Args:
        true_losses (`np.ndarray` of shape `(samples,)`):
            Loss with the sample's own brain.
        control_losses (`np.ndarray` of shape `(permutations, samples)` or `(samples,)`):
            Loss under each control.

    Returns:
        `float`: The accuracy.
    """
    return float(pairwise_wins(true_losses, control_losses).mean())


@dataclass(frozen=True)
class Identification:
    """Where the right text stands among the candidates of each brain.

    Args:
        ranks (`np.ndarray` of shape `(brains,)`):
            1 = best; ties share their mean rank.
        num_candidates (`np.ndarray` of shape `(brains,)`):
            Right text and its competitors.
    """

    ranks: np.ndarray
    num_candidates: np.ndarray

    @property
    def wins(self) -> np.ndarray:
        """Share of competitors beaten, of shape `(brains,)`; its mean is the pairwise accuracy, chance .5."""
        return (self.num_candidates - self.ranks) / (self.num_candidates - 1)

    def summary(self, top: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
        """Pairwise accuracy, mean normalised rank (0 best, chance .5), median rank, recall at each of `top`."""
        scores = {
            "pairwise_accuracy": float(self.wins.mean()),
            "normalised_rank": float(1 - self.wins.mean()),
            "median_rank": float(np.median(self.ranks)),
            "num_candidates": float(self.num_candidates.mean()),
        }
        return scores | {f"recall_at_{k}": float((self.ranks <= k).mean()) for k in top}

    def chance(self, k: int) -> float:
        """Recall at `k` of a random order: `mean_b min(1, k / candidates_b)`."""
        return float(np.minimum(1, k / self.num_candidates).mean())


def identify(scores: np.ndarray, groups: Sequence | None = None) -> Identification:
    """Rank, for each brain, its right text among the texts.

    `rank_b = 1 + |{t: s_tb > s_bb}| + 1/2 |{t != b: s_tb = s_bb}|`.

    Args:
        scores (`np.ndarray` of shape `(texts, brains)`):
            Higher is better; text i belongs to brain i.
        groups (`Sequence`, *optional*):
            Group (passage) of each text. Competitors of the right text's own group are left out: they share topic and
            scanner run, so beating or losing to them says little about the sentence.

    Returns:
        [`Identification`]: The ranks.
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"`scores` must be (texts, brains) with as many texts as brains, found {scores.shape}.")
    if np.isnan(scores).any():
        raise ValueError("`scores` holds NaN: a comparison with NaN would silently count as a win. Remove the cause.")
    labels = np.arange(len(scores)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    competitor = labels[:, None] != labels[None, :]
    num_competitors = competitor.sum(axis=0)
    if (num_competitors == 0).any():
        raise ValueError("`groups` names a single group, so no text has a competitor. Pass texts of two groups.")
    right = np.diagonal(scores)
    better = (scores > right) + 0.5 * (scores == right)
    return Identification(1 + (better * competitor).sum(axis=0), num_competitors + 1)


def remove_text_prior(log_likelihoods: np.ndarray) -> np.ndarray:
    """What a brain adds to each text: `s_tb = log p(t | b) - mean_b' log p(t | b')`.

    Some sentences are likely whatever the brain says, and would come first for every brain. Subtracting each text's
    mean over the brains leaves an estimate of the pointwise mutual information of text and brain.

    Args:
        log_likelihoods (`np.ndarray` of shape `(texts, brains)`):
            Log-likelihood, or minus the loss.

    Returns:
        `np.ndarray` of shape `(texts, brains)`: Scores for [`identify`].
    """
    log_likelihoods = np.asarray(log_likelihoods, float)
    return log_likelihoods - log_likelihoods.mean(axis=1, keepdims=True)


def two_way_identification(
    predicted: np.ndarray, target: np.ndarray, groups: Sequence | None = None
) -> Identification:
    """Identify each prediction's target by cosine similarity, `s_tb = cos(target_t, predicted_b)`.

    The pairwise accuracy of the result is the two-way identification of the field: how often the right target is
    closer than a wrong one; chance .5.

    Args:
        predicted (`np.ndarray` of shape `(brains, hidden)`):
            Embeddings decoded from the brains.
        target (`np.ndarray` of shape `(texts, hidden)`):
            Embeddings of the texts, in the same order.
        groups (`Sequence`, *optional*):
            See [`identify`].

    Returns:
        [`Identification`]: The ranks.
    """
    unit = [np.asarray(x, float) / np.linalg.norm(x, axis=1, keepdims=True) for x in (target, predicted)]
    return identify(unit[0] @ unit[1].T, groups)


__all__ = [
    "Identification",
    "identify",
    "pairwise_accuracy",
    "pairwise_wins",
    "remove_text_prior",
    "two_way_identification",
]
