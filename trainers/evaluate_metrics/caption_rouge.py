# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""ROUGE of captions for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import caption_rouge_1, caption_rouge_l


class CaptionRouge(CaptionMetric):
    """ROUGE-1 and ROUGE-L of captions; see [`~trainers.metrics.caption_rouge_l`]."""

    def score(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        scores = {score.__name__: score(predictions, references) for score in (caption_rouge_1, caption_rouge_l)}
        return with_samples({name.removeprefix("caption_"): values for name, values in scores.items()})


__all__ = ["CaptionRouge"]
