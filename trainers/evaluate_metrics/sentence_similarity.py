# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Similarity of sentence embeddings for the library `evaluate`, by any model."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import sentence_similarity
from trainers.metrics.embedding_scores import SentenceEmbeddings


class SentenceSimilarity(CaptionMetric):
    """Cosine of the embeddings of prediction and references; see [`~trainers.metrics.sentence_similarity`].

    `compute` takes `embed`, e.g. a [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].
    """

    def score(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], *, embed: SentenceEmbeddings
    ) -> dict[str, Any]:
        return with_samples({"sentence_similarity": sentence_similarity(predictions, references, embed)})


__all__ = ["SentenceSimilarity"]
