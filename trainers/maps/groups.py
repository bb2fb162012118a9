# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Which voxels are taken away together: neighbours, regions of an atlas, or voxels drawn at random.

Each function divides all voxels, once or several times over: `groups[repeat, voxel]` is the number of the voxel's
group in that repeat. So every voxel gets a score, the mean over the groups that it was in.
"""

import numpy as np


def neighbour_groups(coordinates: np.ndarray, size: int, repeats: int = 10, seed: int = 0) -> np.ndarray:
    """
    Patches of neighbouring voxels, other ones in each repeat: voxels drawn at random gather those next to them.

    Args:
        coordinates (`np.ndarray` of shape `(voxels, 3)`):
            Places in millimetres.
        size (`int`):
            Voxels of a patch, on average.
        repeats (`int`, *optional*, defaults to 10):
            Divisions; with more of them a map is finer than its patches.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `np.ndarray` of shape `(repeats, voxels)`: Number of each voxel's patch.

    Raises:
        ValueError: If `size` leaves fewer than two patches.
    """
    from scipy.spatial import KDTree

    count = _count_groups(len(coordinates), size)
    generator = np.random.default_rng(seed)
    divisions = []
    for _ in range(repeats):
        centres = coordinates[generator.choice(len(coordinates), count, replace=False)]
        divisions.append(_renumber(KDTree(centres).query(coordinates)[1]))
    return np.stack(divisions)


def random_groups(num_voxels: int, size: int, repeats: int = 10, seed: int = 0) -> np.ndarray:
    """
    Voxels drawn at random, wherever they lie.

    Args:
        num_voxels (`int`):
            Voxels or features.
        size (`int`), repeats (`int`), seed (`int`), the last two *optional*:
            As in [`neighbour_groups`].

    Returns:
        `np.ndarray` of shape `(repeats, voxels)`: Number of each voxel's group.

    Raises:
        ValueError: If `size` leaves fewer than two groups.
    """
    numbers = np.arange(num_voxels) % _count_groups(num_voxels, size)
    return np.random.default_rng(seed).permuted(np.tile(numbers, (repeats, 1)), axis=1)


def region_groups(labels: np.ndarray) -> np.ndarray:
    """
    Regions of an atlas; voxels that it does not label are a group of their own.

    Args:
        labels (`np.ndarray` of shape `(voxels,)`):
            Label of each voxel; 0 and below are unlabelled.

    Returns:
        `np.ndarray` of shape `(1, voxels)`: Number of each voxel's group.
    """
    return _renumber(np.maximum(labels, 0))[None]


def _count_groups(num_voxels: int, size: int) -> int:
    count = round(num_voxels / size)
    if count < 2:
        raise ValueError(
            f"Groups of {size} of {num_voxels} voxels would be {count}, so that nothing could be told apart. Choose a "
            f"group size of at most {num_voxels // 2}."
        )
    return count


def _renumber(numbers: np.ndarray) -> np.ndarray:
    return np.unique(numbers, return_inverse=True)[1]


__all__ = ["neighbour_groups", "random_groups", "region_groups"]
