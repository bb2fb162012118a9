# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What all corpora of stories share: the sizes of windows, and rows made of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import BrainCorpusConfig
from ..preparation.alignment import Clock, windows
from ..readers.words import Word
from ..schema import IN_RECORDINGS, Recording, Sample


@dataclass
class StoryConfig(BrainCorpusConfig):
    """
    Choices for corpora of stories; see [`BrainCorpusConfig`] for those that all corpora share.

    A row decodes the words that began in one frame's time from the frames that follow, given the words before. See
    [`~dataset_builders.preparation.alignment.windows`].

    Args:
        num_frames (`int`, *optional*, defaults to 4):
            Frames of a brain sample; the first is the one after the words' own (Tang et al. 2023: delays of 1 to 4
            frames; Ye et al. 2025: the same).
        window_frames (`int`, *optional*, defaults to 1):
            Frames whose words are decoded together. Windows do not overlap.
        prompt_words (`int`, *optional*, defaults to 32):
            Most words before the window that become the prompt.
    """

    num_frames: int = 4
    window_frames: int = 1
    prompt_words: int = 32
    store: str = IN_RECORDINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least(num_frames=1, window_frames=1, prompt_words=1)


def window_samples(
    recording: Recording,
    words: Sequence[Word],
    clock: Clock,
    config: StoryConfig,
    notes: Counter[str],
    *,
    corpus: str,
    stimulus: str,
    group: str,
    official_split: str = "",
) -> list[Sample]:
    """
    One row for each window of a story that was heard in a recording.

    Args:
        recording ([`~dataset_builders.schema.Recording`]):
            The run.
        words (`Sequence[Word]`):
            In seconds of the stimulus clock.
        clock ([`~dataset_builders.preparation.alignment.Clock`]):
            From frames to that clock.
        config ([`StoryConfig`]):
            The sizes of windows.
        notes (`Counter[str]`):
            Windows that are left out are counted here.
        corpus, stimulus, group, official_split (`str`):
            Of the samples.
    """
    found, dropped = windows(
        words,
        clock,
        recording.num_frames,
        delays=range(1, config.num_frames + 1),
        length=config.window_frames,
        step=config.window_frames,
        prompt_words=config.prompt_words,
    )
    notes.update(dropped)
    prefix = f"{corpus}/{recording.recording_id}"
    return [
        Sample(
            sample_id=f"{prefix}/{window.frames[0]}",
            corpus=corpus,
            subject=recording.subject,
            stimulus=stimulus,
            group=group,
            topic=group,
            brain_id=f"{prefix}/{window.frames[0]}-{window.frames[-1]}",
            prompt=window.prompt_text,
            completion=window.completion_text,
            text=window.completion_text,
            recording=recording.recording_id,
            frames=window.frames,
            session=recording.session,
            words=tuple(word.text for word in window.words),
            word_onsets=tuple(word.onset for word in window.words),
            word_offsets=tuple(word.offset for word in window.words),
            frame_times=tuple(clock.centres(window.frames).tolist()),
            official_split=official_split,
        )
        for window in found
    ]


__all__ = ["StoryConfig", "window_samples"]
