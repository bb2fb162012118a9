# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Where the voxels of NSD lie in a brain that all subjects have in common.

`nsddata/ppdata/subjAA/transforms/MNI-to-func1pt8.nii.gz` has the volume of the subject, `[x, y, z, 3]`. It holds for
each voxel the place, as decimal indices that count from 1, in the template of FSL (MNI152, 1 mm), from which NSD's own
tools would fetch a value for it; 9999 means that there is none. A file `A-to-B` of NSD always has the grid of `B` and
the indices of `A`, so its counterpart `func1pt8-to-MNI` says the reverse. (`nsd_mapdata` of github.com/cvnlab/nsdcode
reads them so; it also names the voxel of the template at the origin, and that the first axis runs from right to left.)
"""

from pathlib import Path

import numpy as np

from ...readers.sources import check_source
from ...readers.volumes import nifti_header, read_nifti


MNI152 = "MNI152"
#: Voxels of the template, and the one at the origin, counted from 1; and the direction of each axis.
TEMPLATE_SHAPE = (182, 218, 182)
_ORIGIN, _DIRECTIONS = np.array([91, 127, 73]), np.array([-1, 1, 1])
#: Stands where the map has no place for a voxel.
NOWHERE = 9999


def mni_file(root: Path, subject: str) -> Path:
    """The map of a subject, whether or not it is there."""
    return root / "nsddata/ppdata" / subject / "transforms/MNI-to-func1pt8.nii.gz"


def to_template(places: np.ndarray) -> np.ndarray:
    """Indices `[..., 3]` of the template, from 1, of places `[..., 3]` in millimetres."""
    return places * _DIRECTIONS + _ORIGIN


def read_mni_places(path: Path, mask: np.ndarray) -> np.ndarray:
    """
    Places of voxels in millimetres of MNI152.

    Args:
        path (`Path`):
            By [`mni_file`].
        mask (`np.ndarray`):
            bool `[x, y, z]`: the voxels.

    Returns:
        `np.ndarray`: float32 `[voxels, 3]`; NaN for voxels that the map does not send into the template.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.volumes.read_nifti`] does.
        ValueError: the map has another shape, or sends no voxel into the template.
    """
    shape, expected = tuple(nifti_header(check_source(path)).shape), (*mask.shape, 3)
    if shape != expected:
        raise ValueError(
            f"{path} has the shape {shape} and not {expected}, that of the mask and three indices: download it again"
        )
    indices = read_nifti(path, mask=mask).T.astype(np.float64)
    inside = np.all((indices >= 1) & (indices <= TEMPLATE_SHAPE), axis=1)
    if not inside.any():
        raise ValueError(
            f"{path} sends none of {len(indices)} voxels into the template, which has the shape {TEMPLATE_SHAPE}: "
            "download it again"
        )
    places = (indices - _ORIGIN) * _DIRECTIONS
    places[~inside] = np.nan
    return places.astype(np.float32)


__all__ = ["MNI152", "NOWHERE", "TEMPLATE_SHAPE", "mni_file", "read_mni_places", "to_template"]
