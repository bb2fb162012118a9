# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the metrics for the library `evaluate` share: their inputs, and the form of their result.

Each metric is a file, which `evaluate.load("…/evaluate_metrics/caption_bleu.py")` reads
without a network; [`~trainers.evaluate_metrics`] has the same classes by name. `evaluate` copies the script elsewhere
before it imports it: scripts therefore import absolutely.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import getdoc
from typing import Any

import evaluate
import numpy as np
from datasets import Features, List, Value


TEXT, NUMBER = Value("string"), Value("float64")


class BrainMetric(evaluate.Metric, ABC):
    """
    A metric whose scores are those of a pure function of [`~trainers.metrics`].

    Attributes:
        inputs (`Mapping[str, Any]`): What `add_batch` and `compute` take, with the type of one sample.
    """

    inputs: Mapping[str, Any] = {"predictions": TEXT, "references": TEXT}

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(description=getdoc(type(self)) or "", citation="", features=Features(self.inputs))

    def _compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any]:
        return self.score(predictions, references, **kwargs)

    @abstractmethod
    def score(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Scores of the corpus, and under `"samples"` those of each sample; what `compute` gives."""


class CaptionMetric(BrainMetric):
    """A metric of captions, each with a list of references."""

    inputs = {"predictions": TEXT, "references": List(TEXT)}


def with_samples(
    samples: Mapping[str, Sequence[float] | np.ndarray], corpus: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """
    The result of a metric.

    Args:
        samples (`Mapping[str, Sequence[float]]`):
            Scores of each sample.
        corpus (`Mapping[str, float]`, *optional*):
            Scores of the corpus that are no means over samples.

    Returns:
        `dict[str, Any]`: The scores of the corpus, by default means, and `"samples"`, a list of each.
    """
    means = {name: float(np.mean(values)) for name, values in samples.items()}
    lists = {name: np.asarray(values, float).tolist() for name, values in samples.items()}
    return means | dict(corpus or {}) | {"samples": lists}


__all__ = ["NUMBER", "TEXT", "BrainMetric", "CaptionMetric", "with_samples"]
