# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Neuro-semantic reward tuning: the third stage of BIT-LLM, by TRL's GRPO."""

import os
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import Sampler
from transformers.utils import logging
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..common.adapter_base import describe_base, require_base, save_base
from ..common.base_trainer import BrainTrainer, rows_to_evaluate
from ..common.distributed import unsharded
from ..data.provenance import record_terms
from .grpo_config import BrainGRPOConfig
from .reward_monitor import RewardMonitor
from .rollout_state import load_rollouts, rollout_file, save_rollouts
from .rollouts import EncodedBrains, PromptBatch, cut_at_end, decode_from_shared_prefill, keep_groups_together
from .shared_prefill import SharedPrefill


logger = logging.get_logger(__name__)


class BrainGRPOTrainer(BrainTrainer, GRPOTrainer):
    """
    Tunes LoRA parameters of the language model by rewards on the captions that it samples; the brain modules are
    frozen and no part of the adapter, and the reference of the divergence is the model with the adapter off.

    What a group shares is computed once: its brain (encoder, and the adapters' keys and values), the prefill of its
    prompt, and the prompt's part of every pass for log-probabilities and of the update, in which the completions are
    segments of one row ([`~trainers.grpo.shared_prefill.SharedPrefill`]). Completions of one group stay in one slice
    of a generation batch, so that `steps_per_generation` splits no group that it need not. `share_prefill=False`
    leaves generation and log-probabilities to TRL, with a prompt and a brain for each row: the same numbers, later.

    Rows are those of a corpus with a rendered `prompt` (text; where it lacks the marker, the brain stands before it).
    All columns reach the rewards. Groups in which all completions earn the same teach nothing: their advantage is
    zero, and their share is in the log as `frac_reward_zero_std`.

    Checkpoints hold the adapter, what it was trained on top of ([`~trainers.common.adapter_base`]), the processor, and
    the rollouts that wait for their update: a resumed run equals an undisturbed one. With another number of processes
    the waiting rollouts are made anew.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Model of the second stage; gets the adapter of `args`.
        reward_funcs (`Callable` or `list[Callable]`):
            Rewards, called as `reward(prompts=..., completions=..., completion_ids=..., **columns)`.
        args ([`BrainGRPOConfig`]):
            Options.
        train_dataset ([`~datasets.Dataset`]):
            Rows.
        processing_class ([`BrainLlamaProcessor`]):
            Processor; saved with each checkpoint.
        reward_monitor ([`~trainers.grpo.reward_monitor.RewardMonitor`], *optional*):
            Sees the completions of all processes and what they earned, and notices rewards that are exploited; its
            figures enter the log.
        **kwargs:
            Further arguments of [`~trl.GRPOTrainer`], e.g. `eval_dataset`, `callbacks`.

    Raises:
        ValueError: a reward is NaN or infinite, naming reward and samples; or the adapter could not be loaded from
            where it is pushed to; or a run is resumed on top of another model.
        FloatingPointError: a loss or a gradient is; names the step and the samples, before any weight has changed.
    """

    args: BrainGRPOConfig
    model: Any
    model_wrapped: Any
    processing_class: Any
    # Rows that the next log-probabilities belong to, and their prompts and brains as long as they are rolled out
    _rows: dict[str, Any]
    _prompts: PromptBatch
    # Log-probabilities of the last pass `(rows, tokens)`
    _logps: torch.Tensor
    # Whether all completions of a row's group earned the same, for the rows of all processes
    _is_constant: torch.Tensor
    _buffered_inputs: Any
    _train_sampler: Any

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        reward_funcs: Any,
        args: BrainGRPOConfig,
        train_dataset: Any,
        *,
        processing_class: BrainLlamaProcessor,
        reward_monitor: RewardMonitor | None = None,
        **kwargs,
    ):
        if not isinstance(model, BrainLlamaForCausalLM):
            raise ValueError(
                f"`model` must be a BrainLlamaForCausalLM, which gets a new adapter here; got {type(model).__name__}. "
                "Merge an adapter that it already has (`merge_and_unload`)."
            )
        if args.push_to_hub and os.path.isdir(model.name_or_path or ""):
            raise ValueError(
                f"`push_to_hub` with the checkpoint '{model.name_or_path}', a local folder, makes an adapter that "
                "nobody else can load. Push the checkpoint first, and give its Hub id."
            )
        processing_class.check_config(model.config)
        record_terms(train_dataset, model.config, processing_class.feature_extractor)
        kwargs["eval_dataset"] = rows_to_evaluate(kwargs.get("eval_dataset"), args)
        super().__init__(
            model=model,
            reward_funcs=reward_funcs,
            args=args,
            train_dataset=train_dataset,
            # TRL would take a processor for that of images; it is kept for decoding and checkpoints.
            processing_class=processing_class.tokenizer,
            peft_config=args.lora_config(),
            **kwargs,
        )
        self.processing_class = processing_class
        if args.push_to_hub:
            self.init_hf_repo()
        # While weights are whole, or can be made so: what checkpoints say that the adapter belongs to.
        self._base = describe_base(model, self._dist.gather_params)
        self.reward_monitor = reward_monitor
        # Apart for training and evaluation, which may come between rollouts and their update.
        self._brains: dict[str, EncodedBrains] = {}

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Not before the processor is there, whose subjects may be a reason to refuse; TRL gets its tokenizer."""
        if isinstance(self.processing_class, BrainLlamaProcessor):
            super().init_hf_repo(token, private)

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    # ---------------------------------------------------------------------------------------------------- rollouts

    def _prepare_inputs(self, generation_batch: Any) -> Any:  # ty: ignore[lost-keyword-for-regular-parameter] - TRL's own
        """Slices of the generation batch that split no group which fits into one."""
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._mode == "eval" or self._buffered_inputs is before:
            return inputs
        self._buffered_inputs = keep_groups_together(self._buffered_inputs)
        return self._buffered_inputs[self._step % len(self._buffered_inputs)]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        prompts = PromptBatch.collate(self.processing_class, inputs)
        columns = {
            "sample_id": prompts.sample_ids,
            "prefix_index": prompts.prefix_index.to(self.accelerator.device),
            "brain_index": prompts.brain_index[prompts.prefix_index].to(self.accelerator.device),
        }
        self._prompts, self._rows = prompts, columns
        output = super()._generate_and_score_completions(inputs)
        if self.multi_objective_aggregation == "sum_then_normalize":
            # A mean in floating point may miss equal numbers by a little, which the spread, as little, would blow up.
            start = self.accelerator.process_index * len(inputs)
            is_constant = self._is_constant[start : start + len(inputs)]
            output["advantages"] = output["advantages"].masked_fill(is_constant, 0.0)
            self._metrics[self._mode]["frac_reward_zero_std"][-1] = self._is_constant.float().mean().item()
        return {**output, **columns}

    def _tokenize_prompts(self, prompts: list) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self._prompts.prompt_ids(), None, {}

    def _generate_single_turn(
        self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False
    ) -> tuple[list[list[int]], None]:
        prompts, device = self._prompts, self.accelerator.device
        brain = super(GRPOTrainer, self)._prepare_inputs(prompts.brain)
        with self._model_for_generation() as model:
            brains = EncodedBrains.encode(model.get_base_model(), brain)
            self._brains[self._mode] = brains
            if self.args.share_prefill:
                completion_ids = decode_from_shared_prefill(
                    model,
                    prompts.input_ids.to(device),
                    prompts.attention_mask.to(device),
                    brains.features,
                    prompts.brain_index.to(device),
                    prompts.prefix_index.to(device),
                    self.generation_config,
                )
                return cut_at_end(completion_ids, self.eos_token_ids), None
        fields = brains.inputs_of_rows(self._rows["brain_index"])
        return super()._generate_single_turn(prompt_ids, images, fields, num_generations, has_tool_images)

    @contextmanager
    def _model_for_generation(self) -> Generator[Any]:
        """The PEFT model with whole weights, however they are sharded, in mixed precision if the run is."""
        checkpointing: Any = self.args.gradient_checkpointing_kwargs
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=checkpointing,
            ) as model,
            torch.no_grad(),
            # Generation calls what lies below the `forward` that accelerate wraps.
            self.accelerator.autocast(),
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
            unsharded(self.model_wrapped),
        ):
            yield model

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._require_finite(rewards, inputs)
        groups = (rewards * self.reward_weights.to(rewards)).sum(1)
        groups = groups.view(-1, self.num_generations if self._mode == "train" else self.num_generations_eval)
        self._is_constant = (groups == groups[:, :1]).all(1).repeat_interleave(groups.shape[1])
        if self.reward_monitor is not None and self._mode == "train":
            figures = self.reward_monitor.observe(
                gather_object(completions),
                gather_object([row["group"] for row in inputs]),
                dict(zip(self.reward_func_names, rewards.T.tolist(), strict=True)),
                dict(zip(self.reward_func_names, self.reward_weights.tolist(), strict=True)),
                self.state.global_step + 1,
            )
            for name, value in figures.items():
                self._metrics["train"][name].append(value)
        return rewards

    def _require_finite(self, rewards: torch.Tensor, inputs: Any) -> None:
        if torch.isfinite(rewards).all():
            return
        names = gather_object([row["sample_id"] for row in inputs])
        wrong = [
            f"{self.reward_func_names[place]} of '{names[row]}' is {rewards[row, place].item()}"
            for row, place in (~torch.isfinite(rewards)).nonzero().tolist()
        ]
        raise ValueError(
            f"{len(wrong)} rewards at step {self.state.global_step + 1} are no finite numbers: "
            f"{'; '.join(wrong[:5])}. A reward returns a number for every completion, the empty one included."
        )

    # --------------------------------------------------------------------------------------- log-probabilities, loss

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        if not self.args.share_prefill:
            found = self._unshared_logps(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
            self._logps = found[0].detach()
            return found
        prompts, completions = slice(None, -logits_to_keep), slice(-logits_to_keep, None)
        chunks = []
        for rows in torch.arange(len(input_ids), device=input_ids.device).split(batch_size or len(input_ids)):
            ids, mask = input_ids[rows], attention_mask[rows]
            packed = SharedPrefill.pack(
                ids[:, prompts],
                mask[:, prompts],
                ids[:, completions],
                mask[:, completions],
                self._rows["prefix_index"][rows],
            )
            with self.accelerator.autocast():
                outputs = model(
                    input_ids=packed.input_ids,
                    attention_mask=packed.attention_mask,
                    position_ids=packed.position_ids,
                    segment_ids=packed.segment_ids,
                    brain_features=self._brains[self._mode].features,
                    brain_index=self._rows["brain_index"][rows][packed.rows],
                    shift_labels=packed.shift_labels,
                    fused_lm_head=True,
                )
            entropy = packed.unpack(outputs.entropy) if compute_entropy else None
            chunks.append((packed.unpack(outputs.log_probs), entropy))
        parts, entropies = zip(*chunks, strict=True)
        logps = torch.cat(parts)
        self._logps = logps.detach()
        return logps, torch.cat(entropies) if compute_entropy else None, None

    def _unshared_logps(self, model, input_ids, *args, **kwargs):
        """TRL's own, each row with a brain of its own."""
        done, brain_index, brains = 0, self._rows["brain_index"], self._brains[self._mode]

        def forward(**inputs):
            nonlocal done
            start, done = done, done + len(inputs["input_ids"])
            return model(**inputs, **brains.inputs_of_rows(brain_index[start:done]))

        return super()._get_per_token_logps_and_entropies(forward, input_ids, *args, **kwargs)

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        self._rows = inputs
        loss = super()._compute_loss(model, inputs)
        is_finite = None if torch.isfinite(loss) else self._are_finite(inputs)
        self._require_finite_loss(loss, inputs["sample_id"], is_finite)
        return loss

    def _are_finite(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Whether all that the loss of each completion is made of is finite, `(rows,)`; TRL keeps only their mean."""
        others = (inputs.get(name) for name in ("old_per_token_logps", "ref_per_token_logps"))
        logps = torch.stack([self._logps, *(part for part in others if part is not None)])
        is_padding = ~inputs["completion_mask"].bool()
        return (logps.isfinite() | is_padding).all(-1).all(0) & inputs["advantages"].isfinite()

    # --------------------------------------------------------------------------------------------------- checkpoints

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        self._train_sampler = super()._get_train_sampler(dataset)
        return self._train_sampler

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            save_base(self._base, output_dir or str(self.args.output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            require_base(self._base, checkpoint)
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.shuffle_dataset:
            # The sampler draws one permutation an epoch from a generator of its own: past epochs have drawn theirs.
            for _ in range(int(self.state.epoch or 0)):
                torch.randperm(self._train_sampler.num_samples, generator=self._train_sampler.generator)

    @property
    def _batch_shape(self) -> list[int | None]:
        """What rollouts have to fit."""
        args = self.args
        return [self.accelerator.num_processes, args.per_device_train_batch_size, args.steps_per_generation]

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        is_waiting = self._step % ((self.args.steps_per_generation or 1) * self.num_iterations) != 0
        progress = {
            "batch": self._batch_shape,
            "step": self._step,
            "metrics": self._metrics["train"],
            "summed_loss": self._tr_loss.item(),
            "last_logged_step": self._globalstep_last_logged,
            "monitor": None if self.reward_monitor is None else self.reward_monitor.state_dict(),
        }
        save_rollouts(
            rollout_file(output_dir, self.accelerator.process_index),
            progress,
            self._buffered_inputs if is_waiting else None,
            self._brains.get("train"),
        )

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is None:
            return
        file = rollout_file(checkpoint, self.accelerator.process_index)
        kept = load_rollouts(file, self.accelerator.device) if file.exists() else None
        if kept is None or kept[0]["batch"] != self._batch_shape:
            logger.warning(
                f"'{file}' is absent or of a run with other batches or processes: rollouts are made anew, and the run "
                "will not equal an undisturbed one."
            )
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
            return
        progress, self._buffered_inputs, brains = kept
        self._step = progress["step"]
        self._metrics["train"] = defaultdict(list, progress["metrics"])
        self._tr_loss += progress["summed_loss"]
        self._globalstep_last_logged = progress["last_logged_step"]
        if self.reward_monitor is not None and progress["monitor"] is not None:
            self.reward_monitor.load_state_dict(progress["monitor"])
        if brains is not None:
            with self._model_for_generation() as model:
                self._brains["train"] = EncodedBrains.project(model.get_base_model(), *brains)

    def create_model_card(self, *args, **kwargs) -> None:
        """Writes none: [`~trainers.reports.model_card.push_adapter`] does."""


__all__ = ["BrainGRPOTrainer"]
