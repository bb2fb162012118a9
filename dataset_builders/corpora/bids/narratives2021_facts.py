# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What is known of Narratives (ds002345 version 1.1.4) without its data: clocks, stories, scans that were set aside.

Sources: `*_events.tsv` of ds002345 (CC0); `code/{scan_exclude,event_meta}.json` and `code/{get_words,brain_masks}.py`
of github.com/snastase/narratives, of which only facts are restated; Nastase et al. 2021, tables 1 and 2.
"""

from dataclasses import dataclass


#: Seconds between volumes, the same in all scans.
TR = 1.5


@dataclass(frozen=True, slots=True)
class Clip:
    """
    A story as it stands in the audio file of its task.

    Args:
        story (`str`):
            Name of the story; for `milkyway` the version is still to be added.
        scan_onset (`float`):
            When it begins, in seconds of the scan: the onset of its row in `events.tsv`.
        audio_onset (`float`):
            When it begins, in seconds of the audio file, after the music and silence that open some files. Scan time
            is audio time plus `scan_onset - audio_onset`.
    """

    story: str
    scan_onset: float
    audio_onset: float = 0.0


#: For each task its stories in the order in which they are heard. The eight stories of `schema` are heard in an order
#: that differs between subjects, each from a file of its own; see [`SCHEMA_STORIES`].
TASKS: dict[str, tuple[Clip, ...]] = {
    "21styear": (Clip("21styear", 21.0, 21.0),),
    "black": (Clip("black", 12.0),),
    "bronx": (Clip("bronx", 12.0),),
    "forgot": (Clip("forgot", 12.0),),
    # Version 1.0.0 had 2.0 here, which is a number of volumes.
    "lucy": (Clip("lucy", 3.0),),
    "merlin": (Clip("merlin", 33.5, 29.0),),
    "milkyway": (Clip("milkyway", 21.0, 21.0),),
    "notthefallintact": (Clip("notthefallintact", 29.5, 25.0),),
    "notthefalllongscram": (Clip("notthefalllongscram", 29.5, 25.0),),
    "notthefallshortscram": (Clip("notthefallshortscram", 29.5, 25.0),),
    "pieman": (Clip("pieman", 15.0, 15.0),),
    "piemanpni": (Clip("piemanpni", 12.0),),
    "prettymouth": (Clip("prettymouth", 21.0, 21.0),),
    "shapesphysical": (Clip("shapesphysical", 49.5, 45.0),),
    "shapessocial": (Clip("shapessocial", 49.5, 45.0),),
    "sherlock": (Clip("sherlock", 33.5, 29.0),),
    "slumlordreach": (Clip("slumlord", 29.5, 25.0), Clip("reach", 969.5, 965.0)),
    "tunnel": (Clip("tunnel", 3.0),),
}

#: The task of which `events.tsv` names the stories, row by row, between rows of films without sound file.
SCHEMA = "schema"
SCHEMA_STORIES = ("bigbang", "friends", "himym", "santa", "seinfeld", "shame", "upintheair", "vinny")
#: The task whose story depends on the subject's condition, and what each condition heard.
MILKYWAY = "milkyway"
MILKYWAY_STORIES = {
    "original": "milkywayoriginal",
    "vodka": "milkywayvodka",
    "synonyms": "milkywaysynonyms",
}

#: `slumlord` and `reach` share one audio file and one alignment; words after this second of it belong to `reach`.
SLUMLORDREACH = "slumlordreach"
SLUMLORDREACH_SPLIT = 950.0

#: Stories whose words are largely the same, under one name: two recordings of one story told twice, three wordings of
#: one story, one story in three orders, one animation described twice.
GROUPS = {
    "milkywayoriginal": "milkyway",
    "milkywaysynonyms": "milkyway",
    "milkywayvodka": "milkyway",
    "notthefallintact": "notthefall",
    "notthefalllongscram": "notthefall",
    "notthefallshortscram": "notthefall",
    "pieman": "pieman",
    "piemanpni": "pieman",
    "shapesphysical": "shapes",
    "shapessocial": "shapes",
}

#: Scans that the authors leave out of their analyses (`scan_exclude.json`).
EXCLUDED_SCANS = frozenset(
    {
        "sub-001_task-pieman_run-1",
        "sub-001_task-pieman_run-2",
        "sub-004_task-tunnel",
        "sub-013_task-pieman_run-2",
        "sub-013_task-tunnel",
        "sub-014_task-pieman_run-2",
        "sub-021_task-pieman",
        "sub-022_task-pieman",
        "sub-038_task-milkyway",
        "sub-038_task-pieman",
        "sub-038_task-prettymouth",
        "sub-053_task-lucy",
        "sub-056_task-pieman",
        "sub-065_task-lucy",
        "sub-066_task-notthefalllongscram",
        "sub-068_task-pieman",
        "sub-069_task-pieman",
        "sub-105_task-milkyway",
        "sub-105_task-prettymouth",
        "sub-123_task-milkyway",
        "sub-139_task-slumlordreach",
        "sub-158_task-merlin",
        "sub-238_task-shapessocial",
        "sub-317_task-notthefallintact",
        "sub-333_task-notthefallshortscram",
        "sub-335_task-notthefallintact",
        "sub-335_task-notthefalllongscram",
    }
)

#: Scans that began while the audio was already playing, and when their story begins. All of them are excluded scans.
LATE_SCANS = {
    "sub-038_task-milkyway": 15.0,
    "sub-038_task-prettymouth": 15.0,
    "sub-105_task-milkyway": 13.5,
    "sub-105_task-prettymouth": 13.5,
}

#: Vertices without a value (the medial wall) in every scan of fMRIPrep, by space, left and right.
MEDIAL_WALL = {"fsaverage6": (3486, 3491)}


def audio_names(task: str) -> tuple[str, ...]:
    """Sound files of a task, by which its alignments are called; none if there is no such task."""
    several = {MILKYWAY: tuple(MILKYWAY_STORIES.values()), SCHEMA: SCHEMA_STORIES}
    return several.get(task, (task,) if task in TASKS else ())


def story_group(story: str) -> str:
    """What must stay on one side of a split: the story, or all stories that share its words."""
    return GROUPS.get(story, story)


__all__ = [
    "EXCLUDED_SCANS",
    "GROUPS",
    "LATE_SCANS",
    "MEDIAL_WALL",
    "MILKYWAY",
    "MILKYWAY_STORIES",
    "SCHEMA",
    "SCHEMA_STORIES",
    "SLUMLORDREACH",
    "SLUMLORDREACH_SPLIT",
    "TASKS",
    "TR",
    "Clip",
    "audio_names",
    "story_group",
]
