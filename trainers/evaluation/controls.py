# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Controls that change the values of a brain: zero, voxels exchanged, noise of the same covariance."""

from collections.abc import Callable

import numpy as np


_STREAM = 0xB2A1


def zero(brain_values: np.ndarray) -> np.ndarray:
    """Replace standardised values by their mean, 0: what the interface says when the brain says nothing.

    Args:
        brain_values (`np.ndarray` of shape `(brains, ..., features)`):
            Standardised values.

    Returns:
        `np.ndarray`: Zeros of the same shape and type.
    """
    return np.zeros_like(brain_values)


def voxel_shuffle(brain_values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Permute the values over the features, anew for every brain and frame: same values, no pattern.

    Args:
        brain_values (`np.ndarray` of shape `(brains, ..., features)`):
            Values.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `np.ndarray`: The shuffled copy.
    """
    return np.random.default_rng((_STREAM, seed)).permuted(brain_values, axis=-1)


def noise(brain_values: np.ndarray, seed: int = 0) -> np.ndarray:
    r"""Gaussian noise with the mean and the whole covariance of the values: a brain in all but what it answers to.

    With $X$ the centred values of $n$ brains, every brain laid out as one vector over frames and features, the noise
    is $\bar x + Z X / \sqrt n$ with $Z$ standard normal: its covariance is $X^\top X / n$ exactly. The values
    themselves are the factor, of rank $n$, so that the covariance of many thousand voxels is never formed.

    Args:
        brain_values (`np.ndarray` of shape `(brains, ..., features)`):
            Values of one subject.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `np.ndarray`: The noise, same shape and type.
    """
    rows = brain_values.reshape(len(brain_values), -1)
    mean = rows.mean(axis=0)
    draw = np.random.default_rng((_STREAM, seed)).standard_normal((len(rows), len(rows)), np.float32)
    mixed = mean + draw @ (rows - mean) / np.sqrt(len(rows))
    return mixed.reshape(brain_values.shape).astype(brain_values.dtype)


#: Controls of the second kind, as functions of standardised values and a seed.
VALUE_CONTROLS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "zero": lambda brain_values, seed: zero(brain_values),
    "voxel_shuffle": voxel_shuffle,
    "noise": noise,
}


#: Those that are drawn at random, and how often for a reading: a single draw decides too much by itself.
DRAWN_CONTROLS = ("voxel_shuffle", "noise")


NUM_DRAWS = 5


__all__ = ["DRAWN_CONTROLS", "NUM_DRAWS", "VALUE_CONTROLS", "noise", "voxel_shuffle", "zero"]
