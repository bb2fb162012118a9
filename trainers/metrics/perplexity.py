# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""How much likelier is a text with its brain? Perplexity, and its gap to a control.

Axis words: samples, permutations. Losses are mean cross-entropies in nats per token.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def perplexity_gap(control_losses: ArrayLike, model_losses: ArrayLike) -> np.ndarray:
    """`mean_k control_k - model` of every sample, in nats per token; its exponential is a ratio of perplexities.

    Args:
        control_losses (`np.ndarray` of shape `(permutations, samples)` or `(samples,)`):
            Loss under each control.
        model_losses (`np.ndarray` of shape `(samples,)`):
            Loss with the sample's own brain.

    Returns:
        `np.ndarray` of shape `(samples,)`: Gaps; above 0 where the brain helps.

    Raises:
        ValueError: the shapes do not fit, or a loss is NaN or infinite.
    """
    model, control = np.asarray(model_losses, float), np.atleast_2d(np.asarray(control_losses, float))
    if model.ndim != 1 or not model.size or control.shape[1:] != model.shape:
        raise ValueError(
            f"`control_losses` must be (permutations, samples) for `model_losses` (samples,), found {control.shape} "
            f"and {model.shape}. Evaluate both arms on the same samples in the same order."
        )
    if not (np.isfinite(model).all() and np.isfinite(control).all()):
        raise ValueError("Losses hold NaN or infinity: no perplexity is defined there. Remove the cause.")
    return control.mean(axis=0) - model


def corpus_perplexity_gap(
    control_losses: ArrayLike, model_losses: ArrayLike, num_tokens: Sequence[int] | None = None
) -> dict[str, float]:
    r"""Perplexities of a corpus, $\exp(\sum_i n_i L_i / \sum_i n_i)$, and their gap.

    Args:
        control_losses (`np.ndarray` of shape `(permutations, samples)` or `(samples,)`):
            Loss under each control.
        model_losses (`np.ndarray` of shape `(samples,)`):
            Loss with the sample's own brain.
        num_tokens (`Sequence[int]`, *optional*):
            Tokens that each loss is the mean of, $n_i$; one each by default, which makes every sample count alike.

    Returns:
        `dict[str, float]`: `perplexity`, `control_perplexity` (geometric mean over permutations), `perplexity_gap` in
        nats per token, and its exponential `perplexity_ratio`, control over model.

    Raises:
        ValueError: the shapes do not fit, a loss is NaN or infinite, or a sample has no tokens.
    """
    gaps = perplexity_gap(control_losses, model_losses)
    counts = np.ones(len(gaps)) if num_tokens is None else np.asarray(num_tokens, float)
    if counts.shape != gaps.shape or (counts < 1).any():
        raise ValueError(
            f"`num_tokens` must hold a number of at least 1 for each of {len(gaps)} samples, found shape "
            f"{counts.shape} and a least number of {counts.min(initial=np.inf)}. Drop samples without tokens."
        )
    gap, loss = (
        float(np.average(gaps, weights=counts)),
        float(np.average(np.asarray(model_losses, float), weights=counts)),
    )
    return {
        "perplexity": float(np.exp(loss)),
        "control_perplexity": float(np.exp(loss + gap)),
        "perplexity_gap": gap,
        "perplexity_ratio": float(np.exp(gap)),
    }


__all__ = ["corpus_perplexity_gap", "perplexity_gap"]
