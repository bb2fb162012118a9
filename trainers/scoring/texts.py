# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of texts that have one reference, written into the table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..metrics import corpus_bleu_statistics, text_scores
from .caption_scorer import ModelScorer
from .table import Sample, arms_of, by_task, having, texts_of


def score_texts(samples: Sequence[Sample], scorer: ModelScorer | None = None) -> list[dict[str, Any]]:
    """
    Scores of every arm and baseline that has texts.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scorer ([`~trainers.scoring.caption_scorer.ModelScorer`], *optional*):
            Adds the scores that take models.

    Returns:
        `list[dict]`: The samples with `scores` ([`~trainers.metrics.text_scores`] and the scorer's) and `counts`
        (`corpus_bleu_4`, `corpus_wer`).
    """
    scored = [{**sample, "scores": {}, "counts": {}} for sample in samples]
    for _, rows in by_task(scored):
        for arm in arms_of(rows, "texts"):
            _score_arm(having(rows, "texts", arm), arm, scorer or ModelScorer())
    return scored


def _score_arm(rows: Sequence[dict[str, Any]], arm: str, scorer: ModelScorer) -> None:
    draws = list(zip(*(texts_of(row, arm) for row in rows), strict=True))
    texts, truths = [text for drawn in draws for text in drawn], [row["references"][0] for row in rows] * len(draws)
    found = text_scores(texts, truths) | scorer.optional(texts, [[truth] for truth in truths]).values
    scores = {name: np.reshape(values, (-1, len(rows))) for name, values in found.items()}
    # A word error rate is edits over words, so that of the corpus is its mean with the words as weights.
    words = np.array([len(truth.split()) for truth in truths], float).reshape(-1, len(rows))
    counts = {"corpus_bleu_4": corpus_bleu_statistics(texts, truths).reshape(len(draws), len(rows), -1)}
    counts["corpus_wer"] = np.stack([scores["wer"] * words, words], axis=-1)
    for i, row in enumerate(rows):
        several = isinstance(row["texts"][arm], list)
        row["scores"][arm] = {name: _at(values, i, several) for name, values in scores.items()}
        row["counts"][arm] = {name: _at(values, i, several) for name, values in counts.items()}


def _at(values: np.ndarray, row: int, several: bool) -> Any:
    """Of one sample: a value, or a list of them where it has several draws."""
    return (values[:, row] if several else values[0, row]).tolist()


__all__ = ["score_texts"]
