# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Betas of NSD, the response to each trial, from the three forms in which they are published.

| form | dtype | unit | axes |
|---|---|---|---|
| `betas_sessionNN.nii.gz` | int16 | 1/300 percent signal change | `[x, y, z, trials]` |
| `betas_sessionNN.hdf5`, dataset `betas` | int16 | 1/300 percent signal change | `[trials, z, y, x]` |
| `{lh,rh}.betas_sessionNN.mgh` | float32 | percent signal change | `[vertices, 1, 1, trials]` |

Everything is returned in percent signal change, float32 `[trials, voxels]`, with voxels in C order of the mask
`[x, y, z]` (surface: left hemisphere, then right).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ...readers.hdf5 import hdf5_shapes, read_hdf5_voxels
from ...readers.volumes import nifti_header, read_mgh, read_nifti


#: The three versions of single-trial betas, and their folders.
BETAS = {"b1": "betas_assumehrf", "b2": "betas_fithrf", "b3": "betas_fithrf_GLMdenoise_RR"}
#: Steps of an integer beta in one percent of signal change.
STEPS_PER_PERCENT = 300
_DATASET = "/betas"


def check_volume_betas(path: Path, shape: tuple[int, ...], num_trials: int) -> None:
    """
    Checks shape and dtype of a session of volumes without reading its values.

    Args:
        path (`Path`):
            `.nii.gz` or `.hdf5`.
        shape (`tuple[int, ...]`):
            Shape `(x, y, z)` of the mask.
        num_trials (`int`):
            Trials of a session.

    Raises:
        ValueError: the axes are not those of the table above, or values are not int16.
    """
    if path.suffix == ".hdf5":
        datasets = hdf5_shapes(path)
        if _DATASET not in datasets:
            raise ValueError(f"{path}: there is no dataset {_DATASET!r}, only {sorted(datasets)}; download it again")
        (found, dtype), scaling = datasets[_DATASET], (1, 0)
        expected, axes = (num_trials, *shape[::-1]), "[trials, z, y, x]"
    else:
        header = nifti_header(path)
        found, dtype, scaling = header.shape, header.dtype, (header.slope, header.intercept)
        expected, axes = (*shape, num_trials), "[x, y, z, trials]"
    if found != expected:
        in_reverse = ": its axes are in reverse order" if found == expected[::-1] else ""
        raise ValueError(
            f"{path}: expected betas of shape {expected} {axes}, as the mask has {shape} voxels and a session "
            f"{num_trials} trials, and found {found}{in_reverse}. Download the file again"
        )
    if dtype.newbyteorder("=") != np.int16 or scaling != (1, 0):
        raise ValueError(
            f"{path}: expected int16 betas in steps of 1/{STEPS_PER_PERCENT} percent and found {dtype} with slope and "
            f"intercept {scaling}: they may be in percent already, and would be divided twice. Use the published file"
        )


def read_volume_betas(path: Path, mask: np.ndarray) -> np.ndarray:
    """
    Betas of a session inside a mask.

    Args:
        path (`Path`):
            `.nii.gz` or `.hdf5`.
        mask (`np.ndarray`):
            bool `[x, y, z]`.

    Returns:
        `np.ndarray`: float32 `[trials, voxels]` in percent.
    """
    betas = _read_hdf5_betas(path, mask) if path.suffix == ".hdf5" else read_nifti(path, mask=mask, scaled=False)
    betas = betas.astype(np.float32)
    betas /= STEPS_PER_PERCENT
    return betas


def _read_hdf5_betas(path: Path, mask: np.ndarray) -> np.ndarray:
    """Betas, int16 `[trials, voxels]`: as voxels are chunks, only those inside the mask are read."""
    found = read_hdf5_voxels(path, _DATASET, mask.T)
    betas = np.empty_like(found)
    betas[:, np.lexsort(np.nonzero(mask))] = found  # from the order of [z, y, x] to that of [x, y, z]
    return betas


def check_surface_betas(path: Path, num_vertices: int, num_trials: int) -> None:
    """
    Checks the shape of a session of one hemisphere without reading its values.

    Raises:
        ValueError: it is another.
    """
    expected, found = (num_vertices, 1, 1, num_trials), tuple(nifti_header(path).shape)
    if found != expected:
        raise ValueError(
            f"{path}: expected betas of shape {expected} [vertices, 1, 1, trials] and found {found}. Download it again"
        )


def read_surface_betas(paths: Sequence[Path], masks: Sequence[np.ndarray]) -> np.ndarray:
    """
    Betas of a session inside the masks of both hemispheres.

    Args:
        paths (`Sequence[Path]`):
            The `.mgh` files, left and right.
        masks (`Sequence[np.ndarray]`):
            bool `[vertices]` of each.

    Returns:
        `np.ndarray`: float32 `[trials, vertices]` in percent, as the file has them.
    """
    return np.concatenate([read_mgh(path)[:, mask] for path, mask in zip(paths, masks, strict=True)], axis=1)


def take_repeats(betas: np.ndarray, places: np.ndarray, training: np.ndarray | None) -> np.ndarray:
    """
    The trials of a session that go into averages.

    Args:
        betas (`np.ndarray`):
            `[trials, voxels]`.
        places (`np.ndarray`):
            int64 `[trials]`: the row of the image among the averages, or -1 for images left out.
        training (`np.ndarray`, *optional*):
            bool `[trials]`, the trials of training images: betas are standardised by their mean and deviation, as
            single trials are. Otherwise they are taken as they are.

    Returns:
        `np.ndarray`: `[trials taken, voxels]`.
    """
    taken = betas[places >= 0]
    if training is not None:
        base = betas[training] if training.any() else betas
        deviation = base.std(axis=0)
        taken = (taken - base.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    return taken


def average_repeats(taken: Iterable[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    """
    The mean response to each of some images over all its repeats.

    Args:
        taken (`Iterable[np.ndarray]`):
            For each session, what [`take_repeats`] made of it.
        places (`Sequence[np.ndarray]`):
            For each session, as there.

    Returns:
        `np.ndarray`: float32 `[images, voxels]`.
    """
    num_images = 1 + max(int(place.max(initial=-1)) for place in places)
    total, counts = None, np.zeros(num_images, np.int64)
    for trials, place in zip(taken, places, strict=True):
        rows = place[place >= 0]
        total = np.zeros((num_images, trials.shape[1]), np.float32) if total is None else total
        np.add.at(total, rows, trials)
        np.add.at(counts, rows, 1)
    return total / counts[:, None].astype(np.float32)


__all__ = [
    "BETAS",
    "STEPS_PER_PERCENT",
    "average_repeats",
    "check_surface_betas",
    "check_volume_betas",
    "read_surface_betas",
    "read_volume_betas",
    "take_repeats",
]
