# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Stage 1: brains are aligned with what was seen, so that what they say can be found among captions and images."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import EarlyStoppingCallback

from modeling_brainllm import BrainContrastiveModel, BrainLlamaFeatureExtractor

from ..common.base_trainer import BrainTrainer, rows_to_evaluate
from ..data.provenance import record_terms
from ..data.target_embeddings import EMBEDDING_COLUMNS, require_embeddings
from .contrastive_collator import ContrastiveCollator
from .contrastive_config import BrainContrastiveTrainingConfig
from .encoder_diagnostics import diagnose_encoder
from .info_nce import symmetric_info_nce


class BrainContrastiveTrainer(BrainTrainer):
    """
    Trains a brain encoder by symmetric InfoNCE (see [`~trainers.contrastive.info_nce.symmetric_info_nce`]) between its
    embeddings and those of the captions, of the image, or of both; the mean of the pairs, weighted.

    Target embeddings are computed beforehand and fixed, so that the third pair, image and text, is a constant of the
    data without a gradient: it is left out. Negatives come from the batches of all processes, and N processes take the
    steps of one with an N times larger batch. Gradient accumulation adds no negatives.

    Each evaluation is a call of [`~trainers.contrastive.encoder_diagnostics.diagnose_encoder`] on the whole split, in
    every process; each of its numbers may be `metric_for_best_model`.

    Args:
        model ([`BrainContrastiveModel`]):
            The model.
        args ([`BrainContrastiveTrainingConfig`]):
            Options.
        train_dataset ([`~datasets.Dataset`], *optional*):
            Rows with target embeddings for each space of the model, by [`~trainers.data.target_embeddings`].
        eval_dataset ([`~datasets.Dataset`] or `dict` of them, *optional*):
            Validation rows; never the test split, which decides nothing about training. A split without rows counts as
            none.
        processing_class ([`BrainLlamaFeatureExtractor`]):
            Feature extractor; saved with each checkpoint.
        **kwargs:
            Further arguments of [`~transformers.Trainer`], e.g. `callbacks`.

    Raises:
        ValueError: rows lack the embeddings of a space, or are fewer than one batch; or `eval_strategy` asks for an
            evaluation and there are no rows for it.
        FloatingPointError: a loss or a gradient is NaN or infinite; names the step and the samples.
    """

    args: BrainContrastiveTrainingConfig
    model: BrainContrastiveModel
    processing_class: BrainLlamaFeatureExtractor

    def __init__(
        self,
        model: BrainContrastiveModel,
        args: BrainContrastiveTrainingConfig,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        *,
        processing_class: BrainLlamaFeatureExtractor,
        **kwargs,
    ):
        if args.n_gpu > 1:
            raise ValueError(
                f"This process sees {args.n_gpu} GPUs and would split batches by `DataParallel`, which cannot split "
                "brains of several subjects. Start one process per GPU (`accelerate launch`), or show it one."
            )
        record_terms(train_dataset, model.config, processing_class)
        if train_dataset is not None:
            _check_rows(train_dataset, model, args)
        if args.early_stopping_patience is not None:
            stop = EarlyStoppingCallback(early_stopping_patience=args.early_stopping_patience)
            kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), stop]
        super().__init__(
            model=model,
            args=args,
            data_collator=kwargs.pop("data_collator", ContrastiveCollator(processing_class, [*model.heads])),
            train_dataset=train_dataset,
            eval_dataset=rows_to_evaluate(eval_dataset, args),
            processing_class=processing_class,
            **kwargs,
        )

    def create_accelerator_and_postprocess(self) -> None:
        """Under FSDP the model is one shard: it has no layers of the kind by which language models are split."""
        super().create_accelerator_and_postprocess()
        plugin: Any = getattr(self.accelerator.state, "fsdp_plugin", None)
        if plugin is not None:
            plugin.transformer_cls_names_to_wrap = []

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """All but biases, norms and temperatures."""
        return [name for name in super().get_decay_parameter_names(model) if not name.endswith("log_scales")]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """The weighted mean of the pairs' losses."""
        self.accelerator.unwrap_model(self.model).clamp_temperature()
        taken_out = (*EMBEDDING_COLUMNS.values(), "image_number", "sample_id")
        outputs = model(**{name: value for name, value in inputs.items() if name not in taken_out})
        total, weights = inputs["image_number"].new_zeros((), dtype=torch.float32), 0.0
        for space, brains in outputs.embeddings.items():
            # DeepSpeed in half precision has all inputs so, targets too.
            targets = nn.functional.normalize(inputs[EMBEDDING_COLUMNS[space]].float(), dim=-1)
            scale = outputs.logit_scales[space].float()
            pair = symmetric_info_nce(brains.float(), targets, inputs["image_number"], scale)
            total, weights = total + self.args.weight_of(space) * pair, weights + self.args.weight_of(space)
        loss = total / weights
        is_finite = [vectors.isfinite().all(dim=-1) for vectors in outputs.embeddings.values()]
        self._require_finite_loss(loss, inputs["sample_id"], torch.stack(is_finite).all(dim=0))
        return (loss, outputs) if return_outputs else loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """
        Diagnoses the encoder on rows; keys are those of
        [`~trainers.contrastive.encoder_diagnostics.diagnose_encoder`].
        """
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        if rows is None:
            raise ValueError("`evaluate` needs rows: give `eval_dataset` to the trainer or to the call.")
        if isinstance(rows, Mapping):
            parts = [self.evaluate(part, None, f"{metric_key_prefix}_{name}") for name, part in rows.items()]
            return {key: value for part in parts for key, value in part.items()}
        start = time.perf_counter()
        model = self.accelerator.unwrap_model(self.model)
        with self.compute_loss_context_manager(), self.accelerator.autocast():
            found = diagnose_encoder(
                model, self.processing_class, rows, self.args.per_device_eval_batch_size, self.args.seed
            )
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.perf_counter() - start
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def create_model_card(self, *args, **kwargs) -> None:
        """Writes none: what is on it would be a score without its controls."""


def _check_rows(rows: Any, model: BrainContrastiveModel, args: BrainContrastiveTrainingConfig) -> None:
    missing = [EMBEDDING_COLUMNS[name] for name in model.heads if EMBEDDING_COLUMNS[name] not in rows.column_names]
    if missing:
        raise ValueError(
            f"The model aligns brains with {', '.join(model.heads)}, but the rows have no column "
            f"{', '.join(missing)}. Add it by `add_text_embeddings`, or build the model without that space."
        )
    for name in model.heads:
        require_embeddings(rows, EMBEDDING_COLUMNS[name])
    found = {name: len(rows[0][EMBEDDING_COLUMNS[name]]) for name in model.heads}
    if found != model.config.target_sizes:
        raise ValueError(
            f"Target embeddings have the widths {found}, the model expects {model.config.target_sizes}. Use the "
            "embedding models with which the checkpoint was trained, or start a new model."
        )
    batch = args.per_device_train_batch_size * args.world_size
    if len(rows) < batch:
        raise ValueError(
            f"{len(rows)} training rows are less than one batch of {batch} (all processes together), and incomplete "
            "batches are left out. Lower `per_device_train_batch_size`."
        )


__all__ = ["BrainContrastiveTrainer"]
