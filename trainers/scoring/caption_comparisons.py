# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which captions are better, and how surely: intervals and paired tests from the table of captions, re-weighted.

The table is that of [`~trainers.scoring.caption_table`], scored. The image is the unit that is drawn.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..metrics import meteor_from_statistics
from ..metrics.captions import bleu_from_statistics
from ..statistics.resampling import CorpusScore, Resampler
from ..statistics.subjects import subject_bootstrap_ci, subject_bootstrap_score
from .caption_scorer import BLEU_COUNTS, METEOR_COUNTS


#: The BLEU that is tested: by words up to so many in a row. The lower orders say much the same.
TESTED_ORDER = 4


def compare_pairs(
    samples: Sequence[dict[str, Any]],
    pairs: Sequence[tuple[str, str]],
    resampler: Resampler,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """
    One arm against another on the samples that have both, score by score.

    Args:
        samples (`Sequence[dict]`):
            The scored table.
        pairs (`Sequence[tuple[str, str]]`):
            Arms or baselines: first minus second.
        resampler ([`~trainers.statistics.resampling.Resampler`]):
            Draws intervals and tests.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        `list[dict]`: `arm`, `control`, `metric` (the scores of single samples, BLEU-4, and METEOR where it is known),
        `value`, `ci_low`, `ci_high`, `p`, `num_samples`, `num_groups`; of several subjects also `subject_ci_low`,
        `subject_ci_high` and `num_subjects` ([`~trainers.statistics.subjects.subject_bootstrap_ci`]); not corrected
        for their number. Pairs that share fewer than two images are left out: nothing could be resampled.
    """
    comparisons: list[dict[str, Any]] = []
    for arm, control in tqdm(pairs, desc="tests", unit="pair", disable=not progress):
        rows = [row for row in samples if arm in row["scores"] and control in row["scores"]]
        groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
        several = len(set(subjects)) > 1
        if len(set(groups)) < 2:
            continue
        names = {"arm": arm, "control": control}
        for metric in rows[0]["scores"][arm]:
            gain = np.array([row["scores"][arm][metric] - row["scores"][control][metric] for row in rows])
            found = resampler.mean(gain, groups)
            if several:
                found |= _over_subjects(subject_bootstrap_ci(gain, groups, subjects, seed=resampler.seed), subjects)
            comparisons.append(names | {"metric": metric} | found)
        for metric, counts, score in _corpus_scores(rows[0], (TESTED_ORDER,)):
            own, other = (np.array([row[counts][name] for row in rows]) for name in (arm, control))
            found = resampler.corpus_gain(own, other, groups, score)
            if several:
                ends = _corpus_gain_over_subjects(own, other, groups, subjects, score, resampler.seed)
                found |= _over_subjects(ends, subjects)
            comparisons.append(names | {"metric": metric} | found)
    return comparisons


def arm_intervals(
    samples: Sequence[dict[str, Any]], arms: Sequence[str], resampler: Resampler, progress: bool = False
) -> dict[str, dict[str, list[float]]]:
    """
    The interval of every score of some arms.

    Args:
        samples (`Sequence[dict]`), resampler ([`~trainers.statistics.resampling.Resampler`]), progress (`bool`,
        *optional*):
            See [`compare_pairs`].
        arms (`Sequence[str]`):
            Arms of the table.

    Returns:
        `dict`: Arm → score, BLEU-1 to BLEU-4 and METEOR among them → lower and upper end.
    """
    intervals: dict[str, dict[str, list[float]]] = {}
    for arm in tqdm(arms, desc="intervals", unit="arm", disable=not progress):
        rows = [row for row in samples if arm in row["scores"]]
        groups = [row["group"] for row in rows]
        found = {}
        for metric in rows[0]["scores"][arm]:
            parts = np.array([[row["scores"][arm][metric], 1.0] for row in rows])
            found[metric] = resampler.corpus_score(parts, groups, lambda sums: sums[..., 0] / sums[..., 1])
        for metric, counts, score in _corpus_scores(rows[0], (1, 2, 3, 4)):
            found[metric] = resampler.corpus_score(np.array([row[counts][arm] for row in rows]), groups, score)
        intervals[arm] = {metric: [row["ci_low"], row["ci_high"]] for metric, row in found.items()}
    return intervals


def _over_subjects(ends: tuple[float, float], subjects: Sequence[str]) -> dict[str, Any]:
    return {"subject_ci_low": ends[0], "subject_ci_high": ends[1], "num_subjects": len(set(subjects))}


def _corpus_gain_over_subjects(
    own: np.ndarray, other: np.ndarray, groups: Sequence[str], subjects: Sequence[str], score: CorpusScore, seed: int
) -> tuple[float, float]:
    """Interval over subjects and images of what [`~Resampler.corpus_gain`] tests; `other` may have permutations."""
    width = own.shape[1]

    def gain(sums: np.ndarray) -> np.ndarray:
        parts = sums.reshape(len(sums), -1, width)
        return score(parts[:, 0]) - score(parts[:, 1:]).mean(axis=-1)

    statistics = np.concatenate([own, other.reshape(len(own), -1)], axis=1)
    return subject_bootstrap_score(statistics, groups, subjects, gain, seed=seed)


def _corpus_scores(row: dict[str, Any], orders: Sequence[int]) -> list[tuple[str, str, CorpusScore]]:
    """Name of each score that is of a corpus, key of its counts in the table, and the score of their sums."""
    found: list[tuple[str, str, CorpusScore]] = [(f"bleu_{k}", BLEU_COUNTS, partial(_bleu, k)) for k in orders]
    if METEOR_COUNTS in row:
        found.append(("meteor", METEOR_COUNTS, meteor_from_statistics))
    return found


def _bleu(order: int, sums: np.ndarray) -> np.ndarray:
    return bleu_from_statistics(sums)[f"bleu_{order}"]


__all__ = ["TESTED_ORDER", "arm_intervals", "compare_pairs"]
