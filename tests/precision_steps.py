# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Steps of each trainer, and in which type of numbers their linear layers computed; tests/trainers/test_precision.py
runs them in its own process, tests/examples/test_distributed_precision.py in two.

    accelerate launch --num_processes 2 tests/precision_steps.py FOLDER sft bf16
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from grpo_runs import make_model
from grpo_runs import make_trainer as make_grpo_trainer
from torch import nn
from transformers import Trainer

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    FrameEncoderConfig,
)
from trainers.contrastive.contrastive_config import BrainContrastiveTrainingConfig
from trainers.contrastive.contrastive_trainer import BrainContrastiveTrainer
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer
from trainers.warmup.warmup_config import BrainWarmupConfig
from trainers.warmup.warmup_trainer import BrainWarmupTrainer


STEPS = {
    "per_device_train_batch_size": 4, "max_steps": 3, "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no",
    "use_cpu": True, "disable_tqdm": True, "report_to": "none",
}  # fmt: skip


def make_rows() -> Dataset:
    generator = np.random.default_rng(0)
    return Dataset.from_list(
        [
            {
                "sample_id": f"r{n}", "subject": "s", "group": f"{n}", "brain_id": f"b{n}", "text": f"word{n} word9",
                "prompt": f"word{n}", "completion": "word9", "text_embedding": generator.standard_normal(8).tolist(),
                "stimulus": f"{n}", "image": f"{n}", "brain_values": generator.standard_normal((3, 6)).tolist(),
            }
            for n in range(24)
        ]
    )  # fmt: skip


def make_trainer(stage: str, folder: Path, **options) -> Trainer:
    """A trainer of a stage on random rows and a random Llama, which lies in `folder / "text_model"`."""
    output, options = str(folder / stage), {**STEPS, **options}
    if stage == "grpo":
        return make_grpo_trainer(folder / stage, folder / "text_model", **options | {"per_device_train_batch_size": 8})
    if stage == "contrastive":
        encoder = FrameEncoderConfig(num_features=6, hidden_size=8, num_frames=3, dropout=0.0)
        model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": 8}))
        args = BrainContrastiveTrainingConfig(output_dir=output, **options)
        extractor = BrainLlamaFeatureExtractor.from_config(model.config)
        return BrainContrastiveTrainer(model, args, train_dataset=make_rows(), processing_class=extractor)
    model, processor = make_model(folder / "text_model", "prefix")
    config, trainer = {"sft": (BrainSFTConfig, BrainSFTTrainer), "warmup": (BrainWarmupConfig, BrainWarmupTrainer)}[
        stage
    ]
    args = config(output_dir=output, **options)
    return trainer(model, args, train_dataset=make_rows(), processing_class=processor)


def watch(trainer: Trainer) -> dict[str, set[torch.dtype]]:
    """From now on, the types of what linear layers return, under the name of the part that they belong to."""
    seen: dict[str, set[torch.dtype]] = defaultdict(set)

    def note(part: str) -> Any:
        return lambda module, inputs, output: seen[part].add(output.dtype)

    for name, module in trainer.model.named_modules():
        if isinstance(module, nn.Linear):
            part = next(
                (p for p in ("language_model", "lm_head", "brain_interface", "brain_encoder") if p in name), ""
            )
            module.register_forward_hook(note(part))
    return seen


def main(folder: str, stage: str, precision: str) -> None:
    torch.set_num_threads(1)
    options = {} if precision == "no" else {precision: True}
    trainer = make_trainer(stage, Path(folder), **options)
    seen = watch(trainer)
    trainer.train()
    trainer.save_model()
    found = {
        "types": {part: sorted(str(dtype) for dtype in dtypes) for part, dtypes in seen.items()},
        "world": trainer.args.world_size, "distributed": trainer.accelerator.distributed_type.value,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
    }  # fmt: skip
    if trainer.is_world_process_zero():
        print("FOUND", json.dumps(found))
    trainer.accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
