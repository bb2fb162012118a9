# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The row: what every corpus builder writes and every trainer reads; and what a builder says before it is written."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value


SAMPLE_ID = "sample_id"
CORPUS = "corpus"
SUBJECT = "subject"
SESSION = "session"
STIMULUS = "stimulus"
GROUP = "group"
TOPIC = "topic"
BRAIN_ID = "brain_id"
PROMPT = "prompt"
COMPLETION = "completion"
TEXT = "text"
REFERENCES = "references"
QUESTION = "question"
ANSWERS = "answers"
QUESTION_TYPE = "question_type"
DIALOGUE = "dialogue"
WORDS = "words"
WORD_ONSETS = "word_onsets"
WORD_OFFSETS = "word_offsets"
FRAME_TIMES = "frame_times"
NUM_WORDS = "num_words"
NUM_CHARACTERS = "num_characters"
POSITION = "position"
WORDS_PER_SECOND = "words_per_second"
BRAIN_VALUES = "brain_values"

#: What each column holds, in the order of the row. The dataset card prints this table.
COLUMNS = {
    SAMPLE_ID: "`<corpus>/<subject>/<run>/<place>`, unique in the corpus",
    CORPUS: "name of the corpus",
    SUBJECT: "whose brain it is",
    SESSION: "scanning session, where known",
    STIMULUS: "identity of the stimulus (story, passage or image), the same for all subjects",
    GROUP: "what must stay on one side of a split (story, passage, image); brain controls swap between groups",
    TOPIC: "subject matter of the passage; several passages may share it",
    BRAIN_ID: "identity of the distinct brain sample; samples of one sentence may share it",
    PROMPT: "text perceived before the completion",
    COMPLETION: "text to decode",
    TEXT: "all text perceived during the brain sample",
    REFERENCES: "all descriptions of an image; empty where the completion is the only one",
    QUESTION: "what is asked about the stimulus; empty where nothing is",
    ANSWERS: "what people answered, ten in VQA; the completion is the most frequent",
    QUESTION_TYPE: "what the question shows of itself (`how many`), by which one could guess without a brain",
    DIALOGUE: "turns of a dialogue about the stimulus, `{role, content}`, by `user` and `assistant`",
    WORDS: "words of the completion, where their times are known",
    WORD_ONSETS: "when each word begins, in seconds of the stimulus clock",
    WORD_OFFSETS: "when each word ends, in seconds of the stimulus clock",
    FRAME_TIMES: "centre of each brain frame, in seconds of the stimulus clock",
    NUM_WORDS: "words of `text`",
    NUM_CHARACTERS: "characters of `text`",
    POSITION: "place of the brain sample in its passage or story, from 0; null for what was shown at once",
    WORDS_PER_SECOND: "words of the completion a second, from the first onset to the last offset; null without times",
    BRAIN_VALUES: "brain frames `[frames, features]`, or the recording and the numbers of its frames that hold them",
}
TEXT_COLUMNS = (
    *(SAMPLE_ID, CORPUS, SUBJECT, SESSION, STIMULUS, GROUP, TOPIC, BRAIN_ID, PROMPT, COMPLETION, TEXT),
    *(QUESTION, QUESTION_TYPE),
)
_WORD_COLUMNS = (REFERENCES, ANSWERS, WORDS)
_TIME_COLUMNS = (WORD_ONSETS, WORD_OFFSETS, FRAME_TIMES)
#: What the design alone tells of a row, without its words and without a brain.
STRUCTURE_COLUMNS = {NUM_WORDS: "int32", NUM_CHARACTERS: "int32", POSITION: "int32", WORDS_PER_SECOND: "float32"}

#: Rows as they are: decode `completion`, given `prompt` and the brain.
CONTINUATION = "continuation"
#: One row per distinct `brain_id`: decode `text` from the brain alone.
SENTENCE = "sentence"
READINGS = (CONTINUATION, SENTENCE)

TRAIN, VALIDATION, TEST = "train", "validation", "test"
#: Names of the Arrow splits, in the order in which they are written.
SPLITS = (TRAIN, VALIDATION, TEST)

#: Where `brain_values` lies: inside each row; or once in a table of recordings to which rows refer by frame, because
#: windows of a story overlap and copies would be as many as a window is long.
IN_ROWS, IN_RECORDINGS = "rows", "recordings"


