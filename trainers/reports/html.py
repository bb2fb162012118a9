# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A report as one page that needs nothing else: no network, no script, no other file; made to be read and printed.

Every text is escaped where it enters the page, by Jinja; what the template calls `safe` was made here. Prose is
Markdown in which HTML and pictures are off. The pictures of sections are shown as images, in which no browser runs
anything, whatever an SVG may hold.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .document import Document, Examples, Interval, Picture, Table, cell_text, present_columns


if TYPE_CHECKING:
    from jinja2 import Template
    from markdown_it import MarkdownIt

TEMPLATE = "report.html"
# Size of an interval's picture in CSS pixels, and the margin that keeps its ends inside.
_WIDTH, _HEIGHT, _MARGIN = 170, 18, 6


def to_html(document: Document) -> str:
    """
    The page of a report.

    Args:
        document ([`~trainers.reports.document.Document`]):
            What it says.

    Returns:
        `str`: HTML.
    """
    chapters = [(chapter.title, [_part(part) for part in chapter.parts]) for chapter in document.chapters]
    conditions = {name: _json(value) for name, value in document.conditions.items()}
    return _template().render(
        title=document.title,
        warnings=[_prose(text) for text in document.warnings],
        headline=[_prose(text) for text in document.headline],
        origin=[_prose(text) for text in document.origin],
        chapters=chapters,
        conditions=conditions,
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(TEMPLATE)


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    # A picture would be fetched, and HTML would be anything.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_inline", "html_block"])


def _prose(text: str) -> str:
    return _markdown().render(text)


def _part(part: str | Table | Examples | Picture) -> dict[str, Any]:
    """What the template needs of one part of a chapter."""
    if isinstance(part, Table):
        return {"kind": "table"} | _table(part)
    if isinstance(part, Examples):
        return {"kind": "examples", "items": part.items, "note": part.note}
    if isinstance(part, Picture):
        data = base64.b64encode(part.svg.encode()).decode("ascii")
        return {"kind": "picture", "source": f"data:image/svg+xml;base64,{data}", "alt": part.alt}
    return {"kind": "prose", "text": _prose(part)}


def _table(table: Table) -> dict[str, Any]:
    """Titles and cells; a column of intervals becomes two, the figures and their picture."""
    columns = present_columns(table.rows, table.columns)
    drawn = [name for name in columns if any(isinstance(row.get(name), Interval) for row in table.rows)]
    numeric = {name for name in columns if all(_is_number(row.get(name)) for row in table.rows)}
    titles = [(title, name in numeric) for name, title in columns.items()]
    rows, scale = [], None
    for row in table.rows:
        cells = [(cell_text(row.get(name)), name in numeric) for name in columns]
        pictures = [_plot(row[name], _axis(table.rows, name, row[name])) for name in drawn if name in row]
        # A line where the axis changes.
        last, scale = scale, next((row[name].scale for name in drawn if name in row), None)
        kind = "highlight" if cells[0][0] == table.highlight else "starts" if last not in (None, scale) else ""
        rows.append({"cells": cells, "pictures": pictures, "kind": kind})
    return {"titles": titles, "rows": rows, "num_pictures": len(drawn)}


def _is_number(value: Any) -> bool:
    """Whether a column of such values is set flush right; a value that is absent does not say."""
    return value is None or (isinstance(value, int | float | Interval) and not isinstance(value, bool))


def _axis(rows: Sequence[Mapping[str, Any]], name: str, interval: Interval) -> tuple[float, float]:
    """Ends of the axis that an interval shares with the others of its scale; chance lies on it."""
    cells = [row[name] for row in rows if isinstance(row.get(name), Interval)]
    shared = [cell for cell in cells if cell.scale == interval.scale]
    ends = [end for cell in shared for end in (cell.low, cell.high, cell.value, cell.chance)]
    return min(ends), max(ends)


def _plot(interval: Interval, axis: tuple[float, float]) -> str:
    """A dot on its interval, and a dashed line at chance."""
    low, high = axis
    span = (high - low) or 1.0
    places = (interval.low, interval.high, interval.value, interval.chance)
    left, right, dot, chance = (_MARGIN + (place - low) / span * (_WIDTH - 2 * _MARGIN) for place in places)
    middle, clear = _HEIGHT / 2, interval.low > interval.chance or interval.high < interval.chance
    return (
        f'<svg class="interval{" clear" if clear else ""}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{interval}, chance {interval.chance:g}">'
        f'<line class="chance" x1="{chance:.1f}" x2="{chance:.1f}" y1="0" y2="{_HEIGHT}"/>'
        f'<line class="range" x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle cx="{dot:.1f}" cy="{middle}" r="4"/></svg>'
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


__all__ = ["to_html"]
