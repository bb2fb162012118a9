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
from itertools import pairwise
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

    def take_rows(self, recordings: Sequence[str], ends: np.ndarray, frames: np.ndarray) -> list[np.ndarray]:
        """Frames `[frames, features]` of rows: of row i `frames[ends[i] : ends[i + 1]]` of its recording."""
        # How often frames did not follow one another, up to each: the same at both ends of a whole stretch.
        breaks = np.append(0, np.cumsum(np.diff(frames) != 1))
        last = np.maximum(ends[1:], 1) - 1
        whole = (breaks[ends[:-1].clip(max=len(breaks) - 1)] == breaks[last]) & (np.diff(ends) > 0)
        rows = zip(recordings, whole.tolist(), ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        numbers, result = frames.tolist(), []
        for name, is_whole, start, end in rows:
            pieces = self._pieces.get(name, ())
            if is_whole and len(pieces) == 1 and numbers[start] >= 0 and numbers[end - 1] < len(pieces[0]):
                result.append(pieces[0][numbers[start] : numbers[end - 1] + 1])
            else:
                result.append(self.take(name, frames[start:end]))
        return result


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
        # A shuffled batch comes in pieces of one row each: put together once, they are quicker to make objects of.
        if BRAIN_VALUES not in pa_table.column_names:
            return super().format_batch(pa_table.combine_chunks())
        others = super().format_batch(pa_table.drop_columns([BRAIN_VALUES]).combine_chunks())
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
        if not len(column):
            return []
        places = pa.concat_arrays(column.chunks)
        names, frames = places.field("recording"), places.field("frames")
        ends = frames.offsets.to_numpy()
        return open_recordings(self.recordings).take_rows(
            names.to_numpy(zero_copy_only=False).tolist(), ends - ends[0], frames.flatten().to_numpy()
        )


def _arrays_of(lists: pa.ListArray) -> list[np.ndarray]:
    """One array for each list: `[features]` of a list of numbers, `[frames, features]` of a list of lists."""
    ends, inner = lists.offsets.to_numpy().tolist(), lists.values
    if isinstance(inner, pa.FixedSizeListArray):
        # One view of all frames of the piece, whichever rows of it are asked for.
        flat = _matrix(inner)
        return [flat[start:end] for start, end in pairwise(ends)]
    if isinstance(inner, pa.ListArray):
        return [_matrix(inner.slice(start, end - start)) for start, end in pairwise(ends)]
    numbers = inner.to_numpy(zero_copy_only=True)
    return [numbers[start:end] for start, end in pairwise(ends)]


def _matrix(frames: pa.ListArray | pa.FixedSizeListArray) -> np.ndarray:
    """Lists of one length as `[frames, features]`, without a copy."""
    if isinstance(frames, pa.FixedSizeListArray) and not frames.null_count:
        width, numbers = frames.type.list_size, frames.values.to_numpy(zero_copy_only=True)
        return numbers.reshape(-1, width)[frames.offset : frames.offset + len(frames)]
    ends = frames.offsets.to_numpy()
    lengths = np.diff(ends)
    if frames.null_count or (len(lengths) and (lengths != lengths[0]).any()):
        raise ValueError(
            f"the frames of a brain sample must all have the same number of features; found "
            f"{sorted(set(frames.value_lengths().to_pylist()), key=str)}"
        )
    numbers = frames.values.to_numpy(zero_copy_only=True)[ends[0] : ends[-1]]
    return numbers.reshape(len(frames), -1)


_register_formatter(BrainFormatter, BRAIN_FORMAT)


__all__ = ["BRAIN_FORMAT", "BrainFormatter", "RecordingTable", "recording_files", "with_brain_arrays"]
