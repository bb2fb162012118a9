# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One chapter of a book that 27 people listened to, in six regions of their brains (Brennan et al. 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..preparation.alignment import Clock
from ..preparation.confounds import regress_out
from ..readers.text_files import read_text
from ..readers.transcripts import read_words_textgrid
from ..readers.words import check_last_word
from ..schema import Geometry, Recording, Sample
from ..splitting.policies import TIME
from .base import BrainCorpusBuilder
from .facts import ANY_SUBJECT
from .stories import StoryConfig, window_samples


REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
RADII = ("6mm", "10mm")
TREND, MOVEMENT, WORD_RATE, SOUND_POWER = "trend", "movement", "word_rate", "sound_power"
CONFOUNDS = (TREND, MOVEMENT, WORD_RATE, SOUND_POWER)
STORY = "alice"

#: Twenty seconds of silence precede the speech, while the ten volumes were measured that are not published: volume 0
#: begins at 20 s of the TextGrid.
CLOCK = Clock(tr=2.0, first_centre=21.0)
_DISCARDED = 10
_NUM_MOVEMENTS = 6
#: Seconds of a group: what a split holds out together, and what control brains are swapped between.
_PART = 60.0


@dataclass(frozen=True)
class Alice2016Facts:
    """
    What a copy is compared with.

    Args:
        people, words (`int`):
            People with a signal, and words of the chapter.
        volumes (`int`):
            Volumes of each person.
        correlations (`dict[str, tuple[float, ...]]`):
            For each radius the inter-subject correlation of each region, to two digits.
    """

    people: int = 27
    words: int = 2127
    volumes: int = 362
    correlations: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {
            "6mm": (0.33, 0.24, 0.42, 0.28, 0.25, 0.19),
            "10mm": (0.29, 0.20, 0.40, 0.24, 0.21, 0.16),
        }
    )


@dataclass
class Alice2016Config(StoryConfig):
    """
    Choices for the chapter; see [`StoryConfig`] for windows, which take ten seconds here. Prompts are shorter than a
    window's words, so that none holds the completion of a row that another person is tested on.

    Args:
        radius (`str`, *optional*, defaults to `"10mm"`):
            Of the spheres whose mean is a region: `"6mm"` or `"10mm"`.
        confounds (`list[str]`, *optional*):
            What is regressed out of each recording, by weights fitted on its training frames: `"trend"` (up to the
            third power of time; under `split="time"` it is extrapolated to the test frames), `"movement"` (six
            parameters), `"word_rate"` and `"sound_power"` (each as published, and one volume earlier and later).
            Defaults to none. A recording without training frames, that of a person who is held out, has weights of
            its own.
    """

    split: str = TIME
    gap_frames: int = 4
    standardize: str = "recording"
    num_frames: int = 7
    window_frames: int = 5
    prompt_words: int = 12
    radius: str = "10mm"
    confounds: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.confounds or () if name not in CONFOUNDS]
        if self.radius not in RADII or unknown:
            what, known = (f"confounds={unknown}", CONFOUNDS) if unknown else (f"radius={self.radius!r}", RADII)
            raise ValueError(f"{what} is unknown: choose from {', '.join(known)}")


