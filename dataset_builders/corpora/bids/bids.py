# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Any BIDS dataset whose `events.tsv` hold words, and whose series were preprocessed into a derivative."""

from dataclasses import dataclass
from hashlib import blake2b

from ...preparation.alignment import Clock
from ...readers.bids_names import join, pick
from ...readers.transcripts import read_events
from ...readers.words import Word, check_last_word
from ...schema import Recording, Sample
from ...splitting.fingerprints import words_of
from ...splitting.retellings import merge_retellings
from ..stories import StoryConfig, window_samples
from .dataset import BidsDatasetBuilder, BidsDatasetConfig
from .series import Series


@dataclass
class BidsConfig(BidsDatasetConfig, StoryConfig):
    """
    Choices for a BIDS dataset with words; see [`~dataset_builders.corpora.bids.dataset.BidsDatasetConfig`] and, for
    windows, [`StoryConfig`] for the others.

    Args:
        text_column (`str`, *optional*):
            Column of `events.tsv` that holds the words. Defaults to what
            [`~dataset_builders.readers.transcripts.read_events`] recognises, which is recorded in `corpus.json`.
        story_entities (`list[str]`, *optional*):
            Entities that name a story, such as `["task", "run"]`. By default runs with the same words are the same
            story, whatever they are called. Stories that tell the same are one group, whatever they are called.
    """

    text_column: str | None = None
    story_entities: list[str] | None = None


class Bids(BidsDatasetBuilder):
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
        clock = self.clock(recording)
        check_last_word(words, clock.end(recording.num_frames), path)
        return words, clock

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
