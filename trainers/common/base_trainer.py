# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The base of all trainers: whole checkpoints of finite weights, and processes that train together or not at all."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence, Sized
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy

from modeling_brainllm.checksums import record_checksums

from .checkpoints import UNFINISHED, finish_checkpoint, own_class, remove_old_checkpoints
from .distributed import check_processes, local_shard
from .folder_lock import hold_folder
from .pushing import PushingTrainer


REMEDY = "Look for extreme brain values (standardise them), a learning rate that is too high, or half precision."


class BrainTrainer(PushingTrainer):
    """
    What the trainers of all stages share: a folder `checkpoint-N` is whole, whenever the run was killed, its weights
    are finite, and processes that were started together train together.

    [`~transformers.Trainer`] writes in place: a run that is killed while it saves leaves a folder that is taken for
    the last checkpoint and cannot be read. Here all processes write below `_unfinished`; the folder is then flushed to
    disk and renamed, and older ones are deleted only afterwards. What `_unfinished` holds is never read.

    A loss, a gradient or a weight that is NaN or infinite ends the run before anything is saved of it, so that the
    last good checkpoint stays. Each stage hands its losses to `_require_finite_loss`, with the names of their samples.

    Under FSDP, a checkpoint holds the code and the name of the model's own class, not of FSDP's.

    A trainer of another library comes behind it in the list of bases; what a subclass adds to checkpoints belongs into
    `_save_rng_state`, which each process calls while they are written.

    Raises:
        FloatingPointError: a loss or a gradient is NaN or infinite, naming step and samples, before the step is taken;
            or weights are, before they are saved.
    """

    model: Any
    _is_saving = False
    # Samples of this process in the step that is under way, of all its accumulated batches
    _step_samples: tuple[str, ...] = ()

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """[`~transformers.Trainer.train`], alone in its output folder."""
        with hold_folder(str(self.args.output_dir)) if self.is_world_process_zero() else nullcontext():
            return super().train(*args, **kwargs)

    def _init_training_state(self, *args: Any, **kwargs: Any) -> Any:
        """The best checkpoint of a run that goes on lies in its folder, wherever that was and however it was spelt."""
        found = super()._init_training_state(*args, **kwargs)
        best = os.path.join(str(self.args.output_dir), Path(self.state.best_model_checkpoint or "").name)
        if self.state.best_model_checkpoint and os.path.isdir(best):
            self.state.best_model_checkpoint = best
        return found

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """A run that had its last step before it was interrupted takes no further one."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        check_processes(self.args, self.accelerator)

    def _require_finite_loss(
        self, loss: torch.Tensor, sample_ids: Sequence[str], is_finite: torch.Tensor | None = None
    ) -> None:
        """
        Refuses a loss that is NaN or infinite; and keeps in mind whose samples make up the step.

        Args:
            loss (`torch.Tensor`):
                Loss of a batch.
            sample_ids (`Sequence[str]`):
                Samples of the batch.
            is_finite (`torch.Tensor` of shape `(batch,)`, *optional*):
                Whether what each sample adds to the loss is a finite number, where that is known: those are named of
                which it is not. All are where it is of all.

        Raises:
            FloatingPointError: the loss is NaN or infinite.
        """
        if self.model.training:
            self._step_samples += tuple(sample_ids)
        if self.args.logging_nan_inf_filter or torch.isfinite(loss):
            return
        flags = [True] * len(sample_ids) if is_finite is None else is_finite.tolist()
        broken = [name for name, fine in zip(sample_ids, flags, strict=True) if not fine]
        raise FloatingPointError(
            f"The loss of step {self.state.global_step + 1} is {loss.item()}, in the batch of samples "
            f"{', '.join(dict.fromkeys(broken or sample_ids))}. {REMEDY}"
        )

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The norm, known before the step is taken; DeepSpeed has taken it by then, and left it out where it could."""
        grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        samples, self._step_samples = self._step_samples, ()
        # With float16, the scaler of the loss finds its scale by such steps, and takes none of them.
        if grad_norm is None or self.accelerator.mixed_precision == "fp16":
            return grad_norm
        norm = float(grad_norm.full_tensor() if isinstance(grad_norm, DTensor) else grad_norm)
        if not math.isfinite(norm) or norm < 0:  # DeepSpeed's norm of what is not finite may be negative
            raise FloatingPointError(
                f"The gradient of step {self.state.global_step + 1} is NaN or infinite (norm {norm}), in the batch of "
                f"samples {', '.join(dict.fromkeys(samples))}. {REMEDY}"
            )
        return grad_norm

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model, if what was trained in it is finite."""
        broken = [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and not local_shard(parameter).isfinite().all()
        ]
        if broken:
            raise FloatingPointError(
                f"After step {self.state.global_step}, {len(broken)} weights are NaN or infinite ({broken[0]}), and "
                f"were not saved; checkpoints in '{self.args.output_dir}' are as they were. {REMEDY}"
            )
        super().save_model(output_dir, _internal_call)
        if self.args.should_save and not self._is_saving:
            record_checksums(output_dir or str(self.args.output_dir), ("adapter_*",))  # the rest records itself

    def _get_output_dir(self, trial: object) -> str:
        folder = super()._get_output_dir(trial)
        return os.path.join(folder, UNFINISHED) if self._is_saving else folder

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        run, name = self._get_output_dir(trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.is_local_process_zero():
            shutil.rmtree(Path(run, UNFINISHED), ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._is_saving = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._is_saving = False
        self._name_best_checkpoint(run, name)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            finish_checkpoint(Path(run), name)
        self.accelerator.wait_for_everyone()
        if self.is_local_process_zero():
            with suppress(FileNotFoundError):  # another machine may have a disk of its own, or share the finished one
                finish_checkpoint(Path(run), name)
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(os.path.join(run, name))
        if self.args.should_save:
            best = Path(self.state.best_model_checkpoint or "").name
            remove_old_checkpoints(Path(run), self.args.save_total_limit, {name, best})

    def _name_best_checkpoint(self, run: str, name: str) -> None:
        """Where the checkpoint in work is the best so far, it is remembered by the name that it is about to get."""
        if self.state.best_model_checkpoint == os.path.join(run, UNFINISHED, name):
            self.state.best_model_checkpoint = os.path.join(run, name)
            if self.args.should_save:
                self.state.save_to_json(os.path.join(run, UNFINISHED, name, TRAINER_STATE_NAME))

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        with own_class(self.model):
            super()._save(output_dir, state_dict)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Not before the folder has its name: files are uploaded in the background."""
        if not self._is_saving:
            super()._push_from_checkpoint(checkpoint_folder)


def rows_to_evaluate(rows: Any, args: TrainingArguments) -> Any:
    """
    The rows of a validation split; one without rows counts as none where nothing is evaluated during training.

    Args:
        rows ([`~datasets.Dataset`] or a `dict` of them, *optional*):
            Validation rows.
        args ([`~transformers.TrainingArguments`]):
            Whose `eval_strategy` says whether training asks for them.

    Raises:
        ValueError: training is to be evaluated on a split without rows.
    """
    if isinstance(rows, Mapping):
        return {name: rows_to_evaluate(part, args) for name, part in rows.items()}
    if not isinstance(rows, Sized) or len(rows):
        return rows
    strategy = IntervalStrategy(args.eval_strategy)
    if strategy != IntervalStrategy.NO:
        raise ValueError(
            f"`eval_strategy` is '{strategy.value}', but the validation split has no rows to evaluate on; a "
            "subject who is held out, or adapted to by a few images, has none. Set `--eval_strategy no "
            "--load_best_model_at_end false`, without early stopping, or keep subjects that have validation rows."
        )
    return None


__all__ = ["BrainTrainer", "rows_to_evaluate"]
