# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One pass over every recording before anything is written: hashes of its frames, bad voxels, means and deviations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ..schema import Recording
from ..splitting.fingerprints import digest_frames
from .averages import Part
from .storage import checked_values, replacing


_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and summed squared deviation of frames: `count`, `mean` and `squares`, each `[features]` or one."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Those of `[frames, features]`."""
        # In small blocks, so that no copy of the recording is made, and about the first frame, so that single
        # precision suffices within a block however far the values lie from zero.
        first, count = values[0].astype(np.float32), len(values)
        total, squares = np.zeros((2, values.shape[1]))
        for start in range(0, count, _BLOCK):
            block = values[start : start + _BLOCK] - first
            total += block.sum(0)
            squares += np.einsum("ij,ij->j", block, block)
        return cls(count, first + total / count, np.maximum(squares - total**2 / count, 0.0))

    def __add__(self, other: "Moments") -> "Moments":
        # Chan, Golub and LeVeque (1983), equation 2.1: the moments of both sets of frames together.
        count, gap = self.count + other.count, other.mean - self.mean
        squares = self.squares + other.squares + gap**2 * (self.count * other.count / count)
        return Moments(count, self.mean + gap * (other.count / count), squares)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation `[features]` with divisor `count`."""
        return np.sqrt(self.squares / self.count)


@dataclass(frozen=True, slots=True)
class RecordingStatistics:
    """
    What one pass over a recording has found.

    Args:
        digests (`np.ndarray`):
            uint8 `[frames, digest]`, by [`~dataset_builders.splitting.fingerprints.digest_frames`].
        not_finite (`np.ndarray`):
            bool `[features]`: voxels with NaN or infinity in any frame.
        moments ([`Moments`]):
            Of the frames that statistics are fitted on; of all frames if there are none.
        for_training (`bool`):
            Which of the two.
    """

    digests: np.ndarray
    not_finite: np.ndarray
    moments: Moments
    for_training: bool

    def save(self, path: Path) -> None:
        """Writes a safetensors file in one go."""
        state = {"digests": self.digests, "not_finite": self.not_finite, "mean": self.moments.mean}
        state["squares"] = self.moments.squares
        state["counts"] = np.array([self.moments.count, self.for_training])
        with replacing(path) as partial:
            save_file(state, partial)

    @classmethod
    def load(cls, path: Path) -> "RecordingStatistics":
        """The inverse of [`~RecordingStatistics.save`]."""
        state = load_file(path)
        count, for_training = state["counts"].tolist()
        moments = Moments(count, state["mean"], state["squares"])
        return cls(state["digests"], state["not_finite"], moments, bool(for_training))


def compute_recording_statistics(
    recording: Recording, frames: np.ndarray, parts: Sequence[Part] = (), *, folder: Path
) -> RecordingStatistics:
    """
    Reads a recording once, or finds the recording statistics of an earlier, interrupted run.

    Args:
        recording ([`~dataset_builders.schema.Recording`]):
            The recording.
        frames (`np.ndarray`):
            int64: the numbers of its frames that statistics are fitted on; there may be none.
        parts (`Sequence[Part]`, *optional*):
            What is to be kept of it for recordings that are computed from it.
        folder (`Path`):
            Where recording statistics are kept.
    """
    path = folder / f"{recording.recording_id}.safetensors"
    if path.is_file() and all(part.path.is_file() for part in parts):
        return RecordingStatistics.load(path)
    values = checked_values(recording)
    for part in parts:
        part.keep(values)
    not_finite = np.logical_not(np.isfinite(values).all(axis=0))
    if not_finite.all():
        _check_frames(recording, values)
    finite = values[frames] if 0 < len(frames) < len(values) else values
    if not_finite.any():
        finite = np.where(not_finite, 0, finite)
    recording_statistics = RecordingStatistics(
        digest_frames(values), not_finite, Moments.of(finite), bool(len(frames))
    )
    recording_statistics.save(path)
    return recording_statistics


def _check_frames(recording: Recording, values: np.ndarray) -> None:
    """Raises if frames hold no value at all: they would take every voxel with them."""
    empty = np.flatnonzero(~np.isfinite(values).any(axis=1))
    if 0 < len(empty) < len(values):
        where = ", ".join(map(str, recording.sources)) or recording.recording_id
        raise ValueError(
            f"{where}: {len(empty)} of {len(values)} frames hold no value (the first is {empty[0]}, "
            "counted from 0): take a series in which they are interpolated and not censored, or leave the run out"
        )


__all__ = ["Moments", "RecordingStatistics", "compute_recording_statistics"]
