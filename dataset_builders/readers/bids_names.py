# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
File names of the Brain Imaging Data Structure (BIDS): `sub-01_task-story_run-2_space-T1w_desc-preproc_bold.nii.gz`.

A name is a chain of entities (`sub-01`), a suffix (`bold`) and an extension (`.nii.gz`). What a file says about
others is inherited: a sidecar applies to every file below its folder that has all of its entities, and a nearer
sidecar overrides a farther one (BIDS 1.10, "The inheritance principle").
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .text_files import read_text


#: Entities that a derivative shares with the raw run that it was made from, in the order in which names hold them.
RUN_ENTITIES = ("sub", "ses", "task", "acq", "dir", "run")
#: Those that sidecars of the raw run may name as well: echoes and reconstructions of one run, of which a derivative
#: holds one.
RAW_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part")
#: Entities that are numbers: `run-1` is `run-01`.
_INDICES = ("run", "echo")
_ENTITY = re.compile(r"([A-Za-z0-9]+)-([A-Za-z0-9+]+)")


@dataclass(frozen=True, slots=True, eq=False)
class BidsName:
    """A file whose name follows BIDS. `suffix` is empty where a name has none, as fMRIPrep's `_hemi-L.func.gii`."""

    path: Path
    entities: Mapping[str, str]
    suffix: str
    extension: str


def parse_name(path: Path) -> BidsName | None:
    """The parts of a name, or `None` if it does not follow BIDS. Indices lose their leading zeros."""
    stem, _, extension = path.name.partition(".")
    *chain, last = stem.split("_")
    suffix = "" if "-" in last else last
    matches = [_ENTITY.fullmatch(part) for part in (chain if suffix else [*chain, last])]
    pairs = [match.groups() for match in matches if match]
    entities = {key: str(int(value)) if key in _INDICES and value.isdecimal() else value for key, value in pairs}
    if len(entities) < len(matches) or not (suffix.isalnum() or "-" in last):
        return None
    return BidsName(path, entities, suffix, f".{extension}" if extension else "")


def parse_names(paths: Iterable[Path]) -> list[BidsName]:
    """The names that follow BIDS, in the order of their paths."""
    return [name for path in sorted(paths) if (name := parse_name(path))]


def pick(entities: Mapping[str, str], keys: Iterable[str] = RUN_ENTITIES) -> dict[str, str]:
    """Those of the entities that have one of the keys, in the order of the keys."""
    return {key: entities[key] for key in keys if key in entities}


def join(entities: Mapping[str, str]) -> str:
    """The chain of entities as it stands in a name: `sub-01_task-story_run-1`."""
    return "_".join(f"{key}-{value}" for key, value in entities.items())


def sidecars(root: Path, entities: Mapping[str, str], suffix: str, extension: str) -> list[Path]:
    """
    Files that apply to a run by inheritance, the farthest and least specific first.

    Args:
        root (`Path`):
            Folder of the dataset: the raw one, or a derivative.
        entities (`Mapping[str, str]`):
            Those of the file that they apply to.
        suffix, extension (`str`):
            Such as `"events"` and `".tsv"`.

    Raises:
        ValueError: two files of one folder apply alike, such as `run-1` and `run-01`.
    """
    folders = [root, root / join(pick(entities, ("sub",)))]
    if "ses" in entities:
        folders.append(folders[-1] / join(pick(entities, ("ses",))))
    folders.append(folders[-1] / "func")
    result = []
    for folder in folders:
        names = [name for name in parse_names(folder.glob(f"*{suffix}{extension}")) if name.suffix == suffix]
        applicable = [name for name in names if name.entities.items() <= entities.items()]
        by_number = {len(name.entities): name.path for name in applicable}
        if len(by_number) < len(applicable):
            raise ValueError(
                f"{folder}: {', '.join(name.path.name for name in applicable)} apply alike to {join(entities)}; "
                "keep one of them"
            )
        result += [by_number[number] for number in sorted(by_number)]
    return result


def read_metadata(paths: Iterable[Path]) -> dict[str, Any]:
    """
    The fields of JSON sidecars; those of later files override earlier ones.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_text`] does.
        ValueError: a file is not JSON, or holds no fields.
    """
    fields: dict[str, Any] = {}
    for path in paths:
        text, _ = read_text(path, "utf-8-sig")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON ({error}): download it again") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: expected fields in braces, found {type(content).__name__}; download it again")
        fields |= content
    return fields


__all__ = [
    "RAW_ENTITIES",
    "RUN_ENTITIES",
    "BidsName",
    "join",
    "parse_name",
    "parse_names",
    "pick",
    "read_metadata",
    "sidecars",
]
