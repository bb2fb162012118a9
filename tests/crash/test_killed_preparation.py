# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""An interrupted preparation is taken up: after a kill at any moment, the same command ends with the same files."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repository import REPOSITORY


PREPARE = REPOSITORY / "examples" / "prepare_dataset.py"
KILLS = int(os.environ.get("BRAINLLM_KILLS", "20"))
OPTIONS = (
    "store: recordings\nstandardize: train\nnum_components: 32\nnum_subjects: 6\nnum_frames: 12\nnum_features: 256\n"
)


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, str(PREPARE), "--corpus", "synthetic_sentences", "--output_dir", str(folder / "out")]
    command += [
        "--config",
        str(folder.parent / "options.yaml"),
        "--cache_dir",
        str(folder / "cache"),
        "--num_proc",
        "2",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode())


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.slow
@pytest.mark.robustness
def test_killed_preparations_end_with_the_same_files(tmp_path):
    (tmp_path / "options.yaml").write_text(OPTIONS)
    chance, started = random.Random(0), time.time()
    finish(start(tmp_path / "calm"))
    whole, expected = time.time() - started, hashes(tmp_path / "calm" / "out")
    killed = number = 0
    while killed < KILLS:
        folder, number = tmp_path / f"run{number}", number + 1
        process = start(folder)
        time.sleep(chance.uniform(0.3, 1.0) * whole)
        if process.poll() is not None:
            whole *= 0.9  # the machine has become faster
            continue
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        finish(start(folder))
        assert hashes(folder / "out") == expected, f"kill {killed}: {folder}"
