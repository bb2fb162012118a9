# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The null of Tang et al. (2023): a beam whose brain likelihood is drawn at random, so that only the language tells.

By Bayes' rule, the likelihood of a brain under a token is what the brain adds to the token's log-probability. Here
this is exchanged, within each hypothesis, among tokens about as likely without the brain (of one power of ten).
Language model, filters, beam and rhythm are those of the true decoded text, each step departs as far from what the
language model expects, and which of its words the brain speaks for is chance. A token that is alone in its power of
ten keeps its own number, which makes this null harder to beat, not easier.

What the brain adds is measured from the brain that says nothing (standardised values of 0), not from the text alone:
what brain modules have learnt of a corpus' language belongs to the language model, and would else count as brain.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .beam import BeamSearch, Hypothesis


class RandomLikelihoodSearch(BeamSearch):
    """
    A [`BeamSearch`] with a random brain.

    Its scorers are two or three: one for the true brain, from which come the numbers that are exchanged; one for the
    brain that says nothing, which proposes; and, where the contrast is weighed, one for the reference.

    Args:
        generators (`Sequence[np.random.Generator]`):
            What each decoded text draws from.
        **kwargs:
            As [`BeamSearch`] takes them.
    """

    def __init__(self, *, generators: Sequence[np.random.Generator], **kwargs: Any):
        super().__init__(**kwargs)
        self.generators = generators

    def _score(self, decoded_texts: list[list[Hypothesis]], found: list[torch.Tensor]) -> torch.Tensor:
        brain, silent, *reference = found
        scores = super()._score(decoded_texts, [silent, *reference])
        added = (1 + self.options.contrast_weight) * (brain - silent)
        owners = [own for own, decoded_text in zip(self.generators, decoded_texts, strict=True) for _ in decoded_text]
        for row, generator in enumerate(owners):
            ids = scores[row].isfinite().nonzero()[:, 0]
            order = exchange_alike(silent[row, ids].cpu().numpy(), generator)
            scores[row, ids] += added[row, ids[torch.as_tensor(order, device=ids.device)]]
        return scores


def exchange_alike(log_probs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """
    A random order in which only tokens about as likely change places: `order[i]` takes the place of `i`.

    Args:
        log_probs (`np.ndarray` of shape `(tokens,)`):
            In nats. Tokens are alike if they lie in one power of ten below the likeliest.
        generator (`np.random.Generator`):
            What is drawn from.

    Returns:
        `np.ndarray` of shape `(tokens,)`: a permutation.
    """
    powers = np.floor((log_probs.max(initial=-math.inf) - log_probs) / math.log(10))
    order = np.empty(len(powers), int)
    order[np.argsort(powers, kind="stable")] = np.lexsort((generator.random(len(powers)), powers))
    return order


__all__ = ["RandomLikelihoodSearch", "exchange_alike"]
