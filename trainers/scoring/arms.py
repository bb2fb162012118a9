# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What each arm and baseline of a table scores, with intervals; and where the right text stands among the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..statistics.resampling import Resampler
from .comparisons import identification_of
from .rules import CORPUS_SCORES
from .table import (
    Sample,
    arms_of,
    by_task,
    counts_of,
    having,
    losses_of,
    metrics_of,
    scores_of,
    texts_of,
)


_RECALLS = (1, 5, 10)
#: Value, and both ends of its interval where there is one.
Scores = dict[str, tuple[float, ...]]


def arm_scores(samples: Sequence[Sample], resampler: Resampler) -> list[dict[str, Any]]:
    """What each arm scores, with intervals clustered by group.

    Args:
        samples (`Sequence[Sample]`):
            The scored table.
        resampler ([`~trainers.statistics.resampling.Resampler`]):
            Draws the intervals.

    Returns:
        `list[dict]`: One row for each task and arm. `loss` is the mean over samples of their mean cross-entropy,
        `perplexity` is over all tokens; scores of a corpus pool all samples, the others are means over samples; of
        several draws all are means. `distinct` is the share of different texts, `words` their mean number. `intervals`
        holds both ends of the interval of each score; it is absent where all samples are of one group.
    """
    found = []
    for task, rows in by_task(samples):
        for arm in arms_of(rows, "losses", "scores"):
            measured, written = having(rows, "losses", arm), having(rows, "scores", arm)
            scores = _loss_scores(measured, arm, resampler) if measured else {}
            scores |= _text_scores(written, arm, resampler) if written else {}
            row: dict[str, Any] = {"task": task, "arm": arm, "num_samples": len(measured or written)}
            row |= {name: value for name, (value, *_) in scores.items()}
            intervals = {name: ends for name, (_, *ends) in scores.items() if ends}
            found.append(row | ({"intervals": intervals} if intervals else {}))
    return found


def _loss_scores(rows: Sequence[Sample], arm: str, resampler: Resampler) -> Scores:
    losses, tokens = losses_of(rows, arm).mean(axis=0), np.array([row["num_tokens"] for row in rows], float)
    tops, bottoms = np.stack([losses, losses * tokens], axis=1), np.stack([np.ones(len(rows)), tokens], axis=1)
    loss, per_token = resampler.ratios(tops, bottoms, [row["group"] for row in rows]).tolist()
    return {"loss": tuple(loss), "perplexity": tuple(np.exp(per_token).tolist())}


def _text_scores(rows: Sequence[Sample], arm: str, resampler: Resampler) -> Scores:
    groups = [row["group"] for row in rows]
    names = metrics_of(rows, "scores", arm)
    scores: Scores = {}
    if names:
        tops = np.stack([scores_of(rows, arm, name).mean(axis=0) for name in names], axis=1)
        found = resampler.ratios(tops, np.ones_like(tops), groups).tolist()
        scores = dict(zip(names, map(tuple, found), strict=True))
    for name in metrics_of(rows, "counts", arm):
        counts, score = counts_of(rows, arm, name), CORPUS_SCORES[name]
        if len(set(groups)) > 1:
            ends = resampler.corpus_score(counts, groups, score)
            scores[name] = (ends["value"], ends["ci_low"], ends["ci_high"])
        else:
            scores[name] = (float(score(counts.sum(axis=0)).mean()),)
    texts = [text for row in rows if arm in row.get("texts", ()) for text in texts_of(row, arm)]
    if texts:
        scores["distinct"] = (len(set(texts)) / len(texts),)
        scores["words"] = (float(np.mean([len(text.split()) for text in texts])),)
    return scores


def identification_scores(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Where the right text stands among the candidates of each brain, or of each text that was written.

    Args:
        samples (`Sequence[Sample]`):
            The table.

    Returns:
        `list[dict]`: For each task, arm and score `num_queries`, the summary of [`~trainers.metrics.Identification`]
        and the chance level of each recall.
    """
    found = []
    for task, rows in by_task(samples):
        for arm in arms_of(rows, "identification"):
            chosen = having(rows, "identification", arm)
            for score in metrics_of(chosen, "identification", arm):
                ranks = identification_of(chosen, arm, score)
                chance = {f"chance_at_{k}": ranks.chance(k) for k in _RECALLS}
                names: Mapping[str, Any] = {"task": task, "arm": arm, "score": score, "num_queries": len(chosen)}
                found.append({**names, **ranks.summary(_RECALLS), **chance})
    return found


__all__ = ["arm_scores", "identification_scores"]
