# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Writes the generated blocks of README.md and of docs/, so that no figure is typed: tables of results are those that the
benchmarks wrote, the table of corpora comes from their classes, the tree of folders from their docstrings.

    python docs/blocks.py            # rewrites what is out of date
    python docs/blocks.py --check    # says what is out of date, and changes nothing
"""

import argparse
import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path


REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "examples" / "benchmarks" / "results"
ROOMS = ("modeling_brainllm", "trainers", "dataset_builders")
# Written by examples/benchmarks/brain_gain.py.
TWIN = "brain_gain.md"
# Rows of the real participant that README.md shows; the page of results has all.
HEADLINE = ("ours, cross-attention", "ours, cross-attention, brains shuffled", "ours, prefix", "official, prefix")
BESIDE_THE_ROOMS = {
    "brainllm": "the command, and how every script reads options and reports errors",
    "examples": "one verb a script; recipes, hardware files, benchmarks and what they measured",
    "tests": "mirrors the rooms; `fuzz` and `crash` are the long robustness runs",
    "docs": "the guide and the API reference (`make docs`)",
}


def result(name: str) -> str:
    return (RESULTS / name).read_text(encoding="utf-8").strip()


def headline() -> str:
    """The first rows that a stranger should see, whole sentences alone, from the table of the real participant."""
    head, rule, *rows = result("real_participant.md").splitlines()
    kept = [row for row in rows if row.startswith("|") and cells(row)[0] in HEADLINE and cells(row)[2] == "sentence"]
    return "\n".join([head, rule, *kept])


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split("|")]


def twin() -> str:
    """What the brain adds over a decoder that was trained alike and never heard one, once it is measured."""
    if not (RESULTS / TWIN).is_file():
        return "*The gain over the deaf twin is being measured; until then this block is empty.*"
    return re.sub("(?m)^#", "##", result(TWIN))


def corpora() -> str:
    from dataset_builders import CORPORA, builder_class
    from dataset_builders.publishing.card import corpora_table

    return corpora_table({name: builder_class(name) for name in CORPORA})


def decoded() -> str:
    """The first two of the samples that `make demo` prints; `decoded.txt` of its folder, kept among the results."""
    samples = result("demo.txt").split("\n\n")[:2]
    return (
        "What `make demo` prints, the first two of five samples, decoded from held-out synthetic brains without a "
        "prompt:\n\n"
        "```text\n" + "\n\n".join(samples) + "\n```"
    )


def columns() -> str:
    from dataset_builders.schema import COLUMNS

    return "| column | what it holds |\n|---|---|\n" + "\n".join(f"| `{n}` | {text} |" for n, text in COLUMNS.items())


def tree() -> str:
    """Every folder of the rooms with the first sentence of its docstring, then what stands beside the rooms."""
    lines = list(folders_of_rooms())
    lines += [(f"{name}/", text) for name, text in BESIDE_THE_ROOMS.items() if (REPOSITORY / name).is_dir()]
    width = max(len(name) for name, _ in lines) + 2
    return "```text\n" + "\n".join(f"{name:<{width}}{text}" for name, text in lines) + "\n```"


def layers() -> str:
    """The contracts between folders, upper layers first, as pyproject.toml states them."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    lines = []
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            rows = [re.sub(r"[()]", "", layer).replace(" | ", "`, `") for layer in contract["layers"]]
            where = contract.get("containers", ["the repository"])[0]
            lines.append(f"- in {where}: " + " › ".join(f"`{row}`" for row in rows))
        else:
            names = "`, `".join(contract["forbidden_modules"])
            lines.append(f"- `{contract['source_modules'][0]}` never imports `{names}`")
    return "\n".join(lines)


def folders_of_rooms() -> Iterator[tuple[str, str]]:
    for room in ROOMS:
        for init in sorted((REPOSITORY / room).rglob("__init__.py"), key=lambda path: path.parent.parts):
            depth = len(init.relative_to(REPOSITORY).parts) - 2
            yield f"{'  ' * depth}{init.parent.name}/", first_sentence(init)


def first_sentence(path: Path) -> str:
    """In one line, without the marks of a reference and without the full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.sub(r"\[`~?([\w.]+)`\]", r"`\1`", re.split(r"(?<=\.) (?=[A-Z])", paragraph)[0]).rstrip(".:")


#: Document and name of a block → what stands in it.
BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "decode"): decoded,
    ("README.md", "headline"): headline,
    ("README.md", "twin"): twin,
    ("README.md", "tree"): tree,
    ("CONTRIBUTING.md", "layers"): layers,
    ("docs/results.md", "results"): lambda: result("real_participant.md"),
    ("docs/results.md", "twin"): twin,
    ("docs/results.md", "words"): lambda: result("words.md"),
    ("docs/results.md", "captions"): lambda: result("bitllm_tables.md"),
    ("docs/results.md", "calibration"): lambda: result("calibration.md"),
    ("docs/results.md", "scaling"): lambda: re.sub("(?m)^#", "##", result("scaling_grids.md")),
    ("docs/results.md", "leaks"): lambda: result("leak_table.md"),
    ("docs/results.md", "speed"): lambda: re.sub("(?m)^#", "##", result("speed.md")),
    ("docs/corpora.md", "corpora"): corpora,
    ("docs/corpora.md", "columns"): columns,
}


def out_of_date() -> dict[str, str]:
    """Documents whose blocks are not what they should be, and what the documents should be."""
    wanted: dict[str, str] = {}
    for (document, name), make in BLOCKS.items():
        text = wanted.get(document, (REPOSITORY / document).read_text(encoding="utf-8"))
        start, end = f"<!-- {name}:start -->\n", f"<!-- {name}:end -->"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{document} has no block '{name}': write {start.strip()} and {end} where it belongs")
        wanted[document] = before + start + make().strip() + "\n" + end + after
    return {name: text for name, text in wanted.items() if text != (REPOSITORY / name).read_text(encoding="utf-8")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is out of date")
    args = parser.parse_args()
    changed = out_of_date()
    if args.check and changed:
        raise SystemExit(f"out of date: {', '.join(changed)}. Run: python docs/blocks.py")
    for name, text in changed.items():
        (REPOSITORY / name).write_text(text, encoding="utf-8")
        print(f"rewritten: {name}")


if __name__ == "__main__":
    main()
