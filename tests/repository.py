# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The files of this repository, for the tests that read them."""

import subprocess
import tomllib
from pathlib import Path


REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = ("modeling_brainllm", "trainers", "dataset_builders")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def every_file(*folders: str) -> list[str]:
    """The files below `folders` that a commit would hold, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted({line for line in listed.stdout.splitlines() if (REPOSITORY / line).is_file()})
