# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Recordings on disk: each run once, one Arrow file a recording, one row a brain frame.

A file holds a single record batch whose values lie side by side, so that frames are read as views of the mapped file:
no copy, no Python list. The folder is a [`datasets.Dataset`] too: `datasets.load_from_disk` opens it.
"""

import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import DatasetInfo, Features, List, Value
from datasets.utils import tqdm

from ..schema import Recording, Sample


RECORDINGS_DIR = "recordings"


def recording_features(dtype: str) -> Features:
    """The Arrow type of a frame; subjects may differ in the number of features."""
    return Features({"recording": Value("string"), "values": List(Value(dtype))})


def recording_file(folder: Path, recording_id: str) -> Path:
    """Where the frames of a recording lie."""
    return folder / f"{recording_id}.arrow"


def write_recording(path: Path, recording_id: str, values: np.ndarray) -> None:
    """
    Writes the frames of one recording; the file appears when it is complete, so that a kill leaves no half of it.

    Args:
        path (`Path`):
            The file.
        recording_id (`str`):
            Goes into every row.
        values (`np.ndarray`):
            `[frames, features]`, float16 or float32.
    """
    ends = np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"recording {recording_id} has {ends[-1]} values; one recording holds at most 2^31 - 1")
    schema = recording_features(values.dtype.name).arrow_schema
    frames = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values.ravel()))
    batch = pa.record_batch([pa.repeat(recording_id, len(values)), frames], schema=schema)
    with (
        replacing(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        writer.write_batch(batch)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A file to write beside `path`, which it replaces at the end; nothing is left of a failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_recording(path: Path) -> np.ndarray:
    """The frames `[frames, features]` of a file of [`write_recording`], as a view of the mapped file."""
    table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    frames = table.column("values").chunk(0)
    return frames.flatten().to_numpy(zero_copy_only=True).reshape(len(frames), -1)


class RecordingFolder:
    """
    The recordings of a prepared corpus, opened when they are first needed.

    Args:
        folder (`Path`):
            Its `recordings` folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._opened: dict[str, np.ndarray] = {}

    def __getitem__(self, recording_id: str) -> np.ndarray:
        if recording_id not in self._opened:
            self._opened[recording_id] = read_recording(recording_file(self.folder, recording_id))
        return self._opened[recording_id]

    def values(self, sample: Sample) -> np.ndarray:
        """Brain values `[frames, features]` of a sample; a view where its frames follow one another."""
        return take_frames(self[sample.recording], sample.frames)


def take_frames(recording: np.ndarray, frames: Sequence[int]) -> np.ndarray:
    """Frames `[frames, features]` of a recording; a view where they follow one another."""
    first, last = frames[0], frames[-1]
    if last - first == len(frames) - 1 and all(b - a == 1 for a, b in pairwise(frames)):
        return recording[first : last + 1]
    return recording[list(frames)]


def write_dataset_files(folder: Path, recordings: Iterable[Recording], dtype: str) -> None:
    """Writes what makes the folder of recordings one that `datasets.load_from_disk` opens."""
    names = [f"{recording.recording_id}.arrow" for recording in recordings]
    DatasetInfo(features=recording_features(dtype)).write_to_directory(str(folder))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "recordings",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=2, sort_keys=True), encoding="utf-8")


def _leave_with_parent(parent: int) -> None:
    """Ends a worker whose parent was killed: it would wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_over(
    function: Callable[..., Any], num_proc: int | None, description: str, *arguments: Sequence[Any]
) -> list[Any]:
    """Results of a picklable function for the first arguments, the second, ..., as [`map`]; in processes if asked."""
    count = len(arguments[0])
    bar = {"desc": description, "total": count, "disable": count < 2}
    if num_proc is None or num_proc < 2 or count < 2:
        return list(tqdm(map(function, *arguments), **bar))
    with ProcessPoolExecutor(min(num_proc, count), initializer=_leave_with_parent, initargs=(os.getpid(),)) as pool:
        return list(tqdm(pool.map(function, *arguments), **bar))


def checked_values(recording: Recording) -> np.ndarray:
    """
    Reads a recording.

    Raises:
        ValueError: the values are not what was announced: another shape, or not numbers.
    """
    values = recording.read()
    expected = (recording.num_frames, recording.num_features)
    where = ", ".join(map(str, recording.sources)) or recording.recording_id
    if values.shape != expected:
        raise ValueError(f"{where}: expected values of shape {expected} [frames, features], found {values.shape}")
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{where}: expected numbers, found values of type {values.dtype}")
    return values


__all__ = [
    "RECORDINGS_DIR",
    "RecordingFolder",
    "checked_values",
    "read_recording",
    "recording_features",
    "recording_file",
    "replacing",
    "run_over",
    "take_frames",
    "write_dataset_files",
    "write_recording",
]
