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
"""BERTScore for the library `evaluate`, by any model."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import bert_score
from trainers.metrics.embedding_scores import TokenEmbeddings


class BertScore(CaptionMetric):
    """BERTScore precision, recall and F1; see [`~trainers.metrics.bert_score`].

    `compute` takes `embed`, e.g. a [`~trainers.token_embeddings.TokenEmbedder`], and `idf`.
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
