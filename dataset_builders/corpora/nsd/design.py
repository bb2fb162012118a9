# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Which image a subject of NSD saw in which trial, and which photograph of COCO that image was cut from.

Three files tell the same story: `nsd_expdesign.mat` (the order of trials), `nsd_stim_info_merged.csv` (the images) and
`responses.tsv` of each subject (what was shown). They count differently, some from 0 and some from 1, so they are
compared: a shift by one image would otherwise go unnoticed, and pair every brain with the wrong caption. Here an image
is named by its 73KID, which counts from 1.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...readers.matfiles import read_mat
from ...readers.sources import check_source


MAX_REPEATS = 3
COCO_SPLITS = ("train2017", "val2017")

_REMEDY = "Download the file again"


@dataclass(frozen=True, eq=False)
class Design:
    """
    The order of trials, the same for all subjects, and the images of each.

    Args:
        ordering (`np.ndarray`):
            int64 `[trials]`: for each trial of the experiment a place in the subject's list of images, from 0. The
            first `num_shared` places are the shared images.
        images (`np.ndarray`):
            int64 `[subjects, images of a subject]`: the lists, as 73KIDs.
        num_shared (`int`):
            Images that are in the lists of all subjects.
        path (`Path`):
            The file.
    """

    ordering: np.ndarray
    images: np.ndarray
    num_shared: int
    path: Path

    def shown(self, subject: int, num_trials: int) -> np.ndarray:
        """73KID of each of the first trials, int64 `[num_trials]`, of the subject of this number (from 1)."""
        if not 1 <= subject <= len(self.images) or num_trials > len(self.ordering):
            raise ValueError(
                f"{self.path} has {len(self.images)} subjects and {len(self.ordering)} trials, and trial {num_trials} "
                f"of subject {subject} is asked for: betas and design are of different releases. {_REMEDY}"
            )
        return self.images[subject - 1, self.ordering[:num_trials]]

    def shared(self, num_trials: int | None = None) -> set[int]:
        """73KIDs of the shared images; only those that are shown in the first `num_trials` trials, if given."""
        places = np.unique(self.ordering[:num_trials])
        places = np.arange(self.num_shared) if num_trials is None else places[places < self.num_shared]
        return set(self.images[0, places].tolist())


@dataclass(frozen=True, eq=False)
class Stimuli:
    """
    What is known of each image; row `i` is that of 73KID `i + 1`.

    Args:
        coco_ids (`np.ndarray`):
            int64 `[images]`: the photograph of COCO.
        coco_splits (`list[str]`):
            `"train2017"` or `"val2017"`: in which annotation file its captions are.
        shared (`np.ndarray`):
            bool `[images]`.
        trials (`np.ndarray`):
            int64 `[images, subjects, 3]`: the trials, from 1, in which each subject saw it; 0 for never.
        path (`Path`):
            The file.
    """

    coco_ids: np.ndarray
    coco_splits: list[str]
    shared: np.ndarray
    trials: np.ndarray
    path: Path


def read_design(path: str | Path) -> Design:
    """
    Reads `nsd_expdesign.mat`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a variable is missing, or the variables contradict each other.
    """
    path = check_source(path)
    variables = read_mat(path, ("masterordering", "subjectim", "sharedix"))
    ordering, images, shared = (_whole_numbers(values, name, path) for name, values in variables.items())
    ordering, images, shared = ordering.ravel(), np.atleast_2d(images), shared.ravel()
    if ordering.min() < 1 or ordering.max() > images.shape[1]:
        raise ValueError(
            f"{path}: 'masterordering' must name places 1 to {images.shape[1]} of the lists in 'subjectim', and lies "
            f"between {ordering.min()} and {ordering.max()}. {_REMEDY}"
        )
    if images.min() < 1 or any(len(np.unique(own)) < len(own) for own in images):
        raise ValueError(f"{path}: a list of 'subjectim' has an id below 1, or one twice. {_REMEDY}")
    for number, own in enumerate(images[:, : len(shared)], start=1):
        if not np.array_equal(own, images[0, : len(shared)]) or set(own.tolist()) != set(shared.tolist()):
            raise ValueError(
                f"{path}: list {number} of 'subjectim' does not begin with the {len(shared)} images of 'sharedix'. "
                f"{_REMEDY}"
            )
    return Design(ordering - 1, images, len(shared), path)


