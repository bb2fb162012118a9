# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals and paired tests of many scores from draws that are made once; nothing is scored again.

A bootstrap resample weighs groups (images, passages), a permutation swaps two arms for whole groups at a time. Both
need only what each group adds: to a mean its sum, to the score of a corpus (BLEU) its counts. So a thousand resamples
of a score cost one product of matrices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ..statistics.significance import wilcoxon_test


#: Summed statistics `(..., statistics)` → scores `(...)`.
CorpusScore = Callable[[np.ndarray], np.ndarray]


class Resampler:
    """
    Intervals and tests, clustered by group, that share their draws.

    Means get the numbers of [`~trainers.metrics.cluster_bootstrap_ci`] and [`~trainers.metrics.sign_flip_test`] with
    the same seed, where the equations and sources stand; scores of a corpus get their counterparts.

    Args:
        num_resamples (`int`, *optional*, defaults to 10000):
            Bootstrap resamples; of permutations one fewer, since what was observed counts as one.
        seed (`int`, *optional*, defaults to 0):
            Seed of both.

    Raises:
        ValueError: If there are fewer than two resamples.
    """

    def __init__(self, num_resamples: int = 10_000, seed: int = 0):
        if num_resamples < 2:
            raise ValueError(
                f"`num_resamples` must be 2 or more, found {num_resamples}. Take 1,000 or more for a report."
            )
        self.num_resamples = num_resamples
        self.seed = seed
        self._draws: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def mean(self, values: np.ndarray, groups: Sequence[str], chance: float = 0.0) -> dict[str, Any]:
        """
        Mean of the samples' values with its interval, and tests against chance.

        Args:
            values (`np.ndarray` of shape `(samples,)`):
                Differences of two arms, or wins.
            groups (`Sequence[str]`):
                Group of each sample, which is the unit that is drawn.
            chance (`float`, *optional*, defaults to 0.0):
                Mean under the null hypothesis.

        Returns:
            `dict`: `value`, `ci_low`, `ci_high`, `p`, `wilcoxon_p`, `num_samples`, `num_groups`.

        Raises:
            ValueError: With fewer than two groups.
        """
        values = np.asarray(values, float)
        sums, counts = _group_sums(np.stack([values, np.ones(len(values))], axis=1), groups).T
        weights, signs = self._draw(len(sums))
        centred = sums - chance * counts
        margin = 1e-12 * np.abs(centred).sum()  # keeps equal sums equal when the order of addition differs
        return {
            **_summary(values.mean(), (weights @ sums) / (weights @ counts), groups),
            "p": _p_value(signs @ centred, centred.sum(), margin),
            "wilcoxon_p": wilcoxon_test(values - chance, groups),
        }

    def corpus_score(self, statistics: np.ndarray, groups: Sequence[str], score: CorpusScore) -> dict[str, Any]:
        """
        Score of a corpus with its interval: `score(sum_g w_g S_g)` with multinomial weights w.

        Args:
            statistics (`np.ndarray` of shape `(samples, statistics)` or `(samples, permutations, statistics)`):
                What each sample adds, such as the rows of [`~trainers.metrics.bleu_statistics`]; of several
                permutations the mean score counts.
            groups (`Sequence[str]`):
                Group of each sample.
            score (`Callable`):
                Sums → scores, along the last axis.

        Returns:
            `dict`: `value`, `ci_low`, `ci_high`, `num_samples`, `num_groups`.

        Raises:
            ValueError: With fewer than two groups.
        """
        given = np.asarray(statistics, float)
        sums = _group_sums(given.reshape(len(given), -1, given.shape[-1]), groups)
        weights, _ = self._draw(len(sums))
        value = float(score(sums.sum(axis=0)).mean())
        return _summary(value, score(np.tensordot(weights, sums, 1)).mean(axis=-1), groups)

    def corpus_gain(
        self, own: np.ndarray, other: np.ndarray, groups: Sequence[str], score: CorpusScore
    ) -> dict[str, Any]:
        """
        Score of one corpus minus that of another on the same samples, with interval and paired permutation test.

        With the sums A and B of the two arms and a sign e for each group, a permutation scores
        `(A + B) / 2 ± sum_g e_g (A_g - B_g) / 2`: the two corpora after the arms were swapped in the groups whose sign
        is negative.

        Args:
            own (`np.ndarray` of shape `(samples, statistics)`):
                What each sample adds to the first corpus.
            other (`np.ndarray` of shape `(samples, statistics)` or `(samples, permutations, statistics)`):
                The same of the second; of several (a baseline has permutations) the mean score counts.
            groups (`Sequence[str]`), score (`Callable`):
                See [`~Resampler.corpus_score`].

        Returns:
            `dict`: `value`, `ci_low`, `ci_high`, `p`, `num_samples`, `num_groups`.

        Raises:
            ValueError: With fewer than two groups.
        """
        first = _group_sums(np.asarray(own, float)[:, None, :], groups)
        second = _group_sums(np.asarray(other, float).reshape(len(own), -1, first.shape[-1]), groups)
        weights, signs = self._draw(len(first))

        def gain(one: np.ndarray, two: np.ndarray) -> np.ndarray:
            return score(one).mean(axis=-1) - score(two).mean(axis=-1)

        value = float(gain(first.sum(axis=0), second.sum(axis=0)))
        resampled = gain(np.tensordot(weights, first, 1), np.tensordot(weights, second, 1))
        middle, moved = (first + second).sum(axis=0) / 2, np.tensordot(signs, (first - second) / 2, 1)
        p = _p_value(gain(middle + moved, middle - moved), value, margin=1e-12)
        return _summary(value, resampled, groups) | {"p": p}

    def ratios(self, tops: np.ndarray, bottoms: np.ndarray, groups: Sequence[str]) -> np.ndarray:
        """
        Several ratios of sums over the samples, each with its interval: `sum_g w_g T_g / sum_g w_g B_g`.

        A mean is the ratio with ones beneath, a mean over tokens that with their numbers.

        Args:
            tops (`np.ndarray` of shape `(samples, ratios)`), bottoms (`np.ndarray` of shape `(samples, ratios)`):
                What each sample adds above and beneath.
            groups (`Sequence[str]`):
                Group of each sample.

        Returns:
            `np.ndarray` of shape `(ratios, 3)`: Values and both ends; `(ratios, 1)`, the values alone, if all samples
            are of one group.
        """
        values = tops.sum(axis=0) / bottoms.sum(axis=0)
        if len(set(groups)) == 1:
            return values[:, None]
        above, beneath = _group_sums(tops, groups), _group_sums(bottoms, groups)
        weights, _ = self._draw(len(above))
        ends = np.quantile((weights @ above) / (weights @ beneath), _levels(len(above)), axis=0)
        return np.vstack([values, ends]).T

    def _draw(self, num_groups: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights `(resamples, groups)` and signs `(permutations, groups)`; those of the latest number are kept."""
        if num_groups not in self._draws:
            shares = np.full(num_groups, 1 / num_groups)
            weights = np.random.default_rng(self.seed).multinomial(num_groups, shares, self.num_resamples)
            signs = np.random.default_rng(self.seed).choice((-1.0, 1.0), size=(self.num_resamples - 1, num_groups))
            self._draws = {num_groups: (weights.astype(float), signs)}
        return self._draws[num_groups]


def _group_sums(values: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Sums `(groups, ...)` of the samples' values `(samples, ...)`."""
    names, labels = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"The {len(values)} samples form {len(names)} group(s): nothing can be resampled. Evaluate on samples of "
            "two groups (images, passages) or more."
        )
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, labels, values)
    return sums


def _levels(num_groups: int) -> list[float]:
    """Levels of the expanded percentile interval, which [`~trainers.metrics.cluster_bootstrap_ci`] explains."""
    quantile = stats.t.ppf(0.025, num_groups - 1) * np.sqrt(num_groups / (num_groups - 1))
    return [stats.norm.cdf(quantile), stats.norm.cdf(-quantile)]


def _summary(value: float, resampled: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Value and interval."""
    num_groups = len(set(groups))
    low, high = np.quantile(resampled, _levels(num_groups))
    numbers = {"value": float(value), "ci_low": float(low), "ci_high": float(high)}
    return numbers | {"num_samples": len(groups), "num_groups": num_groups}


def _p_value(permuted: np.ndarray, observed: float, margin: float) -> float:
    """Two-sided; what was observed is one of the permutations, so p is never 0 (Phipson & Smyth 2010)."""
    return float((1 + (np.abs(permuted) >= np.abs(observed) - margin).sum()) / (1 + len(permuted)))


__all__ = ["CorpusScore", "Resampler"]
