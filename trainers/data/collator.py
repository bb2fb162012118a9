# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows of a corpus → model inputs: where brain, prompt and label stand, and which brains are distinct."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from modeling_brainllm import BrainLlamaProcessor


if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]

# Columns that the collator reads; `brain_values` may be replaced by `semantic_embedding`.
REQUIRED_COLUMNS = ("sample_id", "subject", "group", "brain_id", "prompt", "completion", "text", "brain_values")
READINGS = ("continuation", "sentence", "mixed")
# Columns that a batch carries for the trainers' bookkeeping, and the model never sees.
BOOKKEEPING_COLUMNS = ("sample_id", "group", "subject")
IGNORE_INDEX = -100


@dataclass
class BrainCollator:
    """
    Brings the brains of some rows into a batch beside their texts; what the texts are is up to its subclasses.

    A brain sample that several rows share (equal `brain_id`) enters the batch once, and `brain_index` says which text
    reads which brain. Rows may carry `semantic_embedding` (a vector of the encoder's output width, or one for each
    encoder token) in place of `brain_values`; it becomes `encoder_outputs`, and no encoder runs. Rows may carry
    `control_brains`, a list of rows whose brains enter the batch beside their own, for `control_index` of shape
    `(batch, control brains)`.

    Args:
        processor ([`BrainLlamaProcessor`]):
            Processor of the model.
        with_brain (`bool`, *optional*, defaults to `True`):
            `False` leaves out the brain and its marker, for the arm without a brain.
    """

    processor: BrainLlamaProcessor
    with_brain: bool = True

    def __post_init__(self):
        if not self.processor.tokenizer.is_fast:
            raise ValueError(
                "The collator needs the character offsets of a fast tokenizer; "
                f"{type(self.processor.tokenizer).__name__} has none. Load it with "
                "`AutoTokenizer.from_pretrained(..., use_fast=True)`."
            )

    def _process(self, texts: list[str], rows: Sequence[Row]) -> dict[str, Any]:
        """Model inputs of texts, each with the marker of its row's brain if brains are read at all."""
        if not self.with_brain:
            return dict(self.processor(text=texts, return_offsets_mapping=True))
        control_brains = [row.get("control_brains", ()) for row in rows]
        brains = _distinct_brains([*rows, *(control_brain for several in control_brains for control_brain in several)])
        place = {brain_id: i for i, brain_id in enumerate(brains)}
        given = self._brain_arguments(list(brains.values()))
        given |= {"brain_index": [place[row["brain_id"]] for row in rows], "return_offsets_mapping": True}
        inputs = dict(self.processor(text=texts, **given))
        if control_brains[0]:
            index = [[place[control_brain["brain_id"]] for control_brain in several] for several in control_brains]
            inputs["control_index"] = torch.tensor(index)
        return inputs

    def _brain_arguments(self, brains: list[Row]) -> dict[str, Any]:
        if "semantic_embedding" in brains[0]:
            embeddings = [np.asarray(brain["semantic_embedding"], dtype=np.float32) for brain in brains]
            return {"encoder_outputs": torch.from_numpy(np.stack([np.atleast_2d(several) for several in embeddings]))}
        names = {"brain": "brain_values", "subject": "subject", "brain_names": "sample_id"}
        return {name: [brain[column] for brain in brains] for name, column in names.items()}


@dataclass
class BrainDataCollator(BrainCollator):
    """
    Makes a batch of rows into model inputs.

    A row's text is `prompt + " " + completion`, tokenised once: offsets tell which tokens belong to the completion, so
    labels are exactly the tokens that the model would generate after the prompt. The brain marker stands first.
    Padding is as long as the batch needs.

    Args:
        processor ([`BrainLlamaProcessor`]):
            Processor of the model.
        reading (`str`, *optional*, defaults to `"continuation"`):
            `"continuation"` reads rows as they are; `"sentence"` reads `text` without a prompt. For one row per
            distinct brain, and for `"mixed"`, prepare the rows with [`read_as`].
        append_eos (`bool`, *optional*, defaults to `False`):
            Whether the end-of-sequence token is a label.
        max_prompt_tokens (`int`, *optional*):
            Longest prompt; the oldest words of a longer one are dropped.
        max_completion_tokens (`int`, *optional*):
            Longest completion; the last words of a longer one are dropped.
        with_brain (`bool`, *optional*, defaults to `True`), and how brains are read:
            As in [`BrainCollator`].

    Returns of a call:
        `dict` with `input_ids`, `attention_mask`, `labels` of shape `(batch, tokens)`, the brain inputs of the
        processor, `brain_index` of shape `(batch,)`, and for bookkeeping `sample_id`, `group` and `subject` (lists of
        `str`), which the trainers take out before the model is called.
    """

    reading: str = "continuation"
    append_eos: bool = False
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.reading not in ("continuation", "sentence"):
            raise ValueError(
                f"`reading` of the collator must be 'continuation' or 'sentence'; got '{self.reading}'. 'mixed' is a "
                "property of a dataset: `read_as(dataset, 'mixed')`."
            )

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        pairs = [self._prompt_and_completion(row) for row in rows]
        marker = self.processor.brain_token if self.with_brain else ""
        inputs = self._process([marker + _join(*pair) for pair in pairs], rows)
        ends = inputs.pop("offset_mapping")[..., 1]
        lengths = [len(completion) for _, completion in pairs]
        inputs["labels"] = _label(inputs["input_ids"], inputs["attention_mask"], ends, lengths)
        return {**inputs, **{name: [row.get(name) for row in rows] for name in BOOKKEEPING_COLUMNS}}

    def _prompt_and_completion(self, row: Row) -> tuple[str, str]:
        whole = self.reading == "sentence"
        prompt, completion = ("", row["text"]) if whole else (row["prompt"], row["completion"])
        prompt, completion = (prompt or "").strip(), (completion or "").strip()
        if not completion:
            raise ValueError(
                f"Row '{row['sample_id']}' has an empty {'text' if whole else 'completion'}, so there is nothing to "
                "predict. Drop such rows when the corpus is built."
            )
        if self.max_prompt_tokens is not None:
            prompt = self._keep_newest_words(prompt, self.max_prompt_tokens)
        if self.max_completion_tokens is not None:
            completion = keep_first_words(self.processor.tokenizer, completion, self.max_completion_tokens)
        return prompt, completion + self.processor.tokenizer.eos_token if self.append_eos else completion

    def _keep_newest_words(self, text: str, most: int) -> str:
        offsets = _offsets(self.processor.tokenizer, text)
        surplus = len(offsets) - most
        if surplus <= 0:
            return text
        # Cut behind the last surplus token, then on to the next word: half a word would be another word.
        cut = text.find(" ", offsets[surplus - 1][1])
        return "" if cut < 0 else text[cut + 1 :]


