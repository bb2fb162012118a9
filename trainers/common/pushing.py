# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Pushes of a trainer, during training and at its end: what may leave the machine, and nothing else of its folder."""

import os
import shutil
import tempfile
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from transformers import Trainer
from transformers.trainer_utils import HubStrategy
from transformers.utils import PushInProgress, logging

from modeling_brainllm.publishing_brainllama import files_to_push, open_repository, push_folder


logger = logging.get_logger(__name__)


@dataclass
class PushArguments:
    """
    What a push takes along; stands before [`~transformers.TrainingArguments`] among the bases of options.

    Args:
        hub_private_repo (`bool`, *optional*, defaults to `True`):
            Whether the repository is private; a push into one that exists and is public needs `False`.
        share_statistics, share_geometry (`bool`, *optional*):
            Whether mean and deviation of subjects, and where their voxels lie, are pushed. By default they are where
            the terms of the data allow it, and the run is refused before it trains elsewhere; `False` leaves them out,
            `True` shares them all the same. See [`~modeling_brainllm.publishing_brainllama.files_to_push`].
    """

    hub_private_repo: bool | None = field(default=True, metadata={"help": "Whether the repository is private."})
    share_statistics: bool | None = field(
        default=None,
        metadata={"help": "Whether mean and deviation of subjects are pushed; as terms allow."},
    )
    share_geometry: bool | None = field(
        default=None, metadata={"help": "Whether positions of voxels are pushed; as terms allow."}
    )


class PushingTrainer(Trainer):
    """
    A trainer whose pushes take what [`~modeling_brainllm.publishing_brainllama.files_to_push`] allows: the files of
    the model, its processor and its card. Options of training, states of optimizers and all else stay, so that a
    checkpoint on the Hub is to be loaded, not to be resumed. What would be refused in the end is refused before
    training.
    """

    args: Any
    model: Any
    hub_model_id: Any = None
    push_in_progress: Any = None
    _push_jobs: tuple[Future, ...] = ()

    @property
    def _sharing(self) -> dict[str, Any]:
        names = ("share_statistics", "share_geometry")
        return {name: getattr(self.args, name, None) for name in names}

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes the repository, unless the push would be refused."""
        if not self.is_world_process_zero():
            return
        token = token or self.args.hub_token
        with tempfile.TemporaryDirectory() as folder:
            self.model.config.save_pretrained(folder)
            if hasattr(self.model, "active_peft_config"):
                self.model.active_peft_config.save_pretrained(folder)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)
            files_to_push(folder, token=token, **self._sharing)
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        private = self.args.hub_private_repo if private is None else private
        self.hub_model_id = open_repository(HfApi(token=token), name, private)
        self.push_in_progress = None

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **card_options: Any,
    ) -> Any:
        """
        Saves the model into `output_dir` and pushes it; see [`~transformers.Trainer.push_to_hub`].

        Args:
            commit_message, blocking, token, revision, private (*optional*):
                As there; `private` is `hub_private_repo` by default, and that `True`.
            **card_options:
                Of `create_model_card`.

        Raises:
            PermissionError: the terms of the data forbid it, or a file holds a token.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token, private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        self.create_model_card(**card_options)
        self._finish_current_push()
        options = self._push_options(token, revision, private) | {"commit_message": commit_message}
        push = partial(push_folder, self.args.output_dir, self.hub_model_id, **options)
        return push() if blocking else HfApi().run_as_future(push)

    def _push_options(
        self, token: str | None = None, revision: str | None = None, private: bool | None = None
    ) -> dict[str, Any]:
        """As they are now: while a checkpoint is saved, the options hold no token."""
        return {
            "token": token or self.args.hub_token,
            "revision": revision or self.args.hub_revision,
            "private": self.args.hub_private_repo if private is None else private,
            **self._sharing,
        }

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Pushes a whole checkpoint in the background: as the model, and by its name if `hub_strategy` says so."""
        args = self.args
        if not self.is_world_process_zero() or args.hub_strategy == HubStrategy.END:
            return
        is_busy = self.push_in_progress is not None and not self.push_in_progress.is_done()
        if is_busy and not args.hub_always_push:
            return
        self.callback_handler.on_push_begin(args, self.state, self.control)
        copies = {HubStrategy.CHECKPOINT: "last-checkpoint", HubStrategy.ALL_CHECKPOINTS: Path(checkpoint_folder).name}
        places = ["", *([copies[args.hub_strategy]] if args.hub_strategy in copies else [])]
        # The checkpoint may be deleted while it is under way.
        kept = tempfile.mkdtemp(prefix="_push-", dir=args.output_dir)
        shutil.copytree(checkpoint_folder, kept, copy_function=_link_or_copy, dirs_exist_ok=True)
        card = Path(args.output_dir, "README.md")
        if card.is_file():
            Path(kept, card.name).unlink(missing_ok=True)  # which may be a link to that of the checkpoint
            shutil.copy(card, kept)
        options = self._push_options() | {"commit_message": f"Training in progress, step {self.state.global_step}"}
        job = HfApi().run_as_future(_push_and_remove, kept, self.hub_model_id, places, options)
        self._push_jobs = (*(self._push_jobs if is_busy else ()), job)
        self.push_in_progress = PushInProgress([*self._push_jobs])  # ty: ignore[invalid-argument-type] - a list, in truth

    def _finish_current_push(self) -> None:
        """Waits for pushes in the background, and says which of them failed."""
        super()._finish_current_push()
        for job in self._push_jobs:
            error = job.exception()
            if error is not None:
                logger.warning(f"A checkpoint was not pushed to '{self.hub_model_id}': {error}")

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        token, self.args.hub_token = self.args.hub_token, None  # `training_args.bin` would hold it in clear
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.args.hub_token = token


def _push_and_remove(folder: str, repo_id: str, places: list[str], options: dict[str, Any]) -> None:
    try:
        for place in places:
            push_folder(folder, repo_id, path_in_repo=place, **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


__all__ = ["PushArguments", "PushingTrainer"]