class Alice2016(BrainCorpusBuilder):
    """
    fMRI of 27 people who listened to the first chapter of "Alice in Wonderland" for twelve minutes.

    A frame takes 2 seconds and holds six regions of the language network: the anterior temporal lobe on both sides,
    and on the left the posterior temporal and inferior parietal lobes, premotor cortex and inferior frontal gyrus.
    Words and their times come from a TextGrid, in the case of the book and without punctuation.

    A row decodes the words of ten seconds from seven frames, 2 to 14 seconds after the first of them. There is one
    story: it is divided in time by default, with a gap of eight seconds; groups are its minutes, so that
    `split="passage"` holds out minutes and `split="subject"` people, on minutes that nobody was trained on. Six
    regions tell little: this corpus is for clocks, statistics over people and confounds, not for reconstructing words.

    `data_dir` is the folder with `fmri` (`6mm`, `10mm`, movement, word rate and sound power) and `stimuli` (the
    TextGrid) as published.
    """

    config: Alice2016Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = Alice2016Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = ("fmri/*.txt", "fmri/*/*.txt", "stimuli/*.TextGrid")
    LICENCE = "CC BY 4.0"
    HOMEPAGE = "https://doi.org/10.1016/j.bandl.2016.04.008"
    REDISTRIBUTION = "Free with attribution: Brennan et al. (2016), CC BY 4.0; the values here are standardised."
    MAY_REDISTRIBUTE = True
    KNOWN_DEFECTS = (
        "The file of s33 holds nothing but zeros; it is left out.",
        "Two protocols: a single echo up to s37, several echoes from s39 on.",
        "All people heard one story, so that no division holds out a whole story.",
        "Word rate and sound power differ slightly from person to person, as published.",
    )
    CITATION = """@article{brennan2016abstract,
  title = {Abstract linguistic structure correlates with temporal activity during naturalistic comprehension},
  author = {Brennan, Jonathan R. and Stabler, Edward P. and Van Wagenen, Sarah E. and Luh, Wen-Ming
            and Hale, John T.},
  journal = {Brain and Language},
  volume = {157-158},
  pages = {81--94},
  year = {2016},
  doi = {10.1016/j.bandl.2016.04.008}
}"""
    #: What a copy is compared with.
    FACTS: ClassVar[Alice2016Facts] = Alice2016Facts()

    @property
    def corpus_name(self) -> str:
        return "alice2016"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        return {ANY_SUBJECT: {"recordings": 1, "features": len(REGIONS), "frames": self.FACTS.volumes}}

    def list_recordings(self) -> list[Recording]:
        folder = Path(self.config.data_dir or "") / "fmri" / self.config.radius
        paths = {path.name.partition("-")[0]: path for path in sorted(folder.glob("s*-timecourses.txt"))}
        if self.config.data_dir is None or not paths:
            raise FileNotFoundError(f"{folder} holds no s*-timecourses.txt: data_dir is the folder with fmri, stimuli")
        values = {subject: read_numbers(path, len(REGIONS)) for subject, path in paths.items()}
        silent = [subject for subject, own in values.items() if not own.any()]
        if silent:
            self.not_taken["the time courses are zero throughout"] = [
                str(paths[subject].relative_to(str(self.config.data_dir))) for subject in silent
            ]
        values = {subject: own for subject, own in values.items() if subject not in silent}
        self.compare("people with a signal", self.FACTS.people, len(values))
        expected = {self.FACTS.volumes}
        if {len(own) for own in values.values()} == expected and len(values) == self.FACTS.people > 1:
            found = tuple(np.round(inter_subject_correlation(list(values.values())), 2).tolist())
            self.compare("inter-subject correlation of regions", self.FACTS.correlations[self.config.radius], found)
        return [
            Recording(
                recording_id=f"{subject}/{STORY}",
                subject=subject,
                num_frames=len(own),
                num_features=len(REGIONS),
                read=partial(np.asarray, own.astype(np.float32)),
                sources=(paths[subject],),
                nuisance=self._nuisance(folder.parent, subject, len(own)),
            )
            for subject, own in values.items()
        ]

    def _nuisance(self, folder: Path, subject: str, num_frames: int) -> np.ndarray | None:
        if not self.config.confounds:
            return None
        return np.hstack([nuisance(folder, subject, name, num_frames) for name in self.config.confounds])

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        found = sorted((Path(str(self.config.data_dir)) / "stimuli").glob("*.TextGrid"))
        if len(found) != 1:
            raise FileNotFoundError(f"{self.config.data_dir}/stimuli holds {len(found)} TextGrids, expected one")
        words = read_words_textgrid(found[0])
        self.compare(f"{found[0].name}, words", self.FACTS.words, len(words))
        samples = []
        for recording in recordings:
            check_last_word(words, CLOCK.end(recording.num_frames), found[0])
            names = {"corpus": self.corpus_name, "stimulus": STORY, "group": STORY}
            samples += window_samples(recording, words, CLOCK, self.config, self.notes, **names)
        return [replace(sample, group=_part_of(sample)) for sample in samples]

    def geometry(self, subject: str) -> Geometry:
        labels = np.arange(1, len(REGIONS) + 1, dtype=np.int16)
        return Geometry(roi_labels={"region": labels}, roi_names={"region": list(REGIONS)})


