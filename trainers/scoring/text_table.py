# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The table of samples of an evaluation of readings, and what each arm scores in it.

One sample of the table is a `dict` (a line of `samples.jsonl`) with the keys

- `sample_id`, `subject`, `group`, `brain_id`, `reading`, `prompt`, `truth`, `num_tokens`;
- `losses`: arm → mean cross-entropy of the truth's tokens in nats; a list where an arm has several: one per
  permutation under `"permuted"`, one per draw where values are drawn at random;
- `control_brains`: arm → `brain_id` of the brain that was lent; under `"permuted"` a list;
- `texts`: arm → generated text, and baseline → text that ignores the brain (absent without generation); under
  `"permuted"` a list, one for each of the first permutations;
- `identification`: score → `[rank, candidates]` (absent where it was not computed);
- `identification_expected`: score → share of the competitors that this text beats under brains of other groups.

Arms for which a sample has no control brain are absent from it.

All figures are functions of this table alone, so reports of folds are pooled by joining tables.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from ..metrics import corpus_bleu_from_statistics, corpus_bleu_statistics, text_scores
from ..statistics.resampling import Resampler


Sample = Mapping[str, Any]
#: (reading, arm) → metric → scores `(permutations, samples)`; one permutation for every arm but `"permuted"`.
TextScores = Mapping[tuple[str, str], Mapping[str, np.ndarray]]

# The published four carry the comparisons of texts: more metrics would only thin out the correction over tests.
HEADLINE_METRICS = ("brainllm_bleu_1", "brainllm_rouge_1", "brainllm_rouge_l", "brainllm_wer")
LOWER_IS_BETTER = ("brainllm_wer", "wer")
BASELINES = ("shuffled", "constant", "retrieval")


