# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What the MATLAB files of Pereira et al. (2018) say: stimuli, voxels, atlases and images, checked and counted from 0.

The files were written by several scripts: labels are rows in some and columns in others, names are nested one level
deeper in some, and everything is counted from 1. Variables are taken by name and laid out flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ...readers.matfiles import mat_shapes, read_mat


_PASSAGES, _TOPICS, _MASK = "labelsPassageForEachSentence", "labelsPassageCategory", "roiMultimask"
_REMEDY = "Compare the file with the publisher's"


@dataclass(frozen=True, slots=True)
class Stimuli:
    """
    What was shown for each image of an experiment. Two files of one experiment are equal in this.

    Args:
        texts (`tuple[str, ...]`):
            Sentence or word of each image.
        passages (`tuple[int, ...]`):
            Passage of each image, counted from 0. Words have one each.
        topics (`tuple[str, ...]`):
            Name of the topic of each passage; empty for words.
    """

    texts: tuple[str, ...]
    passages: tuple[int, ...]
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Voxels:
    """
    Where the columns of a file's images lie.

    Args:
        grid_shape (`tuple[int, ...]`):
            Voxels along x, y and z.
        coordinates (`np.ndarray`):
            int64 `[voxels, 3]`, counted from 0.
        meta (`dict`):
            The file's struct of that name, for [`atlases`].
    """

    grid_shape: tuple[int, ...]
    coordinates: np.ndarray
    meta: dict[str, Any]

    @property
    def grid_index(self) -> np.ndarray:
        """int64 `[voxels]`: places in the volume, in C order."""
        return np.ravel_multi_index(tuple(self.coordinates.T), self.grid_shape)


def image_shape(path: Path, variable: str) -> tuple[int, int]:
    """
    Shape `(images, voxels)` of the images in a file, whose values are not read.

    Raises:
        ValueError: there are none.
    """
    shapes = mat_shapes(path)
    shape = shapes.get(variable, ())
    if len(shape) != 2:
        raise ValueError(f"{path} holds no matrix {variable!r} but {', '.join(shapes)}. {_REMEDY}")
    return shape[0], shape[1]


def read_images(path: Path, variable: str, columns: np.ndarray | None = None) -> np.ndarray:
    """
    Images of a file as float32 `[images, voxels]`; NaN stays.

    Args:
        path (`Path`):
            The file.
        variable (`str`):
            Name of the matrix.
        columns (`np.ndarray`, *optional*):
            Which voxels, in which order. Defaults to all.

    Raises:
        ValueError: they are not numbers.
    """
    values = np.asarray(read_mat(path, [variable])[variable])
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {variable!r} holds {values.dtype} in place of numbers. {_REMEDY}")
    values = values.reshape(image_shape(path, variable))  # of one image or voxel a dimension was left out
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, as bad as NaN
        values = np.ascontiguousarray(values, dtype=np.float32)
    return values if columns is None else values[:, columns]


def read_sentences(path: Path) -> Stimuli:
    """
    Sentences, passages and topics of an experiment.

    Raises:
        ValueError: a variable is missing, or they contradict each other.
    """
    keys, labels = ("keySentences", "keyPassages", "keyPassageCategory"), ("labelsSentences", _PASSAGES, _TOPICS)
    content = read_mat(path, keys + labels)
    sentences, passages, topics = (_texts(content[name], name, path) for name in keys)
    # An image has a sentence, a sentence a passage, a passage a topic.
    shown = _labels(content, "labelsSentences", path, len(sentences), len(sentences))
    passage_of = _labels(content, _PASSAGES, path, len(sentences), len(passages))
    topic_of = _labels(content, _TOPICS, path, len(passages), len(topics))
    if len(set(shown)) < len(sentences):
        raise ValueError(f"{path}: labelsSentences names a sentence twice; each has one image. {_REMEDY}")
    empty = sorted(set(range(len(passages))) - set(passage_of))
    if empty:
        raise ValueError(f"{path}: passages {[number + 1 for number in empty]} have no sentence. {_REMEDY}")
    return Stimuli(
        texts=tuple(sentences[sentence] for sentence in shown),
        passages=tuple(passage_of[sentence] for sentence in shown),
        topics=tuple(topics[topic] for topic in topic_of),
    )


def read_concepts(path: Path) -> Stimuli:
    """
    Words of the experiment with 180 concepts.

    Raises:
        ValueError: a variable is missing, or they contradict each other.
    """
    content = read_mat(path, ("keyConcept", "labelsConcept"))
    words = _texts(content["keyConcept"], "keyConcept", path)
    shown = _labels(content, "labelsConcept", path, len(words), len(words))
    if len(set(shown)) < len(words):
        raise ValueError(f"{path}: labelsConcept names a concept twice; each has one image. {_REMEDY}")
    return Stimuli(texts=tuple(words[word] for word in shown), passages=tuple(shown))


