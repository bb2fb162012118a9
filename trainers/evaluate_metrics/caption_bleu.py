# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""BLEU of captions for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric
from trainers.metrics import caption_bleu


class CaptionBleu(CaptionMetric):
    """BLEU-1 to BLEU-4 of a corpus of captions with several references; see [`~trainers.metrics.caption_bleu`]."""

    def score(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        return {**caption_bleu(predictions, references)}


__all__ = ["CaptionBleu"]
