# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Options of [`BrainSFTTrainer`]."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import TrainingArguments

from ..common.pushing import PushArguments


@dataclass
class BrainSFTConfig(PushArguments, TrainingArguments):
    r"""
    Options of [`BrainSFTTrainer`]. Defaults that differ from [`~transformers.TrainingArguments`] are those of the
    published training (Ye et al. 2025, official code): Adam(0.9, 0.999, 1e-8) without decay, a constant learning rate
    of 1e-4, batches of 8, gradient norm clipped at 10, seed 2021, at most 100 epochs.

    > Parameters that control the text

    Args:
        reading (`str`, *optional*, defaults to `"continuation"`):
            `"continuation"`: the prompt is given and its completion predicted. `"sentence"`: one row per distinct
            brain sample, no prompt, all text perceived during it is predicted. `"mixed"`: both.
        append_eos (`bool`, *optional*, defaults to `False`):
            Whether the end-of-sequence token is a label; as published it is not, and the model never learns to stop.
        max_prompt_tokens (`int`, *optional*):
            Longest prompt; the oldest words of a longer one are dropped.
        max_completion_tokens (`int`, *optional*):
            Longest completion; the last words of a longer one are dropped.

    > Parameters that make rows into instructions (stage 2 of BIT-LLM; prompts and mixture: not published; our choice)

    Args:
        tasks (`list[str]`, *optional*):
            Names of [`~trainers.data.instruction_tasks.TASKS`]; without, rows are learnt as `reading` says. What a
            task asks, and that answers end with the end of a turn, is then up to the task and the chat template.
        task_shares (`list[float]`, *optional*):
            Share of the rows from which each task makes an instruction; all by default.
        paraphrase (`bool`, *optional*, defaults to `True`):
            Whether requests are drawn from all wordings of a task; otherwise the canonical one is kept.
        max_answers (`int`, *optional*):
            Most answers (captions) of one instruction; all by default.
        packing (`bool`, *optional*, defaults to `True`):
            Whether all answers to one prompt are learnt in one pass over brain and prompt, as segments of one row;
            then a batch counts images. Otherwise each answer is a row of its own. The loss is the same.
        max_new_tokens (`int`, *optional*, defaults to 40):
            Longest caption, kept in the checkpoint's generation settings; not published, our choice.

    With `train_sampling_strategy="group_by_length"` batches are made of rows of like length.

    > Parameters that control the loss

    Args:
        contrastive_weight (`float`, *optional*, defaults to 0.0):
            Weight of [`~trainers.sft.objectives.likelihood_contrast`] beside the cross-entropy.
        contrastive_temperature (`float`, *optional*, defaults to 1.0):
            Temperature of that term, in nats of `contrastive_reduction`.
        contrastive_reduction (`str`, *optional*, defaults to `"sum"`):
            Whether the log-likelihood of a text is the `"sum"` or the `"mean"` over its tokens.
        contrastive_segments (`int`, *optional*, defaults to 0):
            Random segments of each text (3 to 7 tokens) whose mean contrast is added to that of the whole text, so
            that what is said at the end counts as much as what is said first.
        num_negatives (`int`, *optional*, defaults to 3):
            Brains of other groups, drawn from the batch, under which each text is scored.
        condition_dropout (`float`, *optional*, defaults to 0.0):
            Share of the brains of a batch that are hidden: their rows read the null condition, encoder outputs of 0,
            and learn what can be said of the corpus without a brain. Not beside a contrast.

    > Parameters that control the optimiser

    Args:
        encoder_learning_rate (`float`, *optional*):
            Learning rate of the brain encoder, 0 to freeze it; `learning_rate` by default.
        interface_learning_rate (`float`, *optional*):
            Learning rate of projector, boundary embeddings and adapters; `learning_rate` by default.
        gate_learning_rate_ratio (`float`, *optional*, defaults to 1.0):
            Learning rate of the adapters' gates, as a multiple of the interface's.

    > Parameters that control the evaluation during training

    Args:
        eval_permutations (`int`, *optional*, defaults to 3):
            Brains of other groups of the same split under which each evaluation row is scored, for
            `eval_pairwise_accuracy` and `eval_pairwise_gap`; 0 for `eval_loss` alone. Drawn once, from `seed`.
        early_stopping_patience (`int`, *optional*):
            Evaluations without improvement of `metric_for_best_model` after which training stops. Published: 10.
    """

    # Published values in place of the library's.
    learning_rate: float = field(default=1e-4, metadata={"help": "Learning rate of parts without one of their own."})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "Schedule of the learning rate."})
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Rows per device and step."})
    num_train_epochs: float = field(default=100.0, metadata={"help": "Most epochs."})
    max_grad_norm: float = field(default=10.0, metadata={"help": "Gradient norm above which gradients are scaled."})
    seed: int = field(default=2021, metadata={"help": "Seed of everything random."})
    # A batch with a NaN loss is an error here, never a number left out of an average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Leave NaN losses out of the log."})
    # The collator reads the columns; the model never sees them.
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay False."})

    reading: Literal["continuation", "sentence", "mixed"] = field(
        default="continuation",
        metadata={"help": "What is predicted: the prompt's completion, the whole text without a prompt, or both."},
    )
    append_eos: bool = field(default=False, metadata={"help": "Whether the end-of-sequence token is a label."})
    max_prompt_tokens: int | None = field(default=None, metadata={"help": "Longest prompt; oldest words are dropped."})
    max_completion_tokens: int | None = field(
        default=None, metadata={"help": "Longest completion; last words are dropped."}
    )
    tasks: list[str] | None = field(default=None, metadata={"help": "Tasks of instruction tuning."})
    task_shares: list[float] | None = field(default=None, metadata={"help": "Share of the rows for each task."})
    paraphrase: bool = field(default=True, metadata={"help": "Whether requests vary in wording."})
    max_answers: int | None = field(default=None, metadata={"help": "Most answers of one instruction."})
    packing: bool = field(default=True, metadata={"help": "Whether all answers to a prompt are learnt in one pass."})
    max_new_tokens: int = field(default=40, metadata={"help": "Longest caption, kept in the checkpoint."})
    contrastive_weight: float = field(default=0.0, metadata={"help": "Weight of the likelihood contrast."})
    contrastive_temperature: float = field(default=1.0, metadata={"help": "Temperature of the likelihood contrast."})
    contrastive_reduction: Literal["sum", "mean"] = field(
        default="sum", metadata={"help": "How token losses make the log-likelihood of a text in the contrast."}
    )
    contrastive_segments: int = field(default=0, metadata={"help": "Random segments per text in the contrast."})
    num_negatives: int = field(default=3, metadata={"help": "Brains of other groups per text in the contrast."})
    condition_dropout: float = field(default=0.0, metadata={"help": "Share of brains hidden in training."})
    encoder_learning_rate: float | None = field(default=None, metadata={"help": "Learning rate of the brain encoder."})
    interface_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of projector, boundary embeddings and adapters."}
    )
    gate_learning_rate_ratio: float = field(
        default=1.0, metadata={"help": "Learning rate of the adapters' gates, as a multiple of the interface's."}
    )
    eval_permutations: int = field(
        default=3, metadata={"help": "Brains of other groups under which each evaluation row is scored."}
    )
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Evaluations without improvement before training stops."}
    )

    def __post_init__(self):
        super().__post_init__()
        if self.remove_unused_columns:
            raise ValueError(
                "`remove_unused_columns=True` would drop the columns that the collator turns into model inputs; leave "
                "it False."
            )
        if self.label_smoothing_factor:
            raise ValueError(
                f"`label_smoothing_factor={self.label_smoothing_factor}` has no part in the loss, which is the "
                "likelihood of the text; leave it 0."
            )
        if self.contrastive_weight > 0 and self.num_negatives < 1:
            raise ValueError(
                f"`contrastive_weight={self.contrastive_weight}` needs `num_negatives` of at least 1; got "
                f"{self.num_negatives}."
            )
        if self.contrastive_temperature <= 0:
            raise ValueError(f"`contrastive_temperature` must be positive; got {self.contrastive_temperature}.")
        if not 0 <= self.condition_dropout < 1 or (self.condition_dropout and self.contrastive_weight > 0):
            raise ValueError(
                f"`condition_dropout` must be in [0, 1), and 0 beside a contrast; got {self.condition_dropout} with "
                f"`contrastive_weight={self.contrastive_weight}`."
            )
        self._check_instructions()

    def _check_instructions(self) -> None:
        """Options that mean nothing beside `tasks`, or nothing without them."""
        unfit = {
            "reading": self.reading != "continuation",
            "max_prompt_tokens": self.max_prompt_tokens is not None,
            "contrastive_weight": self.contrastive_weight > 0,
        }
        if self.tasks is None:
            unfit = {"task_shares": self.task_shares is not None, "max_answers": self.max_answers is not None}
        wrong = [name for name, is_set in unfit.items() if is_set]
        if wrong and self.tasks is None:
            raise ValueError(f"{', '.join(wrong)} need instructions; name their `tasks`, or leave them out.")
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)} cannot go with `tasks`: a request is neither cut nor left out, and a row holds "
                "several answers, which have no likelihood of their own to contrast. Leave either out."
            )


__all__ = ["BrainSFTConfig"]
