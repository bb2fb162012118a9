# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What brains are aligned with: embeddings of images and of their captions, computed once, as columns of a corpus.

    text_embedding   `[width]`: mean of the embeddings of all captions of the row's image
    text_space       `[16]`: which encoder made it, by [`~trainers.embedders.text_spaces.text_space`]; the same in all
    rows image_embedding  `[width]`: embedding of the image, from a file

They are neither centred nor scaled. Rows of one image have equal embeddings.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from safetensors.numpy import load_file

from ..embedders.text_spaces import PROBE, coordinates_of, is_same_space
from .brain_format import RECORDINGS
from .provenance import CORPUS_FACTS


EMBEDDING_COLUMNS = {"text": "text_embedding", "image": "image_embedding"}
TEXT_SPACE = "text_space"
_BESIDE_THE_ROWS = (CORPUS_FACTS, "README.md", "subjects", RECORDINGS)


def add_text_embeddings(splits: DatasetDict, embed: Callable[[Sequence[str]], np.ndarray]) -> DatasetDict:
    """
    Adds the columns `text_embedding` and `text_space`.

    Args:
        splits ([`~datasets.DatasetDict`]):
            Splits of a corpus; `references` hold the captions of an image, or `completion` the only one.
        embed (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors `[texts, width]`, e.g. [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].

    Raises:
        ValueError: a row has no caption; names it.
    """
    captions = _captions_of_images(splits)
    means, probe = _mean_embeddings(captions, embed)
    return _with_text_space(_with_column(splits, EMBEDDING_COLUMNS["text"], means), probe)


def confirm_text_embeddings(
    splits: DatasetDict, embed: Callable[[Sequence[str]], np.ndarray], num_images: int = 8
) -> DatasetDict:
    """
    Adds the column `text_space` to embeddings that the corpus brings along without it, if they are those of `embed`.

    Args:
        splits ([`~datasets.DatasetDict`]):
            Splits of a corpus with the column `text_embedding`.
        embed (`Callable[[Sequence[str]], np.ndarray]`):
            The encoder that is said to have made it.
        num_images (`int`, *optional*, defaults to 8):
            Images whose captions are embedded again.

    Raises:
        ValueError: the column holds something else.
    """
    column = EMBEDDING_COLUMNS["text"]
    require_embeddings(splits["train"], column)
    rows = splits["train"].select_columns(["group", column]).with_format(None)
    found = dict(zip(rows["group"], rows[column], strict=True))
    captions = _captions_of_images({"train": splits["train"]})
    means, probe = _mean_embeddings({group: captions[group] for group in list(found)[:num_images]}, embed)
    for group, expected in means.items():
        # Their length is free: brains are aligned with directions.
        one, other = (np.asarray(vector, float) for vector in (found[group], expected))
        same_width = len(one) == len(other)
        if not same_width or not is_same_space(one / np.linalg.norm(one), other / np.linalg.norm(other)):
            raise ValueError(
                f"The column `{column}` of image '{group}' is not what `sentence_encoder` makes of its captions"
                f"{'' if same_width else f' (width {len(one)}, expected {len(other)})'}. Name the encoder that made "
                "the column, or remove the column to have captions embedded anew."
            )
    return _with_text_space(splits, probe)


def add_image_embeddings(splits: DatasetDict, embeddings: Mapping[str, np.ndarray]) -> DatasetDict:
    """
    Adds the column `image_embedding`.

    Args:
        splits ([`~datasets.DatasetDict`]):
            Splits of a corpus.
        embeddings (`Mapping[str, np.ndarray]`):
            `[width]` of each image, by its `group` (`"nsd/123"`) or by the last part of it (`"123"`), such as
            [`read_image_embeddings`] gives them.

    Raises:
        ValueError: an image has no embedding; names it.
    """
    groups = dict.fromkeys(group for rows in splits.values() for group in rows["group"])
    keys = {group: group if group in embeddings else group.rpartition("/")[2] for group in groups}
    missing = [group for group, key in keys.items() if key not in embeddings]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(keys)} images have no embedding, the first is '{missing[0]}'; known are "
            f"{list(embeddings)[:3]} and so on ({len(embeddings)} in all). Embed all images of the corpus."
        )
    return _with_column(splits, "image_embedding", {group: embeddings[key] for group, key in keys.items()})


