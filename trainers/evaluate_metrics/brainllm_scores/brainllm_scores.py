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
"""BrainLLM's own scores for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import BrainMetric, with_samples
from trainers.metrics import brainllm_scores


class BrainLLMScores(BrainMetric):
    """BLEU-1 to 4, ROUGE recall and word error rate in BrainLLM's form; see [`~trainers.metrics.brainllm_scores`].

    `compute` takes `lowercase`.
    """

    def score(self, predictions: Sequence[str], references: Sequence[str], lowercase: bool = False) -> dict[str, Any]:
        return with_samples(brainllm_scores(predictions, references, lowercase))


__all__ = ["BrainLLMScores"]
