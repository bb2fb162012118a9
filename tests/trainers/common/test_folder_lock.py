# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Two runs do not share a folder: the second is refused while the first lives, however it ends."""

import signal
import subprocess
import sys

import pytest

from trainers.common.folder_lock import LOCK_FILE, hold_folder


HOLDER = """
import sys, time
from trainers.common.folder_lock import hold_folder
with hold_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(3600)
"""


def test_the_second_is_refused_until_the_first_is_dead(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        (tmp_path / "link").symlink_to(tmp_path / "run")
        for folder in (tmp_path / "run", tmp_path / "link", tmp_path / "link" / ".." / "run"):
            with pytest.raises(BlockingIOError, match="Another run is writing into"), hold_folder(folder):
                pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with hold_folder(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK_FILE).exists()
    with hold_folder(tmp_path / "run"):
        pass


def test_a_trainer_holds_its_folder(make_model, make_processor, make_rows, tmp_path):
    from trainers.sft.sft_config import BrainSFTConfig
    from trainers.sft.sft_trainer import BrainSFTTrainer

    model = make_model()
    args = BrainSFTConfig(output_dir=tmp_path, max_steps=1, use_cpu=True, report_to="none", disable_tqdm=True)
    trainer = BrainSFTTrainer(model, args, train_dataset=make_rows(), processing_class=make_processor(model))
    with hold_folder(tmp_path), pytest.raises(BlockingIOError):
        trainer.train()
    trainer.train()
    trainer.train()
