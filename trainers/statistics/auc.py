# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""How well a score tells two samples apart, with an interval for samples that come in groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .resampling import expanded_levels


def clustered_auc(
    ones: np.ndarray,
    others: np.ndarray,
    groups: Sequence[str],
    other_groups: Sequence[str],
    num_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Probability that a value of one sample exceeds one of another (ties count half), the area under the ROC curve.

    Both samples are resampled by whole groups, independently: with `W_gh` the pairs of groups g and h that are in
    order, a resample is `w' W v / (w' n · v' m)` with multinomial weights w and v. The interval is the expanded
    percentile one of [`~trainers.statistics.resampling.Resampler`], for as many groups as the smaller sample has.

    Args:
        ones (`np.ndarray` of shape `(samples,)`), others (`np.ndarray` of shape `(other_samples,)`):
            Scores.
        groups (`Sequence[str]`), other_groups (`Sequence[str]`):
            Group of each sample.
        num_resamples (`int`, *optional*, defaults to 10000), seed (`int`, *optional*, defaults to 0):
            Of the bootstrap.

    Returns:
        `dict`: `auc`, `auc_low`, `auc_high`, `num_samples`, `num_others`.

    Raises:
        ValueError: One of the samples is of fewer than two groups.
    """
    (names, place), (other_names, other_place) = (
        np.unique(np.asarray(given), return_inverse=True) for given in (groups, other_groups)
    )
    if min(len(names), len(other_names)) < 2:
        raise ValueError(
            f"The samples are of {len(names)} and {len(other_names)} groups: with fewer than two there is no "
            "interval. Take more groups (passages, images)."
        )
    in_order = np.sign(np.asarray(ones, float)[:, None] - np.asarray(others, float)[None]) / 2 + 0.5
    pairs = np.zeros((len(names), len(other_names)))
    np.add.at(pairs, (place[:, None], other_place[None]), in_order)
    sizes, other_sizes = np.bincount(place), np.bincount(other_place)
    generator = np.random.default_rng(seed)
    weights, other_weights = (
        generator.multinomial(number, np.full(number, 1 / number), num_resamples).astype(float)
        for number in pairs.shape
    )
    resampled = ((weights @ pairs) * other_weights).sum(1) / ((weights @ sizes) * (other_weights @ other_sizes))
    low, high = np.quantile(resampled, expanded_levels(min(pairs.shape)))
    numbers = {"auc": float(in_order.mean()), "auc_low": float(low), "auc_high": float(high)}
    return numbers | {"num_samples": len(place), "num_others": len(other_place)}


__all__ = ["clustered_auc"]
