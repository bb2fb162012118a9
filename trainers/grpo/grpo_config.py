# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Options of reward tuning; what BIT-LLM's poster leaves open is a default of ours."""

from dataclasses import dataclass, field
from typing import Literal

from peft import LoraConfig
from trl import GRPOConfig

from ..common.pushing import PushArguments


@dataclass
class BrainGRPOConfig(PushArguments, GRPOConfig):
    r"""
    Options of [`BrainGRPOTrainer`], the third stage of BIT-LLM: GRPO on LoRA parameters of the language model with
    the reward R = a·CIDEr + b·text similarity + c·identification.

    Of that stage the poster says so much and no more. Every default below that differs from [`~trl.GRPOConfig`], and
    every field that it lacks, is therefore marked "not published; our choice".

    > Parameters that control the adapter (not published; our choice)

    Args:
        lora_rank (`int`, *optional*, defaults to 16):
            Rank of the LoRA matrices.
        lora_alpha (`int`, *optional*, defaults to 32):
            Their scale: what they add is multiplied by `lora_alpha / lora_rank`.
        lora_dropout (`float`, *optional*, defaults to 0.0):
            Dropout before them. More than 0 blurs the ratio of new to old probabilities.
        lora_target_modules (`str`, *optional*):
            Regular expression of the adapted layers; by default queries and values of the language model's
            self-attention. A slim checkpoint holds the brain modules, and they stay as they are.

    > Parameters that control the reward (not published; our choice)

    Args:
        cider_weight (`float`, *optional*, defaults to 1.0):
            a, of [`~trainers.grpo.rewards.CiderReward`]. A reward of weight 0 is not computed.
        cider_scale (`float`, *optional*, defaults to 1.0):
            Factor of CIDEr: 1 leaves COCO's scale of 0 to 10, on which good captions reach about 1.
        similarity_weight (`float`, *optional*, defaults to 1.0):
            b, of the reward that `similarity` names.
        similarity (`str`, *optional*, defaults to `"sentence"`):
            What the poster's R_Bert is: `"sentence"`, the cosine of sentence embeddings
            ([`~trainers.grpo.rewards.TextSimilarityReward`]), or `"bertscore"`, the F1 over tokens
            ([`~trainers.grpo.rewards.BertScoreReward`]).
        similarity_over (`str`, *optional*, defaults to `"mean"`):
            Whether the `"mean"` or the `"max"` over the references of an image counts.
        identification_weight (`float`, *optional*, defaults to 1.0):
            c, of [`~trainers.grpo.rewards.IdentificationReward`].
        identification_target (`str`, *optional*, defaults to `"brain"`):
            What a caption has to identify: the `"image"`, the `"brain"` that it came from, or its `"reference_text"`;
            the poster's R_IP may be any of them.
        identification_form (`str`, *optional*):
            `"cosine"`, `"probability"` or `"log_odds"` of [`~trainers.grpo.rewards.IdentificationReward`]; by default
            `"probability"` for brains, which is contrastive, and `"cosine"` for the rest.
        identification_temperature (`float`, *optional*, defaults to 0.07):
            Temperature of the latter two; that with which CLIP began.
        identification_gallery (`int`, *optional*, defaults to 256):
            Brains (or images) of the training rows, drawn once, from which a caption has to tell its own where the
            form is contrastive.

    > Parameters that control the computation

    Args:
        share_prefill (`bool`, *optional*, defaults to `True`):
            Whether prompt and brain are read once for all completions of a group, in rollouts, log-probabilities and
            update. Tokens, losses and gradients are those of `False`, which leaves these steps to TRL and is several
            times slower.

    > Parameters of [`~trl.GRPOConfig`] whose defaults differ (not published; our choice)

    Args:
        learning_rate (`float`, *optional*, defaults to 1e-5):
            Learning rate of the LoRA matrices.
        num_generations (`int`, *optional*, defaults to 8):
            Completions of a group, which share brain and prompt; as in TRL.
        beta (`float`, *optional*, defaults to 0.04):
            Weight of the Kullback-Leibler divergence from the model before reward tuning (the adapter switched off);
            the value of Shao et al. 2024, section 4.2. With 0 there is no reference pass.
        epsilon (`float`, *optional*, defaults to 0.2):
            Clipping of the probability ratio; as in TRL.
        temperature (`float`, *optional*, defaults to 1.0):
            Temperature of rollouts; as in TRL.
        max_completion_length (`int`, *optional*, defaults to 32):
            Longest caption, in tokens.
        per_device_train_batch_size (`int`, *optional*, defaults to 64):
            Completions per device and step.
    """

    learning_rate: float = field(default=1e-5, metadata={"help": "Learning rate of the LoRA matrices."})
    beta: float = field(default=0.04, metadata={"help": "Weight of the divergence from the model before tuning."})
    max_completion_length: int | None = field(default=32, metadata={"help": "Longest caption, in tokens."})
    per_device_train_batch_size: int = field(default=64, metadata={"help": "Completions per device and step."})
    # Off unless asked for: the language model is frozen and reads each prompt once, so that memory seldom is short.
    gradient_checkpointing: bool | None = field(  # ty: ignore[incompatible-attribute-override] - None: its alias decides
        default=None, metadata={"help": "Whether activations are recomputed."}
    )
    # The model's own type decides; see `ModelArguments.dtype`.
    bf16: bool | None = field(default=False, metadata={"help": "Whether to train in mixed bfloat16 precision."})
    # A NaN loss is an error here, never a number left out of an average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Leave NaN losses out of the log."})

    lora_rank: int = field(default=16, metadata={"help": "Rank of the LoRA matrices."})
    lora_alpha: int = field(default=32, metadata={"help": "Scale of the LoRA matrices."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout before the LoRA matrices."})
    lora_target_modules: str = field(
        default=r".*language_model\.layers\.\d+\.self_attn\.(q|v)_proj",
        metadata={"help": "Regular expression of the adapted layers."},
    )
    cider_weight: float = field(default=1.0, metadata={"help": "Weight of the CIDEr reward."})
    cider_scale: float = field(default=1.0, metadata={"help": "Factor of CIDEr, which reaches 10."})
    similarity_weight: float = field(default=1.0, metadata={"help": "Weight of the text similarity reward."})
    similarity: Literal["sentence", "bertscore"] = field(
        default="sentence", metadata={"help": "Cosine of sentences, or BERTScore over tokens."}
    )
    similarity_over: Literal["mean", "max"] = field(
        default="mean", metadata={"help": "Whether the mean or the best of the references counts."}
    )
    identification_weight: float = field(default=1.0, metadata={"help": "Weight of the identification reward."})
    identification_target: Literal["image", "brain", "reference_text"] = field(
        default="brain", metadata={"help": "What a caption has to identify."}
    )
    identification_form: Literal["cosine", "probability", "log_odds"] | None = field(
        default=None, metadata={"help": "How identification is told; by default probability for brains, else cosine."}
    )
    identification_temperature: float = field(
        default=0.07, metadata={"help": "Temperature of the contrastive forms of identification."}
    )
    identification_gallery: int = field(
        default=256, metadata={"help": "Training brains or images that a caption has to tell its own from."}
    )
    share_prefill: bool = field(
        default=True, metadata={"help": "Whether brain and prompt are read once for all completions of a group."}
    )

    def __post_init__(self):
        super().__post_init__()
        if self.remove_unused_columns:
            raise ValueError(
                "`remove_unused_columns=True` would drop the brain values and the references that rewards read; leave "
                "it False."
            )
        if self.use_vllm or self.use_transformers_continuous_batching:
            name = "use_vllm" if self.use_vllm else "use_transformers_continuous_batching"
            raise ValueError(f"`{name}=True` generates from token ids alone and would drop the brain; leave it False.")

    @property
    def identifies_brains(self) -> bool:
        """Whether a term of the reward looks for the brain that a caption came from."""
        return self.identification_weight != 0 and self.identification_target == "brain"

    def lora_config(self) -> LoraConfig:
        """The adapter that is trained. No brain module is among `modules_to_save`: a copy of one would be trained."""
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.lora_rank,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            target_modules=self.lora_target_modules,
        )


__all__ = ["BrainGRPOConfig"]
