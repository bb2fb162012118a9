# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Words and when they were spoken, from the three kinds of file that corpora keep them in.

| file | written by | reader |
|---|---|---|
| `.TextGrid` | Praat | [`read_words_textgrid`] |
| `align.csv`, `align.json` | the forced aligner gentle | [`~dataset_builders.readers.gentle.read_gentle`] |
| `*_events.tsv` | BIDS | [`read_events`], [`read_event_table`] |

Times stay in the clock of their file, and words in their own case. What the clock has to do with a recording is told
by [`dataset_builders.preparation.alignment`].
"""

import math
import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from .gentle import read_gentle
from .text_files import read_tsv, to_number
from .textgrid import read_textgrid
from .words import Word, check_last_word


#: Labels that are no words: silence, breath, laughter, lip smack, noise and the ends of sentences, as the Huth lab's
#: code for ds003020 leaves them out (HuthLab/semantic-decoding, `utils_eval.py`), and empty labels.
NON_WORDS = frozenset({"", "sp", "br", "lg", "ls", "ns", "sentence_start", "sentence_end"})

#: Where a BIDS table may keep words, in the order of preference. `trial_type` names conditions, not words.
TEXT_COLUMNS = ("word", "words", "text", "token", "stimulus", "value")

_MISSING = ("", "n/a")
_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_LETTER = re.compile(r"[^\W\d_]")
# No experiment has more conditions.
_FEW_TEXTS = 12
_FILE_NAME = re.compile(r"\.\w{2,4}$", re.ASCII)


def read_words_textgrid(
    path: str | Path, tier: str | int = "word", drop: Set[str] = NON_WORDS, encoding: str | None = None
) -> list[Word]:
    """
    The words of a TextGrid.

    Args:
        path (`str` or `Path`):
            The file, in any of Praat's text forms.
        tier (`str` or `int`, *optional*, defaults to `"word"`):
            Name or 0-based position of the tier.
        drop (`Set[str]`, *optional*, defaults to [`NON_WORDS`]):
            Labels that are no words, in lower case and without braces.
        encoding (`str`, *optional*):
            As in [`~dataset_builders.readers.text_files.read_text`].

    Returns:
        `list[Word]`: in the order of time, in their own case; a run of white space within a label is one space. Braces
        are left out, and with them what they hold if it is no word: `WORD{LG}` is `WORD`.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.textgrid.read_textgrid`] and
            [`~dataset_builders.readers.textgrid.TextGrid.tier`] do.
        ValueError: no label of the tier is a word.
    """
    result = read_textgrid(path, encoding).tier(tier)
    words = [Word(_without_marks(interval.text, drop), interval.start, interval.end) for interval in result.intervals]
    words = [word for word in words if word.text and word.text.lower() not in drop]
    if not words:
        raise ValueError(
            f"{path}: none of the {len(result.intervals)} labels of tier {result.name!r} is a word: check the tier, "
            f"and the labels to leave out, {sorted(drop)}"
        )
    return words


def _without_marks(label: str, drop: Set[str]) -> str:
    """A label without braces, and without non-words in them."""
    text = _IN_BRACES.sub(lambda mark: " " if mark[1].strip().lower() in drop else mark[1], label)
    return " ".join(text.replace("{", "").replace("}", "").split())


@dataclass(frozen=True, slots=True)
class Event:
    """A row of an events table: `onset` and `duration` in seconds of the run, and all cells of the row by column."""

    onset: float  # NaN where the table says `n/a`
    duration: float  # NaN where the table says `n/a`
    cells: dict[str, str]


def _seconds(path: str | Path, number: int, column: str, cell: str) -> float:
    value = to_number(cell)
    if math.isnan(value):
        raise ValueError(f"{path}, line {number}: {column} is {cell!r}; expected a number of seconds")
    return value


def read_event_table(path: str | Path) -> list[Event]:
    """
    All rows of a BIDS events table, sorted by onset; rows of one onset keep their order.

    Onsets may be negative (before the first frame) and durations 0 or `n/a`, as BIDS allows. Rows whose onset is `n/a`
    stand at the end: they happened at no known time.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_tsv`] does.
        ValueError: `onset` or `duration` is missing, an onset is no number, or a duration is neither a number of at
            least 0 nor `n/a`.
    """
    events = []
    for number, cells in enumerate(read_tsv(path, required=("onset", "duration")), 2):
        onset = math.nan if cells["onset"] == "n/a" else _seconds(path, number, "onset", cells["onset"])
        duration = math.nan
        if cells["duration"] != "n/a":
            duration = _seconds(path, number, "duration", cells["duration"])
        if duration < 0:
            raise ValueError(f"{path}, line {number}: duration is {duration} s; expected at least 0")
        events.append(Event(onset, duration, cells))
    return sorted(events, key=lambda event: (math.isnan(event.onset), event.onset))


def _holds_words(cells: list[str]) -> bool:
    """
    Whether the cells differ, most have letters and none names a file: codes and sound files are no words, and nor are
    conditions, of which a few recur; of `n` words of running text far more than `sqrt(n)` differ.
    """
    letters = sum(bool(_LETTER.search(cell)) for cell in cells)
    texts = len(set(cells))
    recur = texts < min(_FEW_TEXTS, 1.5 * math.sqrt(len(cells))) and 3 * texts <= len(cells)
    return texts > 1 and not recur and 2 * letters > len(cells) and not any(map(_FILE_NAME.search, cells))


def _find_text_column(path: str | Path, events: list[Event]) -> str:
    columns = list(events[0].cells) if events else []
    for column in TEXT_COLUMNS:
        cells = [event.cells[column] for event in events if event.cells.get(column, "") not in _MISSING]
        if cells and _holds_words(cells):
            return column
    raise ValueError(
        f"{path}: none of the columns {columns} is recognised as the words (looked for {', '.join(TEXT_COLUMNS)}; "
        "texts of which a few recur are conditions): pass text_column="
    )


def read_events(path: str | Path, text_column: str | None = None) -> tuple[list[Word], str]:
    """
    The words of a BIDS events table.

    Args:
        path (`str` or `Path`):
            The `*_events.tsv`.
        text_column (`str`, *optional*):
            The column of the words. By default the first of [`TEXT_COLUMNS`] that holds more than one text, mostly
            with letters, and no names of files.

    Returns:
        `tuple[list[Word], str]`: the words sorted by onset, in seconds of the run, and the column they are from. Rows
        whose cell is empty or `n/a` are other events. A duration of `n/a` counts as 0.

    Raises:
        FileNotFoundError, ValueError: as [`read_event_table`] does.
        ValueError: the column does not exist or holds no words, or no column is recognised.
    """
    events = read_event_table(path)
    column = text_column or _find_text_column(path, events)
    if events and column not in events[0].cells:
        raise ValueError(f"{path} has no column {column!r}, only {list(events[0].cells)}: pass one of them")
    spoken = [event for event in events if event.cells[column] not in _MISSING]
    if not spoken:
        raise ValueError(
            f"{path}: none of the {len(events)} rows has a word in column {column!r}: pass another column"
        )
    untimed = [event.cells[column] for event in spoken if math.isnan(event.onset)]
    if untimed:
        raise ValueError(
            f"{path}: {len(untimed)} words have the onset n/a (the first is {untimed[0]!r}): give them times, or "
            f"n/a in column {column!r} to leave them out"
        )
    words = [
        Word(event.cells[column], event.onset, event.onset + (0.0 if math.isnan(event.duration) else event.duration))
        for event in spoken
    ]
    return words, column


__all__ = [
    "NON_WORDS",
    "TEXT_COLUMNS",
    "Event",
    "Word",
    "check_last_word",
    "read_event_table",
    "read_events",
    "read_gentle",
    "read_textgrid",
    "read_words_textgrid",
]
