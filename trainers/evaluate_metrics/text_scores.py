# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of texts in the field's form for the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

from trainers.evaluate_metrics.base import BrainMetric, with_samples
from trainers.metrics import corpus_bleu, corpus_word_error_rate, rouge_f1, sentence_bleu, word_error_rate


class TextScores(BrainMetric):
    """BLEU-1 to BLEU-4 (sacrebleu), ROUGE-1 and ROUGE-L F1 (rouge-score), word error rate (jiwer).

    BLEU and word error rate of the corpus are no means of those of the samples; see [`~trainers.metrics.corpus_bleu`].
    """

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        orders = {f"bleu_{order}": order for order in range(1, 5)}
        samples = {name: sentence_bleu(predictions, references, order) for name, order in orders.items()}
        samples |= rouge_f1(predictions, references) | {"wer": word_error_rate(predictions, references)}
        corpus = {name: corpus_bleu(predictions, references, order) for name, order in orders.items()}
        return with_samples(samples, corpus | {"wer": corpus_word_error_rate(predictions, references)})


__all__ = ["TextScores"]
