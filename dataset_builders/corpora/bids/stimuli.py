# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a table says of the stimuli that events name, and which of them are one and the same."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...readers.text_files import read_tsv
from ...schema import TEST, TRAIN
from ...splitting.fingerprints import near_keys, words_of


_MISSING = ("", "n/a")
# Of fewer words, all but one are alike by chance.
_LEAST_NEAR_WORDS = 8


@dataclass(frozen=True, slots=True)
class Stimulus:
    """
    A row, or the rows, of the table.

    Args:
        texts (`tuple[str, ...]`):
            What it says or shows, in the order of columns and rows.
        group, topic, official_split (`str`):
            What the table says of them; empty where no column was chosen.
    """

    texts: tuple[str, ...]
    group: str = ""
    topic: str = ""
    official_split: str = ""


def read_stimuli(
    path: Path,
    id_column: str,
    text_columns: Sequence[str],
    group_column: str | None = None,
    topic_column: str | None = None,
    split_column: str | None = None,
) -> dict[str, Stimulus]:
    """
    The table of stimuli, in the form of BIDS (tabs, `n/a` for what is missing).

    A stimulus has a text in each of the columns that is not missing, and may stand in several rows, as images with
    several captions do.

    Args:
        path (`Path`):
            The table.
        id_column (`str`):
            Column of the names that events use.
        text_columns (`Sequence[str]`):
            Columns of the texts.
        group_column, topic_column, split_column (`str`, *optional*):
            Columns of what stays together, of subject matter, and of `train` or `test`.

    Returns:
        `dict[str, Stimulus]`: by name.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_tsv`] does.
        ValueError: a name is missing, a stimulus has no text, its rows contradict each other, or a split is another.
    """
    kept = {"group": group_column, "topic": topic_column, "official_split": split_column}
    columns = {name: column for name, column in kept.items() if column is not None}
    texts: dict[str, dict[str, None]] = {}
    facts: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_tsv(path, (id_column, *text_columns, *columns.values())), 2):
        name = row[id_column]
        if name in _MISSING:
            raise ValueError(f"{path}, line {number}: column {id_column!r} is {name!r}; expected the stimulus' name")
        said = {key: "" if row[column] in _MISSING else row[column] for key, column in columns.items()}
        if facts.setdefault(name, said) != said:
            raise ValueError(
                f"{path}, line {number}: stimulus {name!r} is {said} here and {facts[name]} in a row before: give all "
                f"rows of a stimulus the same {', '.join(columns.values())}"
            )
        if said.get("official_split", "") not in ("", TRAIN, TEST):
            raise ValueError(
                f"{path}, line {number}: column {split_column!r} is {said['official_split']!r}; expected {TRAIN}, "
                f"{TEST} or n/a"
            )
        found = (row[column] for column in text_columns)
        texts.setdefault(name, {}).update(dict.fromkeys(text for text in found if text not in _MISSING))
    silent = [name for name, found in texts.items() if not found]
    if silent:
        raise ValueError(
            f"{path}: {len(silent)} stimuli have no text in column {', '.join(text_columns)}, such as {silent[0]!r}: "
            "write what was said or shown, or leave them out of the table and of the events (n/a)"
        )
    return {name: Stimulus(tuple(found), **facts[name]) for name, found in texts.items()}


def group_stimuli(
    stimuli: Mapping[str, Stimulus], together: Iterable[Sequence[str]], notes: Counter[str]
) -> dict[str, str]:
    """
    What must stay on one side of a split.

    Stimuli of one group of the table stay together, and so do those with one and the same text, or with a text that
    differs in one word, in case or in punctuation: they are one stimulus under several names.

    Args:
        stimuli (`Mapping[str, Stimulus]`):
            Those that were shown.
        together (`Iterable[Sequence[str]]`):
            Names that stay together beside, such as those of one run.
        notes (`Counter[str]`):
            Stimuli that are put together for their texts are counted here.

    Returns:
        `dict[str, str]`: for each name the first of its group.
    """
    places = {name: place for place, name in enumerate(stimuli)}
    root = {name: name for name in stimuli}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    def join(members: Iterable[str]) -> int:
        roots = sorted({find(name) for name in members}, key=places.__getitem__)
        root.update(dict.fromkeys(roots, roots[0]))
        return len(roots) - 1

    for members in _alike((stimulus.group, name) for name, stimulus in stimuli.items() if stimulus.group):
        join(members)
    notes["stimuli that share their text with one of another name, and are in one group with it"] += sum(
        join(members) for members in _alike(_text_keys(stimuli))
    )
    for members in together:
        join(members)
    return {name: find(name) for name in stimuli}


def _text_keys(stimuli: Mapping[str, Stimulus]) -> Iterable[tuple[Hashable, str]]:
    """Keys that near copies of a text share, each with the name of its stimulus."""
    owners, texts = zip(*((name, words_of(text)) for name, one in stimuli.items() for text in one.texts), strict=True)
    yield from ((tuple(words), name) for name, words in zip(owners, texts, strict=True) if words)
    longer = [row for row, words in enumerate(texts) if len(words) >= _LEAST_NEAR_WORDS]
    holders, keys = near_keys([texts[row] for row in longer])
    yield from ((int(key), owners[longer[holder]]) for holder, key in zip(holders, keys, strict=True))


def _alike(pairs: Iterable[tuple[Hashable, str]]) -> list[list[str]]:
    """Names that share a key."""
    found: dict[Hashable, dict[str, None]] = {}
    for key, name in pairs:
        found.setdefault(key, {})[name] = None
    return [list(names) for names in found.values() if len(names) > 1]


__all__ = ["Stimulus", "group_stimuli", "read_stimuli"]
