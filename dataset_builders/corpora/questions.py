# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""How often each type of question is answered how: all that a decoder without a brain has to go by."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..schema import Sample


# Answers of each type that are kept by name: rarer ones are of no use as a guess.
_NAMED_ANSWERS = 100


def answer_distribution(samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """
    For each type of question how many distinct questions there are, and how often each answer was given to them.

    A question counts once, however many brains were recorded with its image. Of answers the 100 most frequent are
    named.

    Args:
        samples (`Iterable[Sample]`):
            Rows of the training split; those without a question do not count.

    Returns:
        `dict[str, dict]`: by type `{"questions": int, "answers": {answer: int}}`, answers by their frequency.
    """
    asked = {(sample.stimulus, sample.question): sample for sample in samples if sample.question}
    numbers: Counter[str] = Counter(sample.question_type for sample in asked.values())
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in sorted(numbers)}
    for sample in asked.values():
        answers[sample.question_type].update(sample.answers)
    return {
        kind: {"questions": numbers[kind], "answers": dict(found.most_common(_NAMED_ANSWERS))}
        for kind, found in answers.items()
    }


__all__ = ["answer_distribution"]
