# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rollouts that wait for their update, kept in checkpoints: one safetensors file a process, beside its generators."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from .rollouts import EncodedBrains


Slices = list[dict[str, Any]]


def rollout_file(checkpoint: str | Path, process_index: int) -> Path:
    """Where a process keeps its rollouts in a checkpoint."""
    return Path(checkpoint) / f"rollouts_{process_index}.safetensors"


def save_rollouts(file: Path, progress: dict[str, Any], slices: Slices | None, brains: EncodedBrains | None) -> None:
    """
    Writes what a run needs to go on in the middle of a generation batch.

    Args:
        file (`Path`):
            File to write.
        progress (`dict`):
            Numbers and text that JSON can hold.
        slices (`list[dict]`, *optional*):
            Slices of the generation batch: tensors, or lists of text (names of samples).
        brains ([`EncodedBrains`], *optional*):
            Their brains; of these the encoder's output is kept, and the rest is computed from it.
    """
    tensors, texts = {}, {}
    for number, rows in enumerate(slices or []):
        for name, value in rows.items():
            if isinstance(value, torch.Tensor):
                tensors[f"slices/{number}/{name}"] = value.contiguous()
            else:
                texts[f"{number}/{name}"] = value
    if slices is not None and brains is not None:
        tensors["brains/embeds"] = brains.embeds.contiguous()
        if brains.mask is not None:
            tensors["brains/mask"] = brains.mask.contiguous()
    metadata = {"progress": json.dumps(progress), "texts": json.dumps(texts)}
    # Numbers of one slice are views into those of the batch: safetensors wants tensors with a memory of their own.
    save_file({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, file, metadata=metadata)


def load_rollouts(
    file: Path, device: torch.device
) -> tuple[dict[str, Any], Slices | None, tuple[torch.Tensor, torch.Tensor | None] | None]:
    """
    Reads what [`save_rollouts`] wrote.

    Returns:
        `tuple`: progress; slices, or `None` if none were waiting; the encoder's output for their brains and its mask.
    """
    # DeepSpeed numbers even the one CPU, which safetensors does not know by a number.
    place = device.type if device.type == "cpu" else str(device)
    with safe_open(file, framework="pt", device=place) as handle:
        metadata = handle.metadata()
        names = handle.keys()
        # Copies: tensors that lie in the file at odd addresses are summed in another order, and the last bit differs.
        tensors = {name: handle.get_tensor(name).clone() for name in names}
    slices: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *json.loads(metadata["texts"]).items()]:
        kind, *place = name.removeprefix("slices/").split("/")
        if kind != "brains":
            slices.setdefault(int(kind), {})[place[0]] = value
    brains = (tensors["brains/embeds"], tensors.get("brains/mask")) if slices else None
    return json.loads(metadata["progress"]), [slices[n] for n in sorted(slices)] or None, brains


__all__ = ["load_rollouts", "rollout_file", "save_rollouts"]
