# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The two layouts of Tang et al. (2023): OpenNeuro's ds004510, and the folders of the semantic-decoding repository.

| below it | ds004510 | semantic-decoding |
|---|---|---|
| `<subject>/<experiment>/*.hf5` | `derivative/preprocessed_data` | `data_test/test_response` |
| `<experiment>/*.TextGrid` | `derivative/TextGrids` | `data_test/test_stimulus` |
| stories to train on | in ds003020 | `data_train/train_response`, `data_train/train_stimulus` |

A file of responses is named `<task>.hf5`, or `<task>_repeat-<k>.hf5`; its TextGrid is `<task>.TextGrid`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...preparation.alignment import LEBEL_CLOCK, tang_clock
from ...readers.bids_names import read_metadata
from ...readers.sources import check_source
from ...schema import TEST, TRAIN, Recording
from .stories import (
    STORY_NON_WORDS,
    Run,
    check_trimmed_length,
    choose,
    read_response,
    read_scan_lengths,
    response_shape,
)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Where the words of an experiment stand in its TextGrids, which labels are none, and what they have in common."""

    tier: int
    non_words: frozenset[str]
    group: str = ""  # of all its tasks, where they share a stimulus


#: A film whose responses are published without a TextGrid.
WITHOUT_WORDS = "sintel"
_OTHER_NON_WORDS = frozenset({"", "sp", "uh"})
#: After `load_transcript` in HuthLab/semantic-decoding, `utils_eval.py`.
EXPERIMENTS = {
    "imagined_speech": Experiment(0, _OTHER_NON_WORDS),
    "perceived_movie": Experiment(0, _OTHER_NON_WORDS),
    # Both speakers are heard at once in either task: whoever knows one recording knows the stimulus of the other.
    "perceived_multispeaker": Experiment(0, STORY_NON_WORDS, group="multispeaker"),
    "perceived_speech": Experiment(1, STORY_NON_WORDS),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders of responses and TextGrids of the experiments; `train` is the folder `data_train`, if there is one."""

    responses: Path
    stimuli: Path
    train: Path | None = None


def find_layout(data_dir: str | None) -> Layout:
    """
    Which of the two layouts a folder has.

    Raises:
        FileNotFoundError: it has neither.
        ValueError: it has both.
    """
    folder = Path(data_dir or "")
    derivative, test, train = folder / "derivative", folder / "data_test", folder / "data_train"
    open_neuro, repository = derivative / "preprocessed_data", test / "test_response"
    if data_dir is None or not (open_neuro.is_dir() or repository.is_dir()):
        raise FileNotFoundError(
            f"data_dir={data_dir!r} holds neither derivative/preprocessed_data, as ds004510 does, nor "
            "data_test/test_response, as a copy of semantic-decoding does: name the folder of one of them"
        )
    if open_neuro.is_dir() and repository.is_dir():
        raise ValueError(f"{folder} holds both {open_neuro} and {repository}: move one of them to another folder")
    if open_neuro.is_dir():
        return Layout(open_neuro, derivative / "TextGrids")
    return Layout(repository, test / "test_stimulus", train if (train / "train_response").is_dir() else None)


def find_files(layout: Layout, subjects: list[str] | None, stories: list[str] | None) -> dict[str, list[Path]]:
    """
    Files of responses of each subject: training stories first, then experiments, in the order of their names.

    Raises:
        ValueError: an experiment is unknown, or no file belongs to a subject or a story that was asked for.
    """
    train = [] if layout.train is None else sorted((layout.train / "train_response").glob("*/*.hf5"))
    test = sorted(layout.responses.glob("*/*/*.hf5"))
    unknown = sorted({path.parent.name for path in test} - EXPERIMENTS.keys())
    if unknown:
        raise ValueError(f"{layout.responses} has the experiments {unknown}: expected {', '.join(EXPERIMENTS)}")
    owned = [(path.parent.name, path) for path in train] + [(path.parent.parent.name, path) for path in test]
    chosen = choose({subject for subject, _ in owned}, subjects, "subjects", layout.responses)
    wanted = set(choose({task_of(path) for _, path in owned}, stories, "stories", layout.responses))
    return {
        subject: [path for owner, path in owned if owner == subject and task_of(path) in wanted] for subject in chosen
    }


