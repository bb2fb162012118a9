# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Which of several texts to answer with: the one that is most like all the others (minimum Bayes risk).

Texts drawn from a language model under a brain are draws of its posterior of what was perceived. The likeliest of them
is short and common; the one that is expected to resemble the truth most is what the posterior agrees on (Kumar and
Byrne, 2004).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..metrics.text import prediction_tokens
from ..scoring.caption_scorer import Embedder


def token_overlap(texts: Sequence[str]) -> np.ndarray:
    """F1 of the tokens that each two texts share, each as often as both have it; `(texts, texts)`, in lower case."""
    counts = [Counter(prediction_tokens(text.lower())) for text in texts]
    words = {word: place for place, word in enumerate({word for count in counts for word in count})}
    table = np.zeros((len(texts), len(words) + 1))
    for row, count in zip(table, counts, strict=True):
        for word, number in count.items():
            row[words[word]] = number
    lengths = table.sum(axis=1)
    shared = np.minimum(table[:, None], table[None]).sum(axis=2)
    return 2 * shared / np.maximum(lengths[:, None] + lengths[None], 1)


def choose_least_risk(candidates: Sequence[str], embed: Embedder | None = None) -> str:
    r"""
    The candidate that resembles the others most: $\arg\max_c \sum_{c'} u(c, c')$.

    Args:
        candidates (`Sequence[str]`):
            Draws from one posterior; one that was drawn twice counts twice.
        embed (`Callable`, *optional*):
            Texts → embeddings `[texts, embedding]`: the resemblance u is the F1 of shared tokens, plus the cosine of
            these where they are given.

    Returns:
        `str`: The first of those that are equally good.
    """
    likeness = token_overlap(candidates)
    if embed is not None:
        vectors = np.asarray(embed(list(candidates)), float)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(float).tiny)
        likeness += vectors @ vectors.T
    return candidates[int(likeness.sum(axis=1).argmax())]


__all__ = ["choose_least_risk", "token_overlap"]
