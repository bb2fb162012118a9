# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Files in the layouts of BrainLLM, written from a known truth. No code is shared with the reader: what the reader
returns is compared with the truth itself.
"""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@dataclass
class Item:
    """A sentence or a window: its chunks of text and, for each chunk, the rows of the recording."""

    chunks: list[str]
    frames: list[list[int]]


#: `truth[subject][story]` is a pair: items, and the recording, float32 [frames, features].
Truth = dict[str, dict[object, tuple[list[Item], np.ndarray]]]


def make_sentences(subjects=("P01",), num_stories=12, num_features=16, seed=0) -> Truth:
    """Pereira-like: passages of 3 or 4 sentences of three chunks, one frame a sentence."""
    generator = np.random.default_rng(seed)
    truth: Truth = {}
    texts = {}
    for story in range(num_stories):
        texts[story] = [
            [f"Thing{story} kind{story}", f"has part{story}x{n}", f"in place{story}y{n} now{n}."]
            for n in range(generator.integers(3, 5))
        ]
    for subject in subjects:
        truth[subject] = {}
        for story, sentences in texts.items():
            items = [Item(chunks, [[n]] * 3) for n, chunks in enumerate(sentences)]
            truth[subject][story] = (items, generator.normal(0, 100, (len(items), num_features)).astype(np.float32))
    return truth


def make_windows(subjects=("1",), num_stories=6, num_features=16, seed=0) -> Truth:
    """Huth- and Narratives-like: windows of four volumes slide over a story; four frames follow each volume."""
    generator = np.random.default_rng(seed)
    truth: Truth = {subject: {} for subject in subjects}
    for story in range(num_stories):
        heard = [f"Story{story} word{volume}" if volume % 5 else "" for volume in range(1, 13)]
        items = [
            Item(heard[start : start + 4], [list(range(v + 1, v + 5)) for v in range(start, start + 4)])
            for start in range(len(heard) - 4)
        ]
        for subject in subjects:
            recording = generator.normal(0, 10, (len(heard) + 5, num_features)).astype(np.float32)
            truth[subject][f"story{story}"] = (items, recording)
    return truth


def _item(item: Item, index: int, story: object) -> dict:
    words = [
        {
            "nFixations": k,
            "term_level_EEG": {"raw": np.array([-1])},
            "content": content,
            "additional": np.array(frames, dtype=np.int64),
        }
        for k, (content, frames) in enumerate(zip(item.chunks, item.frames, strict=True))
    ]
    counts = list(range(len(words)))
    return {
        "content": " ".join(item.chunks),
        "word": words,
        "word_tokens_all": counts,
        "word_tokens_with_mask": counts,
        "word_tokens_has_fixation": counts,
        "prev_content": "[CLS]",
        "trail_id": story,
        "sid": [index],
        "fmri_length": 1,
    }


def _texts(items, story):
    return [_item(item, index, story) for index, item in enumerate(items)]


def _brain(items, recording, number):
    return {"index2trial": number, "fmri": recording, "words": [" ".join(item.chunks).split() for item in items]}


def write_brainllm(folder: Path, layout: str, truth: Truth, protocol: int = 4) -> Path:
    """Writes `<subject>.wq.pkl` and `<subject>.pca1000.wq.pkl.dic` (Narratives: one pair for each story)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict = {}
    brain: dict = {}
    for subject, stories in truth.items():
        for number, (story, (items, recording)) in enumerate(stories.items()):
            file, key = (story, subject) if layout == "narratives" else (subject, story)
            texts.setdefault(file, {})[key] = _texts(items, story)
            brain.setdefault(file, {})[key] = _brain(items, recording, number)
    for file in texts:
        (folder / f"{file}.wq.pkl").write_bytes(pickle.dumps(texts[file], protocol))
        (folder / f"{file}.pca1000.wq.pkl.dic").write_bytes(pickle.dumps(brain[file], protocol))
    return folder


@pytest.fixture
def sentences():
    return make_sentences


@pytest.fixture
def windows():
    return make_windows


@pytest.fixture
def write():
    return write_brainllm


@pytest.fixture(scope="session")
def participant() -> Path:
    """Folder of the real participant published with BrainLLM."""
    shared = Path(os.environ.get("BRAINLLM_SHARED", Path(__file__).parents[3] / "shared"))
    folder = shared / "data" / "pereira_example"
    if not folder.is_dir():
        pytest.skip(f"THE REAL PARTICIPANT IS NOT TESTED: {folder} is absent; set BRAINLLM_SHARED to the data folder")
    return folder
