# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The baseline of every text score of a reading: one and the same text as the answer to everything."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .text import prediction_tokens, truth_tokens_of


def best_constant_text(completions: Sequence[str]) -> str:
    """
    The one completion that scores best when given to every sample: what a decoder scores that hears nothing.

    Every distinct completion is scored on all of them by BrainLLM's BLEU-1 ([`brainllm_scores`]). A text that is cut
    to the length of a truth matches it in its j-th occurrence of a word if the truth has the word j times or more; so
    for each word, j and length of the truth the number of such truths is all that is needed, and no pair is scored.

    Args:
        completions (`Sequence[str]`):
            Completions of the training split; those without a word are left out.

    Returns:
        `str`: The completion; of several that are equally good the first by alphabet.

    Raises:
        ValueError: If no completion has a word.
    """
    truths = [tokens for text in completions if (tokens := truth_tokens_of(text))]
    if not truths:
        raise ValueError(f"None of the {len(completions)} `completions` has a word. Pass those of the training split.")
    lengths = np.array(sorted({len(tokens) for tokens in truths}))
    places = {length: place for place, length in enumerate(lengths.tolist())}
    matching: dict[tuple[str, int], np.ndarray] = {}
    for tokens in truths:
        for word, count in Counter(tokens).items():
            for times in range(1, count + 1):
                matching.setdefault((word, times), np.zeros(len(lengths)))[places[len(tokens)]] += 1

    def score(text: str) -> float:
        """Sum of BLEU-1 over the truths."""
        seen, found = Counter[str](), []
        tokens = prediction_tokens(text)[: lengths[-1]]
        for word in tokens:
            seen[word] += 1
            found.append(matching.get((word, seen[word]), np.zeros(len(lengths))))
        if not found:
            return 0.0
        kept = np.minimum(len(tokens), lengths)
        matches = np.cumsum(found, axis=0)[kept - 1, np.arange(len(lengths))]
        return float((np.exp(np.minimum(0, 1 - lengths / kept)) * matches / kept).sum())

    return max(sorted(set(completions)), key=score)


__all__ = ["best_constant_text"]
