# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One run at a time writes into a folder."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


LOCK_FILE = ".in_use.lock"


@contextmanager
def hold_folder(folder: str | os.PathLike) -> Generator[None]:
    """
    Within, no other process holds the folder. The operating system lets go of it when a process ends, however it does.

    Args:
        folder (`str` or `os.PathLike`):
            Made if need be.

    Raises:
        BlockingIOError: If another process holds it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(folder).resolve() / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError(
            f"Another run is writing into '{folder}'. Wait for its end, or choose another `output_dir`: two runs in "
            "one folder would delete each other's checkpoints."
        ) from error
    try:
        yield
    finally:
        lock.release()


__all__ = ["LOCK_FILE", "hold_folder"]
