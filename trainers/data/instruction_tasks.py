# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The tasks of brain instruction tuning, as a table: what is asked, what is read, and which form an answer takes."""

from dataclasses import dataclass


# Our own wording: the prompts of BIT-LLM are not published.
SYSTEM = (
    "You are given a recording of a person's brain activity. Reply with what it reveals about what the person sees."
)

PERCEPTION, MEMORY = "perception and scene understanding", "memory and knowledge retrieval"
LANGUAGE, REASONING = "language and symbolic processing", "complex reasoning"

# Whose columns hold the answers: the row's own, or those of the trial before it.
OWN, PREVIOUS = "own", "previous"


@dataclass(frozen=True, slots=True)
class InstructionTask:
    """
    One task: a row of the table [`TASKS`].

    Args:
        name (`str`):
            Name in the table and in the column `task`.
        group (`str`):
            Ability that it asks for; the four groups are those of MindLLM (arXiv 2502.15786).
        columns (`tuple[str, ...]`):
            Columns that it reads. The answers come from the first of `references`, `dialogue`, `paragraph` and
            `answers` that is among them.
        prompts (`tuple[str, ...]`, *optional*):
            The same request in several wordings, of which the first is the canonical one; `{question}` is filled in.
            A dialogue brings its own.
        answer_style (`str`, *optional*):
            What is said about the form of the answer, after the request; `{choices}` is filled in.
        trial (`str`, *optional*, defaults to `"own"`):
            `"own"`, or `"previous"` for what was seen in the trial before.
    """

    name: str
    group: str
    columns: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    answer_style: str = ""
    trial: str = OWN


_CAPTION = (
    "Describe in one short sentence what this person is looking at.",
    "What does this person see? Reply with one short sentence.",
    "Say briefly what the picture in front of this person shows.",
    "Put what this person is seeing into one plain sentence.",
)
_PREVIOUS_IMAGE = (
    "Describe in one short sentence the picture that this person saw just before this one.",
    "What did this person look at in the trial before? Reply with one short sentence.",
    "Think of the picture shown last, not the present one, and say briefly what was on it.",
)
_PARAGRAPH = (
    "Describe in a paragraph what this person is looking at.",
    "Tell at length what this person sees: the things, where they are, and what goes on.",
    "Give a full description, in several sentences, of the picture in front of this person.",
)
_QUESTION = (
    "A question about what this person is looking at: {question}",
    "Consider the picture that this person sees. {question}",
    "{question} Judge by what this person sees.",
)


def _question(name: str, group: str, answer_style: str, *columns: str) -> InstructionTask:
    return InstructionTask(name, group, ("question", "answers", *columns), _QUESTION, answer_style)


_ALL = (
    InstructionTask("caption", PERCEPTION, ("references",), _CAPTION),
    InstructionTask("previous_image", MEMORY, ("references",), _PREVIOUS_IMAGE, trial=PREVIOUS),
    InstructionTask("paragraph", PERCEPTION, ("paragraph",), _PARAGRAPH),
    _question("question_phrase", PERCEPTION, "Answer in a few words."),
    _question("question_number", LANGUAGE, "Answer with a number alone."),
    _question("question_yes_no", REASONING, "Answer with yes or no."),
    _question("question_choice", MEMORY, "Answer with the letter of the right choice.\n{choices}", "choices"),
    _question("question_sentence", LANGUAGE, "Answer in one whole sentence."),
    _question("question_explained", REASONING, "Answer, and explain why.", "explanation"),
    InstructionTask("dialogue", REASONING, ("dialogue",)),
)
#: Every task by its name.
TASKS = {task.name: task for task in _ALL}


def find_task(name: str) -> InstructionTask:
    """The task of that name; raises `ValueError` if there is none."""
    if name not in TASKS:
        raise ValueError(f"There is no task '{name}'; choose among {', '.join(TASKS)}.")
    return TASKS[name]


__all__ = ["OWN", "PREVIOUS", "SYSTEM", "TASKS", "InstructionTask", "find_task"]