def _whole_numbers(values: Any, name: str, path: Path) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "iuf" or not values.size or not np.array_equal(values, np.trunc(values)):
        raise ValueError(
            f"{path}: {name!r} must hold whole numbers and holds {values.dtype} {values.shape}. {_REMEDY}"
        )
    return values.astype(np.int64)


def read_stimuli(path: str | Path, num_subjects: int) -> Stimuli:
    """
    Reads `nsd_stim_info_merged.csv`.

    Args:
        path (`str` or `Path`):
            The file.
        num_subjects (`int`):
            Subjects of the design; the file has columns for each.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a value is not of its kind, or images do not count 0, 1, 2, ...
    """
    repeats = [f"subject{s}_rep{r}" for s in range(1, num_subjects + 1) for r in range(MAX_REPEATS)]
    path = check_source(path)
    rows = _table(path, ["cocoId", "cocoSplit", "nsdId", "shared1000", *repeats], delimiter=",")
    numbers = _integers(rows[name] for name in ("nsdId", "cocoId", *repeats)) if rows["nsdId"] else None
    if numbers is None:
        raise ValueError(f"{path}: expected a table of whole numbers and found none. {_REMEDY}")
    if not np.array_equal(numbers[0], np.arange(numbers.shape[1])):
        from_one = np.array_equal(numbers[0], np.arange(numbers.shape[1]) + 1)
        raise ValueError(
            f"{path}: 'nsdId' must count 0, 1, 2, ... and goes from {numbers[0].min()} to {numbers[0].max()} in "
            f"{numbers.shape[1]} rows{'; it counts from 1' if from_one else ''}. {_REMEDY}"
        )
    for name, known in {"cocoSplit": COCO_SPLITS, "shared1000": ("True", "False")}.items():
        unknown = set(rows[name]).difference(known)
        if unknown:
            raise ValueError(f"{path}: {name!r} must be one of {known} and is {min(unknown)!r:.40}. {_REMEDY}")
    return Stimuli(
        coco_ids=numbers[1],
        coco_splits=rows["cocoSplit"],
        shared=np.array(rows["shared1000"]) == "True",
        trials=numbers[2:].T.reshape(-1, num_subjects, MAX_REPEATS),
        path=path,
    )


