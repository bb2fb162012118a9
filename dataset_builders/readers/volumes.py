# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Volumes and surfaces: NIfTI-1, NIfTI-2, MGH, and GIFTI series.

A header is believed only as far as its file can bear it: a NIfTI file must hold exactly the bytes that its header
declares, and what a compressed file declares must be within what deflate can inflate, before any memory is taken.
Series are read frame by frame, so that a masked read takes the memory of the mask's voxels. A compressed file is
always read to its end, because its checksum stands there.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .gifti import read_gifti_series
from .sources import max_content_size, open_source
from .volume_headers import HEADER_BYTES, VolumeHeader, parse_header


# FreeSurfer writes tags (scan parameters, command lines) behind the values.
_MGH_TRAILER_BYTES = 1 << 20
_AFFINE_TOLERANCE = 1e-2  # millimetres, or millimetres a voxel


def nifti_header(path: str | Path) -> VolumeHeader:
    """
    Reads the header of a NIfTI or MGH file (`.nii`, `.nii.gz`, `.mgh`, `.mgz`) and checks its size against the file's.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without its content.
        ValueError: the file is neither, its header is damaged, or it declares other values than the file can hold.
    """
    path = Path(path)
    with open_source(path) as file:
        header = parse_header(file.read(HEADER_BYTES), path)
    limit = max_content_size(path)
    if header.num_bytes > limit:
        raise ValueError(
            f"{path} is too short for its header: {header.shape} values of {header.dtype} end at byte "
            f"{header.num_bytes} and the file cannot hold more than {limit} bytes. Download it again"
        )
    return header


def read_nifti(
    path: str | Path,
    mask: np.ndarray | None = None,
    frames: slice | None = None,
    scaled: bool = True,
) -> np.ndarray:
    """
    Reads the values of a NIfTI or MGH file.

    Args:
        path (`str` or `Path`):
            The file, compressed or not.
        mask (`np.ndarray` of shape `(x, y, z)`, *optional*):
            The voxels that are wanted, as booleans.
        frames (`slice`, *optional*):
            The frames that are wanted, in their order.
        scaled (`bool`, *optional*, defaults to `True`):
            Whether to apply the slope and intercept of the header. Otherwise stored numbers come back as they are.

    Returns:
        `np.ndarray`: `[frames, voxels]` with a mask, in its C order; otherwise `[x, y, z, frames]`, or `[x, y, z]` for
        a single volume. Of type float32, or of the stored type if not `scaled`.

    Raises:
        FileNotFoundError, ValueError: as [`nifti_header`] does.
        ValueError: there are fewer or more values than the header says, the checksum of a compressed file differs, the
            mask has another shape, or the file is a single volume where a mask or frames ask for a series.
    """
    path = Path(path)
    header = nifti_header(path)
    if len(header.shape) == 3 and (mask is not None or frames is not None):
        raise ValueError(
            f"{path} is a single volume {header.shape} where a series [x, y, z, frames] is expected: give the series, "
            "or read the volume without mask and frames"
        )
    places = None if mask is None else _places(mask, header, path)
    wanted = _wanted_frames(header, frames, path)
    dtype = np.dtype(np.float32) if scaled else header.dtype.newbyteorder("=")
    num_values = math.prod(header.shape[:3]) if places is None else len(places)
    try:
        values = np.empty((len(wanted), num_values), dtype)
        for index, frame in enumerate(_stored_frames(path, header, wanted)):
            values[index] = _scale(frame if places is None else frame[places], header, dtype)
    except MemoryError as error:
        raise ValueError(f"{path} declares values {header.shape} that do not fit in memory: use a mask") from error
    if places is not None:
        return values
    # Frame after frame, and within a frame the first axis fastest: a view, in the order of the file.
    volumes = values.T.reshape(*header.shape[:3], len(wanted), order="F")
    return volumes if len(header.shape) == 4 else volumes[..., 0]


