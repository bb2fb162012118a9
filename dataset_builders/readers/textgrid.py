# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
TextGrids: the annotation files of Praat, in each of its three text forms.

The reader follows the rule of Praat's manual ("TextGrid file formats"): free-standing numbers, quoted strings and
`<flags>` are data, all else is decoration, and `!` opens a comment. So one reader serves the long form, which labels
every value, and the short one, which does not. The chronological form has a header and an order of its own.
What does not add up is an error: counts, times that go backward, a file that ends too early.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from .text_files import read_text


INTERVALS, POINTS = "IntervalTier", "TextTier"
LONG_OR_SHORT, CHRONOLOGICAL = "ooTextFile", "Praat chronological TextGrid text file"

#: Times that miss each other by less are equal: programs round them, and no scanner is a thousandth as fast.
TOLERANCE_SECONDS = 1e-3

_TOKEN = re.compile(
    r'"(?P<string>[^"]*+(?:""[^"]*+)*+)"(?!\S)'
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)"
    r"|<(?P<flag>\w+)>(?!\S)"
    r"|(?P<open_string>\"\S*)"
    r"|(?P<bad_number>[-+]?\.?\d\S*)"
    r"|(?:![^\r\n]*+\s*+)++"  # comments
    r"|\S++(?:\s++[a-zA-Z=:\[]\S*+)*+",  # words, as many at once as begin like no data
    re.ASCII,
)
_DATA = frozenset({"string", "number", "flag", "open_string", "bad_number"})


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time and its label, in seconds of the file's clock; a point starts and ends at once."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Tier:
    """A named row of annotations: `kind` is "IntervalTier" or "TextTier" (points)."""

    name: str
    kind: str
    start: float
    end: float
    intervals: list[Interval] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TextGrid:
    """A file of tiers, in their order. Two tiers may bear one name."""

    path: Path
    start: float
    end: float
    tiers: list[Tier]
    encoding: str

    def tier(self, key: str | int) -> Tier:
        """
        A tier by its name or its 0-based position.

        Raises:
            ValueError: no tier, or more than one, bears the name, or there are fewer tiers.
        """
        names = [tier.name for tier in self.tiers]
        if isinstance(key, int):
            if not 0 <= key < len(names):
                raise ValueError(f"{self.path} has {len(names)} tiers {names}, so none at position {key}")
            return self.tiers[key]
        if names.count(key) != 1:
            raise ValueError(
                f"{self.path} has {names.count(key)} tiers named {key!r} among {names}: pass another name, or the "
                "position of the tier"
            )
        return self.tiers[names.index(key)]


class _Values:
    """The data of a file one by one, each of the kind that must come next."""

    def __init__(self, path: Path, text: str):
        self.path, self._text = path, text
        self._matches = (match for match in _TOKEN.finditer(text) if match.lastgroup in _DATA)
        self._next = next(self._matches, None)
        self._position = 0

    @property
    def finished(self) -> bool:
        return self._next is None

    def refuse(self, problem: str) -> NoReturn:
        """Raises, with the line of the last value read."""
        line = len(re.findall(r"\r\n|\r|\n", self._text[: self._position])) + 1
        raise ValueError(f"{self.path}, line {line}: {problem}")

    def _take(self, kind: str, what: str) -> str:
        match = self._next
        if match is None:
            self._position = len(self._text.rstrip())
            self.refuse(f"the file ends where {what} should follow: it is cut short, so download or export it again")
        self._position = match.start()
        if match.lastgroup == "open_string":
            self.refuse(f"a quoted text has no end: {match[0][:40]}")
        if match.lastgroup == "bad_number":
            self.refuse(f"{match[0][:40]!r} is no number; {what} is expected")
        if match.lastgroup != kind:
            self.refuse(f"{what} (a {kind}) is expected, and {match[0][:40]!r} is found")
        self._next = next(self._matches, None)
        return match[kind]

    def finish(self) -> None:
        """Raises if more data follow."""
        if self._next is not None:
            self._position = self._next.start()
            self.refuse("more follows than the counts of tiers and intervals say: a count or a line is wrong")

    def string(self, what: str) -> str:
        return self._take("string", what).replace('""', '"')

    def flag(self, what: str) -> str:
        return self._take("flag", what)

    def seconds(self, what: str) -> float:
        value = float(self._take("number", what))
        if not math.isfinite(value):
            self.refuse(f"{what} is {value}, which is no time")
        return value

    def count(self, what: str) -> int:
        value = self._take("number", what)
        if not value.isdigit():
            self.refuse(f"{what} is {value}, which is no number of things")
        return int(value)

    def num_tiers(self) -> int:
        number = self.count("the number of tiers")
        if number == 0:
            self.refuse("the file says that it has no tiers")
        return number

    def span(self, what: str) -> tuple[float, float]:
        start, end = self.seconds(f"the start of {what}"), self.seconds(f"the end of {what}")
        if end < start:
            self.refuse(f"{what} ends at {end} s, before its start at {start} s")
        return start, end


