# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Options of [`BrainContrastiveTrainer`]."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from ..common.pushing import PushArguments


@dataclass
class BrainContrastiveTrainingConfig(PushArguments, TrainingArguments):
    r"""
    Options of [`BrainContrastiveTrainer`], the first stage of BIT-LLM. Its poster gives no batch size, learning rate,
    schedule or number of epochs, nor weights of the pairs: not published; our choice, made on simulated brains.

    > Parameters that control the loss

    Args:
        text_weight (`float`, *optional*, defaults to 1.0):
            Weight of the pair brain and text. Not published; our choice.
        image_weight (`float`, *optional*, defaults to 1.0):
            Weight of the pair brain and image. Not published; our choice.

    > Parameters that control the evaluation during training

    Args:
        early_stopping_patience (`int`, *optional*):
            Evaluations without improvement of `metric_for_best_model` after which training stops.
    """

    learning_rate: float = field(default=1e-3, metadata={"help": "Learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Schedule of the learning rate."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps of warm-up, or their share if below 1."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay; none for biases and temperatures."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradient norm above which gradients are scaled."})
    # A row has as many negatives as the batch of all processes has other images.
    per_device_train_batch_size: int = field(default=256, metadata={"help": "Rows per device and step."})
    num_train_epochs: float = field(default=15.0, metadata={"help": "Most epochs."})
    seed: int = field(default=2021, metadata={"help": "Seed of everything random."})
    # The rest of an epoch would have fewer negatives, and another number of them in each process.
    dataloader_drop_last: bool = field(default=True, metadata={"help": "Whether an incomplete batch is left out."})
    # Recall and median rank of many checkpoints can be equal, and the first of them would win.
    metric_for_best_model: str | None = field(
        default="mean_reciprocal_rank", metadata={"help": "What decides which model is best."}
    )
    greater_is_better: bool | None = field(default=True, metadata={"help": "Whether more of it is better."})
    # A batch with a NaN loss is an error here, never a number left out of an average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Leave NaN losses out of the log."})
    # The collator reads the columns; the model never sees them.
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay False."})

    text_weight: float = field(default=1.0, metadata={"help": "Weight of the pair brain and text."})
    image_weight: float = field(default=1.0, metadata={"help": "Weight of the pair brain and image."})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Evaluations without improvement before training stops."}
    )

    def __post_init__(self):
        super().__post_init__()
        if self.remove_unused_columns or not self.dataloader_drop_last:
            raise ValueError(
                "`remove_unused_columns` must be False, since the collator reads the columns, and "
                "`dataloader_drop_last` True, since processes must have batches of one size; got "
                f"{self.remove_unused_columns} and {self.dataloader_drop_last}."
            )
        if self.text_weight <= 0 or self.image_weight <= 0:
            raise ValueError(
                f"`text_weight` and `image_weight` must be positive; got {self.text_weight} and {self.image_weight}. "
                "To leave a pair out, build the model without that space."
            )

    def weight_of(self, space: str) -> float:
        """Weight of the pair of brains with a target space."""
        return {"text": self.text_weight, "image": self.image_weight}[space]


__all__ = ["BrainContrastiveTrainingConfig"]
