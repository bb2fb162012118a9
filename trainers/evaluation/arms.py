# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The rows of one task in fixed batches, scored and continued under any assignment of brains to rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.brain_format import with_brain_arrays
from ..data.collator import IGNORE_INDEX, BrainDataCollator
from ..scoring.caption_scorer import Embedder
from .least_risk import choose_least_risk


if TYPE_CHECKING:
    from datasets import Dataset

TEXT_INPUTS = ("input_ids", "attention_mask", "labels")


@dataclass
class _Batch:
    """Rows of one block, tokenised with and without the placeholders of their brain."""

    rows: np.ndarray
    block: tuple[str, int]
    with_brain: dict[str, Any]
    without_brain: dict[str, Any]


class Batches:
    """The rows of one task, in fixed batches, and the encoded brains they may be given.

    A block (subject, number of frames) is what brain and control brain share: so a control never changes the length of
    a sequence, and batches are tokenised once. A brain is a number within its block.
    """

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        processor: BrainLlamaProcessor,
        rows: "Dataset",
        batch_size: int,
        seed: int,
        embed: Embedder | None = None,
    ):
        self.model, self.processor, self.batch_size, self.seed, self.embed = model, processor, batch_size, seed, embed
        self.source = rows
        self.rows = list(with_brain_arrays(rows))
        self.blocks = [(row["subject"], len(row["brain_values"])) for row in self.rows]
        self.brains: dict[tuple[str, int], dict[str, Mapping]] = {}
        for row, block in zip(self.rows, self.blocks, strict=True):
            self.brains.setdefault(block, {}).setdefault(row["brain_id"], row)
        self.own = self.number([row["brain_id"] for row in self.rows])
        self.batches = self._make_batches()
        self.embeds = self.encode()

    def number(self, brain_ids: Sequence[str]) -> np.ndarray:
        """Numbers `(rows,)` within its row's block of the brain that each row is given."""
        places = {block: {brain_id: i for i, brain_id in enumerate(brains)} for block, brains in self.brains.items()}
        return np.array([places[block][brain_id] for block, brain_id in zip(self.blocks, brain_ids, strict=True)])

    def _make_batches(self) -> list[_Batch]:
        with_brain = BrainDataCollator(self.processor)
        without_brain = BrainDataCollator(self.processor, with_brain=False)
        batches = []
        for block in self.brains:
            members = [i for i, other in enumerate(self.blocks) if other == block]
            members.sort(key=lambda i: len(self.rows[i]["prompt"]) + len(self.rows[i]["completion"]))
            for start in range(0, len(members), self.batch_size):
                chosen = members[start : start + self.batch_size]
                rows = [self.rows[i] for i in chosen]
                texts = [
                    {name: inputs[name].to(self.model.device) for name in TEXT_INPUTS}
                    for inputs in (with_brain(rows), without_brain(rows))
                ]
                batches.append(_Batch(np.array(chosen), block, *texts))
        return batches

    def encode(
        self, control: Callable[..., np.ndarray] | None = None, seed: int = 0
    ) -> dict[tuple[str, int], torch.Tensor]:
        """
        Encoder outputs `(brains, encoder tokens, encoder hidden)` per block; of broken values under a control, whose
        draw has this seed.
        """
        return {
            block: encode_brains(
                self.model, self.processor, list(brains.values()), batch_size=self.batch_size,
                control=control, seed=seed,
            )
            for block, brains in self.brains.items()
        }  # fmt: skip

    def lend(self, control_brains: Mapping[str, str]) -> dict[tuple[str, int], torch.Tensor]:
        """
        Encoder outputs per block, in which each brain has its control brain's, of whatever block; its own if it has
        none.

        Args:
            control_brains (`Mapping[str, str]`):
                `brain_id` → `brain_id` of the control brain, which has as many frames.
        """
        embeds = {
            brain_id: self.embeds[block][i]
            for block, brains in self.brains.items()
            for i, brain_id in enumerate(brains)
        }
        return {
            block: torch.stack([embeds[control_brains.get(brain_id, brain_id)] for brain_id in brains])
            for block, brains in self.brains.items()
        }

    def mean_brain(self) -> dict[tuple[str, int], torch.Tensor]:
        """Encoder outputs per block, all of them the block's mean: what the interface says to any text."""
        return {block: embeds.mean(0, keepdim=True).expand_as(embeds) for block, embeds in self.embeds.items()}

    def null(self) -> dict[tuple[str, int], torch.Tensor]:
        """Encoder outputs per block, all of them zero: the null condition."""
        return {block: torch.zeros_like(embeds) for block, embeds in self.embeds.items()}

    def brain_inputs(self, batch: _Batch, control_brains: np.ndarray, embeds: Mapping) -> dict[str, Any]:
        """The distinct brains that the batch's rows are given, each once, and which row reads which."""
        distinct, index = np.unique(control_brains[batch.rows], return_inverse=True)
        device = self.model.device
        return {
            "encoder_outputs": embeds[batch.block][torch.from_numpy(distinct).to(device)],
            "brain_index": torch.from_numpy(index).to(device),
        }

    def losses(self, control_brains: np.ndarray | None, embeds: Mapping | None = None) -> np.ndarray:
        """
        Mean cross-entropy `(rows,)` of each completion's tokens;
        `control_brains=None` is the language model alone.
        """
        found = np.empty(len(self.rows))
        for batch in self.batches:
            inputs = batch.without_brain
            if control_brains is not None:
                inputs = batch.with_brain | self.brain_inputs(batch, control_brains, embeds or self.embeds)
            losses, rows = self.model.token_losses(**inputs)
            sums = torch.zeros(len(batch.rows), dtype=torch.float64, device=losses.device)
            sums.index_add_(0, rows, losses.double())
            found[batch.rows] = (sums / batch.with_brain["labels"].ne(IGNORE_INDEX).sum(1)).cpu().numpy()
        return found

    def num_tokens(self) -> np.ndarray:
        """Tokens `(rows,)` of each completion."""
        found = np.empty(len(self.rows), int)
        for batch in self.batches:
            found[batch.rows] = batch.with_brain["labels"].ne(IGNORE_INDEX).sum(1).cpu().numpy()
        return found

    def generate(
        self,
        control_brains: np.ndarray | None,
        generation: Mapping[str, Any],
        advance: Callable,
        embeds: Mapping | None = None,
    ) -> list[str]:
        """
        Completions of all rows, from prompt and brain alone: neither truth nor labels are within reach. What is drawn
        at random is drawn alike whatever the brain.
        """
        texts = [""] * len(self.rows)
        torch.manual_seed(self.seed)
        for batch in self.batches:
            prompts = [self.rows[i]["prompt"].strip() for i in batch.rows]
            brain = {} if control_brains is None else self.brain_inputs(batch, control_brains, embeds or self.embeds)
            texts_of_batch = (
                prompts if control_brains is None else [self.processor.brain_token + text for text in prompts]
            )
            found = continue_texts(self.model, self.processor, texts_of_batch, brain, generation, self.embed)
            for row, text in zip(batch.rows, found, strict=True):
                texts[row] = text
            advance()
        return texts


