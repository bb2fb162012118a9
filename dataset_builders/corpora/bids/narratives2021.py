# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Narratives (ds002345; Nastase et al. 2021): 345 people listening to 27 stories, with the times of every word."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...preparation.alignment import narratives_clock
from ...readers.bids_names import read_metadata, sidecars
from ...readers.gentle import DROP, read_gentle
from ...readers.transcripts import Event
from ...readers.words import Word
from ...schema import Recording, Sample
from ..stories import StoryConfig, window_samples
from .derivative import BidsDerivativeBuilder, BidsDerivativeConfig
from .narratives2021_events import Played, played_stories, read_condition, story_rows
from .narratives2021_facts import (
    EXCLUDED_SCANS,
    LATE_SCANS,
    MEDIAL_WALL,
    MILKYWAY,
    SLUMLORDREACH,
    SLUMLORDREACH_SPLIT,
    TR,
    audio_names,
    story_group,
)
from .series import Series, find_brain_mask


# Words are timed to hundredths of a second and stories to half seconds.
_EARLY = 0.5


@dataclass
class Narratives2021Config(BidsDerivativeConfig, StoryConfig):
    """
    Choices for Narratives; see [`~dataset_builders.corpora.bids.derivative.BidsDerivativeConfig`] and, for windows,
    [`StoryConfig`] for the others.

    Args:
        exclude_scans (`bool`, *optional*, defaults to `True`):
            Whether to leave out the 27 scans that the authors leave out of their analyses.
        missing_times (`str`, *optional*, defaults to `"drop"`):
            What becomes of words that the aligner did not find: `"drop"` or `"interpolate"`.
        punctuation (`bool`, *optional*, defaults to `False`):
            Whether words carry the punctuation of the transcript.
    """

    derivative: str | None = "afni-nosmooth"
    space: str | None = "fsaverage6"
    desc: str | None = "clean"
    exclude_scans: bool = True
    missing_times: str = DROP
    punctuation: bool = False


