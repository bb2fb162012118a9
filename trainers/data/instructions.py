# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows of a corpus → rows of instructions, each with all answers that belong to it; no brain value is copied."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import datasets
from torch.utils.data import Dataset

from modeling_brainllm import BrainLlamaProcessor

from ..statistics.permutations import AVERAGED
from .collator import keep_first_words
from .instruction_tasks import PREVIOUS, InstructionTask, find_task
from .prompts import Renderer


Row = Mapping[str, Any]

# What the tasks read beside their own columns.
_IDENTITY = ("sample_id", "subject", "session", "completion", "task")


class InstructionRows(Dataset):
    """
    Rows of a corpus, seen through instructions: row by row the columns of the corpus, with `task`, `prompt`,
    `segments`, `references` and `completion` of the instruction in place of its own.

    `prompt` holds the marker of the brain. `segments` are the continuations that are learnt, each a list of pieces of
    text of which the first, third, ... are labelled; the others are what the user says in between.

    Args:
        source ([`~datasets.Dataset`]):
            Rows of a corpus; they stay where they are.
        texts ([`~datasets.Dataset`]):
            One row per instruction: `row`, its place in `source`, and the columns above.
    """

    def __init__(self, source: datasets.Dataset, texts: datasets.Dataset):
        self.source, self.texts = source, texts
        self.places: list[int] = list(texts["row"])

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int | str) -> Any:
        if isinstance(index, int):
            return {**self.source[self.places[index]], **self.texts[index]}
        if index in self.texts.column_names:
            return list(self.texts[index])
        column = list(self.source[index])
        return [column[place] for place in self.places]

    @property
    def column_names(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys([*self.source.column_names, *self.texts.column_names]))

    def unpacked(self) -> "InstructionRows":
        """The same instructions with one segment per row."""
        columns: dict[str, list] = {name: [] for name in self.texts.column_names}
        for row in self.texts:
            for segment in row["segments"]:
                for name, value in {**row, "segments": [segment]}.items():
                    columns[name].append(value)
        return InstructionRows(self.source, datasets.Dataset.from_dict(columns, features=self.texts.features))


@dataclass
class InstructionMaker:
    """
    Makes rows of a corpus into instructions. All captions of one image are the segments of one row.

    Args:
        processor ([`BrainLlamaProcessor`]):
            Whose chat template is used.
        tasks (`Sequence[str]`):
            Names of [`TASKS`].
        shares (`Sequence[float]`, *optional*):
            Share of the rows from which each task makes an instruction, from 0 to 1; all by default.
        paraphrase (`bool`, *optional*, defaults to `True`):
            Whether requests are drawn from all wordings of a task, or the canonical one is kept.
        max_answers (`int`, *optional*):
            Most answers of one row; the first are kept.
        max_answer_tokens (`int`, *optional*):
            Longest answer; the last words of a longer one are dropped, and its end is not taught.
        seed (`int`, *optional*, defaults to 0):
            Seed of wordings and shares, which depend on it, the task and the `sample_id` alone.

    Raises:
        ValueError: a task is unknown, `shares` do not fit; a row lacks what a task reads.
    """

    processor: BrainLlamaProcessor
    tasks: Sequence[str]
    shares: Sequence[float] | None = None
    paraphrase: bool = True
    max_answers: int | None = None
    max_answer_tokens: int | None = None
    seed: int = 0

    def __post_init__(self):
        self.shares = [1.0] * len(self.tasks) if self.shares is None else self.shares
        if len(self.shares) != len(self.tasks) or not all(0 < share <= 1 for share in self.shares):
            raise ValueError(
                f"Each of the tasks {', '.join(self.tasks)} needs a share above 0 and up to 1; got "
                f"{list(self.shares)}."
            )
        self._chosen = [(find_task(name), share) for name, share in zip(self.tasks, self.shares, strict=True)]
        self._renderer = Renderer(self.processor)

    def __call__(self, rows: datasets.Dataset) -> InstructionRows:
        """
        The instructions of some rows.

        Args:
            rows ([`~datasets.Dataset`]):
                Rows of one split: what was seen before is looked for among them alone, so that no text crosses over
                from another split.
        """
        for task, _ in self._chosen:
            _require_columns(rows, task)
        wanted = {*_IDENTITY, "references", *(name for task, _ in self._chosen for name in task.columns)}
        light = list(rows.select_columns([name for name in rows.column_names if name in wanted]).with_format(None))
        previous = _previous_trials(light) if any(task.trial == PREVIOUS for task, _ in self._chosen) else {}
        made = []
        for place, row in enumerate(light):
            for task, share in self._chosen:
                seen = row if task.trial != PREVIOUS else previous.get(row["sample_id"])
                if seen is not None and row.get("task") in (None, task.name):
                    drawn = _draw(self.seed, "share", task.name, row["sample_id"]) < share
                    made += [{"row": place, **text} for text in self._instruct(task, row, seen) if drawn]
        if not made:
            raise ValueError(f"No row serves any of the tasks {', '.join(self.tasks)}. Choose others.")
        return InstructionRows(rows, datasets.Dataset.from_list(made))

    def _instruct(self, task: InstructionTask, row: Row, seen: Row) -> Iterator[dict[str, Any]]:
        """The instruction of a task about one row, unless the row has nothing for it."""
        if "dialogue" in task.columns:
            if row["dialogue"]:
                turns = _check_dialogue(row)
                prompt, pieces = self._renderer.dialogue(turns)
                yield _columns(task, prompt, [pieces], [turn["content"] for turn in turns[1::2]])
            return
        answers = _answers(task, seen)
        if answers:
            _require_text(row, answers)
            # People agree on few answers to a question: the most frequent one is taught, and all of them count.
            asked = "answers" in task.columns
            answers = answers if asked else answers[: self.max_answers]
            prompt = self._renderer.prompt(self._request(task, row))
            taught = answers[:1] if asked else answers
            yield _columns(task, prompt, [[self._answer(text)] for text in taught], answers)

    def _request(self, task: InstructionTask, row: Row) -> str:
        number = int(_draw(self.seed, "wording", task.name, row["sample_id"]) * len(task.prompts))
        request = task.prompts[number if self.paraphrase else 0].format(question=row.get("question"))
        style = task.answer_style.format(choices=_list_choices(row.get("choices") or []))
        return f"{request} {style}" if style else request

    def _answer(self, text: str) -> str:
        text = text.strip()
        if self.max_answer_tokens is None:
            return self._renderer.answer(text)
        kept = keep_first_words(self.processor.tokenizer, text, self.max_answer_tokens)
        return self._renderer.answer(kept, ends=kept == text)


