# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: from which one a run goes on, the folder that gets its name last, the class saved with a model."""

import os
import shutil
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.fsdp import FSDPModule
from transformers import TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from modeling_brainllm.checksums import record_checksums, verify_checksums


# A push to the Hub leaves out what begins with an underscore, and no search for checkpoints looks there.
UNFINISHED = "_unfinished"


def find_checkpoint(args: TrainingArguments) -> str | None:
    """
    The checkpoint from which a run goes on: the one that the user names, else the last one of its own folder, if any.

    Args:
        args ([`~transformers.TrainingArguments`]):
            Options of a trainer. `output_dir` is made where it does not exist.

    Raises:
        ValueError: `resume_from_checkpoint` is no folder of a checkpoint, or a file of it is not what was saved.
    """
    named, own = args.resume_from_checkpoint, str(args.output_dir)
    if named is None:
        Path(own).mkdir(parents=True, exist_ok=True)
        whole = [path for path in _by_step(Path(own)) if (path / TRAINER_STATE_NAME).is_file()]
        if not whole:
            return None
        verify_checksums(whole[-1])
        return str(whole[-1])
    if not Path(named, TRAINER_STATE_NAME).is_file():
        raise ValueError(
            f"`resume_from_checkpoint` is '{named}', which is no checkpoint: it has no `{TRAINER_STATE_NAME}`. Give a "
            f"folder `checkpoint-N`, or leave it out: a run goes on from the last one in '{own}' anyway."
        )
    verify_checksums(named)
    return named


@contextmanager
def own_class(model: Any) -> Generator[None]:
    """Within, a model is of the class that it was made of: FSDP gives it a subclass, made on the spot."""
    sharded = type(model)
    if isinstance(model, FSDPModule):
        _, model.__class__ = sharded.__bases__
    try:
        yield
    finally:
        model.__class__ = sharded


def finish_checkpoint(run: Path, name: str) -> None:
    """
    Flushes a written checkpoint to disk and gives it its name.

    Args:
        run (`Path`):
            Output folder of the run.
        name (`str`):
            Name of the checkpoint below `run / UNFINISHED`. An older one of this name is replaced.
    """
    unfinished, finished = run / UNFINISHED / name, run / name
    record_checksums(unfinished, ("*",))
    for path in [*unfinished.rglob("*"), unfinished]:
        flush(path)
    if finished.exists():
        finished.rename(run / UNFINISHED / f"{name}-replaced")
    unfinished.rename(finished)
    flush(run)
    shutil.rmtree(run / UNFINISHED)


def remove_old_checkpoints(run: Path, limit: int | None, kept: Collection[str]) -> None:
    """
    Removes the checkpoints of the fewest steps, whatever the clock says of their age.

    Args:
        run (`Path`):
            Output folder of the run.
        limit (`int`, *optional*):
            How many may stay; all by default.
        kept (`Collection[str]`):
            Names of those that stay in any case: the one just written, and the best.
    """
    if not limit or limit < 1:
        return
    checkpoints = _by_step(run)
    removable = [path for path in checkpoints if path.name not in kept]
    for path in removable[: max(0, len(checkpoints) - limit)]:
        shutil.rmtree(path)


def _by_step(run: Path) -> list[Path]:
    """Folders `checkpoint-N`, that of the fewest steps first."""
    found = [path for path in run.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.is_dir()]
    steps = {path: path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for path in found}
    return sorted((path for path in found if steps[path].isdigit()), key=lambda path: int(steps[path]))


def flush(path: Path) -> None:
    """Has a file or folder written to disk, so that it outlives not only the process but a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["UNFINISHED", "find_checkpoint", "finish_checkpoint", "own_class", "remove_old_checkpoints"]
