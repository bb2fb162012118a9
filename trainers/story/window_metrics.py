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
"""Scores of a window of a story, by one signature: the one place where others join or take their place."""

from collections.abc import Callable, Sequence

from ..metrics import classic_meteor, sentence_bleu, word_error_rate


#: Predictions and references to one score each; larger is better.
WindowMetric = Callable[[Sequence[str], Sequence[str]], Sequence[float]]


def one_minus_wer(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """`1 - WER` of each window, as Tang et al. (2023) report it; negative where far too much is told."""
    return [1 - rate for rate in word_error_rate(predictions, references)]


def bleu_1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """BLEU-1 of each window, with brevity penalty."""
    return sentence_bleu(predictions, references, max_order=1)


#: By name. BERTScore recall joins them where an embedding is at hand.
WINDOW_METRICS: dict[str, WindowMetric] = {"wer": one_minus_wer, "bleu_1": bleu_1, "meteor": classic_meteor}


__all__ = ["WINDOW_METRICS", "WindowMetric", "bleu_1", "one_minus_wer"]
