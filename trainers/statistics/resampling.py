# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals and paired tests of samples that come in groups (passages, images): the group is the unit that is drawn.

Sentences of one passage share topic, scanner run and brain noise: as if independent, intervals would be too narrow and
tests too eager. Every test is two-sided, every draw is seeded and made once for many scores; nothing is scored again.

A bootstrap resample weighs groups (images, passages), a permutation swaps two arms for whole groups at a time. Both
need only what each group adds: to a mean its sum, to the score of a corpus (BLEU) its counts. So a thousand resamples
of a score cost one product of matrices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats


# Resamples whose weighted sums are in memory at once.
_CHUNK = 100
#: Summed statistics `(..., statistics)` → scores `(...)`.
CorpusScore = Callable[[np.ndarray], np.ndarray]


class Resampler:
    """
    Intervals and tests, clustered by group, that share their draws.

    A resample draws G of the G groups; its mean is `sum_g w_g S_g / sum_g w_g n_g` with multinomial weights w. The
    interval is the *expanded percentile* interval: levels `Phi(-+ t_{G-1} sqrt(G / (G-1)))` in place of the nominal
    ones, which cures the plain percentile interval's narrowness for few groups (Hesterberg 2015, "What Teachers
    Should Know About the Bootstrap"). A test swaps the two arms for whole groups at a time: with
    `T = |sum_g e_g S_g|`, signs e drawn per group, `p = (1 + |{T* >= T}|) / (1 + permutations)` (Phipson & Smyth
    2010, so that p is never 0). Scores of a corpus get the counterparts of both.

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

    def mean(
        self, values: np.ndarray, groups: Sequence[str], chance: float = 0.0, is_share: bool = False
    ) -> dict[str, Any]:
        """
        Mean of the samples' values with its interval, and tests against chance.

        Args:
            values (`np.ndarray` of shape `(samples,)`):
                Differences of two arms, or wins.
            groups (`Sequence[str]`):
                Group of each sample, which is the unit that is drawn.
            chance (`float`, *optional*, defaults to 0.0):
                Mean under the null hypothesis.
            is_share (`bool`, *optional*, defaults to `False`):
                Whether the mean lies in [0, 1], and so its interval.

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
        resampled = (weights @ sums) / (weights @ counts)
        return {
            **_summary(values.mean(), np.clip(resampled, 0, 1) if is_share else resampled, groups),
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
        ends = np.quantile((weights @ above) / (weights @ beneath), expanded_levels(len(above)), axis=0)
        return np.vstack([values, ends]).T

    def _draw(self, num_groups: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights `(resamples, groups)` and signs `(permutations, groups)`; those of the latest number are kept."""
        if num_groups not in self._draws:
            shares = np.full(num_groups, 1 / num_groups)
            weights = np.random.default_rng(self.seed).multinomial(num_groups, shares, self.num_resamples)
            signs = np.random.default_rng(self.seed).choice((-1.0, 1.0), size=(self.num_resamples - 1, num_groups))
            self._draws = {num_groups: (weights.astype(float), signs)}
        return self._draws[num_groups]


def cluster_bootstrap_ci(
    values: np.ndarray, groups: Sequence, num_resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """
    Both ends of the 95 % interval of a mean, clustered by group ([`Resampler`]).

    Args:
        values (`np.ndarray` of shape `(samples,)`):
            For a difference of two arms, the difference of each sample.
        groups (`Sequence`):
            Group of each sample.
        num_resamples (`int`, *optional*, defaults to 10000), seed (`int`, *optional*, defaults to 0):
            Bootstrap resamples and their seed.
    """
    parts = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)
    found = Resampler(num_resamples, seed).corpus_score(parts, groups, _mean)
    return found["ci_low"], found["ci_high"]


def sign_flip_test(differences: np.ndarray, groups: Sequence, num_permutations: int = 9_999, seed: int = 0) -> float:
    """
    Two-sided p of `mean difference = 0`, clustered by group ([`Resampler`]); of a pairwise accuracy give `wins - 0.5`.

    Args:
        differences (`np.ndarray` of shape `(samples,)`):
            Arm minus control of each sample.
        groups (`Sequence`):
            Group of each sample.
        num_permutations (`int`, *optional*, defaults to 9999), seed (`int`, *optional*, defaults to 0):
            Random swaps and their seed.
    """
    return Resampler(num_permutations + 1, seed).mean(differences, groups)["p"]


def subject_bootstrap_ci(
    values: np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[str],
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
        num_resamples (`int`, *optional*, defaults to 2000), seed (`int`, *optional*, defaults to 0):
            Bootstrap resamples and their seed.

    Returns:
        `tuple[float, float]`: Lower and upper end.

    Raises:
        ValueError: If there are fewer than two subjects or two groups.
    """
    parts = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)
    return subject_bootstrap_score(parts, groups, subjects, _mean, num_resamples, seed)


def subject_bootstrap_score(
    statistics: np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[str],
    score: Callable[[np.ndarray], np.ndarray],
    num_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    r"""
    [`subject_bootstrap_ci`] of the score of a corpus: of `score(sum_sg w_s w_g S_sg)`.

    Args:
        statistics (`np.ndarray` of shape `(samples, statistics)`):
            What each sample adds, such as the rows of [`~trainers.metrics.bleu_statistics`].
        groups (`Sequence[str]`), subjects (`Sequence[str]`), num_resamples, seed, all *optional* but the
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
    low, high = np.quantile(scores, expanded_levels(len(people)))
    return float(low), float(high)


def wilcoxon_test(differences: np.ndarray, groups: Sequence | None = None) -> float:
    """Wilcoxon signed-rank test of a symmetric distribution around 0, by scipy; two-sided.

    Args:
        differences (`np.ndarray` of shape `(samples,)`):
            Arm minus control, per sample.
        groups (`Sequence`, *optional*):
            Group of each sample; the test then ranks the groups' mean differences. Without groups the samples count as
            independent, as in Ye et al. (2025).

    Returns:
        `float`: Two-sided p; 1 when every difference is 0.
    """
    differences = np.asarray(differences, float)
    if groups is not None:
        sums, counts = _group_sums(np.stack([differences, np.ones(len(differences))], axis=1), groups).T
        differences = sums / counts
    if not differences.any():
        return 1.0
    # With ties scipy enumerates all signs of up to 13 differences at every call, which takes seconds.
    sizes = np.abs(differences)
    has_ties = not sizes.all() or len(np.unique(sizes)) < len(sizes)
    return float(stats.wilcoxon(differences, method="asymptotic" if has_ties else "auto").pvalue)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p (q) that control the false discovery rate over a family of tests (Benjamini & Hochberg 1995).

    Args:
        p_values (`Sequence[float]`):
            One p per test of the family.

    Returns:
        `list[float]`: q in the same order.
    """
    return [float(q) for q in stats.false_discovery_control(p_values, method="bh")] if len(p_values) else []


def _mean(sums: np.ndarray) -> np.ndarray:
    """Mean of summed values and counts `(..., 2)`."""
    return sums[..., 0] / sums[..., 1]


def _group_sums(values: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Sums `(groups, ...)` of the samples' values `(samples, ...)`."""
    if len(values) != len(groups):
        raise ValueError(f"Each sample needs one group, found {len(values)} samples and {len(groups)} groups.")
    names, labels = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"The {len(values)} samples form {len(names)} group(s): nothing can be resampled. Evaluate on samples of "
            "two groups (images, passages) or more."
        )
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, labels, values)
    return sums


def expanded_levels(num_groups: int) -> list[float]:
    """Levels of the expanded percentile interval, which [`Resampler`] explains."""
    quantile = stats.t.ppf(0.025, num_groups - 1) * np.sqrt(num_groups / (num_groups - 1))
    return [stats.norm.cdf(quantile), stats.norm.cdf(-quantile)]


def _summary(value: float, resampled: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Value and interval."""
    num_groups = len(set(groups))
    low, high = np.quantile(resampled, expanded_levels(num_groups))
    numbers = {"value": float(value), "ci_low": float(low), "ci_high": float(high)}
    return numbers | {"num_samples": len(groups), "num_groups": num_groups}


def _p_value(permuted: np.ndarray, observed: float, margin: float) -> float:
    """Two-sided; what was observed is one of the permutations, so p is never 0 (Phipson & Smyth 2010)."""
    return float((1 + (np.abs(permuted) >= np.abs(observed) - margin).sum()) / (1 + len(permuted)))


__all__ = [
    "CorpusScore",
    "Resampler",
    "benjamini_hochberg",
    "cluster_bootstrap_ci",
    "sign_flip_test",
    "subject_bootstrap_ci",
    "subject_bootstrap_score",
    "wilcoxon_test",
]
