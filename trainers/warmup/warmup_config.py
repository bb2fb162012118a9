# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Options of [`BrainWarmupTrainer`]."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class BrainWarmupConfig(TrainingArguments):
    r"""
    Options of [`BrainWarmupTrainer`], which adds none to [`~transformers.TrainingArguments`]; the defaults are those
    of the published warm-up (Ye et al. 2025, official code): 10 epochs, Adam at a constant 1e-3, batches of 8,
    gradient norm clipped at 10.
    """

    learning_rate: float = field(default=1e-3, metadata={"help": "Learning rate."})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "Schedule of the learning rate."})
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Rows per device and step."})
    num_train_epochs: float = field(default=10.0, metadata={"help": "Epochs."})
    max_grad_norm: float = field(default=10.0, metadata={"help": "Gradient norm above which gradients are scaled."})
    seed: int = field(default=2021, metadata={"help": "Seed of everything random."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Leave NaN losses out of the log."})
    save_strategy: str = field(default="no", metadata={"help": "When to save; the next stage saves the model."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay False."})


__all__ = ["BrainWarmupConfig"]
