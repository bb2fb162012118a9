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
from functools import lru_cache
from typing import Any

from ..metrics import sentence_bleu, word_error_rate


#: Predictions and references to one score each; larger is better.
WindowMetric = Callable[[Sequence[str], Sequence[str]], Sequence[float]]


def one_minus_wer(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """`1 - WER` of each window, as Tang et al. (2023) report it; negative where far too much is told."""
    return [1 - rate for rate in word_error_rate(predictions, references)]


def bleu_1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """BLEU-1 of each window, with brevity penalty."""
    return sentence_bleu(predictions, references, max_order=1)


def meteor(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """
    METEOR of each window by NLTK, equal and equally stemmed words only: WordNet's synonyms would be a download.

    alpha .9, beta 3, gamma .5, as in both papers' evaluations, which add synonyms.
    """
    from nltk.translate.meteor_score import single_meteor_score

    stemmer: Any = _CachedStemmer()
    nothing: Any = _NoSynonyms()
    return [
        float(single_meteor_score(reference.split(), prediction.split(), stemmer=stemmer, wordnet=nothing))
        for prediction, reference in zip(predictions, references, strict=True)
    ]


class _CachedStemmer:
    """NLTK's Porter stemmer; a window's words come again with every shift of it."""

    def __init__(self):
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=None)(PorterStemmer().stem)


class _NoSynonyms:
    """A WordNet that knows none."""

    def synsets(self, word: str) -> list:
        return []


#: By name. BERTScore recall joins them where an embedding is at hand.
WINDOW_METRICS: dict[str, WindowMetric] = {"wer": one_minus_wer, "bleu_1": bleu_1, "meteor": meteor}


__all__ = ["WINDOW_METRICS", "WindowMetric", "bleu_1", "meteor", "one_minus_wer"]