def encode_brains(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    rows: Sequence[Mapping],
    *,
    batch_size: int,
    control: Callable[..., np.ndarray] | None = None,
    seed: int = 0,
) -> torch.Tensor:
    """
    Encoder outputs `(brains, encoder tokens, encoder hidden)` of rows of one subject and one number of frames.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            They must agree.
        rows (`Sequence[Mapping]`):
            One row per brain, with `subject` and `brain_values` `[frames, features]`.
        batch_size (`int`):
            Brains per pass of the encoder.
        control (`Callable`, *optional*), seed (`int`, *optional*, defaults to 0):
            Called with all standardised values and the seed; returns broken ones (see
            [`~trainers.statistics.permutations`]).
    """
    encoder = model.model.brain_encoder
    dtype, device = next(encoder.parameters()).dtype, model.device
    inputs = dict(
        processor.feature_extractor(
            [np.asarray(row["brain_values"], np.float32) for row in rows],
            subject=[row["subject"] for row in rows],
            return_tensors="pt",
        )
    )
    order, values = inputs.pop("brain_index"), inputs.pop("brain_values")
    inputs.pop("brain_attention_mask", None)
    per_subject = isinstance(values, list)
    values = (values[0] if per_subject else values)[order]
    if control is not None:
        values = torch.from_numpy(control(values.numpy(), seed))
    geometry = {name: [_to(item, device) for item in value] for name, value in inputs.items()}
    chunks = [chunk.to(device, dtype) for chunk in values.split(batch_size)]
    return torch.cat([encoder([chunk] if per_subject else chunk, **geometry) for chunk in chunks])


def continue_texts(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    texts: list[str],
    brain: Mapping[str, Any],
    generation: Mapping[str, Any],
    embed: Embedder | None = None,
) -> list[str]:
    """
    What the model writes after each text, stripped and without special tokens.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            They must agree.
        texts (`list[str]`):
            Prompts, each with the marker where it has a brain.
        brain (`Mapping`):
            `encoder_outputs` and `brain_index` for the processor; empty for texts without a brain.
        generation (`Mapping`):
            Arguments of `generate`; a `repetition_penalty` counts generated tokens only. With `num_candidates` so many
            texts are drawn, and of these [`~trainers.evaluation.least_risk.choose_least_risk`] takes one.
        embed (`Callable`, *optional*):
            Texts → embeddings, by which candidates are compared too.
    """
    inputs = processor(text=texts, padding_side="left", **brain)
    inputs = {name: _to(value, model.device) for name, value in inputs.items()}
    options, length = dict(generation), inputs["input_ids"].shape[1]
    penalty, candidates = options.pop("repetition_penalty", 1.0), options.pop("num_candidates", 1)
    processors = LogitsProcessorList()
    if penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=length))
    # Said outright, lest the language model's own settings bring a penalty of theirs, which would count the prompt.
    options |= {"logits_processor": processors, "repetition_penalty": 1.0}
    options |= {"pad_token_id": processor.tokenizer.pad_token_id}
    if candidates > 1:
        options |= {"do_sample": True, "num_return_sequences": candidates}
    ids = model.generate(**inputs, **options)
    found = [text.strip() for text in processor.batch_decode(ids[:, length:], skip_special_tokens=True)]
    if candidates == 1:
        return found
    drawn = (found[start : start + candidates] for start in range(0, len(found), candidates))
    return [choose_least_risk(several, embed) for several in drawn]


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


__all__ = ["Batches", "continue_texts", "encode_brains"]
