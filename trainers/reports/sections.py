# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
One piece of evidence in a report: what was asked, the answer in words, the table behind it, and a picture.

Analyses, voxel maps and story reconstructions each make a section; every report shows sections alike, in JSON,
Markdown and HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Section:
    """
    One piece of evidence.

    Args:
        name (`str`):
            Identifier, unique in a report, such as `"surprise"`.
        title (`str`):
            Headline.
        text (`str`):
            Markdown: what was asked, the answer with its interval and its control, and what the answer does not show.
        columns (`Mapping[str, str]`):
            Key of each column of the table and its title.
        rows (`Sequence[Mapping]`):
            Rows of the table; values that JSON can hold.
        figure (`str`, *optional*, defaults to `""`):
            An SVG picture that needs nothing from outside; see [`~trainers.reports.charts`].
    """

    name: str
    title: str
    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    figure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What a report's JSON file holds, and what [`Section`] takes to be made again."""
        return asdict(self)


__all__ = ["Section"]
