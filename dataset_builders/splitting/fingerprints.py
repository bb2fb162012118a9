# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What two rows can have in common, as numbers that are equal where rows are alike.

Each function is linear in what it is given: rows are never compared with one another, only their numbers are. Copies
that are not quite equal are given several numbers, of which near copies share at least one.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, repeat

import numpy as np
import xxhash

from ..schema import Sample


#: Columns of what [`digest_frames`] returns: hash of the values; of the frame after centring and scaling; of the frame
#: in a recording of which every feature was z-scored; and whether the frame varies over its features at all.
EXACT, RESCALED, STANDARDIZED, VARIES = slice(0, 16), slice(16, 24), slice(24, 32), slice(32, 33)
_DIGEST_BYTES = 33
# Near copies are compared at so many features, rounded to this share of a standard deviation: a float32 copy changes
# the hash of one frame in a hundred, and two frames of one slow recording still differ.
_COMPARED_FEATURES = 64
_ROUNDED_TO = 0.02
# Fewer values than these are alike by chance once they are standardised.
_LEAST_FEATURES, _LEAST_FRAMES = 16, 16
# Two recordings lie further apart than any gap, in frames.
_APART = 1 << 20


def digest_frames(values: np.ndarray) -> np.ndarray:
    """
    Hashes of every frame of a recording, by which copies are found without keeping the values.

    Args:
        values (`np.ndarray`):
            The recording, `[frames, features]`, float16 or float32. It may hold NaN.

    Returns:
        `np.ndarray`: uint8 `[frames, 33]`. `[:, EXACT]` is a hash of the values as float32. `[:, RESCALED]` is the
        same for `a * frame + b` with `a > 0`; `[:, STANDARDIZED]` for a recording each of whose features was shifted
        and scaled, as z-scores are. These two are 0 where there are too few features or frames to tell.
    """
    values = np.asarray(values)  # a mapped file is slower to index
    digests = np.zeros((len(values), _DIGEST_BYTES), np.uint8)
    digests[:, EXACT] = _hashes((np.ascontiguousarray(frame, np.float32) for frame in values), 16)
    digests[:, VARIES] = (np.fmin.reduce(values, axis=1) < np.fmax.reduce(values, axis=1))[:, None]
    if values.shape[1] >= _LEAST_FEATURES:
        chosen = np.linspace(0, values.shape[1] - 1, min(values.shape[1], _COMPARED_FEATURES)).astype(int)
        some = values[:, chosen].astype(np.float64)
        digests[:, RESCALED] = _standardized_hashes(some, axis=1)
        if len(values) >= _LEAST_FRAMES:
            digests[:, STANDARDIZED] = _standardized_hashes(some, axis=0)
    return digests


def _hashes(rows: Iterable[np.ndarray], size: int) -> np.ndarray:
    """uint8 `[rows, size]` of contiguous rows; `size` is 8 or 16. Nobody plants collisions, so a fast hash will do."""
    digest = xxhash.xxh3_128_digest if size == 16 else xxhash.xxh3_64_digest
    return np.frombuffer(b"".join(digest(row.data) for row in rows), np.uint8).reshape(-1, size)


def _standardized_hashes(values: np.ndarray, axis: int) -> np.ndarray:
    """Hashes uint8 `[frames, 8]` of values standardised along an axis and rounded; 0 where nothing varies."""
    finite = np.isfinite(values)
    mean = np.sum(values, axis, where=finite, keepdims=True) / np.maximum(finite.sum(axis, keepdims=True), 1)
    centred = np.where(finite, values - mean, 0)
    deviation = centred.std(axis, keepdims=True)
    steps = np.divide(centred, deviation * _ROUNDED_TO, out=np.zeros_like(centred), where=deviation > 0)
    rounded = np.rint(steps).astype(np.int16, order="C")
    return np.where(rounded.any(1)[:, None], _hashes(rounded, 8), 0)


def codes(values: Iterable[Hashable]) -> np.ndarray:
    """Numbers from 0, equal for equal values, int64 `[values]`."""
    known: defaultdict[Hashable, int] = defaultdict(count().__next__)
    return np.fromiter(map(known.__getitem__, values), np.int64)


def words_of(text: str) -> list[str]:
    """The words of a text, whatever its case and punctuation."""
    return re.findall(r"\w+", text.casefold())


