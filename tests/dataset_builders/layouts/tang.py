# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
ds004510 and the folders of the semantic-decoding repository in small, from a known truth; no code of the reader's.

Responses carry the same marks as those of `layouts/lebel.py`: voxel 0 the centre of its row in seconds of the
TextGrid's clock, voxel 1 the number of the row, voxel 2 the number of words that began in its two seconds.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .lebel import START, VOCABULARY, long_textgrid, respond, short_textgrid, write_hf5, write_textgrid


#: Experiment, tasks, and the centre of row 0 in seconds of the TextGrid's clock.
EXPERIMENTS = {
    "imagined_speech": (("alpha", "bravo"), 1.0),
    "perceived_movie": (("laluna", "sintel"), 11.0),
    "perceived_multispeaker": (("attend-F", "attend-M"), 11.0),
    "perceived_speech": (("wheretheressmoke",), 11.0),
}
WITHOUT_TEXT = "sintel"


@dataclass
class TangTruth:
    """Words of each task, and responses [frames, voxels] of each subject, experiment and file."""

    words: dict[tuple[str, str], list[tuple[str, float, float]]] = field(default_factory=dict)
    responses: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    rois: dict[str, dict[str, list[int]]] = field(default_factory=dict)


def write_single_tier(path, seconds, seed, form, skipped):
    """A story in one tier, the way all experiments but one have it, with labels of its own kind that are no words."""
    generator = np.random.default_rng(seed)
    intervals, words, start = [], [], START
    while start < seconds - 1:
        end = round(start + float(generator.uniform(0.2, 0.8)), 3)
        draw = int(generator.integers(0, 2 * len(VOCABULARY)))
        label = skipped[draw] if draw < len(skipped) else VOCABULARY[draw % len(VOCABULARY)]
        intervals.append((start, end, label))
        if draw >= len(skipped):
            words.append((label.lower(), start, end))
        start = end
    intervals.append((start, seconds, ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(form({"transcript": intervals}, seconds).encode())
    return words


def _write_words(path, experiment, seconds, seed):
    if experiment == "perceived_speech":
        return write_textgrid(path, seconds, seed, long_textgrid)
    if experiment == "perceived_multispeaker":
        return write_single_tier(path, seconds, seed, short_textgrid, ("", "sp", "{LG}", "ns"))
    return write_single_tier(path, seconds, seed, long_textgrid, ("", "sp", "uh"))


def _write_experiments(stimuli, responses, voxels, frames, truth):
    """`responses(subject)` is the folder of a subject's experiments."""
    for number, (experiment, (tasks, first_centre)) in enumerate(EXPERIMENTS.items()):
        for index, task in enumerate(tasks):
            seed = 100 * number + index
            words = []
            if task != WITHOUT_TEXT:
                path = stimuli / experiment / f"{task}.TextGrid"
                words = _write_words(path, experiment, 2.0 * frames + first_centre - 1 + 10, seed)
                truth.words[experiment, task] = words
            files = [f"{task}_repeat-{k}" for k in (1, 2)] if experiment == "imagined_speech" else [task]
            for subject, num_voxels in voxels.items():
                for repeat, file in enumerate(files):
                    values = respond(words, frames, num_voxels, 1000 + 10 * seed + repeat, first_centre)
                    write_hf5(responses(subject) / experiment / f"{file}.hf5", {"data": values})
                    truth.responses[subject, experiment, file] = values


def tang(root, voxels, frames=12) -> TangTruth:
    """ds004510: subjects with so many voxels, and so many rows in each file."""
    derivative, truth = Path(root) / "derivative", TangTruth()
    _write_experiments(derivative / "TextGrids", lambda s: derivative / "preprocessed_data" / s, voxels, frames, truth)
    return truth


def semantic_decoding(root, voxels, sessions, frames=12) -> TangTruth:
    """The repository's `data_train` and `data_test`; `sessions[session]` lists training stories."""
    train, test, truth = Path(root) / "data_train", Path(root) / "data_test", TangTruth()
    _write_experiments(test / "test_stimulus", lambda s: test / "test_response" / s, voxels, frames, truth)
    stories = [story for names in sessions.values() for story in names]
    for number, story in enumerate(stories):
        path = train / "train_stimulus" / f"{story}.TextGrid"
        truth.words["train", story] = write_textgrid(path, 2.0 * frames + 20, 50 + number, long_textgrid)
        for index, (subject, num_voxels) in enumerate(voxels.items()):
            values = respond(truth.words["train", story], frames, num_voxels, 2000 + 10 * number + index)
            write_hf5(train / "train_response" / subject / f"{story}.hf5", {"data": values})
            truth.responses[subject, "train", story] = values
    (train / "respdict.json").write_text(json.dumps(dict.fromkeys(stories, frames + 20)))
    (train / "sess_to_story.json").write_text(json.dumps(sessions))
    (train / "ROIs").mkdir()
    for subject, num_voxels in voxels.items():
        truth.rois[subject] = {"speech": [0, 3, num_voxels - 1], "auditory": [3, 4]}
        (train / "ROIs" / f"{subject}.json").write_text(json.dumps(truth.rois[subject]))
    (test / "eval_segments.json").write_text(json.dumps({"wheretheressmoke": [12, 30]}))
    return truth
