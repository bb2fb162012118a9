# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Any BIDS dataset whose `events.tsv` name stimuli, one a trial, and a table that says what each of them was."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from ...readers.transcripts import Event, read_event_table
from ...schema import Recording, Sample
from .dataset import BidsDatasetBuilder, BidsDatasetConfig
from .stimuli import Stimulus, group_stimuli, read_stimuli


_MISSING = ("", "n/a")
# A millionth of a frame: times are sums of decimal fractions.
_DIGITS = 6


class Window(NamedTuple):
    """Frames of a trial, and their times where the run has a clock."""

    frames: tuple[int, ...]
    times: tuple[float, ...]


@dataclass
class BidsTrialsConfig(BidsDatasetConfig):
    """
    Choices for a BIDS dataset with trials; see [`~dataset_builders.corpora.bids.dataset.BidsDatasetConfig`] for the
    others.

    Args:
        stimuli (`str`, *optional*, defaults to `"stimuli/stimuli.tsv"`):
            The table of stimuli, below `data_dir`.
        stimulus_column (`str`, *optional*, defaults to `"stim_id"`):
            Column of `events.tsv` that names the stimulus of a trial; `n/a` for other events.
        id_column (`str`, *optional*, defaults to `"stimulus_id"`):
            Column of the table with these names.
        text_columns (`list[str]`, *optional*, defaults to `["text"]`):
            Columns of the table that say what the stimulus was: a sentence, or captions of an image.
        group_column, topic_column, split_column (`str`, *optional*):
            Columns of the table: of stimuli that must stay on one side of a split (sentences of a passage), of the
            subject matter for `split="topic"`, and of `train` or `test` for `split="official"`.
        keep_runs (`bool`, *optional*, defaults to `False`):
            Whether the stimuli of one run stay on one side of a split. Else trials of a run are divided, and the
            responses of two close trials overlap: give `gap_frames` then.
        betas (`str`, *optional*):
            Suffix of files that hold one volume for each trial of a run, in the order of onsets, such as
            `"betaseries"`. By default a trial is a window of the series.
        num_frames (`int`, *optional*, defaults to 4):
            Frames of a window.
        delay (`float`, *optional*, defaults to 4.0):
            Seconds from the onset of a trial, after which its window begins with the first frame.
    """

    stimuli: str = "stimuli/stimuli.tsv"
    stimulus_column: str = "stim_id"
    id_column: str = "stimulus_id"
    text_columns: list[str] = field(default_factory=lambda: ["text"])
    group_column: str | None = None
    topic_column: str | None = None
    split_column: str | None = None
    keep_runs: bool = False
    betas: str | None = None
    num_frames: int = 4
    delay: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least(num_frames=1, delay=0)
        if not self.text_columns:
            raise ValueError("text_columns=[]: name the columns of the table that say what a stimulus was")
        if self.betas is not None and not (self.betas.isalnum() and self.betas != "bold"):
            raise ValueError(f"betas={self.betas!r}: expected the suffix of files with betas, such as 'betaseries'")