def task_of(path: Path) -> str:
    """The task or story of a file of responses."""
    return path.stem.partition("_")[0]


def experiment_run(layout: Layout, subject: str, path: Path) -> Run | None:
    """
    A recording of one of the experiments, or `None` if its words are not published.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.corpora.huth.stories.response_shape`] does.
    """
    name, task = path.parent.name, task_of(path)
    transcript = layout.stimuli / name / f"{task}.TextGrid"
    if task == WITHOUT_WORDS and not transcript.exists():
        return None
    experiment = EXPERIMENTS[name]
    return Run(
        recording=_recording(subject, f"{name}.{path.stem}", path),
        story=task,
        group=experiment.group or task,
        transcript=transcript,
        clock=tang_clock(name),
        tier=experiment.tier,
        non_words=experiment.non_words,
        official_split=TEST,
    )


def train_runs(train: Path, subject: str, paths: list[Path], notes: Counter[str]) -> Iterator[Run]:
    """
    The recordings of training stories, which are those that `sess_to_story.json` lists.

    Args:
        train (`Path`):
            The folder `data_train`.
        subject (`str`):
            The subject.
        paths (`list[Path]`):
            Its files of responses. A copy of all of ds003020 holds the test story too: stories that no session lists
            are left out.
        notes (`Counter[str]`):
            They are counted here.

    Raises:
        FileNotFoundError, ValueError: a file is missing, is not what it should be, or lengths differ from
            `respdict.json`.
    """
    lengths, sessions = read_scan_lengths(train / "respdict.json"), _read_sessions(train / "sess_to_story.json")
    for path in paths:
        story = path.stem
        if story not in sessions:
            notes["stories that sess_to_story.json does not list"] += 1
            continue
        recording = _recording(subject, story, path, sessions[story])
        check_trimmed_length(path, recording.num_frames, story, lengths, str(train / "respdict.json"))
        transcript = train / "train_stimulus" / f"{story}.TextGrid"
        yield Run(recording, story, story, transcript, LEBEL_CLOCK, official_split=TRAIN)


def _recording(subject: str, run: str, path: Path, session: str = "") -> Recording:
    num_frames, num_voxels = response_shape(path)
    read = partial(read_response, path)
    return Recording(f"{subject}/{run}", subject, num_frames, num_voxels, read, session, (path,))


def _read_sessions(path: Path) -> dict[str, str]:
    """The session of each story."""
    sessions = read_metadata([check_source(path)])
    for session, stories in sessions.items():
        if not isinstance(stories, list) or not all(isinstance(story, str) for story in stories):
            raise ValueError(f"{path}: session {session!r} holds {stories!r}; expected a list of stories")
    return {story: session for session, stories in sessions.items() for story in stories}


def region_labels(path: Path, num_voxels: int) -> dict[str, np.ndarray]:
    """
    Regions of `data_train/ROIs/<subject>.json`, for each int16 `[voxels]` with 1 inside. They may overlap.

    Raises:
        FileNotFoundError, ValueError: the file is not JSON, or names voxels that the responses have not.
    """
    labels = {}
    for name, voxels in read_metadata([check_source(path)]).items():
        numbers = isinstance(voxels, list) and all(type(voxel) is int for voxel in voxels)
        if not numbers or not all(0 <= voxel < num_voxels for voxel in voxels):
            raise ValueError(
                f"{path}: region {name!r} must list voxels from 0 to {num_voxels - 1}, columns of the responses: get "
                "the file that belongs to this subject"
            )
        labels[name] = np.zeros(num_voxels, np.int16)
        labels[name][voxels] = 1
    return labels


__all__ = [
    "EXPERIMENTS",
    "WITHOUT_WORDS",
    "Layout",
    "experiment_run",
    "find_files",
    "find_layout",
    "region_labels",
    "task_of",
    "train_runs",
]
