# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The options of a dataclass, read from its source.

Configurations of trainers descend from classes of transformers and TRL, whose import takes torch and many seconds.
Names and help texts are all that `--help` and a misspelt option need, and they stand in the source.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


# Packages whose `__init__` gives names without saying from which module.
_HOMES = {
    ("transformers", "TrainingArguments"): "transformers.training_args",
    ("trl", "GRPOConfig"): "trl.trainer.grpo_config",
}


@dataclass(frozen=True)
class Option:
    """One option: its name, what it is for, and whether it is on unless `--no_name` is given."""

    name: str
    help: str
    is_on: bool


def read_options(module: str, name: str) -> dict[str, Option]:
    """
    Fields of a dataclass and of those that it descends from, without importing any of them.

    Args:
        module (`str`):
            Module that defines or imports the class.
        name (`str`):
            The class.

    Raises:
        ValueError: the class cannot be found in the sources.
    """
    module = _HOMES.get((module, name), module)
    tree, found = _parse(module), {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in reversed(node.bases):  # those of the first prevail
                if ast.unparse(base) != "object":
                    found |= read_options(module, ast.unparse(base).rpartition(".")[2])
            return found | {option.name: option for option in _fields(node)}
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return read_options(_absolute(module, node), name)
    raise ValueError(f"{module} neither defines nor imports {name}")


def _fields(node: ast.ClassDef) -> Iterator[Option]:
    for line in node.body:
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
            continue
        default, text = line.value, ""
        if isinstance(default, ast.Call):
            arguments = {keyword.arg: keyword.value for keyword in default.keywords}
            default, text = arguments.get("default"), _help(arguments.get("metadata"))
        yield Option(line.target.id, text, isinstance(default, ast.Constant) and default.value is True)


def _help(metadata: ast.expr | None) -> str:
    try:
        return " ".join(ast.literal_eval(metadata)["help"].split()) if metadata else ""
    except (ValueError, KeyError):  # computed when it runs
        return ""


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that a line imports from, as seen from the module that holds the line."""
    parts = module.split(".") if _path(module).name == "__init__.py" else module.split(".")[:-1]
    parents = parts[: len(parts) + 1 - node.level] if node.level else []
    return ".".join([*parents, *([node.module] if node.module else [])])


@cache
def _parse(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


@cache
def _path(module: str) -> Path:
    top, *parts = module.split(".")
    spec = find_spec(top)  # of a top-level package this imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {top!r}: pip install 'brainllm[train]'", name=top)
    for folder in spec.submodule_search_locations:
        for path in (Path(folder, *parts, "__init__.py"), Path(folder, *parts).with_suffix(".py")):
            if path.is_file():
                return path
    raise ModuleNotFoundError(f"No module named {module!r}", name=module)


__all__ = ["Option", "read_options"]