def _table(path: Path, columns: Sequence[str], delimiter: str) -> dict[str, list[str]]:
    """Some columns of a table with a header, as text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not readable as a table ({error}). {_REMEDY}") from error
    header = lines[0] if lines else []
    absent = [name for name in columns if header.count(name) != 1]
    if absent:
        raise ValueError(f"{path}: column {absent[0]!r} is missing or there twice; found {header[:12]}. {_REMEDY}")
    ragged = next((number for number, line in enumerate(lines, start=1) if len(line) != len(header)), None)
    if ragged is not None:
        raise ValueError(
            f"{path}, line {ragged}: {len(lines[ragged - 1])} fields where the header has {len(header)}. {_REMEDY}"
        )
    places = {name: header.index(name) for name in columns}
    return {name: [line[place] for line in lines[1:]] for name, place in places.items()}


def _integers(columns: Iterable[list[str]]) -> np.ndarray | None:
    """Columns of text as int64 `[columns, rows]`, or `None` if one is no whole number."""
    try:
        return np.array([[int(value) for value in column] for column in columns], dtype=np.int64)
    except (ValueError, OverflowError):
        return None


def check_stimuli(design: Design, stimuli: Stimuli, subject: int, num_trials: int) -> None:
    """
    Compares the images with the order of trials.

    Args:
        design ([`Design`]), stimuli ([`Stimuli`]):
            The two files.
        subject (`int`):
            Number of a subject, from 1.
        num_trials (`int`):
            How many of its trials are used. Later ones are not compared.

    Raises:
        ValueError: they contradict each other.
    """
    num_images, largest = len(stimuli.coco_ids), int(design.images.max())
    if largest > num_images:
        raise ValueError(f"{design.path}: image {largest} is not among the {num_images} of {stimuli.path}. {_REMEDY}")
    flagged = np.flatnonzero(stimuli.shared) + 1
    shared = np.array(sorted(design.shared()))
    if not np.array_equal(flagged, shared):
        raise ValueError(
            f"{stimuli.path}: 'shared1000' marks {len(flagged)} images, which are not the {len(shared)} shared ones "
            f"of {design.path}{_off_by_one(flagged, shared)}. {_REMEDY}"
        )
    shown, said = design.shown(subject, num_trials), np.zeros(num_trials, np.int64)
    trials = stimuli.trials[:, subject - 1]
    images, repeats = np.nonzero((trials >= 1) & (trials <= num_trials))
    said[trials[images, repeats] - 1] = images + 1
    if len(images) != num_trials or not np.array_equal(said, shown):
        raise ValueError(
            f"{stimuli.path} and {design.path} disagree on {int((said != shown).sum())} of {num_trials} trials of "
            f"subject {subject}{_off_by_one(said, shown)}. {_REMEDY}"
        )


def check_responses(path: str | Path, design: Design, subject: int, trials_per_session: int, last: int) -> None:
    """
    Compares `responses.tsv` of a subject with the order of trials.

    Args:
        path (`str` or `Path`):
            The file.
        design ([`Design`]):
            The order of trials.
        subject (`int`):
            Number of the subject, from 1.
        trials_per_session (`int`):
            Trials of a session.
        last (`int`):
            Last session that is used; later ones are not compared.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a session lacks trials, or the files contradict each other.
    """
    path = check_source(path)
    names = ("SUBJECT", "SESSION", "73KID", "10KID")
    rows = _table(path, names, delimiter="\t")
    table = _integers(rows[name] for name in names) if rows["SESSION"] else None
    if table is None or (table[0] != subject).any():
        raise ValueError(f"{path}: expected whole numbers, and {subject} as the number of the subject. {_REMEDY}")
    table = table[:, table[1] <= last]
    sessions, counts = np.unique(table[1], return_counts=True)
    short = sessions[counts != trials_per_session]
    if len(short):
        raise ValueError(
            f"{path}: session {short[0]} has {counts[sessions == short[0]][0]} trials and not {trials_per_session}. "
            f"{_REMEDY}"
        )
    shown = design.shown(subject, last * trials_per_session).reshape(last, trials_per_session)
    listed = design.ordering[: shown.size].reshape(shown.shape) + 1
    for session in sessions.tolist():
        for name, values, expected in (("73KID", table[2], shown), ("10KID", table[3], listed)):
            found, told = values[table[1] == session], expected[session - 1]
            if not np.array_equal(found, told):
                raise ValueError(
                    f"{path}: {name!r} of session {session} differs from {design.path} in "
                    f"{int((found != told).sum())} of {len(found)} trials{_off_by_one(found, told)}. {_REMEDY}"
                )


def _off_by_one(found: np.ndarray, expected: np.ndarray) -> str:
    """Says so if ids count from 0 where they should count from 1, or the reverse."""
    shifted = len(found) == len(expected) and np.unique(found - expected).tolist() in ([-1], [1])
    return ": ids are off by one, so one of the files counts from 0 and the other from 1" if shifted else ""


__all__ = [
    "COCO_SPLITS",
    "MAX_REPEATS",
    "Design",
    "Stimuli",
    "check_responses",
    "check_stimuli",
    "read_design",
    "read_stimuli",
]
