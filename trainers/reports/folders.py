# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Sections on their way into a folder: into the report that it holds, of whatever kind, or into pages of their own."""

import json
from collections.abc import Sequence
from pathlib import Path

from .base import SavedReport
from .captions import CaptionReport
from .document import Document, section_chapter, to_markdown
from .html import to_html
from .sections import Section
from .texts import EvaluationReport


#: Kinds of reports that analyses, maps and stories add to.
REPORTS: tuple[type[SavedReport], ...] = (EvaluationReport, CaptionReport)


def find_report(folder: str | Path) -> SavedReport | None:
    """The report that a folder holds; `None` where it holds none."""
    kinds = [kind for kind in REPORTS if (Path(folder) / kind.FILES[0]).is_file()]
    return kinds[0].load(folder) if kinds else None


def load_report(folder: str | Path) -> SavedReport:
    """
    The report that a folder holds. Scripts call it before their work, which shall not end in an error of the folder.

    Raises:
        FileNotFoundError: the folder holds no report.
    """
    report = find_report(folder)
    if report is None:
        names = " or ".join(kind.FILES[0] for kind in REPORTS)
        scripts = " or ".join(kind.SCRIPT for kind in REPORTS)
        raise FileNotFoundError(f"{folder} holds no {names}: name the folder of a report of {scripts}.")
    return report


def save_sections(folder: str | Path, sections: Sequence[Section]) -> None:
    """
    Adds sections to the report in a folder, or else to its `sections.json`, `sections.md` and `sections.html`.

    Sections of the same name are replaced. What a report lacks was let through when it was first saved, and its first
    line goes on saying so.

    Args:
        folder (`str` or `Path`):
            Folder, which is made if need be.
        sections (`Sequence[Section]`):
            What is added.

    Raises:
        ValueError: a figure is no SVG.
    """
    folder, names = Path(folder), {section.name for section in sections}
    report = find_report(folder)
    if report is not None:
        report.sections = [section for section in report.sections if section["name"] not in names]
        for section in sections:
            report.add(section)
        report.save(folder, allow=[item.name for item in report.missing])
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sections.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    kept = [section for section in known if section["name"] not in names]
    found = [*kept, *(section.to_dict() for section in sections)]
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    document = Document("Analyses", [], [], [], [section_chapter(Section(**section)) for section in found])
    (folder / "sections.md").write_text(to_markdown(document), encoding="utf-8")
    (folder / "sections.html").write_text(to_html(document), encoding="utf-8")


__all__ = ["REPORTS", "find_report", "load_report", "save_sections"]
