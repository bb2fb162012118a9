# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Hooks of mkdocs: the API reference, a page for each folder of the rooms, from docstrings. Nothing is imported."""

import ast
import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("modeling_brainllm", "trainers", "dataset_builders")
_REFERENCE = re.compile(r"\[`~?([^`\]]+)`\](?![(\[])")


def public_names(path: Path) -> list[str]:
    """`__all__` of a module, where it is a list of strings."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value) if isinstance(node.value, ast.List) else []
    return []


def describe(folder: Path) -> str:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return _REFERENCE.sub(r"`\1`", docstring)


def pages() -> dict[str, str]:
    """Address of each page → its text: what the folder says of itself, then each module's public names."""
    found = {}
    for init in (init for room in ROOMS for init in sorted((REPOSITORY / room).rglob("__init__.py"))):
        folder, package = init.parent, ".".join(init.parent.relative_to(REPOSITORY).parts)
        text = f"# `{package}`\n\n{describe(folder)}\n"
        for path in sorted(folder.glob("*.py")):
            if names := public_names(path):
                module = f"{package}.{path.stem}".removesuffix(".__init__")
                entries = "".join(f"\n::: {module}.{name}\n" for name in names if is_defined(path, name))
                text += f"\n## `{path.name}`\n{entries}" if entries else ""
        found[f"reference/{package}.md"] = text
    rows = "".join(f"\n- [`{Path(page).stem}`]({Path(page).name})" for page in found)
    return {"reference/index.md": f"# API reference\n\nA page for each folder.\n{rows}\n"} | found


def is_defined(path: Path, name: str) -> bool:
    """Whether a module defines a name, which it may also import from elsewhere."""
    return any(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = [*(config.nav or []), {"API reference": list(pages())}]
    # Links of docstrings to one another, [`Name`], are code here: Hugging Face's builder alone resolves them.
    logging.getLogger("griffe").setLevel(logging.ERROR)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(html: str, **_: object) -> str:
    """References of docstrings, which stand in their text as code and in their types as they were written."""
    return re.sub(r"\[`~?([^`\]<]+)`\]", r"\1", re.sub(r"\[<code>~?([^<]+)</code>\]", r"<code>\1</code>", html))