def _part_of(sample: Sample) -> str:
    """The minute of the story in which a window begins: the same for all people."""
    begin = sample.frame_times[0] - CLOCK.tr * 1.5
    return f"{STORY}/minute-{int((begin - CLOCK.start(0)) // _PART):02d}"


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """
    A table of numbers parted by blanks, float64 `[rows, columns]`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line has another number of columns, or a value is not finite.
    """
    lines = [line.split() for line in read_text(path)[0].splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        if len(line) != columns:
            raise ValueError(f"{path}, line {number}: {len(line)} columns, expected {columns}; download it again")
    try:
        values = np.array(lines, dtype=float)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected numbers alone, download it again") from error
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{path}, line {row + 1}, column {column + 1} is not finite: download it again")
    return values


def nuisance(folder: Path, subject: str, name: str, num_frames: int) -> np.ndarray:
    """
    The columns of one confound, float64 `[frames, columns]`.

    Args:
        folder (`Path`):
            With the files of movement, word rate and sound power.
        subject (`str`):
            Whose they are.
        name (`str`):
            One of [`CONFOUNDS`].
        num_frames (`int`):
            Volumes of the time courses.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged, or has another number of volumes.
    """
    if name == TREND:
        return np.linspace(-1, 1, num_frames)[:, None] ** np.arange(1, 4)
    pattern = {MOVEMENT: "rp_*", WORD_RATE: "rate", SOUND_POWER: "sndpwr"}[name]
    paths = sorted(folder.glob(f"{subject}-{pattern}.txt"))
    if len(paths) != 1:
        raise FileNotFoundError(f"{folder} holds {len(paths)} files {subject}-{pattern}.txt, expected one")
    values = read_numbers(paths[0], _NUM_MOVEMENTS if name == MOVEMENT else 1)
    # Movement was estimated on all volumes; the first ten have no time course.
    dropped = _DISCARDED if name == MOVEMENT and len(values) == num_frames + _DISCARDED else 0
    values = values[dropped:]
    if len(values) != num_frames:
        raise ValueError(f"{paths[0]} has {len(values)} volumes and the time course {num_frames}: files do not match")
    if name == MOVEMENT:
        return values
    earlier, later = np.vstack([values[1:], values[-1:]]), np.vstack([values[:1], values[:-1]])
    return np.hstack([earlier, values, later])


def inter_subject_correlation(people: Sequence[np.ndarray]) -> np.ndarray:
    """
    Correlation of each person's region with the mean of all others without a cubic trend, as a mean over people.

    Args:
        people (`Sequence[np.ndarray]`):
            Of each person `[frames, regions]`.
    """
    trend = np.linspace(-1, 1, len(people[0]))[:, None] ** np.arange(1, 4)
    clean = np.array([regress_out(own.astype(np.float32), trend) for own in people], float)
    clean -= clean.mean(axis=1, keepdims=True)
    clean /= clean.std(axis=1, keepdims=True)
    others = (clean.sum(axis=0) - clean) / (len(clean) - 1)
    return ((clean * others).mean(axis=1) / others.std(axis=1)).mean(axis=0)


__all__ = [
    "CLOCK",
    "CONFOUNDS",
    "REGIONS",
    "Alice2016",
    "Alice2016Config",
    "Alice2016Facts",
    "inter_subject_correlation",
    "nuisance",
    "read_numbers",
]