class Narratives2021(BidsDerivativeBuilder):
    """
    Narratives: fMRI of people listening to stories.

    345 participants heard some of 27 stories, each 3 to 56 minutes long; 891 scans with a TR of 1.5 s. Raw data are on
    OpenNeuro (ds002345); what is read here, derivatives and alignments, only in the DataLad dataset
    `///labs/hasson/narratives`: surfaces or volumes of `derivatives/{fmriprep,afni-smooth,afni-nosmooth}`, and words
    of `stimuli/gentle`. By default: AFNI's `desc-clean` series (motion, drift and tissue signals regressed out), not
    smoothed, on fsaverage6; 40,962 vertices a hemisphere, of which the medial wall (6,977) holds no values.

    Words are timed in seconds of the sound file, which may open with music. A sample decodes the words that begin
    during one volume from the four volumes after it. Stories that share their words (three wordings of `milkyway`, two
    recordings of `pieman`, three orders of `notthefall`, two accounts of one animation) stay on one side of a split.
    """

    config: Narratives2021Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = Narratives2021Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "participants.tsv",
        "*_bold.json",
        "*_events.tsv",
        "sub-*/**/*_bold.json",
        "sub-*/**/*_events.tsv",
        "stimuli/gentle/*/align.*",
        "derivatives/*/sub-*/**/func/*",
        "derivatives/*/tpl-*/*",
    )
    LICENCE = "CC0 (recordings); fair use for research (stories)"
    HOMEPAGE = "https://openneuro.org/datasets/ds002345"
    MAY_REDISTRIBUTE = False
    REDISTRIBUTION = (
        "Recordings are CC0. The stories are works of others, which the authors share for non-commercial research "
        "under fair use; rows hold their text, so they must not be published."
    )
    KNOWN_DEFECTS = (
        "27 scans were set aside by the authors (code/scan_exclude.json) and are left out by default.",
        "The aligner timed the first words of some stories (notthefallintact, prettymouth, merlin) within the music "
        "before them; such words are dropped and counted.",
        "Words that the aligner did not find have no times and are dropped, or interpolated if asked.",
        "The story of lucy starts at 2.0 s in events.tsv of version 1.0.0, and at 3.0 s in that of version 1.1.4.",
        "Some subjects heard a story twice (pieman), or had seen the film of it before (merlin, sherlock, shapes).",
    )
    CITATION = """@article{nastase2021narratives,
  title = {The "Narratives" fMRI dataset for evaluating models of naturalistic language comprehension},
  author = {Nastase, Samuel A. and Liu, Yun-Fei and Hillman, Hanna and others},
  journal = {Scientific Data},
  volume = {8},
  pages = {250},
  year = {2021},
  doi = {10.1038/s41597-021-01033-3}
}"""

    @property
    def corpus_name(self) -> str:
        return "narratives2021"

    @property
    def transcripts_dir(self) -> Path:
        """Folder of the alignments. Raises `FileNotFoundError` if it is missing."""
        folder = self.data_dir / "stimuli" / "gentle"
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is missing: OpenNeuro has no transcripts; run `datalad install -r "
                "///labs/hasson/narratives` and `datalad get stimuli/gentle` in it"
            )
        return folder

    def wants(self, series: Series) -> bool:
        if self.config.exclude_scans and series.stem in EXCLUDED_SCANS:
            self.notes["excluded scans"] += 1
            return False
        task = series.entities.get("task", "")
        if self.config.tasks is None and not any((self.transcripts_dir / name).is_dir() for name in audio_names(task)):
            self.notes[f"runs without transcript, task {task}"] += 1
            return False
        return True

    def find_mask(self, series: Series) -> Path:
        name = f"tpl-{series.space}_res-{series.entities['task']}_desc-brain_mask.nii.gz"
        of_task = self.derivative_dir / f"tpl-{series.space}" / name
        beside = find_brain_mask(series)
        if beside is None and not of_task.exists() and not of_task.is_symlink():
            raise FileNotFoundError(
                f"{series.paths[0]} has no brain mask beside it, and {of_task} is missing: fetch it"
            )
        return beside or of_task

    def medial_wall(self, series: Series) -> tuple[int, int] | None:
        return MEDIAL_WALL.get(series.space) if self.config.verify_facts else None

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        self._alignments: dict[str, list[Word]] = {}
        return [sample for recording in recordings for sample in self._samples(recording)]

    def _samples(self, recording: Recording) -> Iterator[Sample]:
        series = self.series[recording.recording_id]
        task = series.entities.get("task", "")
        self._check_tr(series)
        path = self.find_events(series)
        rows = story_rows(path)
        self._check_length(path, rows, recording.num_frames)
        condition = read_condition(self.data_dir, series.subject, MILKYWAY) if task == MILKYWAY else ""
        for played in played_stories(task, rows, condition, path):
            clock = narratives_clock(self._audio_start(series.stem, played, path))
            words = self._words(played)
            story = played.clip.story
            names = {"corpus": self.corpus_name, "stimulus": story, "group": story_group(story)}
            yield from window_samples(recording, words, clock, self.config, self.notes, **names)

    def _check_tr(self, series: Series) -> None:
        paths = sidecars(self.data_dir, series.entities, "bold", ".json")
        tr = read_metadata(paths).get("RepetitionTime", TR)
        if tr != TR:
            raise ValueError(f"{paths[-1]}: RepetitionTime is {tr!r}, expected {TR} s as in all scans; check the file")

    def _check_length(self, path: Path, rows: list[Event], num_frames: int) -> None:
        """Stories end with the scan: their durations are given in whole seconds, so a frame more is allowed."""
        late = [row for row in rows if row.onset + row.duration > (num_frames + 1) * TR]
        if late and self.config.verify_facts:
            raise ValueError(
                f"{path}: the story at {late[0].onset} s lasts {late[0].duration} s, and the scan has {num_frames} "
                f"frames of {TR} s; leave the run out, or pass verify_facts=False to use what there is of it"
            )
        if late:
            self.notes["stories longer than their scan"] += len(late)

    def _audio_start(self, stem: str, played: Played, path: Path) -> float:
        """Second of the scan at which the sound file starts (t0). Music may have started before the scan."""
        start = played.onset - played.clip.audio_onset
        expected = LATE_SCANS.get(stem, played.clip.scan_onset)
        if played.onset != expected and self.config.verify_facts:
            raise ValueError(
                f"{path}: the story starts at {played.onset} s, expected {expected} s as in version 1.1.4; get this "
                "version, or pass verify_facts=False"
            )
        if start < 0 and stem not in LATE_SCANS:
            raise ValueError(
                f"{path}: the story starts at {played.onset} s of the scan and {played.clip.audio_onset} s of its "
                "sound file, which would start before the scan; check the onset"
            )
        if played.onset != expected:
            self.notes["stories that start elsewhere than published"] += 1
        return start

    def _words(self, played: Played) -> list[Word]:
        """Words of a story, in seconds of its sound file."""
        words = self._alignment(played.audio)
        if played.audio == SLUMLORDREACH:
            words = [word for word in words if (word.onset > SLUMLORDREACH_SPLIT) == (played.clip.story == "reach")]
        within = [word for word in words if word.onset >= played.clip.audio_onset - _EARLY]
        if len(within) < len(words):
            self.notes["words timed before their story"] += len(words) - len(within)
        return within

    def _alignment(self, audio: str) -> list[Word]:
        """All words of a sound file, read once for all subjects."""
        if audio not in self._alignments:
            path = self.transcripts_dir / audio
            words, counts = read_gentle(path, missing=self.config.missing_times, punctuation=self.config.punctuation)
            self.notes.update(counts)
            self._alignments[audio] = words
        return self._alignments[audio]


__all__ = ["Narratives2021", "Narratives2021Config"]
