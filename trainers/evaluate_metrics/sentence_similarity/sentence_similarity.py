# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Similarity of sentence embeddings for the library `evaluate`, by any model."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import sentence_similarity
from trainers.metrics.embedding_scores import SentenceEmbeddings


class SentenceSimilarity(CaptionMetric):
    """Cosine of the embeddings of prediction and references; see [`~trainers.metrics.sentence_similarity`].

    `compute` takes `embed`, e.g. a [`~trainers.semantic.MeanPooledEmbedder`].
    """

    def score(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], *, embed: SentenceEmbeddings
    ) -> dict[str, Any]:
        return with_samples({"sentence_similarity": sentence_similarity(predictions, references, embed)})


__all__ = ["SentenceSimilarity"]
