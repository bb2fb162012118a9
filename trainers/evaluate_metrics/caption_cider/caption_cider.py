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
