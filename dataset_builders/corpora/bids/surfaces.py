# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Series on a surface: two GIFTI files a run, of which the right hemisphere follows the left."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...readers.gifti import read_gifti_series
from ...readers.sources import open_source
from ...schema import Geometry


#: Vertices of one hemisphere of FreeSurfer's average surfaces.
VERTICES = {"fsaverage4": 2562, "fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842}
HEMISPHERES = ("L", "R")
_ARRAY = re.compile(rb"<DataArray\b[^>]*>")
_SIZE = re.compile(rb"""\bDim0\s*=\s*["'](\d{1,9})["']""")
_ONE_AXIS = re.compile(rb"""\bDimensionality\s*=\s*["']1["']""")
_CHUNK = 1 << 20
# No tag of a data array is longer.
_OVERLAP = 1 << 12


def gifti_shape(path: Path) -> tuple[int, int]:
    """
    Frames and vertices of a GIFTI series by the tags of its data arrays, a tenth of the work of reading the values.

    The tags may deceive; what [`~dataset_builders.readers.gifti.read_gifti_series`] returns is compared with them.
    """
    tags: list[bytes] = []
    with open_source(path) as file:
        rest = b""
        while chunk := file.read(_CHUNK):
            text, end = rest + chunk, 0
            for match in _ARRAY.finditer(text):
                tags.append(match[0])
                end = match.end()
            rest = text[max(end, len(text) - _OVERLAP) :]
    sizes = {int(size[1]) for tag in tags if _ONE_AXIS.search(tag) and (size := _SIZE.search(tag))}
    if len(sizes) != 1 or not all(map(_ONE_AXIS.search, tags)):  # one array of all frames, or no series at all
        num_frames, num_vertices = read_gifti_series(path).shape
        return num_frames, num_vertices
    return len(tags), sizes.pop()


def surface_shape(paths: Sequence[Path]) -> tuple[int, int]:
    """
    Frames, and vertices of both hemispheres together, without reading values.

    Raises:
        ValueError: the hemispheres differ in frames or in vertices.
    """
    left, right = map(gifti_shape, paths)
    for name, one, other in zip(("frames", "vertices"), left, right, strict=True):
        if one != other:
            raise ValueError(
                f"{paths[0]} has {one} {name} and {paths[1]} has {other}: hemispheres have the same number; download "
                "both again"
            )
    return left[0], left[1] + right[1]


def read_surfaces(paths: Sequence[Path], medial_wall: Sequence[int] | None = None) -> np.ndarray:
    """
    Values of both hemispheres, float32 `[frames, vertices]`, left before right. Vertices without a value are NaN.

    Args:
        paths (`Sequence[Path]`):
            Left and right.
        medial_wall (`Sequence[int]`, *optional*):
            How many vertices of each hemisphere are NaN, if any is.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.gifti.read_gifti_series`] does.
        ValueError: other vertices are NaN in one frame than in another, or another number of them.
    """
    sides = [read_gifti_series(path) for path in paths]
    for path, values, expected in zip(paths, sides, medial_wall or [None] * len(paths), strict=True):
        missing = np.isnan(values)
        changing = int((missing != missing[0]).any(axis=0).sum())
        if changing:
            raise ValueError(
                f"{path}: {changing} vertices are NaN in some frames and not in others; download it again, or leave "
                "the run out"
            )
        number = int(missing[0].sum())
        if expected is not None and number not in (0, expected):
            raise ValueError(
                f"{path}: {number} vertices have no value, expected the {expected} of the medial wall; download it "
                "again, or pass verify_facts=False"
            )
    return np.concatenate(sides, axis=1)


def surface_geometry(space: str, num_vertices: int, cortex_masks: Sequence[Path] | None = None) -> Geometry:
    """
    Numbers of the vertices of both hemispheres in place of coordinates, which a series does not hold.

    Args:
        space (`str`):
            Name of the surface.
        num_vertices (`int`):
            Of both hemispheres.
        cortex_masks (`Sequence[Path]`, *optional*):
            GIFTI files, left and right, that are above zero in the cortex; they become the region `cortex:cortex`.

    Returns:
        [`~dataset_builders.schema.Geometry`]: its grid is `[hemispheres, vertices]`.

    Raises:
        ValueError: a mask has another number of vertices.
    """
    geometry = Geometry(
        space=space,
        grid_shape=(len(HEMISPHERES), num_vertices // len(HEMISPHERES)),
        grid_index=np.arange(num_vertices),
    )
    if cortex_masks:
        cortex = np.concatenate([read_gifti_series(path)[0] > 0 for path in cortex_masks])
        if len(cortex) != num_vertices:
            raise ValueError(
                f"{cortex_masks[0]} and its right side have {len(cortex)} vertices and the series {num_vertices}: "
                "choose masks of the same space"
            )
        geometry.roi_labels["cortex"] = cortex.astype(np.int16)
        geometry.roi_names["cortex"] = ["cortex"]
    return geometry


__all__ = [
    "HEMISPHERES",
    "VERTICES",
    "gifti_shape",
    "read_surfaces",
    "surface_geometry",
    "surface_shape",
]
