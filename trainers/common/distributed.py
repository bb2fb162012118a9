# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Runs of several processes: what goes wrong without a word is refused, and a stage leaves the next a clean start."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments
from transformers.integrations import deepspeed

from modeling_brainllm import BrainLlamaForCausalLM


def check_processes(args: TrainingArguments, accelerator: Accelerator) -> None:
    """
    Refuses processes that were started together and would train apart, or otherwise than was asked for.

    Args:
        args ([`~transformers.TrainingArguments`]):
            Options of a trainer.
        accelerator ([`~accelerate.Accelerator`]):
            Its accelerator.

    Raises:
        ValueError: the process group has more processes than the trainer counts, or FSDP has become data parallelism.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_world_size() != args.world_size:
        raise ValueError(
            f"{torch.distributed.get_world_size()} processes were started together, but this one counts "
            f"{args.world_size}: each would train by itself, on all rows. On CPUs, give the script `--use_cpu`."
        )
    if wants_fsdp(args) and accelerator.distributed_type != DistributedType.FSDP:
        raise ValueError(
            f"FSDP was asked for, but accelerate would share the work as {accelerator.distributed_type.value}: it has "
            "FSDP for several GPUs only. Take `accelerate_configs/multi_gpu.yaml`, or DeepSpeed."
        )


def require_whole_weights(args: TrainingArguments, stage: str) -> None:
    """
    Refuses weights in shards where a stage reads or writes them by hand.

    Args:
        args ([`~transformers.TrainingArguments`]):
            Options of a trainer.
        stage (`str`):
            The stage, for the error.

    Raises:
        ValueError: the run is under ZeRO-3 or FSDP.
    """
    if wants_fsdp(args) or deepspeed.is_deepspeed_zero3_enabled():
        raise ValueError(
            f"{stage} needs whole weights, which {'FSDP' if wants_fsdp(args) else 'ZeRO-3'} splits among processes. "
            "Run it data-parallel or with ZeRO-1 or ZeRO-2, or by itself first, and go on from its checkpoint by "
            "`--model_name_or_path`."
        )


def wants_fsdp(args: TrainingArguments) -> bool:
    """Whether FSDP was asked for, by the launcher or by the options."""
    return bool(args.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"


@contextmanager
def zero_init_off() -> Generator[None]:
    """Within, models are loaded for use beside the trained one: ZeRO-3 would scatter them, and gather them never."""
    scatters = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = scatters


@contextmanager
def unsharded(model: nn.Module) -> Generator[None]:
    """Within, weights are whole that FSDP2 splits among processes, for what reaches past the `forward` of a model."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()


def local_shard(parameter: torch.Tensor) -> torch.Tensor:
    """What this process holds of a weight: its shard under ZeRO-3 and FSDP2, else all of it."""
    held = getattr(parameter, "ds_tensor", parameter)
    return held.to_local() if isinstance(held, DTensor) else held


def end_stage() -> None:
    """Forgets the settings of a stage's trainer: under DeepSpeed, the next one would be refused otherwise."""
    AcceleratorState._reset_state()


def end_run(accelerator: Accelerator) -> None:
    """
    The end of a script that several processes have run.

    After a collective operation, threads of gloo let go of its tensors, for which they need the interpreter. A process
    that ends at that very moment is aborted, and its launcher then stops the others, which may still be uploading.

    Args:
        accelerator ([`~accelerate.Accelerator`]):
            Accelerator of the last trainer.
    """
    if accelerator.num_processes > 1:
        time.sleep(0.5)
    accelerator.end_training()


def plain_model(model: Any) -> BrainLlamaForCausalLM:
    """The model itself, out of what DDP, DeepSpeed, a compiler or PEFT put around it."""
    while not isinstance(model, BrainLlamaForCausalLM):
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        else:
            model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    return model


__all__ = [
    "check_processes",
    "end_run",
    "end_stage",
    "local_shard",
    "plain_model",
    "require_whole_weights",
    "unsharded",
    "wants_fsdp",
    "zero_init_off",
]
