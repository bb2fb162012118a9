# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Membership inference: can it be told from a model whose scan, or which text, it was trained on?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.prompts import caption_prompt
from ..reports.membership import ATTACKS
from ..statistics.auc import clustered_auc
from ..statistics.permutations import permute_across_groups
from .arms import Batches
from .tasks import TASKS, Caption


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def measure_membership(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    dataset: "DatasetDict",
    *,
    tasks: Sequence[str],
    split: str = "test",
    subjects: Sequence[str] | None = None,
    max_rows: int = 1000,
    batch_size: int = 32,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """
    Tells training rows from held-out rows by their losses, as somebody would who holds scans and texts.

    The frozen language model serves to calibrate, since it has seen neither: what it finds easy is no sign of a member
    (Watson et al. 2022, "On the Importance of Difficulty Calibration in Membership Inference Attacks").

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]), dataset (`DatasetDict`):
            A checkpoint and its corpus, with the rows that it was trained on as `train`.
        tasks (`Sequence[str]`):
            Names of [`~trainers.evaluation.tasks.TASKS`].
        split (`str`, *optional*, defaults to `"test"`), subjects (`Sequence[str]`, *optional*):
            What was held out.
        max_rows (`int`, *optional*, defaults to 1000):
            Most rows of either side, taken by whole groups.
        batch_size, num_resamples, seed (*optional*):
            Rows per batch; of the interval; of groups, permutation and interval.

    Returns:
        `list[dict]`: for each task and each of [`ATTACKS`] what [`~trainers.statistics.auc.clustered_auc`] returns.
    """
    held_out = _of_subjects(dataset[split], subjects)
    trained = _of_subjects(dataset["train"], sorted(set(held_out["subject"])) or None)
    found, was_training = [], model.training
    model.eval()
    with torch.inference_mode():
        for task in tasks:
            sides = [
                _losses(model, processor, _read(task, rows, processor, max_rows, seed), batch_size, seed)
                for rows in (trained if len(trained) else dataset["train"], held_out)
            ]
            groups = [side.pop("group") for side in sides]
            scores = [_scores(side) for side in sides]
            for attack in ATTACKS:
                if attack in scores[0] and attack in scores[1]:
                    auc = clustered_auc(scores[0][attack], scores[1][attack], *groups, num_resamples, seed)
                    found.append({"task": task, "attack": attack} | auc)
    model.train(was_training)
    return found


def _of_subjects(rows: "Dataset", subjects: Sequence[str] | None) -> "Dataset":
    if subjects is None:
        return rows
    return rows.select([place for place, subject in enumerate(rows["subject"]) if subject in subjects])


def _read(task: str, rows: "Dataset", processor: BrainLlamaProcessor, max_rows: int, seed: int) -> "Dataset":
    """Rows of a task, of so many groups that they are no more than `max_rows`; captions under their request."""
    names = np.random.default_rng(seed).permutation(sorted(set(rows["group"])))
    counts = dict(zip(*np.unique(rows["group"], return_counts=True), strict=True))
    kept = set(names[: max(2, np.searchsorted(np.cumsum([counts[name] for name in names]), max_rows, "right"))])
    rows = rows.select([place for place, group in enumerate(rows["group"]) if group in kept])
    if task != Caption.name:
        return TASKS[task]().rows(rows)
    prompt = caption_prompt(processor).replace(processor.brain_token, "")
    return rows.remove_columns("prompt").add_column("prompt", [prompt] * len(rows))


def _losses(
    model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor, rows: "Dataset", batch_size: int, seed: int
) -> dict[str, Any]:
    """Losses of each row under its own brain, under none, and under another group's of the same subject, if any."""
    batches = Batches(model, processor, rows, batch_size, seed)
    groups = [row["group"] for row in batches.rows]
    found: dict[str, Any] = {"group": groups, "own": batches.losses(batches.own), "none": batches.losses(None)}
    per_block: dict[Any, set[str]] = {}
    for block, group in zip(batches.blocks, groups, strict=True):
        per_block.setdefault(block, set()).add(group)
    if min(map(len, per_block.values())) > 1:
        brain_ids = [row["brain_id"] for row in batches.rows]
        (other,) = permute_across_groups(groups, brain_ids, 1, seed, batches.blocks)
        found["other"] = batches.losses(batches.number(other.tolist()))
    return found


def _scores(losses: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    own, none, other = losses["own"], losses["none"], losses.get("other")
    scores = {"loss": -own, "calibrated loss": none - own}
    return scores if other is None else scores | {"text": none - other, "brain": other - own}


__all__ = ["measure_membership"]
