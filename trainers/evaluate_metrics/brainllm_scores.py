# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""BrainLLM's own scores for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import BrainMetric, with_samples
from trainers.metrics import brainllm_scores


class BrainLLMScores(BrainMetric):
    """BLEU-1 to 4, ROUGE recall and word error rate in BrainLLM's form; see [`~trainers.metrics.brainllm_scores`].

    `compute` takes `lowercase`.
    """

    def score(self, predictions: Sequence[str], references: Sequence[str], lowercase: bool = False) -> dict[str, Any]:
        return with_samples(brainllm_scores(predictions, references, lowercase))


__all__ = ["BrainLLMScores"]
