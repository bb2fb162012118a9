# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What every task of an evaluation shares, and what it leaves behind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..metrics.embedding_scores import TokenEmbeddings
from .ridge_baseline import Embedder


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


#: A model and its processor.
Twin = tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]


@dataclass(frozen=True)
class Run:
    """
    One evaluation. Fields that stand in [`~trainers.evaluation.evaluate.evaluate`] mean what they mean there.

    Args:
        tested (`Dataset`):
            Rows of the split, of the subjects that are tested.
        advance (`Callable`), show (`Callable`):
            Called after each pass over the rows; called with the name of what runs.
    """

    model: BrainLlamaForCausalLM
    processor: BrainLlamaProcessor
    dataset: "DatasetDict"
    split: str
    tested: "Dataset"
    embedder: Embedder | None
    embed_tokens: TokenEmbeddings | None
    twins: Sequence[Twin]
    structure_twin: Twin | None
    generate: bool
    generation: Mapping[str, Any] | None
    num_permutations: int
    num_text_permutations: int
    value_controls: Sequence[str]
    max_identification: int | None
    batch_size: int
    seed: int
    advance: Callable[[], Any]
    show: Callable[[str], Any]


@dataclass(frozen=True)
class Measured:
    """
    The table of one task.

    Args:
        samples (`list[dict]`):
            Scored ([`~trainers.scoring.table`]).
        absent (`dict[str, str]`):
            Why arms are absent that the corpus cannot have.
        settings (`dict`):
            What only this task has: prompt, decoding.
        ceilings (`list[dict]`):
            What people score.
        rival (`str`, *optional*):
            What does best without the brain, where losses are measured.
    """

    samples: list[dict[str, Any]]
    absent: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    ceilings: list[dict[str, Any]] = field(default_factory=list)
    rival: str | None = None


__all__ = ["Measured", "Run", "Twin"]
