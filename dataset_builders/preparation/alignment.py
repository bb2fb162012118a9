# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Words meet frames: the one place for every clock, every window of words and every resampling of features.

A clock says when the centre of each frame was measured, in seconds of the stimulus:

| corpus | centre of frame i | source |
|---|---|---|
| LeBel 2023 | 2 i + 11 | TR 2 s, sound 10 s after the scan's start, ten rows trimmed before and five after |
| Tang 2023, imagined speech | 2 i + 1 | HuthLab/semantic-decoding, `run_decoder.py` |
| Tang 2023, all perceived stimuli | 2 i + 11 | there too: predicted times are moved by 10 s to those of the words |
| Narratives 2021 | 1.5 (i + 0.5) - t0 | t0: when the sound file starts, in seconds of the scan (events.tsv) |
| BIDS | StartTime + TR i | `StartTime` of fMRIPrep's JSON; TR / 2 where it is absent |
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..readers.words import Word


#: Frames that are read for the words of one volume: the four that follow it, as in BrainLLM and in the encoding models
#: of the Huth lab.
BRAINLLM_DELAYS = (1, 2, 3, 4)

# A millionth of a frame: times are sums of decimal fractions, and a word on a border belongs to the later frame.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Clock:
    """
    When frames were measured, in seconds of the stimulus clock.

    Args:
        tr (`float`):
            Seconds from frame to frame.
        first_centre (`float`):
            Centre of frame 0. Frame i is measured from `centre - tr / 2` until just before `centre + tr / 2`.

    Raises:
        ValueError: `tr` is not positive, or either is not finite.
    """

    tr: float
    first_centre: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tr) and self.tr > 0 and math.isfinite(self.first_centre)):
            raise ValueError(
                f"tr={self.tr}, first_centre={self.first_centre}: expected a positive number of seconds, and a number"
            )

    def centres(self, frames: Sequence[int] | np.ndarray) -> np.ndarray:
        """Centres in seconds, float64 `[frames]`, of frames by 0-based index; negative ones lie before frame 0."""
        return self.first_centre + self.tr * np.asarray(frames, dtype=np.float64)

    def frame_centres(self, num_frames: int) -> np.ndarray:
        """Centres in seconds, float64 `[frames]`, of the first `num_frames` frames."""
        return self.centres(np.arange(num_frames))

    def start(self, frame: int) -> float:
        """When frame `frame` begins, in seconds."""
        return self.first_centre + self.tr * (frame - 0.5)

    def end(self, num_frames: int) -> float:
        """When a recording of `num_frames` frames ends, in seconds."""
        return self.start(num_frames)

    def frame_at(self, seconds: float) -> int:
        """The frame that is measured at this moment; negative before frame 0."""
        return math.floor(round((seconds - self.first_centre) / self.tr + 0.5, _DIGITS))


#: ds003020 as preprocessed by its authors: row j covers [2j + 10, 2j + 12) s of TextGrid time.
LEBEL_CLOCK = Clock(tr=2.0, first_centre=11.0)

#: First centre of each experiment of ds004510, in seconds of the clock of its TextGrids.
_TANG_FIRST_CENTRES = {
    "imagined_speech": 1.0,
    "perceived_movie": 11.0,
    "perceived_multispeaker": 11.0,
    "perceived_speech": 11.0,
}


def tang_clock(experiment: str) -> Clock:
    """
    Clock of an experiment of ds004510, by the name of its folder.

    Raises:
        ValueError: there is no such experiment.
    """
    if experiment not in _TANG_FIRST_CENTRES:
        raise ValueError(f"experiment={experiment!r}: expected one of {', '.join(_TANG_FIRST_CENTRES)}")
    return Clock(tr=2.0, first_centre=_TANG_FIRST_CENTRES[experiment])


def bids_clock(tr: float, start_time: float | None = None) -> Clock:
    """
    Clock of a run whose stimulus clock is that of its events.tsv.

    `start_time` is the `StartTime` of a derivative corrected for slice timing: the moment to which the slices of frame
    0 were brought. Without it a frame is taken to stand for the middle of its TR.
    """
    return Clock(tr=tr, first_centre=tr / 2 if start_time is None else start_time)


