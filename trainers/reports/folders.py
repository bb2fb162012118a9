# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Sections on their way into a folder: into the report that it holds or into pages of their own."""

import json
from collections.abc import Sequence
from pathlib import Path

from .document import Document, section_chapter, to_markdown
from .html import to_html
from .report import REPORT_FILE, EvaluationReport
from .sections import Section


def find_report(folder: str | Path) -> EvaluationReport | None:
    """The report that a folder holds; `None` where it holds none."""
    return EvaluationReport.load(folder) if (Path(folder) / REPORT_FILE).is_file() else None


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


__all__ = ["find_report", "save_sections"]