def near_keys(sequences: Sequence[Sequence[Hashable]]) -> tuple[np.ndarray, np.ndarray]:
    """
    Numbers that two sequences share if one becomes the other when one member is added, left out, exchanged or moved.

    A sequence has a number for the whole of it, and one for what is left without each of its members.

    Args:
        sequences (`Sequence[Sequence]`):
            For example the words of each text.

    Returns:
        `tuple`: int64 `[entries]`, which sequence; and uint64 `[entries]`, its number.
    """
    lengths = np.array([len(members) for members in sequences], dtype=np.int64)
    owner = np.repeat(np.arange(len(sequences)), lengths)
    member = codes(chain.from_iterable(sequences))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # The hash of a sequence is the sum of number[member] * base**place, modulo 2^64.
    generator = np.random.default_rng(0)
    base = generator.integers(2**63, 2**64, dtype=np.uint64) | np.uint64(1)
    powers = np.multiply.accumulate(np.full(place.max(initial=0) + 2, base))
    numbers = generator.integers(2**64, size=member.max(initial=0) + 1, dtype=np.uint64)[member]
    here, shifted = _sums_before(numbers * powers[place + 1], owner), _sums_before(numbers * powers[place], owner)
    ends = np.cumsum(lengths) - 1
    filled = np.flatnonzero(lengths)
    whole = (here + numbers * powers[place + 1])[ends[filled]]
    # Without a member, those after it move up by one place.
    after = (shifted + numbers * powers[place])[ends[owner]] - (shifted + numbers * powers[place])
    return np.concatenate([filled, owner]), np.concatenate([whole, here + after])


def run_keys(sequences: Sequence[Sequence[Hashable]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of all runs of so many members: int64 `[entries]`, which sequence; and int64 `[entries]`, its number."""
    lengths = np.array([len(members) for members in sequences], dtype=np.int64)
    owner = np.repeat(np.arange(len(sequences)), lengths)
    member = codes(chain.from_iterable(sequences))
    generator = np.random.default_rng(0)
    numbers = generator.integers(2**64, size=member.max(initial=0) + 1, dtype=np.uint64)[member]
    base = generator.integers(2**63, 2**64, dtype=np.uint64) | np.uint64(1)
    count = max(len(owner) - length + 1, 0)
    sums = np.zeros(count, np.uint64)
    for start in range(length):
        sums = sums * base + numbers[start : start + count]
    within = np.flatnonzero(owner[:count] == owner[length - 1 :][:count])
    return owner[within], np.unique(sums[within], return_inverse=True)[1]


def _sums_before(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """For each entry, the sum of the entries of its owner that stand before it."""
    sums = np.cumsum(values, dtype=np.uint64) - values
    first = np.searchsorted(owner, owner)
    return sums - sums[first]


@dataclass(frozen=True, slots=True)
class FrameTable:
    """
    The frames of all rows, one entry for each frame of each row.

    Args:
        rows (`np.ndarray`):
            int64 `[entries]`: the row.
        recordings (`np.ndarray`):
            int64 `[entries]`: number of the recording, by [`codes`].
        frames (`np.ndarray`):
            int64 `[entries]`: number of the frame in its recording.
        times (`np.ndarray`):
            float64 `[entries]`: seconds of the stimulus clock; NaN where the stimulus has none.
    """

    rows: np.ndarray
    recordings: np.ndarray
    frames: np.ndarray
    times: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "FrameTable":
        """The table of some rows."""
        rows = np.repeat(np.arange(len(samples)), [len(sample.frames) for sample in samples])
        frames = np.fromiter(chain.from_iterable(sample.frames for sample in samples), np.int64)
        clocks = (sample.frame_times or repeat(np.nan, len(sample.frames)) for sample in samples)
        times = np.fromiter(chain.from_iterable(clocks), np.float64)
        return cls(rows, codes(sample.recording for sample in samples)[rows], frames, times)

    @property
    def places(self) -> np.ndarray:
        """int64 `[entries]`: a number for each frame of each recording; recordings lie far apart."""
        return self.recordings * (self.frames.max(initial=0) + _APART) + self.frames

    def entries_by_recording(self, samples: Sequence[Sample]) -> Iterator[tuple[str, np.ndarray]]:
        """Each `recording_id` of these rows, with the numbers of its entries."""
        order = np.argsort(self.recordings, kind="stable")
        for entries in np.split(order, np.flatnonzero(np.diff(self.recordings[order])) + 1):
            if len(entries):
                yield samples[self.rows[entries[0]]].recording, entries

    def seconds_per_frame(self) -> np.ndarray:
        """float64 `[entries]`: the repetition time of the recording; NaN where the stimulus has no clock."""
        steps, seconds = np.diff(self.frames), np.diff(self.times)
        known = (np.diff(self.recordings) == 0) & (steps > 0) & (seconds > 0)
        recordings, first = np.unique(self.recordings[1:][known], return_index=True)
        times = np.full(self.recordings.max(initial=0) + 1, np.nan)
        times[recordings] = (seconds[known] / steps[known])[first]
        return times[self.recordings]


def distances(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each place is from the nearest of some others, int64 `[places]`."""
    if not len(others):
        return np.full(len(places), np.iinfo(np.int64).max)
    others = np.unique(others)
    after = np.searchsorted(others, places)
    before = np.abs(places - others[np.maximum(after - 1, 0)])
    return np.minimum(before, np.abs(places - others[np.minimum(after, len(others) - 1)]))


__all__ = [
    "EXACT",
    "RESCALED",
    "STANDARDIZED",
    "VARIES",
    "FrameTable",
    "codes",
    "digest_frames",
    "distances",
    "near_keys",
    "run_keys",
    "words_of",
]