def _read_tier_header(values: _Values, number: int, start: float, end: float) -> Tier:
    kind = values.string(f"the class of tier {number}")
    if kind not in (INTERVALS, POINTS):
        values.refuse(f"tier {number} is a {kind!r}; expected {INTERVALS} or {POINTS}")
    name = values.string(f"the name of tier {number}")
    tier = Tier(name, kind, *values.span(f"tier {name!r}"))
    if tier.start < start - TOLERANCE_SECONDS or tier.end > end + TOLERANCE_SECONDS:
        values.refuse(f"tier {name!r} lasts from {tier.start} to {tier.end} s, the file only from {start} to {end} s")
    return tier


def _read_interval(values: _Values, tier: Tier) -> None:
    """Reads the next interval or point of a tier, which must follow the last one and lie within the tier."""
    what = f"interval {len(tier.intervals) + 1} of tier {tier.name!r}"
    if tier.kind == INTERVALS:
        start, end = values.span(what)
    else:
        start = end = values.seconds(f"the time of {what}")
    before = tier.intervals[-1].end if tier.intervals else tier.start
    if start < before - TOLERANCE_SECONDS:
        values.refuse(f"{what} starts at {start} s, before {before} s, where the one before it or the tier stands")
    if end > tier.end + TOLERANCE_SECONDS:
        values.refuse(f"{what} ends at {end} s, past the end of its tier at {tier.end} s")
    tier.intervals.append(Interval(start, end, values.string(f"the text of {what}")))


def _read_by_tier(values: _Values, start: float, end: float) -> Iterator[Tier]:
    """The long and the short form: tier after tier, each with its number of intervals."""
    if values.flag("whether there are tiers") != "exists":
        values.refuse("the file says that it has no tiers")
    for number in range(1, values.num_tiers() + 1):
        tier = _read_tier_header(values, number, start, end)
        for _ in range(values.count(f"the number of intervals of tier {tier.name!r}")):
            _read_interval(values, tier)
        yield tier
    values.finish()


def _read_by_time(values: _Values, start: float, end: float) -> list[Tier]:
    """The chronological form: all headers, then intervals of all tiers in the order of time, each with its tier."""
    count = values.num_tiers()
    tiers = [_read_tier_header(values, number, start, end) for number in range(1, count + 1)]
    while not values.finished:
        number = values.count("the tier of the next interval")
        if not 1 <= number <= count:
            values.refuse(f"an interval belongs to tier {number}, and there are {count} tiers")
        _read_interval(values, tiers[number - 1])
    for tier in tiers:
        if tier.kind == INTERVALS:
            _check_filled(values, tier)
    return tiers


def _check_filled(values: _Values, tier: Tier) -> None:
    """Raises if a stretch of a tier has no interval: Praat leaves none, and this form has no counts to tell a loss."""
    reached = tier.start
    for start, end in [*((interval.start, interval.end) for interval in tier.intervals), (tier.end, tier.end)]:
        if start > reached + TOLERANCE_SECONDS:
            values.refuse(
                f"tier {tier.name!r}, which lasts until {tier.end} s, has no interval from {reached} to {start} s: "
                "the file is cut short or damaged, so download or export it again"
            )
        reached = end


def read_textgrid(path: str | Path, encoding: str | None = None) -> TextGrid:
    """
    Reads a TextGrid in the long, the short or the chronological form.

    Args:
        path (`str` or `Path`):
            The file.
        encoding (`str`, *optional*):
            As in [`~dataset_builders.readers.text_files.read_text`]; by default it is found out.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_text`] does.
        ValueError: the header is not that of a TextGrid, the file is cut short, a count is wrong, an interval
            overlaps the one before it, ends before it starts or lies outside its tier. The line is named.
    """
    path = Path(path)
    text, encoding = read_text(path, encoding)
    values = _Values(path, text)
    if text.startswith("ooBinaryFile"):
        values.refuse("a binary TextGrid: open it in Praat and save it as a text file")
    header = values.string("the header of a TextGrid")
    if header == CHRONOLOGICAL:
        start, end = values.span("the file")
        tiers = _read_by_time(values, start, end)
    elif header in (LONG_OR_SHORT, f"{LONG_OR_SHORT} short"):
        kind = values.string("the class of the file")
        if kind != "TextGrid":
            values.refuse(f"the file holds a Praat {kind}, not a TextGrid")
        start, end = values.span("the file")
        tiers = list(_read_by_tier(values, start, end))
    else:
        values.refuse(f"a TextGrid begins with {LONG_OR_SHORT!r} or {CHRONOLOGICAL!r}, and this with {header[:60]!r}")
    return TextGrid(path, start, end, tiers, encoding)


__all__ = ["INTERVALS", "POINTS", "TOLERANCE_SECONDS", "Interval", "TextGrid", "Tier", "read_textgrid"]