def read_mask(path: str | Path, series: str | Path) -> np.ndarray:
    """
    Reads a mask that must lie on the grid of a series.

    Returns:
        `np.ndarray` of shape `(x, y, z)`: whether each voxel is in the mask, that is, greater than zero. (Region files
        of NSD have -1 outside the cortex.)

    Raises:
        FileNotFoundError, ValueError: as [`read_nifti`] does.
        ValueError: shapes or affines of mask and series differ, the mask has several volumes, or no voxel is in it.
    """
    mask, grid = nifti_header(path), nifti_header(series)
    if len(mask.shape) == 4 and mask.shape[3] > 1:
        raise ValueError(
            f"{path} has {mask.shape[3]} volumes and a mask has one: write the one that is meant to a file"
        )
    if mask.shape[:3] != grid.shape[:3]:
        raise ValueError(
            f"{path} has the shape {mask.shape} and {series} has {grid.shape[:3]}: choose the mask of the same space "
            "and resolution"
        )
    if not np.allclose(mask.affine, grid.affine, rtol=0, atol=_AFFINE_TOLERANCE):
        raise ValueError(
            f"{path} has the affine {mask.affine.tolist()} and {series} has {grid.affine.tolist()}: choose the mask "
            "of the same space and resolution"
        )
    inside = read_nifti(path).reshape(mask.shape[:3]) > 0
    if not inside.any():
        raise ValueError(f"{path} has no voxel greater than zero: check that it is a mask")
    return inside


def read_mgh(path: str | Path) -> np.ndarray:
    """
    Reads values of a surface from an MGH file of shape `(vertices, 1, 1, frames)`, such as NSD's fsaverage betas.

    Returns:
        `np.ndarray` of shape `(frames, vertices)`: float32.

    Raises:
        FileNotFoundError, ValueError: as [`read_nifti`] does.
        ValueError: the file is a volume.
    """
    shape = nifti_header(path).shape
    if shape[1:3] != (1, 1):
        raise ValueError(f"{path} has the shape {shape} and not (vertices, 1, 1, frames): read it with `read_nifti`")
    return np.ascontiguousarray(read_nifti(path).reshape(shape[0], -1).T)


def _places(mask: np.ndarray, header: VolumeHeader, path: Path) -> np.ndarray:
    """Positions of the mask's voxels in a stored frame, whose first axis runs fastest; in the mask's C order."""
    if mask.dtype != np.bool_ or mask.shape != header.shape[:3]:
        raise ValueError(
            f"{path} has volumes of shape {header.shape[:3]} and the mask is {mask.dtype} of shape {mask.shape}: give "
            "booleans on the same grid"
        )
    return np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")


def _wanted_frames(header: VolumeHeader, frames: slice | None, path: Path) -> range:
    wanted = range(*(frames or slice(None)).indices(header.shape[3] if len(header.shape) == 4 else 1))
    if wanted.step < 0 or not wanted:
        raise ValueError(f"frames={frames} names no frames, or backwards, of {path} with {header.shape}: change it")
    return wanted


def _stored_frames(path: Path, header: VolumeHeader, wanted: range) -> Iterator[np.ndarray]:
    """The stored numbers of each wanted frame, flat; after the last one, checks that the file ends where it should."""
    frame_bytes = math.prod(header.shape[:3]) * header.dtype.itemsize
    with open_source(path) as file:
        for index in wanted:
            file.seek(header.offset + index * frame_bytes)
            frame = file.read(frame_bytes)
            if len(frame) < frame_bytes:
                raise _wrong_length(path, header, "ends within frame", index)
            yield np.frombuffer(frame, header.dtype)
        reached = file.seek(header.num_bytes)
        surplus = len(file.read(_MGH_TRAILER_BYTES + 1))
    if reached < header.num_bytes:
        raise _wrong_length(path, header, "ends at byte", reached)
    if surplus > (_MGH_TRAILER_BYTES if header.is_mgh else 0):
        raise _wrong_length(path, header, "goes on behind byte", header.num_bytes)


def _wrong_length(path: Path, header: VolumeHeader, what: str, where: int) -> ValueError:
    return ValueError(
        f"{path} {what} {where}, and its header declares {header.shape} values of {header.dtype}, {header.num_bytes} "
        "bytes in all: download it again"
    )


def _scale(stored: np.ndarray, header: VolumeHeader, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # too large for float32 becomes inf, which callers check
        if dtype == np.float32 and (header.slope, header.intercept) != (1.0, 0.0):
            stored = stored * np.float64(header.slope) + header.intercept
        return stored.astype(dtype)


__all__ = ["VolumeHeader", "nifti_header", "read_gifti_series", "read_mask", "read_mgh", "read_nifti"]
