# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Simulated visual cortices: where their voxels lie, what each is tuned to, and what a scanner would measure.

All brains are one brain, stretched, shifted and sampled on another grid. Tuning is a smooth function of the place in
that common brain: nearby voxels respond alike, and so do voxels at the same place in two brains, as far as `alignment`
lets them. What is learnt from some brains can therefore be carried to another one by its coordinates alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .regions import label_regions


VOXEL_SIZE = 1.8
#: Radius of the common brain in millimetres of MNI152, whose origin is its centre.
RADIUS = 70.0
#: In radii of the brain: how far back cortex and the mask `nsdgeneral` begin, and over which distance tuning changes.
_CORTEX_BEGINS, _MASK_BEGINS, _SMOOTHNESS = 0.0, -0.2, 0.35
#: Share of the mask in the volume of a brain, as a ball of radius 1 has it: the cap of height 0.8.
_MASK_VOLUME = np.pi * 0.8**2 * (3 - 0.8) / 3
_NUM_WAVES = 256
#: In percent signal change: deviation of a voxel over trials, and of its level over sessions; and the spread of gains.
_DEVIATION, _LEVEL, _GAIN = 1.5, 0.5, 0.2


@dataclass(frozen=True, eq=False)
class Anatomy:
    """
    The brain of one subject.

    Args:
        shape (`tuple[int, int, int]`):
            Volume in voxels.
        affine (`np.ndarray`):
            float64 `[4, 4]`, from voxels to millimetres.
        common (`np.ndarray`):
            float64 `[x, y, z, 3]`: each voxel's place in the common brain, a ball of radius 1. The second coordinate
            grows from back to front.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    common: np.ndarray

    @cached_property
    def cortex(self) -> np.ndarray:
        """Mask, bool `[x, y, z]`: all that is simulated."""
        return (np.linalg.norm(self.common, axis=-1) <= 1) & (self.common[..., 1] < _CORTEX_BEGINS)

    @cached_property
    def mask(self) -> np.ndarray:
        """Mask, bool `[x, y, z]`: voxels that respond to images."""
        return self.cortex & (self.common[..., 1] < _MASK_BEGINS)

    @property
    def places(self) -> np.ndarray:
        """Places `[voxels, 3]` of the voxels of the mask in the common brain."""
        return self.common[self.mask]

    @property
    def regions(self) -> dict[str, np.ndarray]:
        """Labels int32 `[x, y, z]`; -1 outside of cortex."""
        labels = label_regions(self.common)
        labels |= {"nsdgeneral": self.mask, "streams": np.where(self.mask, labels["streams"], 0)}
        return {name: np.where(self.cortex, found, -1).astype(np.int32) for name, found in labels.items()}


def make_anatomy(num_voxels: int, generator: np.random.Generator) -> Anatomy:
    """
    A brain whose mask has about `num_voxels` voxels, of a size and position of its own.

    Args:
        num_voxels (`int`):
            Voxels of the mask in the average brain. A subject has up to a fifth more or less.
        generator (`np.random.Generator`):
            Source of chance.
    """
    radius = VOXEL_SIZE * (num_voxels / _MASK_VOLUME) ** (1 / 3)
    radii = radius * generator.uniform(0.94, 1.06, 3)
    margins = generator.integers(1, 3, (2, 3))
    sizes = np.ceil(2 * radii / VOXEL_SIZE).astype(int)
    shape = (sizes + margins.sum(0)).tolist()
    centre = margins[0] + (sizes - 1) / 2 + generator.uniform(-0.4, 0.4, 3)  # in voxels
    affine = np.diag([VOXEL_SIZE, VOXEL_SIZE, VOXEL_SIZE, 1.0])
    affine[:3, 3] = generator.uniform(-20, 20, 3)
    places = np.moveaxis(np.indices(shape), 0, -1)
    return Anatomy(tuple(shape), affine, (places - centre) * VOXEL_SIZE / radii)


class SmoothField:
    """
    A random function of the place in the common brain that changes slowly.

    Waves of random direction and phase add up to a Gaussian process whose values at two places a distance `d` apart
    correlate by `exp(-d^2 / (2 * 0.35^2))` (random Fourier features: Rahimi and Recht 2007, "Random features for
    large-scale kernel machines").

    Args:
        width (`int`):
            Values at a place.
        generator (`np.random.Generator`):
            Source of chance.
    """

    def __init__(self, width: int, generator: np.random.Generator):
        self.waves = generator.standard_normal((3, _NUM_WAVES)) / _SMOOTHNESS
        self.phases = generator.uniform(0, 2 * np.pi, _NUM_WAVES)
        self.amplitudes = generator.standard_normal((_NUM_WAVES, width)) * np.sqrt(2 / _NUM_WAVES)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Values float64 `[places, width]` at places `[places, 3]`; each of mean 0 and variance 1."""
        return np.cos(places @ self.waves + self.phases) @ self.amplitudes


def make_tuning(
    anatomy: Anatomy,
    shared: SmoothField,
    own: SmoothField,
    alignment: float,
    embeddings: np.ndarray,
) -> np.ndarray:
    """
    What each voxel of the mask is tuned to.

    Args:
        anatomy ([`Anatomy`]):
            The brain.
        shared, own ([`SmoothField`]):
            The function that all brains have in common, and that of this brain.
        alignment (`float`):
            Correlation of tunings at the same place in two brains, from 0 to 1.
        embeddings (`np.ndarray`):
            `[images, width]`, centred: what there is to respond to.

    Returns:
        `np.ndarray`: float32 `[voxels, width]`, scaled so that the response to all images has the variance 1.
    """
    tuning = np.sqrt(alignment) * shared(anatomy.places) + np.sqrt(1 - alignment) * own(anatomy.places)
    return (tuning / (embeddings @ tuning.T).std(axis=0)[:, None]).astype(np.float32)


def measure_session(
    anatomy: Anatomy, signal: np.ndarray, signal_to_noise: float, generator: np.random.Generator
) -> np.ndarray:
    """
    Betas of one session: signal and noise, on a level and at a gain that differ between voxels and sessions.

    Args:
        anatomy ([`Anatomy`]):
            The brain.
        signal (`np.ndarray`):
            `[trials, voxels]` of variance 1: the response of each voxel of the mask.
        signal_to_noise (`float`):
            Variance of the signal over variance of the noise. Their sum has the same variance whatever the ratio, so
            that a corpus without signal looks the same from outside.
        generator (`np.random.Generator`):
            Source of chance.

    Returns:
        `np.ndarray`: float32 `[trials, cortex]` in percent signal change. Cortex outside of the mask has noise only.
    """
    inside = anatomy.mask[anatomy.cortex]
    share = signal_to_noise / (1 + signal_to_noise)
    values = generator.standard_normal((len(signal), len(inside)), dtype=np.float32)
    values[:, inside] = np.sqrt(1 - share) * values[:, inside] + np.sqrt(share) * signal
    gain = _DEVIATION * generator.uniform(1 - _GAIN, 1 + _GAIN, len(inside))
    return (values * gain + generator.normal(_LEVEL, _LEVEL, len(inside))).astype(np.float32)


__all__ = ["RADIUS", "VOXEL_SIZE", "Anatomy", "SmoothField", "make_anatomy", "make_tuning", "measure_session"]
