# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""The row: what every corpus builder writes and every trainer reads, and the `corpus.json` that travels beside it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value


SAMPLE_ID = "sample_id"
CORPUS = "corpus"
SUBJECT = "subject"
STORY = "story"
GROUP = "group"
TOPIC = "topic"
BRAIN_ID = "brain_id"
PROMPT = "prompt"
COMPLETION = "completion"
TEXT = "text"
BRAIN_VALUES = "brain_values"

#: What each column holds, in the order of the row. The dataset card prints this table.
COLUMNS = {
    SAMPLE_ID: "`<corpus>/<subject>/<story>/<sentence>/<k>`, unique in the corpus",
    CORPUS: "name of the corpus",
    SUBJECT: "whose brain it is",
    STORY: "identity of the stimulus (story or passage), the same for all subjects",
    GROUP: "what must stay on one side of a split (story or passage); brain controls swap between groups",
    TOPIC: "subject matter of the passage; several passages may share it",
    BRAIN_ID: "identity of the distinct brain sample; samples of one sentence may share it",
    PROMPT: "text perceived before the completion",
    COMPLETION: "text to decode",
    TEXT: "all text perceived during the brain sample",
    BRAIN_VALUES: "float32 `[frames, features]`, unscaled",
}
TEXT_COLUMNS = tuple(name for name in COLUMNS if name != BRAIN_VALUES)

#: Rows as they are: decode `completion`, given `prompt` and the brain.
CONTINUATION = "continuation"
#: One row per distinct `brain_id`: decode `text` from the brain alone.
SENTENCE = "sentence"
READINGS = (CONTINUATION, SENTENCE)

TRAIN, VALIDATION, TEST = "train", "validation", "test"
#: Names of the Arrow splits, in the order in which they are written.
SPLITS = (TRAIN, VALIDATION, TEST)

CORPUS_FILE = "corpus.json"


def row_features(num_features: int) -> Features:
    """
    The Arrow type of a row.

    Args:
        num_features (`int`):
            Width of one brain frame. It is fixed within a corpus; the number of frames may vary from row to row.
    """
    columns = {name: Value("string") for name in TEXT_COLUMNS}
    return Features({**columns, BRAIN_VALUES: List(List(Value("float32"), length=num_features))})


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """
    One row before it is written: the text columns, and where its brain frames lie.

    Overlapping windows point into the same recording, so that reading a story costs its own size and not one copy
    for each window.

    Args:
        sample_id, corpus, subject, story, group, topic, brain_id, prompt, completion, text (`str`):
            See [`COLUMNS`].
        recording (`np.ndarray`):
            float32 `[recorded frames, features]`.
        frames (`np.ndarray`):
            Which frames of `recording` belong to this sample, as integers `[frames]`.
    """

    sample_id: str
    corpus: str
    subject: str
    story: str
    group: str
    topic: str
    brain_id: str
    prompt: str
    completion: str
    text: str
    recording: np.ndarray
    frames: np.ndarray

    @property
    def brain_values(self) -> np.ndarray:
        """float32 `[frames, features]`."""
        return self.recording[self.frames]


def samples_to_table(samples: Sequence[Sample]) -> pa.Table:
    """Lays samples out as an Arrow table of [`row_features`], without a Python list of numbers on the way."""
    columns = {name: pa.array([getattr(sample, name) for sample in samples], pa.string()) for name in TEXT_COLUMNS}
    frames = np.concatenate([sample.brain_values for sample in samples])
    ends = np.cumsum([0] + [len(sample.frames) for sample in samples], dtype=np.int32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(frames.ravel()), frames.shape[1])
    columns[BRAIN_VALUES] = pa.ListArray.from_arrays(pa.array(ends), rows)
    return pa.table(columns)


@dataclass
class SplitInfo:
    """
    How the rows were divided: the first thing that a report states.

    Args:
        policy (`str`):
            One of [`~dataset_builders.splits.SPLIT_POLICIES`].
        fold, num_folds, seed (`int`):
            Which of how many folds is the test split, and the seed of the division.
        validation_fraction (`float`):
            Share of the groups outside the test split that became the validation split.
        sizes (`dict[str, int]`):
            Rows in each split.
        leaks (`list[dict]`):
            Findings of [`~dataset_builders.leaks.find_leaks`]; empty for a clean split.
        leak_allowed (`bool`):
            Whether the policy is one that is known to leak and was asked for by name.
    """

    policy: str
    fold: int
    num_folds: int
    seed: int
    validation_fraction: float
    sizes: dict[str, int]
    leaks: list[dict[str, Any]]
    leak_allowed: bool


@dataclass
class CorpusInfo:
    """
    What `corpus.json` says about a prepared corpus.

    Args:
        corpus (`str`):
            Name of the corpus, as in the column `corpus`.
        subjects (`list[str]`):
            Every subject in the rows.
        licence, citation, redistribution (`str`):
            Terms of the source, BibTeX entry, and whether prepared rows may be passed on.
        split ([`SplitInfo`]):
            How the rows were divided.
        facts (`dict`):
            Counts measured while reading, and how they differ from those that the builder expects.
        fingerprint (`str`):
            Hash of the content of all rows and of their division. Equal on every machine for equal data.
    """

    corpus: str
    subjects: list[str]
    licence: str
    citation: str
    redistribution: str
    split: SplitInfo
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    def to_json(self) -> str:
        """The text of `corpus.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "CorpusInfo":
        """The inverse of [`~CorpusInfo.to_json`]."""
        fields = json.loads(text)
        split = SplitInfo(**fields.pop("split"))
        return cls(split=split, **fields)

    def save(self, folder: str | Path) -> None:
        """Writes `corpus.json` into `folder`."""
        (Path(folder) / CORPUS_FILE).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "CorpusInfo":
        """
        Reads `corpus.json` from `folder`.

        Raises:
            FileNotFoundError: `folder` is not a prepared corpus.
        """
        path = Path(folder) / CORPUS_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: prepare the corpus with examples/prepare_dataset.py first")
        return cls.from_json(path.read_text(encoding="utf-8"))


__all__ = [
    "BRAIN_ID",
    "BRAIN_VALUES",
    "COLUMNS",
    "COMPLETION",
    "CONTINUATION",
    "CORPUS",
    "CORPUS_FILE",
    "GROUP",
    "PROMPT",
    "READINGS",
    "SAMPLE_ID",
    "SENTENCE",
    "SPLITS",
    "STORY",
    "SUBJECT",
    "TEST",
    "TEXT",
    "TEXT_COLUMNS",
    "TOPIC",
    "TRAIN",
    "VALIDATION",
    "CorpusInfo",
    "Sample",
    "SplitInfo",
    "row_features",
    "samples_to_table",
]
