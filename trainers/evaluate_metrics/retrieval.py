# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Retrieval of each brain's text for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import List

from trainers.evaluate_metrics.base import NUMBER, BrainMetric, with_samples
from trainers.metrics import two_way_identification


class Retrieval(BrainMetric):
    """Recall at k, median rank and two-way identification by cosine; see [`~trainers.metrics.two_way_identification`].

    `predictions` are embeddings decoded from brains, `references` those of the texts. `compute` takes `groups`, one of
    each text, whose members do not compete, and `top`, the k.
    """

    inputs = {"predictions": List(NUMBER), "references": List(NUMBER)}

    def score(
        self,
        predictions: Sequence[Sequence[float]],
        references: Sequence[Sequence[float]],
        groups: Sequence | None = None,
        top: Sequence[int] = (1, 5, 10),
    ) -> dict[str, Any]:
        found = two_way_identification(np.array(predictions), np.array(references), groups)
        lists = with_samples({"rank": found.ranks, "wins": found.wins})["samples"]
        return {**found.summary(top), "samples": lists}


__all__ = ["Retrieval"]