def narratives_clock(sound_onset: float) -> Clock:
    """Clock of a Narratives scan: `sound_onset` (t0) is when its sound file starts, in seconds of the scan."""
    return Clock(tr=1.5, first_centre=0.75 - sound_onset)


@dataclass(frozen=True, slots=True)
class Window:
    """Words of consecutive volumes and the frames that answer to them; `start` is the first of these volumes."""

    start: int
    frames: tuple[int, ...]
    words: tuple[Word, ...]
    prompt: tuple[Word, ...]

    @property
    def completion_text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def prompt_text(self) -> str:
        return " ".join(word.text for word in self.prompt)


def _check_windows(num_frames: int, delays: Sequence[int], length: int, step: int, prompt_words: int) -> None:
    for name, value in (("num_frames", num_frames), ("length", length), ("step", step)):
        if value < 1:
            raise ValueError(f"{name}={value}: expected at least 1")
    if prompt_words < 0:
        raise ValueError(f"prompt_words={prompt_words}: expected at least 0")
    if not delays or min(delays) < 0 or any(after <= before for before, after in pairwise(delays)):
        raise ValueError(f"delays={tuple(delays)}: expected rising numbers of frames, none negative")


def windows(
    words: Sequence[Word],
    clock: Clock,
    num_frames: int,
    *,
    delays: Sequence[int] = BRAINLLM_DELAYS,
    length: int = 1,
    step: int = 1,
    prompt_words: int = 24,
) -> tuple[list[Window], Counter[str]]:
    """
    Divides a story into samples, the way BrainLLM does: the words of a volume are read from the volumes that follow.

    A window is `length` consecutive volumes; it starts at a multiple of `step`. A word belongs to the volume that is
    measured at its onset. The frames of a window are its first volume plus each of `delays`, so that none is measured
    before the window's start and the smallest delay. Words before frame 0 are used where the frames that follow them
    exist.

    Args:
        words (`Sequence[Word]`):
            In seconds of the stimulus clock. They are put in the order of their onsets.
        clock (`Clock`):
            Of the recording.
        num_frames (`int`):
            Frames of the recording.
        delays (`Sequence[int]`, *optional*, defaults to `(1, 2, 3, 4)`):
            Frames of a sample, counted from the first volume of its window.
        length (`int`, *optional*, defaults to 1):
            Volumes of a window.
        step (`int`, *optional*, defaults to 1):
            Volumes from window to window. Windows overlap where it is smaller than `length`.
        prompt_words (`int`, *optional*, defaults to 24):
            Most words before the window that become its prompt; 24 English words are about the 32 tokens of BrainLLM.

    Returns:
        `tuple[list[Window], Counter[str]]`: windows in the order of time, and how many were dropped: without words,
        before the first frame and past the last one (only those with words are counted).

    Raises:
        ValueError: a number is too small, or `delays` are not rising.
    """
    _check_windows(num_frames, delays, length, step, prompt_words)
    words = sorted(words, key=lambda word: word.onset)
    volumes = [clock.frame_at(word.onset) for word in words]
    starts = {
        number * step
        for volume in set(volumes)
        for number in range(-((length - 1 - volume) // step), volume // step + 1)
    }
    lowest, highest = -delays[0], num_frames - 1 - delays[-1]
    found, dropped = [], Counter()
    for start in sorted(starts):
        if start < lowest:
            dropped["windows before the first frame"] += 1
        elif start > highest:
            dropped["windows past the last frame"] += 1
        else:
            first, last = bisect_left(volumes, start), bisect_left(volumes, start + length)
            prompt = words[max(0, first - prompt_words) : first]
            frames = tuple(start + delay for delay in delays)
            found.append(Window(start, frames, tuple(words[first:last]), tuple(prompt)))
    silent = highest // step + (-lowest) // step + 1 - len(found)
    if silent > 0:
        dropped["windows without words"] = silent
    return found, dropped


__all__ = [
    "BRAINLLM_DELAYS",
    "LEBEL_CLOCK",
    "Clock",
    "Window",
    "bids_clock",
    "narratives_clock",
    "tang_clock",
    "windows",
]
