# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Tasks: how texts come about, which scores apply, which controls and baselines they can have.

A new task is a class of a few lines. One that decodes some text of each row says which (`rows`); controls, intervals,
report, page and card follow:

```python
class Shouting(Task):
    name = "shouting"

    def rows(self, dataset):
        return read_as(dataset, "sentence").map(lambda row: {"completion": row["completion"].upper()})
```
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..data.collator import read_as
from ..scoring.rules import CAPTION_RULES, TEXT_RULES, Rules
from .caption_arms import OPTIONAL_ARMS
from .captions import measure_captions
from .run import Measured, Run
from .texts import measure_texts


if TYPE_CHECKING:
    from datasets import Dataset

    from ..metrics import MeteorData
    from ..metrics.captions import DocumentFrequencies


class Task:
    """
    Decodes a text of each row: losses under the own brain and every control, and texts that are generated.

    Class attributes: `name`; `rules`, its scores and what must stand beside them; `identifies`, whether each text is
    scored under every brain of its block, as far as that is affordable.
    """

    name: ClassVar[str]
    rules: ClassVar[Rules] = TEXT_RULES
    identifies: ClassVar[bool] = True

    def rows(self, dataset: "Dataset") -> "Dataset":
        """Rows with the `prompt` that is given and the `completion` that is decoded."""
        raise NotImplementedError

    def measure(self, run: Run) -> Measured:
        """The scored table of the task."""
        return measure_texts(self, run)


class Continuation(Task):
    """Decodes `completion`, given `prompt` and the brain."""

    name = "continuation"
    identifies = False

    def rows(self, dataset: "Dataset") -> "Dataset":
        """The rows as they are."""
        return read_as(dataset, self.name)


class Sentence(Task):
    """Decodes `text` from the brain alone, once for each brain."""

    name = "sentence"

    def rows(self, dataset: "Dataset") -> "Dataset":
        """One row for each distinct brain, without a prompt."""
        return read_as(dataset, self.name)


class Caption(Task):
    """
    Captions what was seen, and scores it against what several people wrote.

    Args:
        prompt (`str`, *optional*):
            The request, rendered, with one marker; by default the processor's.
        optional_arms (`Sequence[str]`, *optional*):
            Which arms to run beside those that are mandatory.
        frequencies, meteor, both *optional*:
            See [`~trainers.scoring.caption_scorer.CaptionScorer`].
    """

    name = "caption"
    rules = CAPTION_RULES

    def __init__(
        self,
        prompt: str | None = None,
        optional_arms: Sequence[str] = OPTIONAL_ARMS,
        frequencies: "DocumentFrequencies | None" = None,
        meteor: "MeteorData | None" = None,
    ):
        self.prompt, self.optional_arms, self.frequencies = prompt, optional_arms, frequencies
        self.meteor = meteor

    def measure(self, run: Run) -> Measured:
        """The scored table of the task."""
        return measure_captions(self, run)


#: Tasks by name, of which a model decodes the texts.
TASKS: dict[str, type[Task]] = {task.name: task for task in (Continuation, Sentence, Caption)}


def choose_tasks(rows: "Dataset") -> list[str]:
    """The tasks that a corpus is for: answers where something is asked, captions where people described an image."""
    if "answers" in rows.column_names and any(rows["answers"]):
        return [Continuation.name]
    described = "references" in rows.column_names and any(rows["references"])
    return [Caption.name] if described else [Continuation.name, Sentence.name]


def make_task(task: "str | Task", **options: Any) -> Task:
    """A task by its name, with its options."""
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ValueError(f"The task '{task}' is unknown: choose from {', '.join(TASKS)}, or give an object of `Task`.")
    return TASKS[task](**options)


__all__ = ["TASKS", "Caption", "Continuation", "Sentence", "Task", "choose_tasks", "make_task"]