class BidsTrials(BidsDatasetBuilder):
    """
    A BIDS dataset whose `events.tsv` name the stimulus of each trial, described by a table.

    A row is a trial. Its brain is a window of the preprocessed series, `num_frames` frames from the first whose centre
    lies `delay` seconds or more after the onset; or one volume of given betas. `completion` is the first text of the
    stimulus and `references` are all of them. Series, masks and clocks are those of the corpus `bids`.

    A stimulus is the same for all subjects and in all its repeats, which stay on one side of a split, together with
    those of the same words under other names.
    """

    config: BidsTrialsConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BidsTrialsConfig
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (*BidsDatasetBuilder.SOURCE_PATTERNS, "stimuli/*.tsv")
    SOURCE_OPTIONS: ClassVar[tuple[str, ...]] = ("mask", "stimuli")
    NAME_PREFIX = "bids-trials"

    @property
    def series_suffix(self) -> str:
        return self.config.betas or super().series_suffix

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        config, path = self.config, self.data_dir / self.config.stimuli
        table = read_stimuli(
            path,
            config.id_column,
            config.text_columns,
            config.group_column,
            config.topic_column,
            config.split_column,
        )
        trials = {recording.recording_id: self._trials(recording, table, path) for recording in recordings}
        runs = [[event.cells[config.stimulus_column] for event in found] for found in trials.values()]
        shown = {name for run in runs for name in run}
        known = {name: stimulus for name, stimulus in table.items() if name in shown}
        groups = group_stimuli(known, runs if config.keep_runs else (), self.notes)
        return [
            self._sample(recording, number, frames, name, known[name], groups[name])
            for recording in recordings
            for number, frames, name in self._placed(recording, trials[recording.recording_id])
        ]

    def _trials(self, recording: Recording, table: dict[str, Stimulus], stimuli: Path) -> list[Event]:
        """The events of a run that name a stimulus, in the order of onsets."""
        column, path = self.config.stimulus_column, self.find_events(self.series[recording.recording_id])
        events = read_event_table(path)
        if not events or column not in events[0].cells:
            columns = list(events[0].cells) if events else "no row"
            raise ValueError(f"{path} has no column {column!r}, only {columns}: pass stimulus_column=")
        trials = [event for event in events if event.cells[column] not in _MISSING]
        if not trials:
            raise ValueError(f"{path}: none of the {len(events)} rows names a stimulus in column {column!r}")
        for event in trials:
            name = event.cells[column]
            if name not in table:
                raise ValueError(
                    f"{path}: column {column!r} names {name!r} at {event.onset:g} s, and column "
                    f"{self.config.id_column!r} of {stimuli} does not: complete the table, or write n/a for an event "
                    "that is no trial"
                )
            if math.isnan(event.onset):
                raise ValueError(f"{path}: the trial of {name!r} has the onset n/a: give it a time, or no stimulus")
        return trials

    def _placed(self, recording: Recording, trials: list[Event]) -> Iterator[tuple[int, Window, str]]:
        """Number, window and stimulus of each trial; trials whose window is not whole are left out."""
        names = [event.cells[self.config.stimulus_column] for event in trials]
        events = self.find_events(self.series[recording.recording_id])
        if self.config.betas is not None:
            if recording.num_frames != len(trials):
                raise ValueError(
                    f"{recording.sources[0]} holds {recording.num_frames} volumes and {events} names "
                    f"{len(trials)} stimuli in column {self.config.stimulus_column!r}: betas need one volume a trial"
                )
            yield from ((number, Window((number,), ()), name) for number, name in enumerate(names))
            return
        clock = self.clock(recording)
        if trials[-1].onset >= clock.end(recording.num_frames):
            raise ValueError(
                f"{events}: the last trial, {names[-1]!r}, begins at {trials[-1].onset:g} s and the recording "
                f"{recording.sources[0]} ends at {clock.end(recording.num_frames):g} s: onsets are seconds from the "
                "first volume of the raw run"
            )
        for number, (event, name) in enumerate(zip(trials, names, strict=True)):
            first = math.ceil(round((event.onset + self.config.delay - clock.first_centre) / clock.tr, _DIGITS))
            frames = tuple(range(first, first + self.config.num_frames))
            if first >= 0 and frames[-1] < recording.num_frames:
                yield number, Window(frames, tuple(clock.centres(frames).tolist())), name
            else:
                self.notes["trials whose window reaches beyond the recording, left out"] += 1

    def _sample(
        self, recording: Recording, number: int, window: Window, name: str, stimulus: Stimulus, group: str
    ) -> Sample:
        place = f"{self.corpus_name}/{recording.recording_id}/{number}"
        return Sample(
            sample_id=place,
            corpus=self.corpus_name,
            subject=recording.subject,
            stimulus=name,
            group=group,
            topic=stimulus.topic or group,
            brain_id=place,
            prompt="",
            completion=stimulus.texts[0],
            text=stimulus.texts[0],
            recording=recording.recording_id,
            frames=window.frames,
            session=recording.session,
            references=stimulus.texts,
            frame_times=window.times,
            official_split=stimulus.official_split,
        )


__all__ = ["BidsTrials", "BidsTrialsConfig"]
