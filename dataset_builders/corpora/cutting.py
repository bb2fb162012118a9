# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Where a sentence is cut into what is given and what is decoded."""

from itertools import pairwise


def cut_sentence(sentence: str, num_parts: int) -> list[str]:
    """Parts of a sentence, cut at blanks; later parts have the words that are left over."""
    words = sentence.split()
    cuts = [number * len(words) // num_parts for number in range(num_parts + 1)]
    return [" ".join(words[start:end]) for start, end in pairwise(cuts)]


__all__ = ["cut_sentence"]