_RECORDING_ID = re.compile(r"(?![.])[\w.+-]+/(?![.])[\w.+-]+")


def _listed(sources: tuple[Path, ...]) -> str:
    return ", ".join(map(str, sources)) or "the files"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """
    One run of one subject (story, session of betas, experiment): what is known of it, and how it is read.

    Args:
        recording_id (`str`):
            `<subject>/<run>`, unique in the corpus; letters, digits, `.`, `_`, `-`, `+` and one `/`.
        subject (`str`):
            Whose brain it is.
        num_frames, num_features (`int`):
            Shape of the values, known without reading them.
        read (`Callable`):
            Returns the values, float32 (or float16 where that is exact) `[frames, features]`. Can be pickled, so that
            recordings are read in several processes.
        session (`str`, *optional*):
            Recordings of one session share the statistics of `standardize="session"`.
        sources (`tuple[Path, ...]`, *optional*):
            Files behind it, for messages.
        standardized (`bool`, *optional*, defaults to `False`):
            Whether `read` has standardised the values already (an average of standardised trials): then they are left
            as they are.
        made_of ([`Average`], *optional*):
            The recordings that `read` computes it from, where it does.
        nuisance (`np.ndarray`, *optional*):
            `[frames, columns]` to regress out of the values by weights fitted on training frames.
    """

    recording_id: str
    subject: str
    num_frames: int
    num_features: int
    read: Callable[[], np.ndarray]
    session: str = ""
    sources: tuple[Path, ...] = ()
    standardized: bool = False
    made_of: "Average | None" = None
    nuisance: np.ndarray | None = None

    def __post_init__(self) -> None:
        # Ids become paths below the cache and names of files on the Hub.
        if _RECORDING_ID.fullmatch(self.recording_id) and self.recording_id.split("/")[0] == self.subject:
            return
        raise ValueError(
            f"{self.recording_id!r} cannot name a recording of {self.subject!r}: expected <subject>/<run> of letters, "
            f"digits, `.`, `_`, `-` and `+`, neither of which begins with a dot; rename it in {_listed(self.sources)}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """
    Frames that are computed from several recordings, such as averages of repeats.

    Args:
        sources (`tuple[Recording, ...]`):
            What they are computed from.
        take (`tuple[Callable, ...]`):
            For each source, what makes of its values `[frames, features]` what is needed of it.
        join (`Callable`):
            Makes the frames of what was taken, one source after another. Like `take` it can be pickled.
    """

    sources: tuple[Recording, ...]
    take: tuple[Callable[[np.ndarray], np.ndarray], ...]
    join: Callable[[Iterable[np.ndarray]], np.ndarray]

    def read(self) -> np.ndarray:
        """The frames `[frames, features]`; one source is in memory at a time."""
        return self.join(take(source.read()) for source, take in zip(self.sources, self.take, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """
    One row before it is written: its text, and which frames of which recording belong to it.

    Overlapping windows point into the same recording, so that a story costs its own size and not one copy a window.

    Args:
        sample_id, corpus, subject, stimulus, group, topic, brain_id, prompt, completion, text, session (`str`):
            See [`COLUMNS`].
        recording (`str`):
            `recording_id` of the [`Recording`] that holds its frames.
        frames (`tuple[int, ...]`):
            Which frames of the recording belong to this sample, counted from 0.
        references, words (`tuple[str, ...]`), word_onsets, word_offsets, frame_times (`tuple[float, ...]`):
            See [`COLUMNS`]; empty where the corpus has none.
        official_split (`str`, *optional*):
            `"train"` or `"test"` in the corpus's own division, for the split policy `official`.
        question, question_type (`str`), answers (`tuple[str, ...]`), *optional*:
            See [`COLUMNS`].
        rounds (`tuple[tuple[str, str], ...]`, *optional*):
            Questions and answers of a dialogue, in turn.
        position (`int`, *optional*):
            See [`COLUMNS`]; set by [`with_positions`] for all corpora alike.
    """

    sample_id: str
    corpus: str
    subject: str
    stimulus: str
    group: str
    topic: str
    brain_id: str
    prompt: str
    completion: str
    text: str
    recording: str
    frames: tuple[int, ...]
    session: str = ""
    references: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    word_onsets: tuple[float, ...] = ()
    word_offsets: tuple[float, ...] = ()
    frame_times: tuple[float, ...] = ()
    official_split: str = ""
    question: str = ""
    answers: tuple[str, ...] = ()
    question_type: str = ""
    rounds: tuple[tuple[str, str], ...] = ()
    position: int | None = None

    @property
    def dialogue(self) -> list[dict[str, str]]:
        """The rounds as turns."""
        roles = ("user", "assistant")
        return [
            {"role": role, "content": text} for turn in self.rounds for role, text in zip(roles, turn, strict=True)
        ]

    @property
    def num_words(self) -> int:
        """Words of the text, parted by blanks."""
        return len(self.text.split())

    @property
    def num_characters(self) -> int:
        """Characters of the text, without blanks around it."""
        return len(self.text.strip())

    @property
    def words_per_second(self) -> float | None:
        """Words of the completion over the time that they took, where that is known."""
        if not self.word_onsets or not self.word_offsets:
            return None
        seconds = max(self.word_offsets) - min(self.word_onsets)
        return len(self.word_onsets) / seconds if seconds > 0 else None


def with_positions(samples: Sequence[Sample]) -> list[Sample]:
    """
    The samples, each with its place in its passage or story: the rank of its first frame among those of its recording
    and stimulus. Samples of one brain share a place; what was shown at once, and has `references`, has none.
    """
    starts: dict[tuple[str, str], set[int]] = {}
    for sample in samples:
        starts.setdefault((sample.recording, sample.stimulus), set()).add(min(sample.frames))
    ranks = {key: {start: rank for rank, start in enumerate(sorted(found))} for key, found in starts.items()}
    return [
        replace(s, position=None if s.references else ranks[s.recording, s.stimulus][min(s.frames)]) for s in samples
    ]


@dataclass
class Geometry:
    """
    Where the features of one subject lie. Arrays have one entry a feature, as [`Recording`] returns them.

    Args:
        coordinates (`np.ndarray`, *optional*):
            float32 `[features, 3]`, millimetres in `space`. NaN for features that have none; they are left out.
        space (`str`, *optional*):
            Name of the space, e.g. `"MNI152NLin2009cAsym"`.
        roi_labels (`dict[str, np.ndarray]`, *optional*):
            For each set of labels (an atlas) int16 `[features]`; 0 is unlabelled.
        roi_names (`dict[str, list[str]]`, *optional*):
            For each set the names of labels 1, 2, ...
        noise_ceiling (`np.ndarray`, *optional*):
            float32 `[features]`, in `noise_ceiling_unit`.
        grid_shape (`tuple[int, ...]`), grid_index (`np.ndarray`), affine (`np.ndarray`), *optional*:
            Shape of the subject's own volume, int64 `[features]` places in it (C order) and float64 `[4, 4]`, to write
            maps back.
    """

    coordinates: np.ndarray | None = None
    space: str = ""
    roi_labels: dict[str, np.ndarray] = field(default_factory=dict)
    roi_names: dict[str, list[str]] = field(default_factory=dict)
    noise_ceiling: np.ndarray | None = None
    noise_ceiling_unit: str = ""
    grid_shape: tuple[int, ...] = ()
    grid_index: np.ndarray | None = None
    affine: np.ndarray | None = None

    def select(self, kept: np.ndarray) -> "Geometry":
        """The geometry of some features, given their numbers `[kept features]`."""

        def some(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[kept]

        return Geometry(
            coordinates=some(self.coordinates),
            space=self.space,
            roi_labels={name: labels[kept] for name, labels in self.roi_labels.items()},
            roi_names=self.roi_names,
            noise_ceiling=some(self.noise_ceiling),
            noise_ceiling_unit=self.noise_ceiling_unit,
            grid_shape=self.grid_shape,
            grid_index=some(self.grid_index),
            affine=self.affine,
        )


def row_features(width: int | None, dtype: str = "float32", store: str = IN_ROWS) -> Features:
    """
    The Arrow type of a row.

    Args:
        width (`int`, *optional*):
            Features of a brain frame, where all subjects have the same number.
        dtype (`str`, *optional*, defaults to `"float32"`):
            `"float16"` or `"float32"`.
        store (`str`, *optional*, defaults to [`IN_ROWS`]):
            Whether `brain_values` holds the frames or refers to them.
    """
    values = List(List(Value(dtype), length=-1 if width is None else width))
    if store == IN_RECORDINGS:
        values = {"recording": Value("string"), "frames": List(Value("int32"))}
    kinds = {
        **{name: Value("string") for name in TEXT_COLUMNS},
        **{name: List(Value("string")) for name in _WORD_COLUMNS},
        DIALOGUE: List({"role": Value("string"), "content": Value("string")}),
        **{name: List(Value("float32")) for name in _TIME_COLUMNS},
        **{name: Value(kind) for name, kind in STRUCTURE_COLUMNS.items()},
        BRAIN_VALUES: values,
    }
    return Features({name: kinds[name] for name in COLUMNS})


def samples_to_table(
    samples: Sequence[Sample], schema: pa.Schema, brain_values: Sequence[np.ndarray] | None = None
) -> pa.Table:
    """
    Lays samples out as an Arrow table, without a Python list of numbers on the way.

    Args:
        samples (`Sequence[Sample]`):
            The rows.
        schema (`pa.Schema`):
            Their type, that of [`row_features`].
        brain_values (`Sequence[np.ndarray]`, *optional*):
            `[frames, features]` of each row; if absent, rows refer to their recording.
    """
    columns = {
        name: pa.array(list(map(attrgetter(name), samples)), schema.field(name).type)
        for name in schema.names
        if name != BRAIN_VALUES
    }
    if brain_values is None:
        places = [{"recording": sample.recording, "frames": sample.frames} for sample in samples]
        columns[BRAIN_VALUES] = pa.array(places, schema.field(BRAIN_VALUES).type)
    else:
        columns[BRAIN_VALUES] = nested_list(brain_values, schema.field(BRAIN_VALUES).type)
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in columns]))


def nested_list(matrices: Sequence[np.ndarray], kind: pa.ListType) -> pa.ListArray:
    """Matrices `[frames, features]` as one Arrow array of lists of frames; frames of one call may differ in width."""
    rows = np.cumsum([0] + [len(matrix) for matrix in matrices], dtype=np.int32)
    flat = pa.array(np.concatenate([matrix.ravel() for matrix in matrices]))
    if pa.types.is_fixed_size_list(kind.value_type):
        frames = pa.FixedSizeListArray.from_arrays(flat, kind.value_type.list_size)
    else:
        widths = np.concatenate([np.full(len(matrix), matrix.shape[1]) for matrix in matrices])
        frames = pa.ListArray.from_arrays(np.cumsum(np.append(0, widths), dtype=np.int32), flat)
    return pa.ListArray.from_arrays(pa.array(rows), frames)


#: Frames over which mean and deviation are taken: none (values stay as they are), each recording, all recordings of a
#: session, or all of a subject.
STANDARDIZE = ("none", "recording", "session", "train")


#: What becomes of voxels with NaN, or that never vary: left out, set to zero, or an error.
BAD_VOXELS = ("drop", "zero", "error")


DTYPES = ("float16", "float32")


__all__ = [
    "ANSWERS",
    "BAD_VOXELS",
    "BRAIN_ID",
    "BRAIN_VALUES",
    "COLUMNS",
    "COMPLETION",
    "CONTINUATION",
    "CORPUS",
    "DIALOGUE",
    "DTYPES",
    "FRAME_TIMES",
    "GROUP",
    "IN_RECORDINGS",
    "IN_ROWS",
    "NUM_CHARACTERS",
    "NUM_WORDS",
    "POSITION",
    "PROMPT",
    "QUESTION",
    "QUESTION_TYPE",
    "READINGS",
    "REFERENCES",
    "SAMPLE_ID",
    "SENTENCE",
    "SESSION",
    "SPLITS",
    "STANDARDIZE",
    "STIMULUS",
    "STRUCTURE_COLUMNS",
    "SUBJECT",
    "TEST",
    "TEXT",
    "TEXT_COLUMNS",
    "TOPIC",
    "TRAIN",
    "VALIDATION",
    "WORDS",
    "WORDS_PER_SECOND",
    "WORD_OFFSETS",
    "WORD_ONSETS",
    "Average",
    "Geometry",
    "Recording",
    "Sample",
    "nested_list",
    "row_features",
    "samples_to_table",
    "with_positions",
]
