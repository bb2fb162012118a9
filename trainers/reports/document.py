# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What a report says, before it is Markdown or a page: sentences, tables with intervals, texts side by side.

Every report composes one [`Document`]; [`to_markdown`] and [`~trainers.reports.html.to_html`] write it, so that both
say the same. Prose is Markdown; what came out of a model or a corpus never enters prose but through
[`plain`].
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .sections import Section


@dataclass(frozen=True)
class Interval:
    """
    A figure with its interval: a cell of a table, which a page also draws.

    Args:
        value (`float`), low (`float`), high (`float`):
            Figure, and both ends of its interval.
        chance (`float`, *optional*, defaults to 0.0):
            What the figure is by chance.
        scale (`str`, *optional*, defaults to `""`):
            Intervals of one table with the same word here are drawn on one axis.
        digits (`int`, *optional*, defaults to 4):
            Digits behind the point.
    """

    value: float
    low: float
    high: float
    chance: float = 0.0
    scale: str = ""
    digits: int = 4

    def __str__(self) -> str:
        return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(self.value, self.low, self.high, d=self.digits)


@dataclass(frozen=True)
class Table:
    """
    A table.

    Args:
        columns (`Mapping[str, str]`):
            Key of each column and its title; columns that no row has are left out.
        rows (`Sequence[Mapping]`):
            Numbers, strings, [`Interval`]s; nothing where a key is absent.
        highlight (`str`, *optional*, defaults to `""`):
            Rows whose first cell is this are the ones that all others are there for.
    """

    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    highlight: str = ""


@dataclass(frozen=True)
class Examples:
    """
    Texts side by side. They are the corpus's own sentences, whose license may forbid to publish them: pages show
    them, Markdown, which becomes the card of a model, does not.

    Args:
        items (`Sequence[Mapping[str, str]]`):
            For each example what it is (`truth`, an arm) and its text.
        note (`str`):
            How the examples were chosen.
    """

    items: Sequence[Mapping[str, str]]
    note: str


@dataclass(frozen=True)
class Picture:
    """An SVG and what it shows, in words."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Chapter:
    """A heading and what stands under it: prose (Markdown), tables, examples, pictures."""

    title: str
    parts: Sequence[str | Table | Examples | Picture]


@dataclass(frozen=True)
class Document:
    """
    A report.

    Args:
        title (`str`):
            Title.
        warnings (`Sequence[str]`):
            What is missing or leaks: comes before everything.
        headline (`Sequence[str]`):
            What the brain adds.
        origin (`Sequence[str]`):
            Split, protocol, and controls that this corpus cannot have.
        chapters (`Sequence[Chapter]`):
            All else.
        conditions (`Mapping[str, Any]`, *optional*):
            Settings, versions and fingerprint.
    """

    title: str
    warnings: Sequence[str]
    headline: Sequence[str]
    origin: Sequence[str]
    chapters: Sequence[Chapter]
    conditions: Mapping[str, Any] = field(default_factory=dict)


def section_chapter(section: Section) -> Chapter:
    """The chapter that shows one section of a report."""
    parts: list[str | Table | Examples | Picture] = [section.text]
    if section.figure:
        parts.append(Picture(section.figure, section.title))
    if section.rows:
        parts.append(Table(section.columns, section.rows))
    return Chapter(section.title, parts)


def to_markdown(document: Document) -> str:
    """Markdown: warnings, what the brain adds, origin, chapters, conditions; no examples, no pictures."""
    parts = [*warning_lines(document.warnings), *document.headline, *document.origin]
    for chapter in document.chapters:
        told = [part for part in chapter.parts if isinstance(part, str | Table)]
        if told:
            parts.append(f"## {chapter.title}")
            parts += [markdown_table(part.rows, part.columns) if isinstance(part, Table) else part for part in told]
    if document.conditions:
        parts += ["## Conditions", f"```json\n{json.dumps(document.conditions, indent=2, ensure_ascii=False)}\n```"]
    return "\n\n".join(parts) + "\n"


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """The paragraph at the top of a report that lacks something; none if it lacks nothing."""
    if not warnings:
        return []
    return ["**This report is incomplete; whoever wrote it said so:**\n\n" + "\n".join(f"- {w}" for w in warnings)]


def markdown_table(rows: Sequence[Mapping], columns: Mapping[str, str]) -> str:
    """Rows as a Markdown table: names of the keys and their titles; columns that no row has are left out."""
    columns = present_columns(rows, columns)
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def present_columns(rows: Sequence[Mapping], columns: Mapping[str, str]) -> dict[str, str]:
    """The columns that a row has."""
    return {name: title for name, title in columns.items() if any(name in row for row in rows)}


def cell_text(value: Any) -> str:
    """A cell as people read it."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> str:
    # A bar or a line's end in a text would end the cell.
    return " ".join(cell_text(value).replace("|", "\\|").split())


def plain(text: str) -> str:
    """A text by which Markdown shows just this text, whatever it holds."""
    return re.sub(r"([\\`*_\[\]<>&#|~!])", r"\\\1", " ".join(text.split()))


__all__ = [
    "Chapter",
    "Document",
    "Examples",
    "Interval",
    "Picture",
    "Table",
    "cell_text",
    "markdown_table",
    "plain",
    "present_columns",
    "section_chapter",
    "to_markdown",
    "warning_lines",
]
