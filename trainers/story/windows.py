# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A story as it was heard: its words with their times, and every window of brain frames that it can be read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.brain_format import with_brain_arrays


if TYPE_CHECKING:
    from datasets import Dataset

# Rows hold times in float32: a story of an hour is known to a fifth of a millisecond.
_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word, and when it begins, in seconds of the stimulus clock."""

    text: str
    onset: float


@dataclass(frozen=True, slots=True)
class StoryWindow:
    """
    One step of a reconstruction.

    Args:
        start, end (`float`):
            Words that begin in `[start, end)` seconds are read from this window.
        brain_values (`np.ndarray` of shape `(frames, features)`):
            The frames that answer to them.
    """

    start: float
    end: float
    brain_values: np.ndarray


@dataclass(frozen=True)
class Story:
    """
    One hearing of a story.

    Args:
        name, subject (`str`):
            Which story, and whose brain.
        windows (`list[StoryWindow]`):
            In the order of time, silent ones included; a gap of the recording leaves a gap.
        words (`list[TimedWord]`):
            What was told in them.
    """

    name: str
    subject: str
    windows: list[StoryWindow]
    words: list[TimedWord]

    @property
    def start(self) -> float:
        """When the first window begins, in seconds."""
        return self.windows[0].start

    @property
    def end(self) -> float:
        """When the last window ends, in seconds."""
        return self.windows[-1].end


def read_story(rows: "Dataset", name: str | None = None, subject: str | None = None, *, delay: int = 1) -> Story:
    """
    The frames and words of one hearing, from rows of a corpus of stories.

    Rows exist only where words were told, so the windows are laid anew over the frames that the rows hold together: a
    decoder must not know when the teller is silent.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a split; their brain values may be in place or in recordings.
        name (`str`, *optional*), subject (`str`, *optional*):
            Which story and subject, where the rows have several.
        delay (`int`, *optional*, defaults to 1):
            Frames from a window to the first that answers to it, as the corpus was prepared.

    Raises:
        ValueError: there is no such story, more than one hearing of it, rows have no times or differ in their number
            of frames, or words lie outside their window, so that `delay` is another.
    """
    chosen = list(with_brain_arrays(_choose(rows, name, subject)))
    first = chosen[0]
    lengths = {len(row["frame_times"]) for row in chosen}
    if lengths == {0} or len(lengths) > 1:
        raise ValueError(
            f"Rows of '{first['stimulus']}' have {sorted(lengths)} frame times: a story needs one number above 0. Use "
            "a corpus of stories, in which the column `frame_times` is filled."
        )
    frames = {_key(time): values for row in chosen for time, values in zip(*_frames(row), strict=True)}
    times = np.array(sorted(frames)) / 1000
    tr = float(np.median(np.diff(times)))
    starts = np.array(sorted(row["frame_times"][0] for row in chosen))
    step = max(round(float(np.diff(starts).min(initial=np.inf)) / tr), 1) if len(starts) > 1 else 1

    def span(time: float) -> tuple[float, float]:
        start = time - tr * (delay + 0.5)
        return start, start + tr * step

    _check_words(chosen, span)
    length = lengths.pop()
    windows = [
        StoryWindow(*span(times[i]), np.stack([frames[_key(time)] for time in times[i : i + length]]))
        for i in range(len(times) - length + 1)
        if times[i + length - 1] - times[i] < tr * (length - 0.5) and round((times[i] - starts[0]) / tr) % step == 0
    ]
    words = [TimedWord(*word) for row in chosen for word in zip(row["words"], row["word_onsets"], strict=True)]
    return Story(first["stimulus"], first["subject"], windows, sorted(words, key=lambda word: word.onset))


def _choose(rows: "Dataset", name: str | None, subject: str | None) -> "Dataset":
    """The rows of the one hearing that is meant."""
    recordings = [sample_id.rsplit("/", 1)[0] for sample_id in rows["sample_id"]]
    heard = list(zip(rows["stimulus"], rows["subject"], recordings, strict=True))
    found = sorted({hearing for hearing in heard if name in (None, hearing[0]) and subject in (None, hearing[1])})
    if len(found) != 1:
        of_what = f"name={name!r}, subject={subject!r}"
        listed = ", ".join(f"{story} by {who} ({recording})" for story, who, recording in found or sorted(set(heard)))
        raise ValueError(
            f"{of_what}: expected rows of one hearing of one story, found {len(found)}. Choose from: {listed}. A "
            "story that was heard several times needs a corpus with the mean of its repeats."
        )
    return rows.select([i for i, hearing in enumerate(heard) if hearing == found[0]])


def _key(seconds: float) -> int:
    """Frame times of overlapping rows, to the millisecond."""
    return round(seconds * 1000)


def _frames(row: Mapping[str, Any]) -> tuple[Sequence[float], np.ndarray]:
    return row["frame_times"], np.asarray(row["brain_values"])


def _check_words(rows: Sequence[Mapping[str, Any]], span: Any) -> None:
    for row in rows:
        start, end = span(row["frame_times"][0])
        outside = [onset for onset in row["word_onsets"] if not start - _TOLERANCE <= onset <= end + _TOLERANCE]
        if outside:
            raise ValueError(
                f"Row '{row['sample_id']}' has a word at {outside[0]:.2f} s, outside its window from {start:.2f} to "
                f"{end:.2f} s. Pass the `delay` (frames from a window to the first that answers) of this corpus."
            )


__all__ = ["Story", "StoryWindow", "TimedWord", "read_story"]
