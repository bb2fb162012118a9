# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What every test may count on: no network, no cache of the user's, one thread, fixed seeds, a Hub on this machine."""

import atexit
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import LocalHub


# Libraries read these when they are imported, and no test module has been imported yet.
_HOME = tempfile.TemporaryDirectory(prefix="brainllm-tests-", ignore_cleanup_errors=True)
atexit.register(_HOME.cleanup)
os.environ |= {
    "HF_HOME": _HOME.name,
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "Agg",
    "DS_ACCELERATOR": "cpu",  # DeepSpeed would look for another, and say that it found none
}
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test may draw from the global generator
    if "torch" in sys.modules:  # the tests of corpora and metrics must not pay for importing it
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def local_hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run a script in a clean process and return what it printed; its errors become the failure message.

    The process stands in an empty folder, has no standard input, and sees only what is installed.
    `isolated=True` hides this package too: `-I` leaves the site-packages, in which an import hook blocks our rooms.
    """

    def run(script: str, *arguments: str, env: dict[str, str] | None = None, isolated: bool = False) -> str:
        folder = tmp_path / "empty"
        folder.mkdir(exist_ok=True)
        options = ["-I", "-c", _WITHOUT_OUR_ROOMS + script] if isolated else ["-c", script]
        done = subprocess.run(
            [sys.executable, *options, *arguments],
            env=env, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.fail(f"the process ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done.stdout

    return run


_WITHOUT_OUR_ROOMS = """
import importlib.abc, sys
class _Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("modeling_brainllm", "trainers", "dataset_builders"):
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the test)", name=name)
sys.meta_path.insert(0, _Hidden())
"""
