# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Gap of perplexity between a control and a model for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import NUMBER, BrainMetric, with_samples
from trainers.metrics import corpus_perplexity_gap, perplexity_gap


class PerplexityGap(BrainMetric):
    """How much likelier texts are with their brain; see [`~trainers.metrics.corpus_perplexity_gap`].

    `predictions` are losses with the sample's own brain, `references` those under the control, in nats per token.
    `compute` takes `num_tokens`.
    """

    inputs = {"predictions": NUMBER, "references": NUMBER}

    def score(
        self, predictions: Sequence[float], references: Sequence[float], num_tokens: Sequence[int] | None = None
    ) -> dict[str, Any]:
        samples = {"perplexity_gap": perplexity_gap(references, predictions)}
        return with_samples(samples, corpus_perplexity_gap(references, predictions, num_tokens))


__all__ = ["PerplexityGap"]
