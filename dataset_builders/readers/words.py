# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A word and its times: what every reader of transcripts returns and every window is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was spoken, in seconds of the clock of its file."""

    text: str
    onset: float
    offset: float


def check_last_word(words: Sequence[Word], scan_end: float, source: str | Path) -> None:
    """
    Raises if words begin after the recording: then they belong to another recording or to another clock.

    Args:
        words (`Sequence[Word]`):
            In seconds of the stimulus clock.
        scan_end (`float`):
            End of the last frame, in seconds of the same clock.
        source (`str` or `Path`):
            The file of the words, named in the error.

    Raises:
        ValueError: a word starts at or after `scan_end`.
    """
    last = max(words, key=lambda word: word.onset, default=None)
    if last is not None and last.onset >= scan_end:
        raise ValueError(
            f"{source}: the last word, {last.text!r}, starts at {last.onset:.3f} s and the recording ends at "
            f"{scan_end:.3f} s: check that the transcript belongs to the recording, and its clock"
        )


__all__ = ["Word", "check_last_word"]
