# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The guide and the API reference build strictly; numbers of others are those of their sources."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from repository import REPOSITORY


SHARED = os.environ.get("BRAINLLM_SHARED")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if find_spec("mkdocs") is None:
        pytest.skip("SKIPPED FOR WANT OF mkdocs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    # Strict: a link, an anchor or an object of the reference that is not there fails the build.
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
class TestSite:
    def test_every_folder_has_a_page_with_its_public_names(self, site):
        page = (site / "reference" / "trainers.sft.html").read_text()
        for name in ("BrainSFTConfig", "BrainSFTTrainer"):
            assert f'id="trainers.sft.{"sft_config" if "Config" in name else "sft_trainer"}.{name}"' in page

    def test_arguments_of_docstrings_become_lists(self, site):
        page = re.sub(r"<[^>]+>", "", (site / "reference" / "trainers.sft.html").read_text())
        assert "Longest prompt; the oldest words of a longer one are dropped." in page
        assert "[`" not in page

    def test_no_page_asks_another_server(self, site):
        """No fonts, scripts or pictures from elsewhere."""
        for page in site.rglob("*.html"):
            assert re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|png|svg|woff2?))"', page.read_text()) == []


def tables(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]


class TestNumbersOfOthers:
    def test_published_captions_are_those_of_the_sources(self):
        source = Path(SHARED or "/nowhere", "spec", "bitllm.md")
        if not source.is_file():
            pytest.skip("SKIPPED FOR WANT OF SOURCES: set BRAINLLM_SHARED to their folder")
        known = {tuple(row[:2]): row[2:] for row in tables(source.read_text()) if len(row) == 10 and row[1].isdigit()}
        rows = [row for row in tables((REPOSITORY / "docs" / "comparison.md").read_text()) if tuple(row[:2]) in known]
        assert len(rows) == 9
        for row in rows:
            assert row[2:] == known[tuple(row[:2])][:5], row
        floors = {cell for row in tables(source.read_text()) if len(row) == 5 for cell in row[1:]}
        quoted = [row for row in tables((REPOSITORY / "docs" / "numbers.md").read_text())[2:] if len(row) == 5]
        assert len(quoted) == 4
        assert {cell for row in quoted for cell in row[1:]} <= floors
