# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What the corpora of the Huth lab share: responses in `.hf5` files, stories in TextGrids, and rows made of both.

A `.hf5` file is plain HDF5 with the dataset `data`, float64 `[frames, voxels]`. Words come from TextGrids, which hold
neither punctuation nor meaningful case; they are lower-cased, as every decoder of these corpora does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets.utils import tqdm

from ...preparation.alignment import Clock
from ...readers.bids_names import read_metadata
from ...readers.hdf5 import hdf5_shapes, read_hdf5
from ...readers.sources import check_source
from ...readers.transcripts import NON_WORDS, read_words_textgrid
from ...readers.words import Word, check_last_word
from ...schema import Recording, Sample
from ..stories import StoryConfig, window_samples
from .lebel2023_facts import TRIMMED_FRAMES


#: Besides [`NON_WORDS`]: a cough, silence, and two tags that published decodes show to be in the transcripts.
STORY_NON_WORDS = NON_WORDS | {"cg", "sl", "sic", "igc"}

_DATA = "data"
#: Voxels outside the coverage of a scan are NaN; where most are, something else is wrong.
_MOST_NAN = 0.5


@dataclass
class HuthStoryConfig(StoryConfig):
    """
    Choices for the corpora of the Huth lab; see [`StoryConfig`] for windows.

    Args:
        stories (`list[str]`, *optional*):
            Only these stories, by the names of their TextGrids. Defaults to all that are found.
    """

    stories: list[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """
    A recording and the story that goes with it.

    Args:
        recording ([`~dataset_builders.schema.Recording`]):
            The responses.
        story, group (`str`):
            Identity of the stimulus, and what must not be divided.
        transcript (`Path`):
            Its TextGrid.
        clock ([`~dataset_builders.preparation.alignment.Clock`]):
            When frames were measured, in seconds of the TextGrid.
        tier (`str` or `int`), non_words (`frozenset[str]`):
            Where the words stand, and which labels are none.
        official_split (`str`):
            See [`~dataset_builders.schema.Sample`].
    """

    recording: Recording
    story: str
    group: str
    transcript: Path
    clock: Clock
    tier: str | int = "word"
    non_words: frozenset[str] = STORY_NON_WORDS
    official_split: str = ""


def response_shape(path: Path, name: str = _DATA, axes: str = "[frames, voxels]") -> tuple[int, ...]:
    """
    Shape of the responses in a file, without reading them.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.hdf5.hdf5_shapes`] does.
        ValueError: there is no such dataset, it has other axes, or does not hold real numbers.
    """
    datasets = hdf5_shapes(path)
    if f"/{name}" not in datasets:
        raise ValueError(
            f"{path} has no dataset {name!r} but {', '.join(sorted(datasets)) or 'none'}: responses of the Huth lab "
            "have one of that name; check that the file is one of them"
        )
    shape, dtype = datasets[f"/{name}"]
    if len(shape) != axes.count(",") + 1 or 0 in shape:
        raise ValueError(f"{path}: {name!r} has the shape {shape} and not {axes}: download the file again")
    if dtype.kind != "f":
        raise ValueError(f"{path}: {name!r} holds {dtype} and not real numbers: download the file again")
    return shape


def read_response(path: Path, name: str = _DATA, repeat: int | None = None) -> np.ndarray:
    """
    Responses of one run, float32 `[frames, voxels]`. NaN stays: voxels outside the scan have no value.

    Args:
        path (`Path`):
            The file.
        name (`str`, *optional*, defaults to `"data"`):
            The dataset.
        repeat (`int`, *optional*):
            Which repeat of `[repeats, frames, voxels]`.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.hdf5.read_hdf5`] does.
        ValueError: values are infinite, or most are NaN.
    """
    stored = read_hdf5(path, name, ... if repeat is None else np.s_[repeat])
    with np.errstate(over="ignore"):  # a number too large for float32 is infinite, and named below
        values = stored.astype(np.float32)
    infinite = int(np.isinf(values).sum())
    if infinite:
        frame, voxel = np.argwhere(np.isinf(values))[0]
        raise ValueError(
            f"{path}: {infinite} of {values.size} values of {name!r} are infinite, the first in frame {frame}, voxel "
            f"{voxel}: download the file again"
        )
    missing = float(np.isnan(values).mean())
    if missing > _MOST_NAN:
        raise ValueError(f"{path}: {missing:.0%} of the values of {name!r} are NaN: download the file again")
    return values


def check_widths(recordings: Iterable[Recording]) -> None:
    """Raises a `ValueError` if recordings of one subject differ in their number of voxels."""
    first: dict[str, Recording] = {}
    for recording in recordings:
        known = first.setdefault(recording.subject, recording)
        if recording.num_features != known.num_features:
            raise ValueError(
                f"{recording.sources[0]} has {recording.num_features} voxels and {known.sources[0]} has "
                f"{known.num_features}: recordings of one subject must agree; download the one that differs again"
            )


def read_scan_lengths(path: Path) -> dict[str, int]:
    """
    Frames of the raw scan of each story, from a `respdict.json`.

    Raises:
        FileNotFoundError, ValueError: the file is missing, is not JSON, or holds something else.
    """
    lengths = read_metadata([check_source(path)])
    odd = [story for story, length in lengths.items() if type(length) is not int or length <= TRIMMED_FRAMES]
    if odd:
        raise ValueError(
            f"{path}: {odd[0]!r} has {lengths[odd[0]]!r} frames; expected a number above {TRIMMED_FRAMES}"
        )
    return lengths


def check_trimmed_length(path: Path, num_frames: int, story: str, scan_lengths: dict[str, int], source: str) -> None:
    """Raises a `ValueError` unless responses to a story are as long as its scan without head and tail."""
    if story not in scan_lengths:
        raise ValueError(f"{path}: {source} does not list the story {story!r}: get the one of the same release")
    expected = scan_lengths[story] - TRIMMED_FRAMES
    if num_frames != expected:
        raise ValueError(
            f"{path} has {num_frames} frames; {source} says {scan_lengths[story]} for the scan, which leaves "
            f"{expected} after trimming {TRIMMED_FRAMES}. Download both files again"
        )


def choose(found: Collection[str], wanted: Sequence[str] | None, argument: str, folder: Path) -> list[str]:
    """The wanted names, or all that were found; a `ValueError` names what is not there."""
    absent = [name for name in wanted or () if name not in found]
    if absent:
        raise ValueError(f"{argument}={absent} is not in {folder}: choose from {', '.join(sorted(found))}")
    return sorted(found) if wanted is None else list(wanted)


def story_samples(runs: Sequence[Run], corpus: str, config: HuthStoryConfig, notes: Counter[str]) -> list[Sample]:
    """
    One row for each window of each run.

    Args:
        runs (`Sequence[Run]`):
            In the order of the rows.
        corpus (`str`):
            Its name.
        config ([`HuthStoryConfig`]):
            The sizes of windows.
        notes (`Counter[str]`):
            Windows that are left out are counted here.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.transcripts.read_words_textgrid`] does.
        ValueError: words begin after the raw scan.
    """
    spoken: dict[Path, list[Word]] = {}
    samples = []
    for run in tqdm(runs, desc="Reading stories", disable=len(runs) < 2):
        if run.transcript not in spoken:
            found = read_words_textgrid(run.transcript, run.tier, run.non_words)
            spoken[run.transcript] = [Word(word.text.lower(), word.onset, word.offset) for word in found]
        words = spoken[run.transcript]
        # The scan went on when the responses end: their tail was trimmed, and its words have no frames.
        check_last_word(words, run.clock.end(run.recording.num_frames + TRIMMED_FRAMES // 2), run.transcript)
        names = {"corpus": corpus, "stimulus": run.story, "group": run.group, "official_split": run.official_split}
        samples += window_samples(run.recording, words, run.clock, config, notes, **names)
    return samples


__all__ = [
    "STORY_NON_WORDS",
    "HuthStoryConfig",
    "Run",
    "check_trimmed_length",
    "check_widths",
    "choose",
    "read_response",
    "read_scan_lengths",
    "response_shape",
    "story_samples",
]
