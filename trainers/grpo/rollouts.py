# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions sampled from brains: what a generation batch reads once, and how its completions are decoded from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from modeling_brainllm.generation_brainllama import CACHE_NAME, read_prompts
from modeling_brainllm.modeling_brainllama import BrainFeatures

from ..data.collator import require_one_subject_per_brain


@dataclass
class PromptBatch:
    """
    The distinct prompts of a generation batch and their distinct brains; rows are its completions to be.

    Attributes:
        input_ids, attention_mask (`torch.LongTensor` of shape `(shared prefixes, tokens)`):
            Distinct prompts, padded on the left.
        brain (`dict`):
            Inputs of the distinct brain samples.
        brain_index (`torch.LongTensor` of shape `(shared prefixes,)`):
            Brain of each prompt.
        prefix_index (`torch.LongTensor` of shape `(rows,)`):
            Prompt of each row.
        sample_ids (`list[str]`):
            Name of each row.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    brain: dict[str, Any]
    brain_index: torch.Tensor
    prefix_index: torch.Tensor
    sample_ids: list[str]

    @classmethod
    def collate(cls, processor: BrainLlamaProcessor, rows: Sequence[Mapping[str, Any]]) -> "PromptBatch":
        """
        Reads each distinct brain and each distinct prompt of the rows once.

        Args:
            processor ([`BrainLlamaProcessor`]):
                Processor of the model.
            rows (`Sequence[Mapping]`):
                Rows of a corpus, whose `prompt` is text; where it holds no marker, the brain stands before it.
        """
        spoken = [row["sample_id"] for row in rows if not isinstance(row["prompt"], str)]
        if spoken:
            raise ValueError(
                f"The `prompt` of row '{spoken[0]}' ({len(spoken)} in all) is no text. A conversation must be "
                "rendered by the chat template before: `processor.tokenizer.apply_chat_template(prompt, "
                "tokenize=False, add_generation_prompt=True)`."
            )
        require_one_subject_per_brain([row["brain_id"] for row in rows], [row["subject"] for row in rows])
        brains = {row["brain_id"]: row for row in rows}
        pairs = dict.fromkeys((row["brain_id"], row["prompt"]) for row in rows)
        brain_places = {brain_id: place for place, brain_id in enumerate(brains)}
        prefix_positions = {pair: place for place, pair in enumerate(pairs)}
        marker = processor.brain_token
        inputs = dict(
            processor(
                text=[prompt if marker in prompt else marker + prompt for _, prompt in pairs],
                brain=[row["brain_values"] for row in brains.values()],
                subject=[row["subject"] for row in brains.values()],
                brain_names=[row["sample_id"] for row in brains.values()],
                brain_index=[brain_places[brain_id] for brain_id, _ in pairs],
                padding_side="left",
            )
        )
        text = {name: inputs.pop(name) for name in ("input_ids", "attention_mask", "brain_index")}
        prefix_index = torch.tensor([prefix_positions[row["brain_id"], row["prompt"]] for row in rows])
        return cls(**text, brain=inputs, prefix_index=prefix_index, sample_ids=[row["sample_id"] for row in rows])

    def prompt_ids(self) -> list[list[int]]:
        """The tokens of each row's prompt, without padding."""
        shared_prefixes = [
            ids[mask.bool()].tolist() for ids, mask in zip(self.input_ids, self.attention_mask, strict=True)
        ]
        return [shared_prefixes[place] for place in self.prefix_index.tolist()]


