# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Which voxels answer most reliably, judged by repeats of training stimuli alone.

A decoder of few recordings does better on voxels that say the same each time a stimulus is repeated. Their choice is a
statistic like any other: made on test images, as a published noise ceiling is, it would look at the answers.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from ..schema import Sample
from .noise_ceiling import signal_to_noise_of_trials


#: Repeated stimuli of a subject that are looked at: 2,000 tell voxels apart, and their sums fit into memory (500 MB at
#: 60,000 voxels). Not published; our choice.
MOST_STIMULI = 2000


def repeated_frames(samples: Iterable[Sample], most: int = MOST_STIMULI) -> dict[str, np.ndarray]:
    """
    Frames in which a subject perceived what the same subject perceived in other frames, too.

    Args:
        samples (`Iterable[Sample]`):
            Those that statistics are fitted on. Frames belong to one stimulus if they were measured at the same time
            of the same story or, where stimuli have no clock, at the same place of samples with the same text.
        most (`int`, *optional*, defaults to 2000):
            Stimuli of a subject at most, spread evenly over all that are repeated.

    Returns:
        `dict`: for each `recording_id` int64 `[frames, 2]`: numbers of frames, and of their stimulus, from 0 for each
        subject.
    """
    by_subject: dict[str, dict[Hashable, set[tuple[str, int]]]] = {}
    for sample in samples:
        stimuli = by_subject.setdefault(sample.subject, {})
        for place, frame in enumerate(sample.frames):
            when = (sample.frame_times[place],) if sample.frame_times else (sample.text, place)
            stimuli.setdefault((sample.stimulus, *when), set()).add((sample.recording, frame))
    found: dict[str, list[tuple[int, int]]] = {}
    for stimuli in by_subject.values():
        repeated = [frames for frames in stimuli.values() if len(frames) > 1]
        chosen = np.unique(np.linspace(0, len(repeated) - 1, min(len(repeated), most)).astype(int))
        for number, row in enumerate(chosen):
            for recording, frame in repeated[row]:
                found.setdefault(recording, []).append((frame, number))
    return {recording: np.array(sorted(rows), dtype=np.int64) for recording, rows in found.items()}


def most_reliable(trials: Iterator[tuple[np.ndarray, np.ndarray]], num_stimuli: int, count: int) -> np.ndarray:
    """
    The voxels with the highest ratio of signal to noise, int64 `[count]`, in their order; of equal ones the first.

    Args:
        trials (`Iterator`), num_stimuli (`int`):
            As [`~dataset_builders.preparation.noise_ceiling.signal_to_noise_of_trials`] takes them.
        count (`int`):
            How many.
    """
    ratio = signal_to_noise_of_trials(trials, num_stimuli)
    return np.sort(np.argsort(-ratio, kind="stable")[:count])


def num_stimuli(repeats: Mapping[str, np.ndarray], recordings: Sequence[str]) -> int:
    """Number of repeated stimuli in some recordings of one subject."""
    return max((int(repeats[name][:, 1].max()) + 1 for name in recordings if name in repeats), default=0)


__all__ = ["MOST_STIMULI", "most_reliable", "num_stimuli", "repeated_frames"]
