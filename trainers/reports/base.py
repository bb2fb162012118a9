# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A report in a folder, of whatever kind: written only with its evidence, read again whatever its age."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Self
from xml.etree import ElementTree as ET

from .document import Chapter, Document, section_chapter, to_markdown
from .html import to_html
from .hub_results import Result
from .requirements import Missing, require_evidence
from .sections import Section


SVG = "{http://www.w3.org/2000/svg}svg"


#: Layout of the JSON file of every report.
SCHEMA_VERSION = 1


class SavedReport:
    """A report in a folder: a JSON file, the table of samples behind it, and Markdown and HTML for people.

    Each kind of report is a dataclass of this kind; its fields are what the JSON file holds.
    """

    FILES: ClassVar[tuple[str, str, str]]
    SCRIPT: ClassVar[str]

    sections: list[dict[str, Any]]
    split: dict[str, Any]
    fingerprint: dict[str, Any]

    @property
    def missing(self) -> list[Missing]:
        """What the report lacks of what is mandatory; see [`~trainers.reports.requirements`]."""
        raise NotImplementedError

    def to_document(self) -> Document:
        """What the report says."""
        raise NotImplementedError

    def results(self) -> list[Result]:
        """The figures that go to the Hub, gains first."""
        raise NotImplementedError

    def to_markdown(self) -> str:
        """The report for people, and for the card of a model; its first line says what is missing, if anything is."""
        return to_markdown(self.to_document())

    def to_html(self) -> str:
        """The report as one page that needs no network, with pictures and examples."""
        return to_html(self.to_document())

    def add(self, section: Section) -> None:
        """Add a piece of evidence, which every form of the report then shows.

        Raises:
            ValueError: If the report has a section of this name, or the figure is no SVG.
        """
        if any(other["name"] == section.name for other in self.sections):
            raise ValueError(f"The report already has a section {section.name!r}. Give each section its own name.")
        if section.figure and not _is_svg(section.figure):
            raise ValueError(
                f"The figure of section {section.name!r} is no SVG: it begins with {section.figure[:40]!r}. Draw it "
                "with `trainers.reports.charts`."
            )
        self.sections.append(section.to_dict())

    def save(self, folder: str | Path, allow: Collection[str] = ()) -> None:
        """Write JSON, samples, Markdown and HTML into `folder`, which is made if need be.

        Args:
            folder (`str` or `Path`):
                Folder.
            allow (`Collection[str]`, *optional*):
                What may be missing, by name, such as `["zero", "leak:shared_text"]`; the report says so at its top.

        Raises:
            ValueError: If something mandatory is missing that `allow` does not name.
        """
        require_evidence(self.missing, allow)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        report_file, markdown_file, samples_file = self.FILES
        fields = {"missing": [item.to_dict() for item in self.missing]} | vars(self)
        lines = [json.dumps(sample, ensure_ascii=False) for sample in fields.pop("samples")]
        (folder / samples_file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / report_file).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / markdown_file).write_text(self.to_markdown(), encoding="utf-8")
        (folder / markdown_file).with_suffix(".html").write_text(self.to_html(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what [`~SavedReport.save`] wrote.

        Raises:
            FileNotFoundError: If `folder` holds no report.
            ValueError: If the report has another schema version.
        """
        report_file, _, samples_file = cls.FILES
        path = Path(folder) / report_file
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run {cls.SCRIPT} with `--output_dir {folder}` first.")
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {fields.get('schema_version')}, expected {SCHEMA_VERSION}. Evaluate again."
            )
        # `splitlines` would also split at what Unicode calls a line's end, which a text may hold.
        lines = (Path(folder) / samples_file).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        samples = [json.loads(line) for line in lines]
        # Follows from the rest, so it is not read.
        fields.pop("missing", None)
        return cls(**fields | {"samples": samples})

    def _section_chapters(self) -> list[Chapter]:
        return [section_chapter(Section(**section)) for section in self.sections]

    def _conditions(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("settings", "versions", "fingerprint")}


def _is_svg(figure: str) -> bool:
    try:
        return ET.fromstring(figure).tag == SVG
    except ET.ParseError:
        return False


__all__ = ["SCHEMA_VERSION", "SavedReport"]