def _columns(task: InstructionTask, prompt: str, segments: list[list[str]], answers: list[str]) -> dict[str, Any]:
    return {
        "task": task.name,
        "prompt": prompt,
        "segments": segments,
        "references": answers,
        "completion": answers[0],
    }


def _answers(task: InstructionTask, row: Row) -> list[str]:
    """What a row answers to a task; nothing where it has no question or paragraph."""
    if "references" in task.columns:
        answers = list(row.get("references") or []) or [row["completion"]]
        if not any(answer.strip() for answer in answers):
            raise ValueError(
                f"Row '{row['sample_id']}' has no caption: `references` and `completion` are empty. Leave such rows "
                "out when the corpus is built."
            )
        return answers
    if "paragraph" in task.columns:
        return [row["paragraph"]] if row["paragraph"] else []
    if not row["question"] or not row["answers"]:
        return []
    answers = sorted(row["answers"], key=list(row["answers"]).count, reverse=True)
    if "choices" in task.columns:
        return [_letter(row, answers[0])]
    if "explanation" in task.columns:
        return [f"{answers[0].strip().rstrip('.')}. {row['explanation'].strip()}"] if row["explanation"] else []
    return answers


def _letter(row: Row, answer: str) -> str:
    choices = list(row["choices"] or [])
    if answer not in choices:
        raise ValueError(
            f"The answer '{answer}' of row '{row['sample_id']}' is not among its `choices` {choices}. Give the "
            "right choice word for word."
        )
    return chr(ord("A") + choices.index(answer))


def _list_choices(choices: Sequence[str]) -> str:
    return "\n".join(f"{chr(ord('A') + place)}. {choice}" for place, choice in enumerate(choices))


def _require_columns(rows: datasets.Dataset, task: InstructionTask) -> None:
    missing = [name for name in task.columns if name not in rows.column_names]
    if missing:
        raise ValueError(
            f"The task '{task.name}' reads the columns {', '.join(missing)}, which the rows lack; they have "
            f"{', '.join(rows.column_names)}."
        )


def _require_text(row: Row, answers: Sequence[str]) -> None:
    if not all(answer.strip() for answer in answers):
        raise ValueError(
            f"Row '{row['sample_id']}' has an empty answer among {list(answers)}, so there is nothing to predict. "
            "Drop it when the corpus is built."
        )


def _check_dialogue(row: Row) -> list[dict[str, str]]:
    turns = [{"role": turn["role"], "content": turn["content"].strip()} for turn in row["dialogue"]]
    expected = ["user", "assistant"] * max(1, len(turns) // 2)
    if [turn["role"] for turn in turns] != expected or not all(turn["content"] for turn in turns):
        raise ValueError(
            f"The dialogue of row '{row['sample_id']}' must alternate between 'user' and 'assistant', begin with the "
            f"one and end with the other, and have no empty turn; found {turns}."
        )
    return turns


def _previous_trials(rows: Sequence[Row]) -> dict[str, Row]:
    """
    For each `sample_id` the row of the trial before: the same subject and session, one frame earlier. Means over the
    trials of an image follow no trial.
    """
    by_id = {row["sample_id"]: row for row in rows}
    found = {}
    for sample_id, row in by_id.items():
        recording, _, frame = sample_id.rpartition("/")
        if not frame.isdecimal():
            raise ValueError(
                "The task 'previous_image' needs sample ids that end with the number of the trial; found "
                f"'{sample_id}'."
            )
        before = by_id.get(f"{recording}/{int(frame) - 1}")
        if before is not None and row.get("session") != AVERAGED:
            found[sample_id] = before
    return found


def _draw(*names: object) -> float:
    """A number from 0 to 1 that depends on names alone."""
    return int.from_bytes(blake2b(repr(names).encode(), digest_size=6).digest(), "big") / 2**48


__all__ = ["InstructionMaker", "InstructionRows"]
