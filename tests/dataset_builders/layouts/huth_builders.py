# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Builders of the Huth lab's corpora for the small trees of `layouts.lebel` and `layouts.tang`: the reader's side.

They stand apart from the tests, because `datasets` patches the modules in which builders are defined.
"""

from layouts.lebel import TEST_STORY

from dataset_builders.corpora.huth.lebel2023 import Lebel2023
from dataset_builders.corpora.huth.lebel2023_facts import Lebel2023Facts
from dataset_builders.corpora.huth.tang2023 import Tang2023, Tang2023Facts


FRAMES = {"alternateithicatom": 40, "souls": 30, TEST_STORY: 35, "legacy": 33, "naked": 28}
VOXELS = {"UTS01": 60, "UTS03": 50}
REPEATS, NAN = 3, 2


class SmallLebel(Lebel2023):
    """The builder, if the dataset had been published with the fixture's sizes."""

    FACTS = Lebel2023Facts(
        scan_lengths={story: frames + 20 for story, frames in FRAMES.items()},
        voxels=VOXELS,
        num_stories=dict.fromkeys(VOXELS, len(FRAMES)),
        repeats=dict.fromkeys(VOXELS, REPEATS),
        stories=dict.fromkeys(VOXELS, frozenset(FRAMES)),
        sessions={"UTS03": {story: "2" for story in FRAMES if story != TEST_STORY}},
        repeat_sessions={"UTS03": ("2", "3", "4")},
        unknown_bytes=dict.fromkeys(VOXELS, 120),
        files={},
    )


def listed(root, cache, cls=SmallLebel, **options):
    """A builder and its recordings by id, nothing prepared."""
    builder = cls(cache_dir=str(cache), data_dir=root, **options)
    return builder, {recording.recording_id: recording for recording in builder.list_recordings()}


def samples_of(builder, recordings):
    """The samples of recordings by id."""
    return builder.list_samples(list(recordings.values()))


def response(root, story="souls", subject="UTS01"):
    """The file of a subject's responses to a story."""
    return root / "derivative" / "preprocessed_data" / subject / f"{story}.hf5"


TANG_FRAMES, TANG_VOXELS = 14, {"UTS01": 12, "UTS02": 10}


class SmallTang(Tang2023):
    """The builder, if the dataset had been published with the fixture's sizes."""

    FACTS = Tang2023Facts(
        frames={
            "imagined_speech": {"alpha": TANG_FRAMES, "bravo": TANG_FRAMES},
            "perceived_movie": {"laluna": TANG_FRAMES},
            "perceived_multispeaker": {"attend-F": TANG_FRAMES, "attend-M": TANG_FRAMES},
            "perceived_speech": {TEST_STORY: TANG_FRAMES},
        },
        repeats={"imagined_speech": 2},
        voxels=TANG_VOXELS,
    )
