# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Recordings that are computed from others, such as averages of repeats.

Each of those others is read once: whoever reads it keeps what is needed of it in a file, and the average is joined
from the files.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ..schema import Recording
from .storage import checked_values, replacing


_PART = "part"


@dataclass(frozen=True, slots=True)
class Part:
    """
    What a average needs of one of its sources.

    Args:
        path (`Path`):
            Where it is kept.
        take (`Callable`):
            Makes it of the values `[frames, features]` of the source.
    """

    path: Path
    take: Callable[[np.ndarray], np.ndarray]

    def keep(self, values: np.ndarray) -> None:
        """Writes it in one go."""
        with replacing(self.path) as partial_file:
            save_file({_PART: np.ascontiguousarray(self.take(values))}, partial_file)

    def load(self) -> np.ndarray:
        """What was kept."""
        return load_file(self.path)[_PART]


def parts_by_source(averages: Iterable[Recording], folder: Path) -> dict[str, list[Part]]:
    """For each `recording_id` that averages are made of, what is to be kept of it in `folder`."""
    parts: dict[str, list[Part]] = {}
    for average in averages:
        for source, part in zip(_sources(average), _parts(average, folder), strict=True):
            parts.setdefault(source.recording_id, []).append(part)
    return parts


def joined_from_parts(average: Recording, folder: Path) -> Recording:
    """The average, to be read from what was kept in `folder`."""
    if average.made_of is None:
        raise ValueError(f"{average.recording_id} is made of no other recording")
    return replace(average, read=partial(_join, average.made_of.join, _parts(average, folder)), made_of=None)


def sources_beside(recordings: Sequence[Recording]) -> list[Recording]:
    """What averages among the recordings are made of, where it is not among the recordings itself."""
    known = {recording.recording_id for recording in recordings}
    found = {source.recording_id: source for average in recordings for source in _sources(average)}
    return [source for recording_id, source in found.items() if recording_id not in known]


def keep_parts(recording: Recording, parts: Sequence[Part]) -> None:
    """Reads a recording for what averages need of it, unless an earlier, interrupted run did."""
    if not all(part.path.is_file() for part in parts):
        values = checked_values(recording)
        for part in parts:
            part.keep(values)


def _sources(recording: Recording) -> tuple[Recording, ...]:
    return () if recording.made_of is None else recording.made_of.sources


def _parts(average: Recording, folder: Path) -> list[Part]:
    takes = () if average.made_of is None else average.made_of.take
    place = folder / f"{average.recording_id}.parts"
    return [Part(place / f"{number:04d}.safetensors", take) for number, take in enumerate(takes)]


def _join(join: Callable[[Iterable[np.ndarray]], np.ndarray], parts: Sequence[Part]) -> np.ndarray:
    return join(part.load() for part in parts)


__all__ = ["Part", "joined_from_parts", "keep_parts", "parts_by_source", "sources_beside"]
