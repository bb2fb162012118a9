# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests for samples that come in groups (passages, stories): the group is the unit that is resampled.

Sentences of one passage share topic, scanner run and brain noise. Treating them as independent makes intervals too
narrow and tests too eager. Every test is two-sided; every draw is seeded.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def _cluster_sums(values: np.ndarray, groups: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of samples of each group."""
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) != len(groups):
        raise ValueError(
            f"`values` must be (samples,) with one group each, found shape {values.shape} and {len(groups)} groups."
        )
    names, labels = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"The {len(values)} samples form {len(names)} group(s): nothing can be resampled. Evaluate on samples of "
            "two groups (passages, stories) or more, for instance by pooling folds."
        )
    return np.bincount(labels, values), np.bincount(labels).astype(float)


def cluster_bootstrap_ci(
    values: np.ndarray, groups: Sequence, confidence: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    r"""Bootstrap interval of the mean of `values` when whole groups are drawn with replacement.

    A resample draws G of the G groups; its mean is `sum_g w_g S_g / sum_g w_g n_g` with multinomial weights w. The
    interval is the *expanded percentile* interval: levels `Phi(-+ t_{G-1} sqrt(G / (G-1)))` in place of the nominal
    ones, which cures the plain percentile interval's narrowness for few groups (Hesterberg 2015, "What Teachers
    Should Know About the Bootstrap").

    Args:
        values (`np.ndarray` of shape `(samples,)`):
            For a difference of two arms, the per-sample difference.
        groups (`Sequence`):
            Group of each sample.
        confidence (`float`, *optional*, defaults to 0.95):
            Coverage.
        num_resamples (`int`, *optional*, defaults to 10000):
            Bootstrap resamples.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `tuple[float, float]`: Lower and upper end.

    Raises:
        ValueError: With fewer than two groups.
    """
    sums, counts = _cluster_sums(values, groups)
    num_groups = len(sums)
    weights = np.random.default_rng(seed).multinomial(num_groups, np.full(num_groups, 1 / num_groups), num_resamples)
    means = (weights @ sums) / (weights @ counts)
    quantile = stats.t.ppf((1 - confidence) / 2, num_groups - 1) * np.sqrt(num_groups / (num_groups - 1))
    low, high = np.quantile(means, [stats.norm.cdf(quantile), stats.norm.cdf(-quantile)])
    return float(low), float(high)


def sign_flip_test(differences: np.ndarray, groups: Sequence, num_permutations: int = 9_999, seed: int = 0) -> float:
    """Paired permutation test of `mean difference = 0`: the two arms are swapped for whole groups at a time.

    With `T = |sum_g e_g S_g|`, signs e drawn per group, `p = (1 + |{T* >= T}|) / (1 + permutations)` (Phipson & Smyth
    2010, so that p is never 0). For a pairwise accuracy pass `wins - 0.5`.

    Args:
        differences (`np.ndarray` of shape `(samples,)`):
            Arm minus control, per sample.
        groups (`Sequence`):
            Group of each sample.
        num_permutations (`int`, *optional*, defaults to 9999):
            Random swaps.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `float`: Two-sided p.

    Raises:
        ValueError: With fewer than two groups.
    """
    sums, _ = _cluster_sums(differences, groups)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(num_permutations, len(sums)))
    # The margin keeps equal sums equal when the order of addition differs.
    at_least = np.abs(signs @ sums) >= np.abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    return float((1 + at_least.sum()) / (1 + num_permutations))


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
        sums, counts = _cluster_sums(differences, groups)
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


__all__ = ["benjamini_hochberg", "cluster_bootstrap_ci", "sign_flip_test", "wilcoxon_test"]
