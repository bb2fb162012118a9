# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Rows whose brain values are NumPy arrays, without a copy: the format "brain" of `datasets`.

    >>> rows = with_brain_arrays(load_from_disk("corpus")["train"])
    >>> rows[0]["brain_values"].shape
    (4, 1000)

A row holds its frames, or refers to those of a recording that is stored once. Both become `[frames, features]` in the
type in which they are stored, as a view of the mapped Arrow file wherever frames follow one another. The NumPy format
of `datasets` would copy each row and make float16 into float32; its plain format would make lists of Python numbers.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from datasets.formatting import PythonFormatter, _register_formatter


BRAIN_FORMAT = "brain"
BRAIN_VALUES = "brain_values"
RECORDINGS = "recordings"


class RecordingFiles(tuple):
    """
    Arrow files of recordings, perhaps none, as they stand in the format of rows.

    A class of this file, so that a process that unpickles such rows (a spawned worker of a `DataLoader`) imports it,
    and with it knows the format.
    """

    __slots__ = ()


Rows = TypeVar("Rows", Dataset, DatasetDict)


def with_brain_arrays(rows: Rows, recordings: Sequence[str] | None = None) -> Rows:
    """
    Rows (or splits of rows) in the format "brain"; those that are so already are left as they are.

    Args:
        rows ([`~datasets.Dataset`] or [`~datasets.DatasetDict`]):
            Rows of a corpus.
        recordings (`Sequence[str]`, *optional*):
            Arrow files of the recordings, by [`recording_files`], for rows that refer to them.
    """
    some = next(iter(rows.values())) if isinstance(rows, DatasetDict) else rows
    if some.format["type"] == BRAIN_FORMAT:
        return rows
    files = RecordingFiles(recordings or ())
    return cast("Rows", rows.with_format(BRAIN_FORMAT, recordings=files))


def recording_files(dataset: str) -> list[str] | None:
    """
    Arrow files of the recordings of a prepared corpus.

    Args:
        dataset (`str`):
            Folder written by `examples/prepare_dataset.py`, or a Hub id with a configuration named `recordings`.
    """
    folder = Path(dataset)
    if folder.is_dir():
        if not (folder / RECORDINGS).is_dir():
            return None
        found = cast("Dataset", load_from_disk(str(folder / RECORDINGS)))
    else:
        found = load_dataset(dataset, RECORDINGS, split="train")
    return [file["filename"] for file in found.cache_files]


class RecordingTable:
    """
    Recordings in Arrow files, one row a frame, found by name.

    Args:
        files (`Sequence[str]`):
            Arrow files with the columns `recording` and `values`.
    """

    def __init__(self, files: Sequence[str]):
        # For each recording the number of its first frame in each piece, and the piece `[frames, features]`.
        self._starts: dict[str, list[int]] = defaultdict(list)
        self._pieces: dict[str, list[np.ndarray]] = defaultdict(list)
        for file in files:
            for batch in pa.ipc.open_stream(pa.memory_map(file)).read_all().to_batches():
                self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        runs = pc.run_end_encode(batch.column("recording"))  # ty: ignore[missing-attribute] - made at import
        start = 0
        for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            pieces = self._pieces[name]
            self._starts[name].append(sum(map(len, pieces)))
            pieces.append(_matrix(batch.column("values").slice(start, end - start)))
            start = end

    def take(self, recording: str, frames: np.ndarray) -> np.ndarray:
        """Frames `[frames, features]`; a view where they follow one another."""
        if recording not in self._pieces:
            raise KeyError(f"no recording {recording!r} among those of the corpus; prepare it again")
        pieces, starts = self._pieces[recording], self._starts[recording]
        number = starts[-1] + len(pieces[-1])
        if len(frames) == 0 or frames.min() < 0 or frames.max() >= number:
            raise ValueError(
                f"a row refers to the frames {frames.tolist()} of the recording {recording!r}, which has the frames "
                f"0..{number - 1}; prepare the corpus again"
            )
        first, last = int(frames[0]), int(frames[-1])
        place = bisect_right(starts, first) - 1
        within = last < starts[place] + len(pieces[place])
        if within and last - first == len(frames) - 1 and (np.diff(frames) == 1).all():
            return pieces[place][first - starts[place] : last + 1 - starts[place]]
        if len(pieces) == 1:
            return pieces[0][frames]
        return np.stack([self.take(recording, frames[i : i + 1])[0] for i in range(len(frames))])