def read_image_embeddings(path: str | Path) -> Mapping[str, np.ndarray]:
    """
    Reads embeddings of images.

    Args:
        path (`str` or `Path`):
            `.safetensors` with a tensor `[width]` for each image, named by its id; or `.npy` with an array `[images,
            width]`, row n that of image n (NSD counts images from 1: its row 0 is then nobody's).

    Raises:
        ValueError: another ending or another shape.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        embeddings = load_file(path)
        shapes = {array.shape for array in embeddings.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"{path} must hold one vector [width] for each image; found shapes {sorted(shapes)}.")
        return embeddings
    if path.suffix != ".npy":
        raise ValueError(f"Image embeddings come as .safetensors or .npy; found '{path}'.")
    array = np.load(path, mmap_mode="r")
    if array.ndim != 2:
        raise ValueError(f"{path} must hold an array [images, width]; found shape {list(array.shape)}.")
    return {str(number): row for number, row in enumerate(array)}


def save_with_targets(splits: DatasetDict, dataset: str | Path, output_dir: str | Path) -> None:
    """
    Writes splits with their new columns as a corpus of its own, with all that lies beside the rows of the old one.

    Args:
        splits ([`~datasets.DatasetDict`]):
            Splits of the corpus, with embeddings.
        dataset (`str` or `Path`):
            Folder of the corpus that they were read from.
        output_dir (`str` or `Path`):
            A folder that does not exist yet.

    Raises:
        FileExistsError: `output_dir` exists.
    """
    source, folder = Path(dataset), Path(output_dir)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already: choose another folder.")
    splits.with_format(None).save_to_disk(folder)
    for path in (source / name for name in _BESIDE_THE_ROWS):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.is_file():
            shutil.copy2(path, folder / path.name)


def stack_embeddings(rows: Iterable[Mapping[str, Any]], column: str) -> np.ndarray:
    """
    Target embeddings float32 `[rows, width]` of some rows.

    Args:
        rows (`Iterable[Mapping]`):
            Rows with `sample_id`, `group` and the column.
        column (`str`):
            One of [`EMBEDDING_COLUMNS`].

    Raises:
        ValueError: a row has no embedding, one of another width than the first, or one that is 0 or not finite, and so
            has no direction; names it.
    """
    vectors: list[np.ndarray] = []
    for row in rows:
        where = f"`{column}` of row '{row['sample_id']}' (image '{row['group']}')"
        if row[column] is None:
            raise ValueError(
                f"{where} is null, and a space is for all rows or for none. Embed this image, or leave its rows "
                "out, or the column."
            )
        vector = np.asarray(row[column], np.float32)
        if vectors and vector.shape != vectors[0].shape:
            raise ValueError(
                f"{where} has the shape {list(vector.shape)}, that of the rows before {list(vectors[0].shape)}. Embed "
                "all images by one model."
            )
        length = float(np.linalg.norm(vector))
        if not 0 < length < float("inf"):
            raise ValueError(
                f"{where} has the length {length}, and so no direction. Compute the embedding of this image again."
            )
        vectors.append(vector)
    return np.stack(vectors)


def require_embeddings(rows: Dataset, column: str) -> None:
    """
    Looks for a row without an embedding before it is met in the middle of training.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a corpus.
        column (`str`):
            One of [`EMBEDDING_COLUMNS`].

    Raises:
        ValueError: a row's embedding is null; names it.
    """
    # Arrow has counted: where there is none, nothing is read.
    if rows.data.column(column).null_count:
        stack_embeddings(rows.with_format(None).select_columns(["sample_id", "group", column]), column)


def target_sizes(rows: Any) -> dict[str, int]:
    """
    Width of the embeddings of each space that rows carry, for [`BrainContrastiveConfig`].

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a corpus.

    Raises:
        ValueError: rows carry none, or one of them none of a space that others have.
    """
    columns = {name: column for name, column in EMBEDDING_COLUMNS.items() if column in rows.column_names}
    for column in columns.values():
        require_embeddings(rows, column)
    sizes = {name: len(rows[0][column]) for name, column in columns.items()}
    if not sizes:
        raise ValueError(
            f"Rows have no column {' or '.join(EMBEDDING_COLUMNS.values())} to align brains with. Name a "
            "`sentence_encoder`, a file of `image_embeddings`, or both."
        )
    return sizes


def text_space_of(rows: Dataset) -> list[float] | None:
    """By which coordinates the encoder of `text_embedding` is known, for [`BrainContrastiveConfig`]; `None` if not."""
    if not {EMBEDDING_COLUMNS["text"], TEXT_SPACE} <= set(rows.column_names):
        return None
    return np.round(np.asarray(rows[0][TEXT_SPACE], float), 4).tolist()


def _captions_of_images(splits: Mapping[Any, Dataset]) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for rows in splits.values():
        some = rows.select_columns(["sample_id", "group", "completion", *_references(rows)]).with_format(None)
        for row in some:
            found = row.get("references") or [row["completion"]]
            if not all(text.strip() for text in found):
                raise ValueError(
                    f"Row '{row['sample_id']}' has no caption, or an empty one: {found}. Drop it when the corpus is "
                    "built, or align with images alone."
                )
            captions.setdefault(row["group"], found)
    return captions


def _mean_embeddings(
    captions: Mapping[str, Sequence[str]], embed: Callable[[Sequence[str]], np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Mean embedding `[width]` of the captions of each image, and the embedding of the probe."""
    vectors = np.asarray(embed([*(text for texts in captions.values() for text in texts), PROBE]), np.float32)
    ends = np.cumsum([len(texts) for texts in captions.values()])
    *parts, (probe,) = np.split(vectors, ends)
    return {group: own.mean(axis=0) for group, own in zip(captions, parts, strict=True)}, probe


def _with_text_space(splits: DatasetDict, probe: np.ndarray) -> DatasetDict:
    space = np.array(coordinates_of(probe))
    return _with_column(splits, TEXT_SPACE, {group: space for rows in splits.values() for group in rows["group"]})


def _references(rows: Dataset) -> list[str]:
    return [name for name in ("references",) if name in rows.column_names]


def _with_column(splits: DatasetDict, name: str, vectors: Mapping[str, np.ndarray]) -> DatasetDict:
    """Splits with a column of vectors, by the `group` of each row, in the format that they had."""
    with_column = {}
    for split, rows in splits.items():
        flat = np.concatenate([np.asarray(vectors[group], np.float32) for group in rows["group"]] or [np.empty(0)])
        width = len(next(iter(vectors.values())))
        column = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), width)
        plain = rows.with_format(None)
        plain = plain.remove_columns(name) if name in plain.column_names else plain
        form = {"type": rows.format["type"], **rows.format["format_kwargs"]}
        with_column[split] = plain.add_column(name, column).with_format(**form)
    return DatasetDict(with_column)


__all__ = [
    "EMBEDDING_COLUMNS",
    "TEXT_SPACE",
    "add_image_embeddings",
    "add_text_embeddings",
    "confirm_text_embeddings",
    "read_image_embeddings",
    "require_embeddings",
    "save_with_targets",
    "stack_embeddings",
    "target_sizes",
    "text_space_of",
]
