# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals over subjects as well: would the effect be there in other people, and with other stimuli?"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


# Resamples whose weighted sums are in memory at once.
_CHUNK = 100


def subject_bootstrap_ci(
    values: np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[str],
    confidence: float = 0.95,
    num_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    r"""
    Bootstrap interval of the mean when subjects and stimuli are both drawn with replacement.

    A resample draws S of the S subjects and G of the G groups; a sample counts as often as its subject was drawn times
    as often as its group was: $\sum_{sg} w_s w_g S_{sg} / \sum_{sg} w_s w_g n_{sg}$. Stimuli that several subjects
    share are drawn once for all of them (Owen 2007, "The pigeonhole bootstrap"). As in
    [`~trainers.metrics.cluster_bootstrap_ci`] the levels are those of Student's t, here with S - 1 degrees of freedom:
    with two or three subjects the interval spans nearly all that the resamples reach, for so few say little about
    people.

    Args:
        values (`np.ndarray` of shape `(samples,)`):
            Differences of two arms, or wins.
        groups (`Sequence[str]`), subjects (`Sequence[str]`):
            Group (stimulus) and subject of each sample.
        confidence (`float`, *optional*, defaults to 0.95):
            Coverage.
        num_resamples (`int`, *optional*, defaults to 2000), seed (`int`, *optional*, defaults to 0):
            Bootstrap resamples and their seed.

    Returns:
        `tuple[float, float]`: Lower and upper end.

    Raises:
        ValueError: If there are fewer than two subjects or two groups.
    """
    parts = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)

    def mean(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1]

    return subject_bootstrap_score(parts, groups, subjects, mean, confidence, num_resamples, seed)


def subject_bootstrap_score(
    statistics: np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[str],
    score: Callable[[np.ndarray], np.ndarray],
    confidence: float = 0.95,
    num_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    r"""
    [`subject_bootstrap_ci`] of the score of a corpus: of `score(sum_sg w_s w_g S_sg)`.

    Args:
        statistics (`np.ndarray` of shape `(samples, statistics)`):
            What each sample adds, such as the rows of [`~trainers.metrics.bleu_statistics`].
        groups (`Sequence[str]`), subjects (`Sequence[str]`), confidence, num_resamples, seed, all *optional* but the
        first two:
            See [`subject_bootstrap_ci`].
        score (`Callable`):
            Sums → scores, along the last axis.

    Returns:
        `tuple[float, float]`: Lower and upper end.

    Raises:
        ValueError: If there are fewer than two subjects or two groups.
    """
    (people, own), (stimuli, seen) = (
        np.unique(np.asarray(names), return_inverse=True) for names in (subjects, groups)
    )
    if min(len(people), len(stimuli)) < 2:
        raise ValueError(
            f"The {len(own)} samples are of {len(people)} subject(s) and {len(stimuli)} group(s): an interval over "
            "subjects needs two of each. Use `cluster_bootstrap_ci` for one subject."
        )
    shape = (len(people), len(stimuli))
    # The last one counts samples: a resample may draw none.
    parts = np.concatenate([np.asarray(statistics, float), np.ones((len(own), 1))], axis=1)
    cells = np.zeros((*shape, parts.shape[1]))
    np.add.at(cells, (own, seen), parts)
    generator = np.random.default_rng(seed)
    drawn = [generator.multinomial(size, np.full(size, 1 / size), num_resamples).astype(float) for size in shape]
    totals = np.concatenate(
        [
            np.einsum("rgk,rg->rk", np.tensordot(drawn[0][i : i + _CHUNK], cells, 1), drawn[1][i : i + _CHUNK])
            for i in range(0, num_resamples, _CHUNK)
        ]
    )
    scores = score(totals[totals[:, -1] > 0, :-1])
    quantile = stats.t.ppf((1 - confidence) / 2, len(people) - 1) * np.sqrt(len(people) / (len(people) - 1))
    low, high = np.quantile(scores, [stats.norm.cdf(quantile), stats.norm.cdf(-quantile)])
    return float(low), float(high)


__all__ = ["subject_bootstrap_ci", "subject_bootstrap_score"]
