# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""BERTScore for the library `evaluate`, by any model."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import bert_score
from trainers.metrics.embedding_scores import TokenEmbeddings


class BertScore(CaptionMetric):
    """BERTScore precision, recall and F1; see [`~trainers.metrics.bert_score`].

    `compute` takes `embed`, e.g. a [`~trainers.embedders.token_embeddings.TokenEmbedder`], and `idf`.
    """

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        embed: TokenEmbeddings,
        idf: bool = False,
    ) -> dict[str, Any]:
        return with_samples(bert_score(predictions, references, embed, idf))


__all__ = ["BertScore"]