@dataclass
class EncodedBrains:
    """
    Distinct brains of a generation batch, as the frozen brain modules leave them.

    Attributes:
        embeds (`torch.Tensor` of shape `(brains, encoder tokens, encoder hidden)`):
            Output of the encoder.
        mask (`torch.Tensor` of shape `(brains, encoder tokens)`, *optional*):
            1 for real tokens; `None` when all are.
        features ([`BrainFeatures`]):
            What the language model reads: projected tokens, keys and values of the adapters.
    """

    embeds: torch.Tensor
    mask: torch.Tensor | None
    features: BrainFeatures

    @classmethod
    @torch.no_grad()
    def encode(cls, model: BrainLlamaForCausalLM, brain: Mapping[str, Any]) -> "EncodedBrains":
        """Runs the brain modules, in which nothing is trained, once over all brains."""
        inputs = dict(brain)
        values, mask = inputs.pop("brain_values"), inputs.pop("brain_attention_mask", None)
        is_list = isinstance(values, (list, tuple))
        values = [value.to(model.dtype) for value in values] if is_list else values.to(model.dtype)
        return cls.project(model, model.model.brain_encoder(values, **inputs), mask)

    @classmethod
    @torch.no_grad()
    def project(cls, model: BrainLlamaForCausalLM, embeds: torch.Tensor, mask: torch.Tensor | None) -> "EncodedBrains":
        """Runs projector and key-value projections over the encoder's output."""
        features = model.model.get_brain_features(encoder_outputs=embeds, brain_attention_mask=mask)
        return cls(embeds, mask, features)

    def inputs_of_rows(self, brain_index: torch.Tensor) -> dict[str, torch.Tensor]:
        """Model inputs with a brain of its own for each text row, as a trainer that shares nothing passes them."""
        inputs = {"encoder_outputs": self.embeds[brain_index]}
        return inputs if self.mask is None else {**inputs, "brain_attention_mask": self.mask[brain_index]}


@torch.no_grad()
def decode_from_shared_prefill(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    features: BrainFeatures,
    brain_index: torch.Tensor,
    prefix_index: torch.Tensor,
    generation_config: GenerationConfig,
) -> torch.Tensor:
    """
    Decodes several completions of each prompt; prompt and brain are read once, and the rows take copies of the cache.

    The tokens are those that `generate` draws, in the same order of random numbers, when every row is given its own
    prompt and brain.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Model, or a PEFT model around it.
        input_ids, attention_mask (`torch.LongTensor` of shape `(shared prefixes, tokens)`):
            Distinct prompts, padded on the left.
        features ([`BrainFeatures`]):
            Distinct brains.
        brain_index (`torch.LongTensor` of shape `(shared prefixes,)`):
            Brain of each prompt.
        prefix_index (`torch.LongTensor` of shape `(rows,)`):
            Prompt of each completion.
        generation_config ([`~transformers.GenerationConfig`]):
            How to decode.

    Returns:
        `torch.LongTensor` of shape `(rows, new tokens)`.
    """
    prompts = {"input_ids": input_ids[prefix_index], "attention_mask": attention_mask[prefix_index]}
    if input_ids.shape[1] == 1:  # nothing stands before the token that `generate` itself has to read
        given: dict[str, Any] = {"brain_features": features, "brain_index": brain_index[prefix_index]}
    else:
        cache = read_prompts(model, input_ids, attention_mask, brain_features=features, brain_index=brain_index)
        cache.batch_select_indices(prefix_index)
        given = {CACHE_NAME: cache}
    tokens = model.generate(**prompts, **given, generation_config=generation_config)
    return tokens[:, input_ids.shape[1] :]


def cut_at_end(completion_ids: torch.Tensor, end_ids: Sequence[int]) -> list[list[int]]:
    """The tokens of each completion `(rows, tokens)` up to and with the first one that ends it."""
    ends = torch.isin(completion_ids, torch.tensor(list(end_ids), device=completion_ids.device)).int()
    is_kept = ends.cumsum(1) - ends == 0
    return [ids[kept].tolist() for ids, kept in zip(completion_ids.cpu(), is_kept.cpu(), strict=True)]


def keep_groups_together(slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Slices of the same size in which rows of one prompt stand together, groups in the order of their first rows.

    TRL shuffles single rows before it cuts a generation batch into slices, which scatters each group over all slices;
    where groups are whole, prompts and brains are read once.
    """
    batch = {name: _join([rows[name] for rows in slices]) for name in slices[0]}
    shared_prefixes = batch["prefix_index"].tolist()
    rank = {shared_prefix: place for place, shared_prefix in enumerate(dict.fromkeys(shared_prefixes))}
    order = sorted(range(len(shared_prefixes)), key=lambda row: rank[shared_prefixes[row]])
    size = len(order) // len(slices)
    return [
        {name: _take(value, order[start : start + size]) for name, value in batch.items()}
        for start in range(0, size * len(slices), size)
    ]


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return torch.cat(parts) if parts[0].ndim else parts[0]


def _take(value: Any, rows: list[int]) -> Any:
    if isinstance(value, list):
        return [value[row] for row in rows]
    return value[rows] if value.ndim else value


__all__ = ["EncodedBrains", "PromptBatch", "cut_at_end", "decode_from_shared_prefill", "keep_groups_together"]