def read_voxels(path: Path, num_voxels: int) -> Voxels:
    """
    Where the voxels of a file lie.

    Args:
        path (`Path`):
            The file.
        num_voxels (`int`):
            Columns of its images.

    Raises:
        ValueError: `meta` has no coordinates, or not one for each voxel, or two voxels share one.
    """
    meta = read_mat(path, ["meta"])["meta"]
    needed = ("colToCoord", "dimx", "dimy", "dimz")
    if not isinstance(meta, dict) or not all(name in meta for name in needed):
        fields = ", ".join(meta) if isinstance(meta, dict) else "no struct"
        raise ValueError(f"{path}: 'meta' lacks one of {', '.join(needed)}; it has {fields}. {_REMEDY}")
    grid_shape = tuple(int(_whole_numbers(meta[name], f"meta.{name}", path, 1, 10_000)[0]) for name in needed[1:])
    shape = np.atleast_2d(meta["colToCoord"]).shape
    if shape != (num_voxels, 3):
        raise ValueError(f"{path}: images have {num_voxels} voxels and meta.colToCoord the shape {shape}. {_REMEDY}")
    numbers = _whole_numbers(meta["colToCoord"], "meta.colToCoord", path, 1, max(grid_shape))
    coordinates = numbers.reshape(shape) - 1
    if (coordinates >= grid_shape).any():
        raise ValueError(f"{path}: meta.colToCoord leaves the volume of {grid_shape} voxels. {_REMEDY}")
    voxels = Voxels(grid_shape, coordinates, meta)
    if len(np.unique(voxels.grid_index)) < num_voxels:
        raise ValueError(f"{path}: meta.colToCoord gives two voxels one coordinate. {_REMEDY}")
    return voxels


def common_columns(voxel_sets: Sequence[Voxels]) -> list[np.ndarray]:
    """
    For each set the columns of those voxels that all sets have, in the order of the first.

    Raises:
        ValueError: the sets lie in different volumes, or share no voxel.
    """
    shapes = sorted({voxels.grid_shape for voxels in voxel_sets})
    if len(shapes) > 1:
        raise ValueError(f"volumes differ ({shapes}), so that voxels cannot be matched: choose one experiment")
    places = [voxels.grid_index for voxels in voxel_sets]
    shared = reduce(np.intersect1d, places)
    if not len(shared):
        raise ValueError("experiments have no voxel in common: choose one of them")
    wanted = places[0][np.isin(places[0], shared)]
    orders = [np.argsort(found) for found in places]
    return [order[np.searchsorted(found, wanted, sorter=order)] for found, order in zip(places, orders, strict=True)]


def atlases(path: Path, voxels: Voxels) -> dict[str, tuple[np.ndarray, list[str]]]:
    """
    For each atlas of a file int16 labels `[voxels]`, 0 for none, and the names of labels 1, 2, ...

    Files `examples_*` have AAL and Gordon, each in fields of its own; files `data_*` have cells of 15 atlases.

    Raises:
        ValueError: an atlas has no label for each voxel, or labels without a name.
    """
    found = {}
    for atlas, rois, mask in _atlas_fields(voxels.meta, path):
        regions = _texts(rois, f"the names of {atlas}", path)
        labels = _whole_numbers(mask, f"the mask of {atlas}", path, 0, len(regions))
        if len(labels) != len(voxels.coordinates):
            raise ValueError(
                f"{path}: the mask of {atlas} labels {len(labels)} of {len(voxels.coordinates)} voxels. {_REMEDY}"
            )
        found[atlas] = labels.astype(np.int16), regions
    return found


def _atlas_fields(meta: dict[str, Any], path: Path) -> list[tuple[str, Any, Any]]:
    """Name, names of regions and mask of each atlas."""
    if "atlases" not in meta:
        own = [field.removeprefix(_MASK) for field in meta if field.startswith(_MASK)]
        return [(atlas, meta.get(f"rois{atlas}"), meta[f"{_MASK}{atlas}"]) for atlas in own]
    shared = _texts(meta["atlases"], "meta.atlases", path)
    rois, masks = (np.atleast_1d(meta.get(field, ())) for field in ("rois", _MASK))
    if not len(shared) == len(rois) == len(masks):
        raise ValueError(
            f"{path}: meta has {len(shared)} atlases, {len(rois)} lists of regions and {len(masks)} masks. {_REMEDY}"
        )
    return list(zip(shared, rois, masks, strict=True))


def _texts(value: Any, name: str, path: Path) -> list[str]:
    """Texts of a cell, whatever its shape and however deep they are nested; an empty cell is an empty text."""

    def flat(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value.strip()]
        if not isinstance(value, np.ndarray) or (value.dtype.kind not in "OU" and value.size):
            raise ValueError(f"{path}: {name} holds {type(value).__name__} in place of text. {_REMEDY}")
        return [text for entry in value.ravel() for text in flat(entry)] if value.size else [""]

    texts = flat(value)
    if "" in texts:
        raise ValueError(f"{path}: text {texts.index('') + 1} of {name} is empty. {_REMEDY}")
    return texts


def _whole_numbers(value: Any, name: str, path: Path, least: int, most: int) -> np.ndarray:
    """Whole numbers of a variable in one row, int64; each must lie between `least` and `most`."""
    values = np.ravel(value)
    if values.dtype.kind not in "fiu" or not len(values):
        raise ValueError(f"{path}: {name} holds {values.dtype} of shape {values.shape} in place of numbers. {_REMEDY}")
    wrong = values[~((values >= least) & (values <= most) & (values == np.trunc(values)))]
    if len(wrong):
        raise ValueError(f"{path}: {name} needs whole numbers from {least} to {most} and has {wrong[0]}. {_REMEDY}")
    return values.astype(np.int64)


def _labels(content: dict[str, Any], name: str, path: Path, number: int, most: int) -> list[int]:
    """`number` labels from 1 to `most`, counted from 0."""
    labels = _whole_numbers(content[name], name, path, 1, most)
    if len(labels) != number:
        raise ValueError(f"{path}: {name} has {len(labels)} labels for {number}. {_REMEDY}")
    return (labels - 1).tolist()


__all__ = [
    "Stimuli",
    "Voxels",
    "atlases",
    "common_columns",
    "image_shape",
    "read_concepts",
    "read_images",
    "read_sentences",
    "read_voxels",
]
