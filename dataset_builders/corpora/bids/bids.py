# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Any BIDS dataset whose `events.tsv` hold words, and whose series were preprocessed into a derivative."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

from ...preparation.alignment import Clock, bids_clock
from ...readers.bids_names import join, pick, read_metadata, sidecars
from ...readers.transcripts import read_events
from ...readers.volumes import nifti_header
from ...readers.words import Word, check_last_word
from ...schema import Recording, Sample
from ..stories import window_samples
from .derivative import BidsDerivativeBuilder, BidsDerivativeConfig
from .series import Series


# No TR of fMRI is longer, and none in milliseconds is shorter.
_LONGEST_TR = 20.0


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
            Entities that tell stories apart, such as `["task", "run"]`. By default runs with the same words are the
            same story, whatever they are called.
        mask (`str`, *optional*):
            File of the voxels to read, below `data_dir`, for all runs. Defaults to the brain mask beside each series.
        tr (`float`, *optional*):
            Seconds from frame to frame, where no file says so.
    """

    text_column: str | None = None
    story_entities: list[str] | None = None
    mask: str | None = None
    tr: float | None = None


class Bids(BidsDerivativeBuilder):
    """
    A BIDS dataset with words in its `events.tsv`.

    Series are NIfTI files within a brain mask, or GIFTI files of both hemispheres, of one derivative. Events are those
    of the raw dataset with the same subject, session, task, acquisition, direction and run, by inheritance; `run-1` is
    `run-01`. Words are cut into windows of volumes, and a sample decodes the words of a window from the frames that
    follow it.

    Frame i is taken to be measured at `StartTime + i TR` where the derivative's JSON says `StartTime` (fMRIPrep
    resamples slices to that moment), and in the middle of its volume, `(i + 0.5) TR`, where it does not.
    """

    config: BidsConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BidsConfig
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "*_events.tsv",
        "*_bold.json",
        "sub-*/**/*_events.tsv",
        "sub-*/**/*_bold.json",
        "derivatives/*/sub-*/func/*",
        "derivatives/*/sub-*/ses-*/func/*",
    )
    LICENCE = "unknown: that of the dataset"
    CITATION: ClassVar[str] = ""
    HOMEPAGE = "https://bids.neuroimaging.io"
    REDISTRIBUTION = "Ask the dataset's license, and that of its stimuli: this package does not know them."

    @property
    def corpus_name(self) -> str:
        return "bids"

    def find_mask(self, series: Series) -> Path:
        return super().find_mask(series) if self.config.mask is None else self.data_dir / self.config.mask

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        samples = []
        for recording in recordings:
            series = self.series[recording.recording_id]
            path = self.find_events(series)
            words, column = read_events(path, self.config.text_column)
            self.notes[f"runs with words in column {column!r}"] += 1
            clock = self._clock(series)
            check_last_word(words, clock.end(recording.num_frames), path)
            story = self._story(series, words)
            names = {"corpus": self.corpus_name, "stimulus": story, "group": story}
            samples += window_samples(recording, words, clock, self.config, self.notes, **names)
        return samples

    def _clock(self, series: Series) -> Clock:
        name = series.names[0]
        # Those of the raw run first: what the derivative says of itself overrides them.
        raw = read_metadata(sidecars(self.data_dir, series.entities, "bold", ".json"))
        derived = read_metadata(sidecars(self.derivative_dir, name.entities, name.suffix, ".json"))
        tr = self._repetition_time(series, raw | derived)
        start = derived.get("StartTime")
        number = isinstance(start, int | float) and not isinstance(start, bool)
        if start is not None and not (number and 0 <= start < tr):
            raise ValueError(
                f"{name.path}: its JSON says StartTime={start!r}; expected seconds within the TR of {tr} s"
            )
        return bids_clock(tr, start)

    def _repetition_time(self, series: Series, metadata: Mapping[str, Any]) -> float:
        """The TR in seconds, from JSON, the option `tr` or the header, in this order."""
        path = series.paths[0]
        tr = metadata.get("RepetitionTime", self.config.tr)
        if tr is None and not series.is_surface:
            tr = nifti_header(path).tr_seconds
        if tr is None:
            raise ValueError(f"{path}: neither a JSON sidecar (RepetitionTime) nor its header states the TR: pass tr=")
        if isinstance(tr, bool) or not isinstance(tr, int | float) or not 0 < tr <= _LONGEST_TR:
            raise ValueError(
                f"{path}: the TR is said to be {tr!r}; expected up to {_LONGEST_TR:g} seconds (not milliseconds)"
            )
        return float(tr)

    def _story(self, series: Series, words: list[Word]) -> str:
        """Identity of what was heard or read."""
        if self.config.story_entities is not None:
            story = join(pick(series.entities, self.config.story_entities))
            if not story:
                raise ValueError(
                    f"{series.stem} has none of story_entities={self.config.story_entities}: choose from "
                    f"{', '.join(series.entities)}"
                )
            return story
        digest = blake2b("\0".join(word.text for word in words).encode(), digest_size=4).hexdigest()
        return f"{series.entities.get('task', 'story')}-{digest}"


__all__ = ["Bids", "BidsConfig"]
