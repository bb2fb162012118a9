# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
HDF5 files of strangers, read without trusting libhdf5.

HDF5 can name other files in place of values, by external links, external storage and virtual datasets, and libhdf5
then reads those without a word: all of them are refused. libhdf5 can also crash on a damaged file. So it never runs in
this process: another one ([`hdf5_process`]) looks at each file first, and reads what is chunked or compressed. Values
that lie in one piece, as most files have them, are read from the file directly.

Only a checksum can show that a value was altered, and HDF5 has none by default: pass the publisher's MD5 to
[`~dataset_builders.readers.sources.check_source`] where there is one.
"""

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .hdf5_process import ask_libhdf5
from .sources import check_source


# What stands between brackets: integers, slices and an ellipsis, or a tuple of these.
Selection = Any
# Where a part goes in the array of the selection, and the indices of the dataset along each axis that it is.
_Part = tuple[tuple[slice, ...], tuple[range, ...]]

_SECONDS = 5
_SLOWEST_BYTES_PER_SECOND = 1_000_000
_PIECE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class _Dataset:
    """`offset` is where the values begin if they lie in one piece, and `refusal` says why they are not read, if so."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int | None
    chunks: tuple[int, ...] | None
    refusal: str


def hdf5_shapes(path: str | Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """
    Shape and type of every dataset of a file, by full name such as `"/data"`. No values are read.

    Datasets that [`read_hdf5`] refuses for their type are listed as well: a file may hold what nobody asks for.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without its content.
        ValueError: the file is not HDF5, is cut short or damaged so that libhdf5 fails, crashes or hangs, refers to
            other files, or declares more values than it can hold.
    """
    return {name: (dataset.shape, dataset.dtype) for name, dataset in _inspect(path).items()}


def read_hdf5(path: str | Path, name: str, selection: Selection = ...) -> np.ndarray:
    """
    Reads one dataset, or a part of it.

    Args:
        path (`str` or `Path`):
            The file.
        name (`str`):
            Name of the dataset; `"data"` and `"/data"` are the same.
        selection (*optional*):
            Integers, slices with positive steps and an ellipsis, as in `np.s_[:, 10:20]`. Only this part is taken into
            memory (but whole rows of the first axis where values lie in one piece).

    Returns:
        `np.ndarray`: shaped as the selection of an array is, in the file's type and the machine's byte order.

    Raises:
        FileNotFoundError, ValueError: as [`hdf5_shapes`] does.
        ValueError: there is no such dataset (those that exist are named), the selection does not fit, the values are
            not plain numbers, are compressed by an unknown filter, were never written, or cannot be read.
    """
    path = Path(path)
    dataset = _dataset(path, name)
    chosen, dropped = _chosen(selection, dataset.shape, f"{path}, {name!r}")
    values = np.empty([len(indices) for indices in chosen], dataset.dtype.newbyteorder("="))
    if values.size and dataset.offset is not None:
        _fill_directly(values, chosen, dataset, path)
    elif values.size:
        _fill_by_libhdf5(values, _parts(chosen, dataset), dataset, path)
    return values.reshape([len(indices) for axis, indices in enumerate(chosen) if axis not in dropped])


def read_hdf5_voxels(path: str | Path, name: str, mask: np.ndarray) -> np.ndarray:
    """
    Reads the chosen voxels of a dataset whose first axis are frames.

    Where each voxel is a chunk of its own, as in NSD's betas, only the chunks of the chosen voxels are read.

    Args:
        path (`str` or `Path`):
            The file.
        name (`str`):
            Name of a dataset of shape `(frames, *mask.shape)`.
        mask (`np.ndarray`):
            The voxels that are wanted, as booleans, with the axes of the dataset. (NSD's HDF5 files have the axes of
            its NIfTI files in reverse: pass `mask.T`.)

    Returns:
        `np.ndarray` of shape `(frames, voxels)`: in the C order of the mask, in the type of the file.

    Raises:
        FileNotFoundError, ValueError: as [`read_hdf5`] does.
        ValueError: the mask does not have the shape of a frame.
    """
    path = Path(path)
    dataset = _dataset(path, name)
    num_frames, *frame = dataset.shape or (0,)
    if mask.dtype != np.bool_ or list(mask.shape) != frame:
        raise ValueError(
            f"{path} has frames of shape {frame} in {name!r} and the mask is {mask.dtype} of shape {mask.shape}: give "
            "booleans with the axes of the dataset"
        )
    values = np.empty((num_frames, np.count_nonzero(mask)), dataset.dtype.newbyteorder("="))
    if dataset.chunks and math.prod(dataset.chunks[1:]) == 1:
        _fill_by_libhdf5(values, _voxel_parts(mask, num_frames), dataset, path)
        return values
    num_rows = max(1, _PIECE_BYTES // max(1, mask.size * dataset.dtype.itemsize))
    if dataset.chunks:
        num_rows = -(-num_rows // dataset.chunks[0]) * dataset.chunks[0]
    for start in range(0, num_frames, num_rows):
        piece = slice(start, start + num_rows)
        values[piece] = read_hdf5(path, name, piece)[:, mask]
    return values


def _dataset(path: Path, name: str) -> _Dataset:
    """One dataset that may be read."""
    datasets = _inspect(path)
    name = "/" + name.strip("/")
    if name not in datasets:
        raise ValueError(f"{path} has no dataset {name!r}: choose from {', '.join(sorted(datasets)) or 'none'}")
    if datasets[name].refusal:
        raise ValueError(f"{path}: the dataset {name!r} is not read, because {datasets[name].refusal}")
    return datasets[name]


def _inspect(path: str | Path) -> dict[str, _Dataset]:
    path = check_source(path)
    status = path.stat()
    return _inspect_once(str(path.absolute()), status.st_size, status.st_ctime_ns)


@lru_cache(maxsize=4096)
def _inspect_once(path: str, size: int, ctime_ns: int) -> dict[str, _Dataset]:
    """What a file holds; it is looked at again once its size or its time of change, which nobody can set, differs."""
    answer: list[bytes] = []
    ask_libhdf5({"serve": "inspect", "path": path, "seconds": _SECONDS}, answer.append)
    datasets = {}
    for name, known in json.loads(answer[0]).items():
        dataset = datasets[name] = _Dataset(
            name=name,
            shape=tuple(known["shape"]),
            dtype=np.dtype(known["dtype"]),
            offset=known["offset"],
            chunks=known["chunks"] and tuple(known["chunks"]),
            refusal=known["refusal"],
        )
        end = (dataset.offset or 0) + math.prod(dataset.shape) * dataset.dtype.itemsize
        if dataset.offset is not None and end > size:
            raise ValueError(f"{path} is cut short: {name!r} ends at byte {end} of {size}. Download it again")
    return datasets


def _chosen(selection: Selection, shape: tuple[int, ...], place: str) -> tuple[list[range], set[int]]:
    """The indices chosen of each axis, and the axes that an integer removes."""
    items = list(selection) if isinstance(selection, tuple) else [selection]
    if not all(item is ... or isinstance(item, (int, np.integer, slice)) for item in items) or items.count(...) > 1:
        raise ValueError(f"{place}: the selection {selection} must be of integers, slices and at most one ellipsis")
    missing = len(shape) - sum(item is not ... for item in items)
    ellipsis = items.index(...) if ... in items else len(items)
    items[ellipsis : ellipsis + 1] = [slice(None)] * missing
    chosen, dropped = [], set()
    try:
        for axis, (item, size) in enumerate(zip(items, shape, strict=True)):
            indices = range(size)[item]
            if isinstance(indices, int):
                indices = range(indices, indices + 1)
                dropped.add(axis)
            chosen.append(indices)
    except (IndexError, ValueError) as error:
        raise ValueError(f"{place}: the selection {selection} does not fit the shape {shape}") from error
    if any(indices.step < 0 for indices in chosen):
        raise ValueError(f"{place}: the selection {selection} runs backwards: take it forwards and reverse the array")
    return chosen, dropped


def _fill_directly(values: np.ndarray, chosen: list[range], dataset: _Dataset, path: Path) -> None:
    """Reads values that lie in one piece, row by row of the first axis, without libhdf5."""
    if not chosen:  # a single number
        values, chosen, dataset = values.reshape(1), [range(1)], replace(dataset, shape=(1,))
    rows, *others = chosen
    row_bytes = math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    num_rows = max(1, _PIECE_BYTES // (row_bytes * rows.step))
    with path.open("rb") as file:
        for start in range(0, len(rows), num_rows):
            piece = rows[start : start + num_rows]
            file.seek((dataset.offset or 0) + piece[0] * row_bytes)
            num_bytes = (piece[-1] - piece[0] + 1) * row_bytes
            raw = file.read(num_bytes)
            if len(raw) != num_bytes:
                raise ValueError(f"{path} was cut short while it was read: download it again")
            block = np.frombuffer(raw, dataset.dtype).reshape(-1, *dataset.shape[1:])
            values[start : start + len(piece)] = block[(slice(None, None, rows.step), *map(_as_slice, others))]


def _fill_by_libhdf5(values: np.ndarray, parts: list[_Part], dataset: _Dataset, path: Path) -> None:
    """Has the other process read parts of a dataset that is chunked, compressed or within its header."""
    targets = iter(parts)

    def copy(block: bytes) -> None:
        target, _ = next(targets)
        values[target] = np.frombuffer(block, dataset.dtype).reshape(values[target].shape)

    slabs = [[[axis.start, axis.stop, axis.step] for axis in slab] for _, slab in parts]
    seconds = _SECONDS + values.nbytes // _SLOWEST_BYTES_PER_SECOND
    request = {"serve": "read", "path": str(path.absolute()), "name": dataset.name, "slabs": slabs}
    ask_libhdf5(request | {"seconds": seconds}, copy)


def _parts(chosen: list[range], dataset: _Dataset) -> list[_Part]:
    """Cuts a selection along the axis with the most chunks, so that parts are small and no chunk is read twice."""
    if not chosen:
        return [((), ())]
    chunks = dataset.chunks or dataset.shape
    axis = max(range(len(chosen)), key=lambda axis: len(chosen[axis]) / chunks[axis])
    row_bytes = math.prod(map(len, chosen)) // len(chosen[axis]) * dataset.dtype.itemsize
    rows = max(chunks[axis], _PIECE_BYTES // row_bytes // chunks[axis] * chunks[axis])
    before, after = chosen[:axis], chosen[axis + 1 :]
    return [
        ((*[slice(None)] * axis, slice(start, start + rows)), (*before, chosen[axis][start : start + rows], *after))
        for start in range(0, len(chosen[axis]), rows)
    ]


def _voxel_parts(mask: np.ndarray, num_frames: int) -> list[_Part]:
    """One part for every run of neighbouring voxels along the last axis of the mask."""
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(1, 1)]).astype(np.int8)
    edges = np.diff(padded, axis=-1)
    starts, stops = np.argwhere(edges == 1).tolist(), np.argwhere(edges == -1)[:, -1].tolist()
    parts, done = [], 0
    for (*place, start), stop in zip(starts, stops, strict=True):
        target = slice(done, done + stop - start)
        slab = (range(num_frames), *(range(index, index + 1) for index in place), range(start, stop))
        parts.append(((slice(None), target), slab))
        done = target.stop
    return parts


def _as_slice(indices: range) -> slice:
    return slice(indices.start, indices.stop, indices.step)


__all__ = ["hdf5_shapes", "read_hdf5", "read_hdf5_voxels"]
