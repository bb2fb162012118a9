# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""All answers to one prompt in one pass: rows whose segments share a shared prefix, and batches of rows of like
length.

    system · brain · request ─┬─ answer 1      `segment_ids` 0 ... 0  1 1 1  2 2 2 2  3 3
        (the shared prefix)           ├─ answer 2
                              └─ answer 3

The model lets a token see the shared prefix and its own segment, so that each answer is learnt as if it stood alone,
and brain and prompt are computed once. A segment begins with the last token of the prompt, since that foretells its
first word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler

from modeling_brainllm import BrainLlamaProcessor

from .collator import BOOKKEEPING_COLUMNS, IGNORE_INDEX, BrainCollator, Row


# Batches from which the sampler sorts at a time: enough for lengths to meet their like, few enough to stay random.
WINDOW = 200


@dataclass
class InstructionCollator(BrainCollator):
    """
    Makes a batch of [`InstructionRows`] into model inputs: one text row per instruction, its answers as segments.

    Each prompt is tokenised together with each of its answers, exactly as if they stood in rows of their own, and what
    these rows have in common before the first label becomes the shared prefix. So the losses are those of rows apart,
    whatever the tokenizer does where prompt and answer meet. Rows of a single segment need no `segment_ids`, and a
    batch of such rows has none.

    Args:
        processor, with_brain:
            As in [`BrainCollator`].

    Returns of a call:
        `dict` as that of [`~trainers.data.collator.BrainDataCollator`], with `segment_ids` of shape `(batch, tokens)`;
        padded on the right.
    """

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        owners = [number for number, row in enumerate(rows) for _ in row["segments"]]
        segments = [segment for row in rows for segment in row["segments"]]
        texts = [rows[owner]["prompt"] + "".join(segment) for owner, segment in zip(owners, segments, strict=True)]
        if not self.with_brain:
            texts = [text.replace(self.processor.brain_token, "") for text in texts]
        inputs = self._process(texts, [rows[owner] for owner in owners])
        ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask").bool()
        ends = inputs.pop("offset_mapping")[..., 1]
        continuations = [
            (ids[i][mask[i]], _label_pieces(ids[i][mask[i]], ends[i][mask[i]], len(text), segment))
            for i, (text, segment) in enumerate(zip(texts, segments, strict=True))
        ]
        first = [owners.index(number) for number in range(len(rows))]
        folded = [fold(continuations[start:end]) for start, end in zip(first, [*first[1:], len(owners)], strict=True)]
        inputs |= {name: inputs[name][first] for name in ("brain_index", "control_index") if name in inputs}
        bookkeeping = {name: [row.get(name) for row in rows] for name in BOOKKEEPING_COLUMNS}
        return {**self._pad(folded), **inputs, **bookkeeping}

    def _pad(self, folded: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
        ids, labels, segment_ids = map(list, zip(*folded, strict=True))
        padded = {
            "input_ids": pad_sequence(ids, True, self.processor.tokenizer.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True, 0),
            "labels": pad_sequence(labels, True, IGNORE_INDEX),
            "segment_ids": pad_sequence(segment_ids, True, 0),
        }
        if not padded["segment_ids"].any():
            del padded["segment_ids"]
        return padded


def fold(
    continuations: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Folds texts that begin alike into one row.

    Args:
        continuations (`Sequence[tuple[torch.Tensor, torch.Tensor]]`):
            Ids and labels `(tokens,)` of each text.

    Returns:
        `tuple` of ids, labels and segments, each `(tokens of the row,)`. The shared prefix ends before the token that
        foretells the first label, with which each segment begins; a single text is its own shared prefix.
    """
    if len(continuations) == 1:
        ((ids, labels),) = continuations
        return ids, labels, torch.zeros_like(ids)
    longest = max(0, min(int(labels.ne(IGNORE_INDEX).int().argmax()) for _, labels in continuations) - 1)
    beginnings = torch.stack([ids[:longest] for ids, _ in continuations])
    shared_prefix = int((beginnings == beginnings[0]).all(0).int().cumprod(0).sum())
    ids = [continuations[0][0][:shared_prefix], *(ids[shared_prefix:] for ids, _ in continuations)]
    labels = [continuations[0][1][:shared_prefix], *(labels[shared_prefix:] for _, labels in continuations)]
    numbers = torch.arange(len(ids)).repeat_interleave(torch.tensor([len(part) for part in ids]))
    return torch.cat(ids), torch.cat(labels), numbers


def row_lengths(
    rows: Any,
    processor: BrainLlamaProcessor,
    max_prompt_tokens: int | None = None,
    max_completion_tokens: int | None = None,
) -> np.ndarray:
    """
    Tokens `(rows,)` of the text of each row, without those of its brain.

    Args:
        rows ([`InstructionRows`] or [`~datasets.Dataset`]):
            Instructions, counted as they are packed; or rows of a corpus with `prompt` and `completion`.
        processor ([`BrainLlamaProcessor`]):
            Processor of the model.
        max_prompt_tokens (`int`, *optional*), max_completion_tokens (`int`, *optional*):
            Where rows of a corpus are cut.
    """
    prompts = list(rows["prompt"])
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    lengths = _count_tokens(processor, list(places))[[places[prompt] for prompt in prompts]]
    if "segments" not in rows.column_names:
        completions = _count_tokens(processor, list(rows["completion"]))
        prompt_cap, completion_cap = max_prompt_tokens or lengths.max(), max_completion_tokens or completions.max()
        return np.minimum(lengths, prompt_cap) + np.minimum(completions, completion_cap)
    segments = rows["segments"]
    # The prompt's last token comes once for each segment but the first, which has it from the prompt.
    counts = _count_tokens(processor, ["".join(segment) for row in segments for segment in row]) + 1
    owners = np.repeat(np.arange(len(segments)), [len(row) for row in segments])
    return lengths + np.bincount(owners, counts).astype(int) - 1


class LengthGroupedSampler(Sampler[int]):
    """
    Random batches of rows of like length.

    The rows are shuffled, windows of [`WINDOW`] batches sorted by length, and the batches shuffled. The order depends
    on `seed` and epoch alone, so that an interrupted run goes on with the batches that it had before it.

    Args:
        lengths (`np.ndarray` of shape `(rows,)`):
            Length of each row.
        batch_size (`int`):
            Rows that share a step.
        seed (`int`):
            Seed of the order.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Makes the next pass that of the given epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order, width = generator.permutation(len(self.lengths)), WINDOW * self.batch_size
        windows = [order[start : start + width] for start in range(0, len(order), width)]
        order = np.concatenate([window[np.argsort(self.lengths[window], kind="stable")] for window in windows])
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        # A batch that is not full stays last, or those behind it would be cut elsewhere.
        full = len(self.lengths) // self.batch_size
        shuffled = [*generator.permutation(full), *range(full, len(batches))]
        return chain.from_iterable(batches[number].tolist() for number in shuffled)


def _count_tokens(processor: BrainLlamaProcessor, texts: list[str]) -> np.ndarray:
    encoded = processor.tokenizer(
        [text.replace(processor.brain_token, "") for text in texts], add_special_tokens=False
    )
    return np.array([len(ids) for ids in encoded["input_ids"]])


def _label_pieces(ids: torch.Tensor, ends: torch.Tensor, length: int, pieces: Sequence[str]) -> torch.Tensor:
    """Labels `(tokens,)` of a text of some length that ends with some pieces: the tokens that end in every other."""
    sizes = [len(piece) for piece in pieces]
    starts = [length - sum(sizes), *(length - sum(sizes) + size for size in accumulate(sizes))]
    is_label = torch.zeros_like(ids, dtype=torch.bool)
    for start, end in list(pairwise(starts))[::2]:
        is_label |= (ends > start) & (ends <= end)
    return ids.masked_fill(~is_label, IGNORE_INDEX)


__all__ = ["WINDOW", "InstructionCollator", "LengthGroupedSampler", "fold", "row_lengths"]