@lru_cache(maxsize=8)
def open_recordings(files: tuple[str, ...]) -> RecordingTable:
    """The recordings of a corpus, opened once a process."""
    return RecordingTable(files)


class BrainFormatter(PythonFormatter):
    """Formats `brain_values` as arrays, and every other column as Python objects."""

    def __init__(self, features: Any = None, recordings: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init__(features=features, **kwargs)
        self.recordings = tuple(recordings or ())

    def format_row(self, pa_table: pa.Table) -> Mapping:
        return {name: column[0] for name, column in self.format_batch(pa_table).items()}

    def format_column(self, pa_table: pa.Table) -> list:
        name = pa_table.column_names[0]
        if name == BRAIN_VALUES:
            return self._arrays(pa_table.column(0))
        return super().format_column(pa_table)

    def format_batch(self, pa_table: pa.Table) -> Mapping:
        if BRAIN_VALUES not in pa_table.column_names:
            return super().format_batch(pa_table)
        others = super().format_batch(pa_table.drop_columns([BRAIN_VALUES]))
        arrays = self._arrays(pa_table.column(BRAIN_VALUES))
        return {name: arrays if name == BRAIN_VALUES else others[name] for name in pa_table.column_names}

    def _arrays(self, column: pa.ChunkedArray) -> list[np.ndarray]:
        if pa.types.is_struct(column.type):
            return self._looked_up(column)
        return [array for chunk in column.chunks for array in _arrays_of(chunk)]

    def _looked_up(self, column: pa.ChunkedArray) -> list[np.ndarray]:
        if not self.recordings:
            raise ValueError(
                "These rows refer to recordings that are stored apart. Load the corpus with "
                "`trainers.data.corpora.load_corpus_splits`, or give their files to `with_brain_arrays`."
            )
        table = open_recordings(self.recordings)
        return [
            table.take(name, frames)
            for chunk in column.chunks
            for name, frames in zip(
                chunk.field("recording").to_pylist(), _arrays_of(chunk.field("frames")), strict=True
            )
        ]


def _arrays_of(lists: pa.ListArray) -> list[np.ndarray]:
    """One array for each list: `[features]` of a list of numbers, `[frames, features]` of a list of lists."""
    ends = np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False)).tolist()
    inner = lists.flatten()
    pairs = list(zip([0, *ends[:-1]], ends, strict=True))
    if not pa.types.is_list(inner.type) and not pa.types.is_fixed_size_list(inner.type):
        flat = inner.to_numpy(zero_copy_only=True)
    elif pa.types.is_fixed_size_list(inner.type) or len(lists) == 1:
        flat = _matrix(inner)
    else:
        return [_matrix(inner.slice(start, end - start)) for start, end in pairs]
    return [flat[start:end] for start, end in pairs]


def _matrix(frames: pa.ListArray | pa.FixedSizeListArray) -> np.ndarray:
    """Lists of one length as `[frames, features]`, without a copy."""
    lengths = frames.value_lengths() if len(frames) else None
    if lengths is not None and (frames.null_count or pc.min(lengths) != pc.max(lengths)):  # ty: ignore[missing-attribute]
        raise ValueError(
            f"the frames of a brain sample must all have the same number of features; found "
            f"{sorted(set(lengths.to_pylist()), key=str)}"
        )
    return frames.flatten().to_numpy(zero_copy_only=True).reshape(len(frames), -1)


_register_formatter(BrainFormatter, BRAIN_FORMAT)


__all__ = ["BRAIN_FORMAT", "BrainFormatter", "RecordingTable", "recording_files", "with_brain_arrays"]
