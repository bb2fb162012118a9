# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Questions and dialogues about images, from the forms in which they are published.

| form | files | reader |
|---|---|---|
| VQA v2 (Goyal et al. 2017, arXiv:1612.00837) | `*_questions.json` and `*_annotations.json` | [`read_vqa`] |
| a table, one row an answer | `.csv` or `.tsv` | [`read_question_table`] |
| VisDial (Das et al. 2017, arXiv:1611.08669) | `visdial_*.json` | [`read_visdial`] |

Images are named by their COCO id. Texts keep their form; white space around them and line breaks are left out.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .sources import check_source


@dataclass(frozen=True, slots=True)
class Question:
    """
    A question about an image.

    Args:
        name (`str`):
            Identity of the question in its file.
        text (`str`):
            The question.
        answers (`tuple[str, ...]`):
            What people answered, ten of them in VQA.
        kind (`str`):
            Its type, which the question itself shows (`"how many"`): what could be answered by it without an image.
    """

    name: str
    text: str
    answers: tuple[str, ...]
    kind: str

    @property
    def answer(self) -> str:
        """What most people answered; of several that are as frequent the first."""
        return Counter(self.answers).most_common(1)[0][0]


def read_vqa(questions: str | Path, annotations: str | Path) -> dict[int, list[Question]]:
    """
    Questions of VQA v2 by COCO image id, in the order of the file.

    Args:
        questions, annotations (`str` or `Path`):
            The two JSON files, such as `v2_OpenEnded_mscoco_val2014_questions.json` and
            `v2_mscoco_val2014_annotations.json`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is no such JSON, an entry lacks a field, or the two do not belong together.
    """
    questions, annotations = check_source(questions), check_source(annotations)
    asked: dict[int, tuple[int, str]] = {}
    for entry in _entries(questions, "questions"):
        number, image, text = (_field(questions, entry, name) for name in ("question_id", "image_id", "question"))
        if number in asked:
            raise ValueError(f"{questions}: question_id {number} is there twice: download the file again")
        asked[number] = image, text
    found: dict[int, list[Question]] = {}
    for entry in _entries(annotations, "annotations"):
        number, image = (_field(annotations, entry, name) for name in ("question_id", "image_id"))
        kind, answers = _field(annotations, entry, "question_type"), _field(annotations, entry, "answers")
        if number not in asked or asked[number][0] != image:
            raise ValueError(
                f"{annotations}: question_id {number} of image {image} is not in {questions}: the files are of "
                "different releases or splits; download both again"
            )
        said = tuple(_field(annotations, answer, "answer") for answer in answers)
        if not said:
            raise ValueError(f"{annotations}: question_id {number} has no answer: download the file again")
        found.setdefault(image, []).append(Question(str(number), asked.pop(number)[1], said, kind))
    if asked:
        raise ValueError(f"{annotations} lacks {len(asked)} questions of {questions}, such as {min(asked)}")
    return found


_KINDS: dict[str, type] = {"question_id": int, "image_id": int, "answers": list, "dialog": list}


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable as JSON ({error}): download it again") from error


def _entries(path: Path, key: str) -> list[Any]:
    content = _load(path)
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list {key!r} and found none: check that it is the right file")
    return entries


def _field(path: Path, entry: Any, name: str) -> Any:
    """A field of an entry: a whole number, a list, or a text without line breaks."""
    value, kind = entry.get(name) if isinstance(entry, dict) else None, _KINDS.get(name, str)
    text = " ".join(value.split()) if isinstance(value, str) else None
    if type(value) is not kind or text == "":
        raise ValueError(f"{path}: expected entries with {name!r} of {kind.__name__}, found {entry!r:.120}")
    return value if text is None else text


def read_question_table(path: str | Path) -> dict[int, list[Question]]:
    """
    Questions of a table by COCO image id, from columns `image_id`, `question` and `answer`.

    Several rows of one image and question are several people's answers. Without a column `question_type` the first two
    words of a question are its type.

    Args:
        path (`str` or `Path`):
            UTF-8, with a header; cells are divided by tabs in `.tsv`, else by commas.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a column is missing, a row is ragged or lacks a value, or its types contradict each other.
    """
    path = check_source(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    header = lines[0] if lines else []
    missing = [name for name in ("image_id", "question", "answer") if name not in header]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}, only {header}: expected image_id, question, answer")
    answers: dict[tuple[int, str], list[str]] = {}
    kinds: dict[tuple[int, str], str] = {}
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(header, (" ".join(cell.split()) for cell in line), strict=False))
        if len(line) != len(header) or not row["image_id"].isdecimal() or not row["question"] or not row["answer"]:
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} cells with a number in column 'image_id' and texts in "
                f"'question' and 'answer', found {line!r:.120}"
            )
        key = int(row["image_id"]), row["question"]
        kind = row.get("question_type") or " ".join(row["question"].lower().split()[:2])
        if kinds.setdefault(key, kind) != kind:
            raise ValueError(
                f"{path}, line {number}: column 'question_type' is {kind!r}, and {kinds[key]!r} in an earlier row of "
                f"the same question ({row['question']!r}): give it one type"
            )
        answers.setdefault(key, []).append(row["answer"])
    found: dict[int, list[Question]] = {}
    for (image, text), said in answers.items():
        own = found.setdefault(image, [])
        own.append(Question(f"{image}-{len(own)}", text, tuple(said), kinds[image, text]))
    return found


Dialogue = tuple[tuple[str, str], ...]


def read_visdial(path: str | Path) -> dict[int, list[Dialogue]]:
    """
    Dialogues of VisDial by COCO image id: questions and answers, in turn. Rounds without an answer, as the last of
    the test set, are left out.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is no such JSON, or a round names a text that is not there.
    """
    path = check_source(path)
    data = _load(path)
    data = data.get("data") if isinstance(data, dict) else None
    if not isinstance(data, dict) or any(not isinstance(data.get(key), list) for key in ("dialogs", *_TEXTS)):
        raise ValueError(f"{path}: expected 'data' with lists 'dialogs', 'questions' and 'answers', as in VisDial")
    found: dict[int, list[Dialogue]] = {}
    for entry in data["dialogs"]:
        image, rounds = _field(path, entry, "image_id"), _field(path, entry, "dialog")
        turns = [_round(path, data, turn) for turn in rounds if "answer" in turn]
        if turns:
            found.setdefault(image, []).append(tuple(turns))
    return found


_TEXTS = ("questions", "answers")


def _round(path: Path, data: dict[str, Any], turn: dict[str, Any]) -> tuple[str, str]:
    said = []
    for key in _TEXTS:
        number = turn.get(key.removesuffix("s"))
        if type(number) is not int or not 0 <= number < len(data[key]):
            raise ValueError(f"{path}: a round names number {number!r} of the {len(data[key])} texts in {key!r}")
        said.append(" ".join(str(data[key][number]).split()))
    return said[0].removesuffix("?").rstrip() + "?", said[1]


def merged(readers: Sequence[Callable[[], dict[int, list[Any]]]]) -> dict[int, list[Any]]:
    """What several files say of each image, one after another."""
    found: dict[int, list[Any]] = {}
    for read in readers:
        for image, own in read().items():
            found.setdefault(image, []).extend(own)
    return found


__all__ = ["Dialogue", "Question", "merged", "read_question_table", "read_visdial", "read_vqa"]