def keep_first_words(tokenizer: PreTrainedTokenizerBase, text: str, most: int) -> str:
    """The text's first words, of at most `most` tokens; raises `ValueError` if not one whole word is left."""
    offsets = _offsets(tokenizer, text)
    if len(offsets) <= most:
        return text
    cut = text.rfind(" ", 0, offsets[most][0] + 1)
    if cut <= 0:
        raise ValueError(f"`max_completion_tokens={most}` leaves no whole word of '{text}'. Raise it.")
    return text[:cut]


def read_as(dataset: "Dataset", reading: str) -> "Dataset":
    """
    Rewrites the text columns of a dataset, so that [`BrainDataCollator`] reads them as they are.

    Args:
        dataset ([`~datasets.Dataset`]):
            Rows of a corpus.
        reading (`str`):
            `"continuation"`: unchanged. `"sentence"`: one row per distinct `brain_id`, its `text` without a prompt.
            `"mixed"`: the one followed by the other.

    Returns:
        [`~datasets.Dataset`]: continuations are the rows themselves; the rows of sentences are copied.
    """
    from datasets import concatenate_datasets

    if reading not in READINGS:
        raise ValueError(f"`reading` must be one of {', '.join(READINGS)}; got '{reading}'.")
    if reading == "continuation":
        return dataset
    first = {brain_id: row for row, brain_id in reversed(list(enumerate(dataset["brain_id"])))}
    sentences = dataset.select(sorted(first.values()))
    texts = list(sentences["text"])
    sentences = sentences.remove_columns(["prompt", "completion"]).add_column("prompt", [""] * len(texts))
    sentences = sentences.add_column("completion", texts).select_columns(dataset.column_names)
    return sentences if reading == "sentence" else concatenate_datasets([dataset, sentences])


def _offsets(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[int, int]]:
    return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]


def _join(prompt: str, completion: str) -> str:
    return f"{prompt} {completion}" if prompt else completion


def require_one_subject_per_brain(brain_ids: Sequence[str], subjects: Sequence[str]) -> None:
    """
    Refuses rows of several subjects that share a `brain_id`: the text of one would read the brain of another.

    Args:
        brain_ids (`Sequence[str]`):
            Column of rows.
        subjects (`Sequence[str]`):
            Another.

    Raises:
        ValueError: naming a brain and its subjects.
    """
    owners: dict[str, str] = {}
    for brain_id, subject in zip(brain_ids, subjects, strict=True):
        if owners.setdefault(brain_id, subject) != subject:
            raise ValueError(
                f"`brain_id` '{brain_id}' is given to subjects '{owners[brain_id]}' and '{subject}'. A brain sample "
                "has one subject: put the subject's name into the `brain_id` when the corpus is built."
            )


def _distinct_brains(rows: Sequence[Row]) -> dict[str, Row]:
    """The first row of each brain, subject by subject, which is how the model orders brains of several subjects."""
    require_one_subject_per_brain([row["brain_id"] for row in rows], [row["subject"] for row in rows])
    brains: dict[str, Row] = {}
    for subject in dict.fromkeys(row["subject"] for row in rows):
        for row in rows:
            if row["subject"] == subject:
                brains.setdefault(row["brain_id"], row)
    return brains


def _label(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, ends: torch.Tensor, completion_lengths: list[int]
) -> torch.Tensor:
    """Labels `(batch, tokens)`: a token is predicted if it ends inside the completion, which ends the text."""
    ends = ends * attention_mask
    starts = ends.max(dim=1).values - torch.tensor(completion_lengths)
    is_label = (ends > starts[:, None]) & attention_mask.bool()
    return input_ids.masked_fill(~is_label, IGNORE_INDEX)


TEXT_INPUTS = ("input_ids", "attention_mask", "labels", "segment_ids")


BOOKKEEPING = (*BOOKKEEPING_COLUMNS, "control_index")


__all__ = [
    "BOOKKEEPING_COLUMNS",
    "IGNORE_INDEX",
    "REQUIRED_COLUMNS",
    "BrainCollator",
    "BrainDataCollator",
    "keep_first_words",
    "read_as",
    "require_one_subject_per_brain",
]
