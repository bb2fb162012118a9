# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Sections in folders: into the report there is, or into pages of their own; a newer one of a name takes its place."""

import dataclasses
import json

import pytest
from reading_table import ALLOW, make_report

from trainers.reports.folders import find_report, save_sections
from trainers.reports.report import EvaluationReport
from trainers.reports.sections import Section


FIRST, OTHER = (Section(name, f"The {name}", f"What the {name} says.", {"a": "A"}, [{"a": 1}]) for name in ("x", "y"))
NEWER = dataclasses.replace(FIRST, text="What it says today.")


def test_into_a_report_with_what_it_was_allowed_to_lack(tmp_path):
    report = make_report(0.3)
    report.save(tmp_path, ALLOW)
    assert report.missing  # or the report would need no leave
    for sections in ([FIRST, OTHER], [NEWER]):
        save_sections(tmp_path, sections)
    again = EvaluationReport.load(tmp_path)
    assert again.sections == [OTHER.to_dict(), NEWER.to_dict()]
    assert dataclasses.replace(again, sections=[]) == report
    markdown = (tmp_path / "report.md").read_text()
    assert "What it says today." in markdown
    assert "What the x says." not in markdown
    assert markdown.startswith("**This report is incomplete")
    assert not (tmp_path / "sections.json").exists()


def test_into_pages_of_their_own(tmp_path):
    for sections in ([FIRST, OTHER], [NEWER]):
        save_sections(tmp_path / "new", sections)
    found = json.loads((tmp_path / "new" / "sections.json").read_text())
    assert [Section(**section) for section in found] == [
        dataclasses.replace(section, rows=[{"a": 1}]) for section in (OTHER, NEWER)
    ]
    for page in ("sections.md", "sections.html"):
        text = (tmp_path / "new" / page).read_text()
        assert [text.count(said) for said in (OTHER.text, NEWER.text, FIRST.text)] == [1, 1, 0]


def test_a_folder_without_a_report(tmp_path):
    assert find_report(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"report.json is missing"):
        EvaluationReport.load(tmp_path)
