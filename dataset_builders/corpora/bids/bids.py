# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Any BIDS dataset whose `events.tsv` hold words, and whose series were preprocessed into a derivative."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

from ...preparation.alignment import Clock
from ...readers.bids_names import join, pick, read_metadata, sidecars
from ...readers.transcripts import read_events
from ...readers.volumes import nifti_header
from ...readers.words import Word, check_last_word
from ...schema import Recording, Sample
from ...splitting.fingerprints import words_of
from ...splitting.retellings import merge_retellings
from ..stories import window_samples
from .clocks import run_clock
from .derivative import BidsDerivativeBuilder, BidsDerivativeConfig
from .series import Series, num_raw_frames


@dataclass
class BidsConfig(BidsDerivativeConfig):
    """
    Choices for any BIDS dataset; see [`~dataset_builders.corpora.bids.derivative.BidsDerivativeConfig`] for the
    others.

    Args:
        text_column (`str`, *optional*):
            Column of `events.tsv` that holds the words. Defaults to what
            [`~dataset_builders.readers.transcripts.read_events`] recognises, which is recorded in `corpus.json`.
        story_entities (`list[str]`, *optional*):
            Entities that name a story, such as `["task", "run"]`. By default runs with the same words are the same
            story, whatever they are called. Stories that tell the same are one group, whatever they are called.
        mask (`str`, *optional*):
            File of the voxels to read, below `data_dir`, for all runs. Defaults to the brain mask beside each series.
        tr (`float`, *optional*):
            Seconds from frame to frame. Defaults to what the files say, and overrules them.
        dataset (`str`, *optional*):
            Name of the dataset, by which its rows and brains are told from those of others. Defaults to `Name` of
            `dataset_description.json`, or the name of the folder.
    """

    text_column: str | None = None
    story_entities: list[str] | None = None
    mask: str | None = None
    tr: float | None = None
    dataset: str | None = None


class Bids(BidsDerivativeBuilder):
    """
    A BIDS dataset with words in its `events.tsv`.

    Series are NIfTI files within a brain mask, or GIFTI files of both hemispheres, of one derivative. Events are those
    of the raw dataset with the same subject, session, task, acquisition, direction and run, by inheritance; `run-1` is
    `run-01`. Words are cut into windows of volumes, and a sample decodes the words of a window from the frames that
    follow it.

    Frame i is taken to be measured at `StartTime + i TR` where the derivative's JSON says `StartTime` (fMRIPrep
    resamples slices to that moment), and in the middle of its volume, `(i + 0.5) TR`, where it does not; see
    [`~dataset_builders.corpora.bids.clocks`] for pauses, sparse sampling and volumes that were dropped.

    Stories are told apart by their words. Those that share them, with other spellings, with words exchanged or missing
    as in the fixations of a reader, stay on one side of a split.
    """

    config: BidsConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BidsConfig
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "*.tsv",
        "*.json",
        "sub-*/**/*.tsv",
        "sub-*/**/*.json",
        "sub-*/**/*_bold.*",
        "derivatives/*/*.json",
        "derivatives/*/tpl-*/**/*",
        "derivatives/*/sub-*/**/*.json",
        "derivatives/*/sub-*/**/func/*",
    )
    SOURCE_OPTIONS: ClassVar[tuple[str, ...]] = ("mask",)
    LICENCE = "unknown: that of the dataset"
    CITATION: ClassVar[str] = ""
    HOMEPAGE = "https://bids.neuroimaging.io"
    REDISTRIBUTION = "Ask the dataset's license, and that of its stimuli: this package does not know them."

    @property
    def corpus_name(self) -> str:
        """`bids-`, and the name of the dataset in letters, digits and single `-`."""
        name = self.config.dataset
        description = self.data_dir / "dataset_description.json"
        if name is None and description.is_file():
            name = str(read_metadata([description]).get("Name") or "")
        plain = re.sub(r"[^a-z0-9]+", "-", (name or self.data_dir.resolve().name).lower()).strip("-")
        if not plain:
            raise ValueError(f"dataset={name!r}: expected a name with letters or digits")
        return f"bids-{plain}"

    def find_mask(self, series: Series) -> Path:
        return super().find_mask(series) if self.config.mask is None else self.data_dir / self.config.mask

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        spoken = [self._spoken(recording) for recording in recordings]
        first = merge_retellings([[word.text for word in words] for words, _ in spoken])
        stories = self._stories(recordings, [words for words, _ in spoken])
        groups = [stories[told] for told in first]
        for story, group in sorted(set(zip(stories, groups, strict=True))):
            if story != group:
                self.notes[f"stories that tell the same as {group}, and are in one group with it"] += 1
        samples = []
        for recording, (words, clock), story, group in zip(recordings, spoken, stories, groups, strict=True):
            names = {"corpus": self.corpus_name, "stimulus": story, "group": group}
            samples += window_samples(recording, words, clock, self.config, self.notes, **names)
        return samples

    def _spoken(self, recording: Recording) -> tuple[list[Word], Clock]:
        """The words of a run and its clock, which must fit each other."""
        series = self.series[recording.recording_id]
        path = self.find_events(series)
        words, column = read_events(path, self.config.text_column)
        self.notes[f"runs with words in column {column!r}"] += 1
        clock = self._clock(series, recording.num_frames)
        check_last_word(words, clock.end(recording.num_frames), path)
        return words, clock

    def _clock(self, series: Series, num_frames: int) -> Clock:
        path, name = series.paths[0], series.names[0]
        return run_clock(
            path,
            num_frames,
            raw=read_metadata(sidecars(self.data_dir, series.raw_entities, "bold", ".json")),
            derived=read_metadata(sidecars(self.derivative_dir, name.entities, name.suffix, ".json")),
            header_tr=None if series.is_surface else nifti_header(path).tr_seconds,
            chosen_tr=self.config.tr,
            num_raw_frames=num_raw_frames(self.data_dir, series),
        )

    def _stories(self, recordings: list[Recording], texts: list[list[Word]]) -> list[str]:
        """Identity of what was heard or read in each run: its words, or what `story_entities` call it."""
        known: dict[str, str] = {}
        stories = []
        for recording, words in zip(recordings, texts, strict=True):
            series = self.series[recording.recording_id]
            if self.config.story_entities is not None:
                stories.append(self._named_story(series, self.config.story_entities))
                continue
            perceived = " ".join(words_of(" ".join(word.text for word in words)))
            digest = blake2b(perceived.encode(), digest_size=4).hexdigest()
            stories.append(known.setdefault(digest, f"{series.entities.get('task', 'story')}-{digest}"))
        return stories

    def _named_story(self, series: Series, entities: list[str]) -> str:
        story = join(pick(series.entities, entities))
        if not story:
            raise ValueError(
                f"{series.stem} has none of story_entities={entities}: choose from {', '.join(series.entities)}"
            )
        return story


__all__ = ["Bids", "BidsConfig"]