def by_reading(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """Each reading and its samples, in the table's order."""
    ordered = sorted(samples, key=lambda sample: sample["reading"])
    return [(reading, list(rows)) for reading, rows in groupby(ordered, key=lambda sample: sample["reading"])]


def having(rows: Sequence[Sample], key: str, arm: str) -> list[Sample]:
    """The samples that have an arm."""
    return [row for row in rows if arm in row.get(key, ())]


def arms_of(rows: Sequence[Sample], key: str) -> list[str]:
    """Arms that any sample has, in the order of their appearance."""
    return list(dict.fromkeys(arm for row in rows for arm in row.get(key, ())))


def losses_of(rows: Sequence[Sample], arm: str) -> np.ndarray:
    """Losses `(permutations, samples)` of an arm that all samples have; one permutation where there are no several."""
    return np.atleast_2d(np.array([row["losses"][arm] for row in rows], float).T)


def texts_of(row: Sample, arm: str) -> list[str]:
    """Texts of a sample: one, or one for each permutation."""
    found = row["texts"][arm]
    return [found] if isinstance(found, str) else list(found)


def permuted_control_brains(rows: Sequence[Sample]) -> tuple[list[str], list[tuple[str, ...]]] | None:
    """Own brains, and the lent ones of each permutation; `None` where the table does not say who lent a brain."""
    if any("permuted" not in row.get("control_brains", ()) for row in rows):
        return None
    return [row["brain_id"] for row in rows], list(
        zip(*(row["control_brains"]["permuted"] for row in rows), strict=True)
    )


def _pairs(rows: Sequence[Sample], arm: str) -> tuple[list[str], list[str]]:
    """Texts and truths, all samples of the first permutation, then of the next."""
    permutations = list(zip(*(texts_of(row, arm) for row in rows), strict=True))
    truths = [row["truth"] for row in rows]
    return [text for texts in permutations for text in texts], truths * len(permutations)


def text_metrics(samples: Sequence[Sample]) -> TextScores:
    """Per-sample text scores of every generating arm.

    Args:
        samples (`Sequence[Sample]`):
            The table.

    Returns:
        `dict`: (reading, arm) → metric → scores `(permutations, samples)` of the samples that have the arm, in the
        table's order.
    """
    scores = {}
    for reading, rows in by_reading(samples):
        for arm in arms_of(rows, "texts"):
            having_arm = having(rows, "texts", arm)
            found = text_scores(*_pairs(having_arm, arm))
            scores[reading, arm] = {name: np.reshape(found[name], (-1, len(having_arm))) for name in found}
    return scores


def arm_figures(samples: Sequence[Sample], scores: TextScores, resampler: Resampler) -> list[dict]:
    """What each arm scores, with intervals: losses, and the means of the text scores.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].
        resampler ([`~trainers.statistics.resampling.Resampler`]):
            Draws the intervals, clustered by group.

    Returns:
        `list[dict]`: One row per reading and arm. `loss` is the mean over samples of their mean cross-entropy,
        `perplexity` is over all tokens; `corpus_*` pool all samples, the other text scores are means over samples;
        of several permutations all are means. `intervals` holds both ends of the interval of each; it is absent where
        all samples are of one group.
    """
    figures = []
    for reading, every_row in by_reading(samples):
        for arm in arms_of(every_row, "losses"):
            rows = having(every_row, "losses", arm)
            found = _loss_figures(rows, arm, resampler)
            if (reading, arm) in scores:
                found |= _text_figures(having(rows, "texts", arm), arm, scores[reading, arm], resampler)
            row: dict[str, Any] = {"reading": reading, "arm": arm, "num_samples": len(rows)}
            row |= {name: value for name, (value, *_) in found.items()}
            intervals = {name: ends for name, (_, *ends) in found.items() if ends}
            figures.append(row | ({"intervals": intervals} if intervals else {}))
    return figures


def _loss_figures(rows: Sequence[Sample], arm: str, resampler: Resampler) -> dict[str, tuple[float, ...]]:
    """`loss` and `perplexity`, each with both ends of its interval where there is one."""
    losses, tokens = losses_of(rows, arm).mean(axis=0), np.array([row["num_tokens"] for row in rows], float)
    tops, bottoms = np.stack([losses, losses * tokens], axis=1), np.stack([np.ones(len(rows)), tokens], axis=1)
    loss, per_token = resampler.ratios(tops, bottoms, [row["group"] for row in rows]).tolist()
    return {"loss": tuple(loss), "perplexity": tuple(np.exp(per_token).tolist())}


def _text_figures(
    rows: Sequence[Sample], arm: str, scores: Mapping[str, np.ndarray], resampler: Resampler
) -> dict[str, tuple[float, ...]]:
    """Means of the text scores and scores of the corpus, each with both ends of its interval where there is one."""
    texts, truths = _pairs(rows, arm)
    groups = [row["group"] for row in rows] * (len(texts) // len(rows))
    values = {name: found.ravel() for name, found in scores.items()}
    words = np.array([len(truth.split()) for truth in truths], float)
    # A word error rate is edits over words, so that of the corpus is its mean with the words as weights.
    tops = np.stack([*values.values(), values["wer"] * words], axis=1)
    bottoms = np.stack([*np.ones((len(values), len(texts))), words], axis=1)
    found = dict(
        zip([*values, "corpus_wer"], map(tuple, resampler.ratios(tops, bottoms, groups).tolist()), strict=True)
    )
    # Of several permutations the mean: a corpus of all their texts would be larger, and smoothed less.
    statistics = corpus_bleu_statistics(texts, truths)
    statistics = statistics.reshape(-1, len(rows), statistics.shape[-1])
    bleu: tuple[float, ...] = (float(corpus_bleu_from_statistics(statistics.sum(axis=1)).mean()),)
    if len(set(groups)) > 1:
        groups_of_rows = groups[: len(rows)]
        ends = resampler.corpus_score(statistics.swapaxes(0, 1), groups_of_rows, corpus_bleu_from_statistics)
        bleu += (ends["ci_low"], ends["ci_high"])
    return found | {"corpus_bleu_4": bleu}


def baseline_scores(samples: Sequence[Sample], scores: TextScores) -> list[dict]:
    """What text scores are worth without any decoding.

    `shuffled`: the own brain's predictions, handed to samples of other groups of the same subject; `constant`: the
    completion of the training split that scores best there ([`~trainers.metrics.best_constant_text`]), given to every
    sample; `retrieval`: the training completion that ridge regression finds nearest to the brain
    ([`~trainers.evaluation.ridge_baseline`]).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].

    Returns:
        `list[dict]`: `reading`, `baseline`, `metric`, `value`.
    """
    return [
        {"reading": reading, "baseline": arm, "metric": metric, "value": float(np.mean(values))}
        for reading, _ in by_reading(samples)
        for arm in BASELINES
        for metric, values in scores.get((reading, arm), {}).items()
    ]


__all__ = [
    "BASELINES",
    "HEADLINE_METRICS",
    "LOWER_IS_BETTER",
    "Sample",
    "TextScores",
    "arm_figures",
    "arms_of",
    "baseline_scores",
    "by_reading",
    "having",
    "losses_of",
    "permuted_control_brains",
    "text_metrics",
    "texts_of",
]
