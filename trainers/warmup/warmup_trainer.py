# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The published warm-up: brain tokens are drawn to the mean embedding of the text prompt before prompt tuning."""

from typing import Any

import torch
from torch import nn

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..common.base_trainer import BrainTrainer
from ..common.distributed import plain_model
from ..data.collator import BOOKKEEPING, IGNORE_INDEX, TEXT_INPUTS, BrainDataCollator
from .warmup_config import BrainWarmupConfig


class BrainWarmupTrainer(BrainTrainer):
    r"""
    Minimises the distance of brain tokens to the text prompt (Ye et al. 2025; Brain-Aug, eq. 4).

    With $b_t$ the brain tokens of one sample, without position table, and $w_1 \dots w_n$ the language model's input
    embeddings of its prompt, the loss is the mean over all elements of $(b_t - \frac{1}{n}\sum_j w_j)^2$.

    Two defects of the official code are mended: its target averages padding too (B8), and it takes its steps on the
    validation rows (B2); here the target holds the prompt alone, and whatever is passed as `train_dataset` should be
    training rows.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Model with the prefix interface.
        args ([`BrainWarmupConfig`]):
            Options.
        train_dataset ([`~datasets.Dataset`]):
            Training rows, each with a prompt.
        processing_class ([`BrainLlamaProcessor`]):
            Processor.
        **kwargs:
            Further arguments of [`~transformers.Trainer`].

    Raises:
        ValueError: the model has no brain tokens among the text, or a row has no prompt.
        FloatingPointError: a loss or a gradient is NaN or infinite; names the step and the samples.
    """

    args: BrainWarmupConfig
    model: BrainLlamaForCausalLM
    processing_class: BrainLlamaProcessor

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        args: BrainWarmupConfig,
        train_dataset: Any = None,
        *,
        processing_class: BrainLlamaProcessor,
        **kwargs,
    ):
        if model.config.interface != "prefix":
            raise ValueError(
                f"The warm-up draws brain tokens to the embedding of the prompt, but the interface "
                f"'{model.config.interface}' puts no brain token among the text. Leave the warm-up out."
            )
        super().__init__(
            model=model,
            args=args,
            data_collator=kwargs.pop("data_collator", BrainDataCollator(processing_class)),
            train_dataset=train_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        # The loss is the mean of a batch, which the trainer divides by the number of accumulated batches.
        self.loss_is_scaled_for_ga = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
        """Mean squared distance of the brain tokens to the mean prompt embedding."""
        brain_inputs = {key: value for key, value in inputs.items() if key not in (*TEXT_INPUTS, *BOOKKEEPING)}
        index = brain_inputs.pop("brain_index")
        features = model(only="brain_features", **self._without_positions(brain_inputs))
        target = self._mean_prompt_embedding(inputs).to(features.tokens.dtype)
        squares = (features.tokens[index] - target[:, None]).square().mean(-1)
        real = torch.ones_like(squares, dtype=torch.bool) if features.mask is None else features.mask[index]
        loss = squares[real].mean()
        self._require_finite_loss(loss, inputs["sample_id"], squares.masked_fill(~real, 0).isfinite().all(-1))
        return (loss, {"loss": loss}) if return_outputs else loss

    def _without_positions(self, brain_inputs: dict[str, Any]) -> dict[str, Any]:
        """Frames from which the position table is taken away that the encoder will add."""
        table = getattr(plain_model(self.model).model.brain_encoder, "positions", None)
        if table is None:
            return brain_inputs
        values = brain_inputs["brain_values"]
        return brain_inputs | {"brain_values": values - table[: values.shape[1]]}

    def _mean_prompt_embedding(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Mean input embedding `(batch, hidden)` of the prompt's tokens: no label, padding, or special token."""
        embed = plain_model(self.model).get_input_embeddings()
        ids, special = inputs["input_ids"], torch.tensor(self.processing_class.tokenizer.all_special_ids)
        is_prompt = inputs["attention_mask"].bool() & inputs["labels"].eq(IGNORE_INDEX)
        # Placeholders lie above the vocabulary.
        is_prompt &= torch.isin(ids, special.to(ids.device), invert=True) & (ids < embed.num_embeddings)
        lengths = is_prompt.sum(1, keepdim=True)
        if not lengths.all():
            without = [name for name, length in zip(inputs["sample_id"], lengths, strict=True) if not length]
            raise ValueError(
                f"The warm-up needs a prompt in every row, and {', '.join(without)} have none. Drop them, or leave "
                "the warm-up out."
            )
        with torch.no_grad():
            embeddings = embed(ids.masked_fill(~is_prompt, 0)) * is_prompt[..., None]
        return embeddings.sum(1) / lengths


__all__ = ["BrainWarmupTrainer"]
