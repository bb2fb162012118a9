# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which stories a scan of Narratives played, and when: `events.tsv` and `participants.tsv` of ds002345."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from ...readers.text_files import read_tsv
from ...readers.transcripts import Event, read_event_table
from .narratives2021_facts import MILKYWAY, MILKYWAY_STORIES, SCHEMA, SCHEMA_STORIES, TASKS, Clip


_AUDIO_SUFFIX = "_audio.wav"


@dataclass(frozen=True, slots=True)
class Played:
    """A story in a scan: the clip, the name of its sound file, and its onset in seconds of the scan."""

    clip: Clip
    audio: str
    onset: float


def story_rows(path: Path) -> list[Event]:
    """
    Rows of `events.tsv` that are stories, not music or films.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.transcripts.read_event_table`] does.
        ValueError: there is no such row, or one has no onset.
    """
    events = read_event_table(path)
    rows = [event for event in events if event.cells.get("trial_type") == "story"]
    if not rows:
        kinds = sorted({event.cells.get("trial_type", "n/a") for event in events})
        raise ValueError(f"{path} has no row of trial_type story, only {', '.join(kinds) or 'none at all'}")
    if any(math.isnan(row.onset) for row in rows):
        raise ValueError(f"{path}: onset is 'n/a' for a story; expected a number of seconds")
    return rows


def played_stories(task: str, rows: list[Event], condition: str, path: Path) -> list[Played]:
    """
    The stories of a scan.

    Args:
        task (`str`):
            Of the scan.
        rows (`list[Event]`):
            By [`story_rows`].
        condition (`str`):
            Which wording of `milkyway` the subject heard; for other tasks it means nothing.
        path (`Path`):
            The events, for messages.

    Raises:
        ValueError: the task is unknown, or the rows do not name its stories.
    """
    audio = [row.cells.get("stim_file", "").removesuffix(_AUDIO_SUFFIX) for row in rows]
    if task == SCHEMA:
        unknown = [name for name in audio if name not in SCHEMA_STORIES]
        if unknown:
            raise ValueError(
                f"{path}: stim_file {unknown[0]!r} is no story of schema; expected one of {SCHEMA_STORIES}"
            )
        return [Played(Clip(name, row.onset), name, row.onset) for name, row in zip(audio, rows, strict=True)]
    if task not in TASKS:
        raise ValueError(f"{path}: task {task!r} is unknown; expected one of {', '.join((*TASKS, SCHEMA))}")
    clips = TASKS[task]
    if len(rows) != len(clips):
        raise ValueError(f"{path} has {len(rows)} rows of trial_type story, expected {len(clips)}; download it again")
    if task == MILKYWAY:
        if condition not in MILKYWAY_STORIES:
            raise ValueError(
                f"{path}: condition {condition!r} is unknown; expected one of {', '.join(MILKYWAY_STORIES)}"
            )
        task = MILKYWAY_STORIES[condition]
        clips = tuple(replace(clip, story=task) for clip in clips)
        if audio[0] != task:
            raise ValueError(f"{path}: stim_file is {audio[0]!r}, and participants.tsv says condition {condition!r}")
    return [Played(clip, task, row.onset) for clip, row in zip(clips, rows, strict=True)]


def read_condition(data_dir: Path, subject: str, task: str) -> str:
    """
    What `participants.tsv` says of a subject in a task: its columns hold lists that run in parallel.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_tsv`] does.
        ValueError: the subject or the task is not listed, or the lists differ in length.
    """
    path = data_dir / "participants.tsv"
    for row in read_tsv(path, required=("participant_id", "task", "condition")):
        if row["participant_id"] == subject:
            tasks, conditions = row["task"].split(","), row["condition"].split(",")
            if task not in tasks or len(tasks) != len(conditions):
                raise ValueError(
                    f"{path}: {subject} has tasks {tasks} and conditions {conditions}; expected {task} there"
                )
            return conditions[tasks.index(task)]
    raise ValueError(f"{path} does not list {subject}; download it again")


__all__ = ["Played", "played_stories", "read_condition", "story_rows"]
