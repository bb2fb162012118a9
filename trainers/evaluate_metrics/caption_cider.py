# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""CIDEr of captions for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import Cider, DocumentFrequencies


class CaptionCider(CaptionMetric):
    """CIDEr-D, which tables call CIDEr, and CIDEr in its first form as `cider_plain`; see [`~trainers.metrics.Cider`].

    `compute` takes `frequencies` ([`~trainers.metrics.DocumentFrequencies`]); by default those of the references.
    """

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        frequencies: DocumentFrequencies | None = None,
    ) -> dict[str, Any]:
        known = frequencies or DocumentFrequencies.fit(references)
        scores = {"cider": Cider(known), "cider_plain": Cider(known, "cider")}
        return with_samples({name: score(predictions, references) for name, score in scores.items()})


__all__ = ["CaptionCider"]
