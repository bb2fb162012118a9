# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of answers to questions for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import by_question_type, exact_match, vqa_accuracy


class QuestionAnswering(CaptionMetric):
    """The accuracy of VQA and exact match with the most frequent answer; see [`~trainers.metrics.vqa_accuracy`].

    `references` are the answers that people gave. `compute` takes `question_types`: then means of each type stand
    under `"by_type"`.
    """

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        question_types: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        scores = {"vqa_accuracy": vqa_accuracy(predictions, references)}
        scores["exact_match"] = exact_match(predictions, references)
        if question_types is None:
            return with_samples(scores)
        by_type = {name: by_question_type(question_types, values) for name, values in scores.items()}
        return with_samples(scores) | {"by_type": by_type}


__all__ = ["QuestionAnswering"]
