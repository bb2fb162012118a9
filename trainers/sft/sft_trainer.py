# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Prompt tuning: brain encoder and interface are trained so that a frozen language model says what was perceived."""

import os
from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np
import torch
from datasets import Dataset as HFDataset
from torch import nn
from torch.utils.data import Dataset, Sampler
from transformers import EarlyStoppingCallback, EvalPrediction
from transformers.trainer_utils import PredictionOutput

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..common.adapter_base import require_saved_by_peft
from ..common.base_trainer import REMEDY, BrainTrainer, rows_to_evaluate
from ..common.distributed import plain_model
from ..data.collator import (
    BOOKKEEPING,
    IGNORE_INDEX,
    TEXT_INPUTS,
    BrainCollator,
    BrainDataCollator,
    read_as,
    require_one_subject_per_brain,
)
from ..data.corpora import subjects_and_frames
from ..data.instructions import InstructionMaker, InstructionRows
from ..data.packing import InstructionCollator, LengthGroupedSampler, row_lengths
from ..data.prompts import store_caption_settings
from ..data.provenance import record_terms
from ..statistics.permutations import permute_across_groups
from .objectives import draw_candidates, draw_segments, likelihood_contrast, summarize_pairs
from .sft_config import BrainSFTConfig


class BrainSFTTrainer(BrainTrainer):
    """
    Trains the brain modules of a model by the likelihood of the perceived text; the language model stays frozen.

    The loss is the mean cross-entropy over all labelled tokens of the (accumulated) batch, as published, plus
    `contrastive_weight` times [`~trainers.sft.objectives.likelihood_contrast`]. Checkpoints are slim: brain modules,
    configuration and processor.

    With `tasks` rows become instructions ([`~trainers.data.instructions.InstructionMaker`]), all answers to one prompt
    as segments of one row, and prompt and decoding of captions are stored in model and processor.

    Evaluation scores each row under its own brain and under `eval_permutations` brains of other groups of the same
    split, and reports `eval_loss`, `eval_pairwise_accuracy` and `eval_pairwise_gap`, each of which may be
    `metric_for_best_model`.

    Args:
        model ([`BrainLlamaForCausalLM`] or [`~peft.PeftModel`]):
            Model whose parameters that require a gradient are trained. With LoRA put into it (`model.add_adapter`)
            checkpoints hold brain modules and LoRA; of a `PeftModel` they are adapters, as PEFT saves them, which hold
            the brain modules that its `modules_to_save` names.
        args ([`BrainSFTConfig`]):
            Options.
        train_dataset ([`~datasets.Dataset`], *optional*):
            Rows of a corpus.
        eval_dataset ([`~datasets.Dataset`] or a `dict` of them, *optional*):
            Validation rows; never the test split, which decides nothing about training. A split without rows counts as
            none.
        processing_class ([`BrainLlamaProcessor`]):
            Processor; saved with each checkpoint.
        perturb_embeddings (`Callable[[torch.Tensor], torch.Tensor]`, *optional*):
            Applied in training to the embeddings of rows that carry them, e.g.
            [`~trainers.warmup.semantic.PredictionNoise`].
        **kwargs:
            Further arguments of [`~transformers.Trainer`], e.g. `callbacks`.

    Raises:
        ValueError: `eval_strategy` asks for an evaluation and there are no rows for it; or brain modules are trained
            that a `PeftModel` would not save.
        FloatingPointError: a loss or a gradient is NaN or infinite; names the step and the samples.
    """

    args: BrainSFTConfig
    model: BrainLlamaForCausalLM
    processing_class: BrainLlamaProcessor

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        args: BrainSFTConfig,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        *,
        processing_class: BrainLlamaProcessor,
        perturb_embeddings: Callable[[torch.Tensor], torch.Tensor] | None = None,
        **kwargs,
    ):
        if args.n_gpu > 1:
            raise ValueError(
                f"This process sees {args.n_gpu} GPUs and would split batches by `DataParallel`, which cannot share a "
                "brain between rows. Start one process per GPU (`accelerate launch`), or show it one."
            )
        text_model_id = None if model.config.text_model_included else model.config.text_model_id
        if args.push_to_hub and os.path.isdir(text_model_id or ""):
            raise ValueError(
                f"`push_to_hub` with the language model '{text_model_id}', a local folder, makes a "
                "checkpoint that nobody else can load. Give its Hub id as `text_model_id`."
            )
        if args.early_stopping_patience is not None:
            stop = EarlyStoppingCallback(early_stopping_patience=args.early_stopping_patience)
            kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), stop]
        processing_class.check_config(model.config)
        record_terms(train_dataset, model.config, processing_class.feature_extractor)
        require_saved_by_peft(model)
        read, collator = _how_to_read(args, processing_class)
        if train_dataset is not None:
            train_dataset = read(_checked(train_dataset))
        self._read = read
        eval_dataset = self._to_evaluate(rows_to_evaluate(eval_dataset, args), args)
        if "caption" in (args.tasks or ()):
            store_caption_settings(plain_model(model), processing_class, args.max_new_tokens)
        super().__init__(
            model=model,
            args=args,
            data_collator=kwargs.pop("data_collator", collator),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            compute_metrics=kwargs.pop("compute_metrics", _summarize),
            **kwargs,
        )
        if not self.is_deepspeed_enabled:
            self._keep_learning_weights_whole(model)
        # `compute_loss` divides by the tokens of the whole accumulated batch itself.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.perturb_embeddings = perturb_embeddings
        self._logged_terms: dict[str, list[torch.Tensor]] = {}

    def _keep_learning_weights_whole(self, model: BrainLlamaForCausalLM) -> None:
        """Steps of training are finer than the grain of half precision: only what is frozen may be half."""
        half = [p for p in model.parameters() if p.requires_grad and p.is_floating_point() and p.itemsize < 4]
        if not half:
            return
        if self.accelerator.mixed_precision == "no":
            raise ValueError(
                f"The model is in {half[0].dtype} and not trained in mixed precision, so that small steps would be "
                'lost. Set `bf16=True` (or `mixed_precision: "bf16"` of `accelerate`), or load it with '
                '`dtype="float32"`.'
            )
        for module in (plain_model(model).model.brain_encoder, plain_model(model).model.brain_interface):
            module.float()
        for parameter in half:  # and what PEFT has put into the language model
            parameter.data = parameter.data.float()

    def _to_evaluate(self, rows: Any, args: BrainSFTConfig) -> Any:
        """Rows (or several sets of them) as the options have them read, with their control brains."""
        if rows is None or isinstance(rows, (str, WithControlBrains)):  # a name is of one of the sets given before
            return rows
        if isinstance(rows, Mapping):
            return {name: self._to_evaluate(part, args) for name, part in rows.items()}
        if not isinstance(rows, Sized):
            raise ValueError(
                f"`eval_dataset` is a {type(rows).__name__} without a length, but evaluation draws control brains "
                "from all its rows. Give a `datasets.Dataset`, e.g. `Dataset.from_list(list(rows.take(1000)))`."
            )
        return WithControlBrains(self._read(_checked(rows)), args.eval_permutations, seed=args.seed)

    def evaluate(self, eval_dataset: Any = None, *args, **kwargs) -> dict[str, float]:
        """Scores the validation rows, or other rows of a corpus, read and given control brains alike."""
        return super().evaluate(self._to_evaluate(eval_dataset, self.args), *args, **kwargs)

    def predict(self, test_dataset: Any, *args, **kwargs) -> PredictionOutput:
        """Losses of rows of a corpus, which are read and given control brains as for `evaluate`."""
        return super().predict(self._to_evaluate(test_dataset, self.args), *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """Batches of rows of like length, if asked for."""
        rows, args = self.train_dataset if train_dataset is None else train_dataset, self.args
        if args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        seed = args.seed if args.data_seed is None else args.data_seed
        lengths = row_lengths(rows, self.processing_class, args.max_prompt_tokens, args.max_completion_tokens)
        # One step's rows on all devices, so that no device waits for another with longer rows.
        return LengthGroupedSampler(lengths, args.train_batch_size * args.world_size, seed)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """One parameter group per learning rate."""
        if self.optimizer is None:
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = optimizer_class(self._parameter_groups(), **options)
        return self.optimizer

    def _parameter_groups(self) -> list[dict[str, Any]]:
        args, rates = self.args, {}
        interface = args.learning_rate if args.interface_learning_rate is None else args.interface_learning_rate
        rates["model.brain_encoder."] = args.encoder_learning_rate
        rates["model.brain_interface."] = interface
        rates[""] = args.learning_rate
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            rate = next(rate for prefix, rate in rates.items() if prefix in name)
            rate = args.learning_rate if rate is None else rate
            if parameter.requires_grad:
                gate = args.gate_learning_rate_ratio if name.endswith(".gate") else 1.0
                groups.setdefault(gate * rate, []).append(parameter)
        if not groups:
            raise ValueError("No parameter of the model requires a gradient, so there is nothing to train.")
        return [{"params": p, "lr": rate, "weight_decay": args.weight_decay} for rate, p in groups.items()]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
        """Cross-entropy over the tokens of the accumulated batch, plus the weighted contrast of the texts."""
        contrasts = self.args.contrastive_weight > 0
        candidates = self._draw_candidates(inputs, self.args.num_negatives if contrasts else 0)
        losses, num_tokens = self._text_losses(model, inputs, candidates)
        own_loss = losses[:, 0].sum()
        cross_entropy = own_loss / (num_tokens.sum() if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            # DDP averages gradients over processes; the divisor already counts the tokens of all of them.
            cross_entropy = cross_entropy * self.accelerator.num_processes
        loss = cross_entropy
        if contrasts:
            contrast = self._contrast(losses, candidates >= 0, num_tokens)
            loss = loss + self.args.contrastive_weight * contrast / self.current_gradient_accumulation_steps
            self._note("contrast", contrast)
            self._note("cross_entropy", own_loss / num_tokens.sum())
        # Texts whose own brain breaks them before those that only another text's brain does.
        own, every = losses[:, 0].isfinite().all(-1), losses.isfinite().flatten(1).all(-1)
        self._require_finite_loss(loss, inputs["sample_id"], torch.where(own.all(), every, own))
        return (loss, {"loss": loss}) if return_outputs else loss

    def _contrast(self, losses: torch.Tensor, exists: torch.Tensor, num_tokens: torch.Tensor) -> torch.Tensor:
        """The contrast of whole texts, plus the mean contrast of their segments."""

        def contrast_of(window: torch.Tensor) -> torch.Tensor:
            scores = (losses * window[:, None]).sum(-1)
            if self.args.contrastive_reduction == "mean":
                scores = scores / window.sum(-1, keepdim=True)
            return likelihood_contrast(scores.masked_fill(~exists, torch.inf), self.args.contrastive_temperature)

        whole = contrast_of(torch.arange(losses.shape[-1], device=losses.device) < num_tokens[:, None])
        if not self.args.contrastive_segments:
            return whole
        segments = draw_segments(num_tokens.cpu(), self.args.contrastive_segments).to(losses.device)
        return whole + torch.stack([contrast_of(window) for window in segments]).mean()

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """
        Summed losses of each text under its own and its control brains'
        brains, and its number of labelled tokens.
        """
        inputs = self._prepare_inputs(inputs)
        candidates = self._draw_candidates(inputs, 0)
        if "control_index" in inputs:
            candidates = torch.cat([candidates, inputs["control_index"]], dim=1)
        with torch.no_grad(), self.compute_loss_context_manager():
            losses, num_tokens = self._text_losses(model, inputs, candidates)
        if not losses[:, 0].isfinite().all():
            names = [
                name
                for name, fine in zip(inputs["sample_id"], losses[:, 0].isfinite().all(-1), strict=True)
                if not fine
            ]
            raise FloatingPointError(
                f"The loss of the evaluated samples {', '.join(names)} is NaN or infinite after step "
                f"{self.state.global_step}: the model's weights are broken, or these samples' brains. {REMEDY}"
            )
        return None, losses.sum(-1).float(), num_tokens

    def _draw_candidates(self, inputs: Mapping[str, Any], num_negatives: int) -> torch.Tensor:
        """Brains under which each text is scored, `(batch, 1 + num_negatives)`, its own first."""
        own = inputs["brain_index"]
        if num_negatives == 0:
            return own[:, None]
        # Numbers, not tensors: equal blocks must be one key.
        frames = inputs["brain_attention_mask"].sum(1)[own] if "brain_attention_mask" in inputs else own * 0
        blocks = list(zip(inputs["subject"], frames.tolist(), strict=True))
        return draw_candidates(own.tolist(), inputs["group"], blocks, num_negatives).to(own.device)

    def _text_losses(
        self, model: nn.Module, inputs: Mapping[str, Any], candidates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Losses `(batch, candidates, labelled tokens)`, 0 behind a text's end and for candidate -1, and the number of
        labelled tokens `(batch,)` of each text.
        """
        text_config: Any = self.model.config.text_config
        exists, most = candidates >= 0, text_config.max_position_embeddings
        if "segment_ids" not in inputs and inputs["input_ids"].shape[1] > most:
            lengths = inputs["attention_mask"].sum(1)
            raise ValueError(
                f"Row '{inputs['sample_id'][int(lengths.argmax())]}' has {int(lengths.max())} tokens, but the "
                f"language model has {most} positions. Set `max_prompt_tokens` and `max_completion_tokens`."
            )
        text, _ = exists.nonzero(as_tuple=True)
        brain_inputs = {key: value for key, value in inputs.items() if key not in (*TEXT_INPUTS, *BOOKKEEPING)}
        if self.perturb_embeddings is not None and model.training:
            brain_inputs["encoder_outputs"] = self.perturb_embeddings(brain_inputs["encoder_outputs"])
        if self.args.condition_dropout and model.training:
            num_brains = len(brain_inputs.get("encoder_outputs", brain_inputs.get("brain_values")))
            drawn = torch.rand(num_brains, device=candidates.device)
            brain_inputs["condition_mask"] = drawn >= self.args.condition_dropout
        brain_inputs["brain_index"] = candidates[exists]
        texts = {key: inputs[key][text] for key in TEXT_INPUTS if key in inputs}
        token_losses, rows = model(only="token_losses", **texts, **brain_inputs)
        num_tokens = inputs["labels"].ne(IGNORE_INDEX).sum(1)
        # Labelled tokens come text by text: their number less that of all texts before is the place within the text.
        ends = num_tokens[text].cumsum(0)
        places = torch.arange(len(rows), device=rows.device) - (ends - num_tokens[text])[rows]
        by_text = token_losses.new_zeros(len(text), int(num_tokens.max())).index_put((rows, places), token_losses)
        losses = by_text.new_zeros(*candidates.shape, by_text.shape[1])
        return losses.masked_scatter(exists[..., None], by_text), num_tokens

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """A slim checkpoint lacks the frozen language model, which is in memory; whatever else differs is an error."""
        trained = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        missing = sorted(trained.intersection(load_result.missing_keys))
        if missing or load_result.unexpected_keys:
            raise ValueError(
                f"The checkpoint is of another model: it lacks {len(missing)} weights that are trained here "
                f"{missing[:1]} and has {len(load_result.unexpected_keys)} that are unknown here "
                f"{load_result.unexpected_keys[:1]}. Resume with the interface and projector (here "
                f"'{self.model.config.interface}', '{self.model.config.projector_type}') that it was trained with, or "
                "begin anew in another `output_dir`."
            )

    def _note(self, name: str, value: torch.Tensor) -> None:
        self._logged_terms.setdefault(name, []).append(value.detach())

    def create_model_card(self, *args, **kwargs) -> None:
        """Writes none: [`~trainers.reports.model_card.create_model_card`] does, with scores beside their controls."""

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        """Adds the terms of the loss to the training log."""
        if "loss" in logs:
            logs |= {name: torch.stack(values).mean().item() for name, values in self._logged_terms.items()}
            self._logged_terms.clear()
        super().log(logs, *args, **kwargs)


class WithControlBrains(Dataset):
    """
    Rows that carry, as `control_brains`, rows of other groups whose brains stand in for their own.

    Donors belong to the same subject and have as many frames; they are drawn once, so that every evaluation compares
    the same pairs.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of one split.
        num_control_brains (`int`):
            Donors per row; 0 for the rows as they are.
        seed (`int`):
            Seed of the draw.

    Raises:
        ValueError: all rows of a subject belong to one group.
    """

    def __init__(self, rows: Any, num_control_brains: int, seed: int):
        self.rows, self.control_brains = rows, None
        if not num_control_brains:
            return
        brain_ids = list(rows["brain_id"])
        place = {brain_id: row for row, brain_id in enumerate(brain_ids)}
        permuted = permute_across_groups(list(rows["group"]), brain_ids, num_control_brains, seed, _blocks(rows))
        self.control_brains = [[place[brain_id] for brain_id in drawn] for drawn in permuted.T]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.control_brains is None:
            return self.rows[index]
        return {**self.rows[index], "control_brains": [self.rows[j] for j in self.control_brains[index]]}


def _how_to_read(args: BrainSFTConfig, processor: BrainLlamaProcessor) -> tuple[Callable[[Any], Any], BrainCollator]:
    """What the options make of the rows of a split, and the collator for them."""
    if args.tasks is None:
        collator = BrainDataCollator(
            processor,
            append_eos=args.append_eos,
            max_prompt_tokens=args.max_prompt_tokens,
            max_completion_tokens=args.max_completion_tokens,
        )
        return lambda rows: read_as(rows, args.reading), collator
    instruct = InstructionMaker(
        processor,
        args.tasks,
        shares=args.task_shares,
        paraphrase=args.paraphrase,
        max_answers=args.max_answers,
        max_answer_tokens=args.max_completion_tokens,
        seed=args.seed,
    )
    return lambda rows: instruct(rows) if args.packing else instruct(rows).unpacked(), InstructionCollator(processor)


def _checked(rows: Any) -> Any:
    """Rows that enter, if there are some and each brain has one subject; a stream is checked batch by batch."""
    if isinstance(rows, Sized) and not len(rows):
        raise ValueError("The rows to be trained or evaluated on are none: the split is empty, or all were left out.")
    if isinstance(rows, HFDataset):
        require_one_subject_per_brain(rows["brain_id"], rows["subject"])
    return rows


def _blocks(rows: Any) -> list[tuple[str, int]]:
    """Brains of one block can stand in for each other."""
    if isinstance(rows, InstructionRows):
        blocks = subjects_and_frames(rows.source)
        return [blocks[place] for place in rows.places]
    return subjects_and_frames(rows)


def _summarize(prediction: EvalPrediction) -> dict[str, float]:
    return summarize_pairs(np.asarray(prediction.predictions), np.asarray(prediction.label_ids))


__all__ = ["BrainSFTTrainer", "WithControlBrains"]
