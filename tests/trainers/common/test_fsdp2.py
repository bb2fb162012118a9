# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""FSDP2 itself, `fully_shard` without a trainer: two processes with half of each weight against the whole model."""

import os
import subprocess
import sys

import pytest
from repository import REPOSITORY


@pytest.mark.slow
def test_shards_train_generate_and_are_gathered(tmp_path):
    """Prefix and cross-attention: losses and weights of some steps, generated tokens, the slim checkpoint."""
    script = REPOSITORY / "tests" / "trainers" / "sharded_steps.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
