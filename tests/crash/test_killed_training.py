# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
An interrupted training is taken up: after kills at any moment, many of them in the middle of a save, a run goes on
from its last checkpoint, and ends with the very weights of an undisturbed one.

For comparison the same is done with the checkpoints of transformers' trainer, which are written in place: there the
folder of an unreadable checkpoint is taken away before the run goes on.
"""

import hashlib
import multiprocessing
import os
import random
import shutil
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer
from transformers.trainer_utils import get_last_checkpoint

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig
from trainers import BrainSFTConfig, BrainSFTTrainer


WORDS = ["<unk>", "<s>", "</s>", "red", "blue", "green", "gold", "the", "sky", "is"]
NUM_STEPS = 60
KILLS = int(os.environ.get("BRAINLLM_KILLS", "20"))
PATIENCE = 1800  # seconds that any run may take; a process that hangs is an error, not a wait without end
PROCESSES = multiprocessing.get_context("forkserver")  # a fork of this process would inherit locks of its threads


class InPlace(BrainSFTTrainer):
    """The same trainer with checkpoints as transformers writes them."""

    _save_checkpoint = Trainer._save_checkpoint


def save_text_model(folder: Path) -> None:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), **sizes)).save_pretrained(folder)


def make_rows() -> Dataset:
    chance = np.random.default_rng(0)
    rows = []
    for number in range(40):
        name, colour = f"rows/{number}", WORDS[3 + number % 4]
        shared = {"corpus": "rows", "stimulus": "s", "topic": "t", "subject": "s1", "text": f"the sky is {colour}"}
        own = {"sample_id": name, "brain_id": name, "group": name, "prompt": "the sky is", "completion": colour}
        rows.append({**shared, **own, "brain_values": chance.standard_normal((1, 64)).astype(np.float32).tolist()})
    return Dataset.from_list(rows)


def train(trainer_class: type[BrainSFTTrainer], text_model: Path, folder: Path) -> None:
    """Takes a run up at its last checkpoint. Exits with 1 when that cannot be read."""
    with folder.with_suffix(".log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        encoder = FrameEncoderConfig(num_features=64, hidden_size=128, num_frames=1)
        model = BrainLlamaForCausalLM.from_text_model(text_model, encoder, dtype=torch.float32)
        processor = BrainLlamaProcessor.from_config(model.config, PreTrainedTokenizerFast.from_pretrained(text_model))
        options = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_strategy": "no"}
        saving = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 2}
        args = BrainSFTConfig(output_dir=str(folder), max_steps=NUM_STEPS, **options, **saving)
        trainer = trainer_class(model, args, train_dataset=make_rows(), processing_class=processor)
        trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
        trainer.save_model()


def start(folder: Path, *arguments: object) -> BaseProcess:
    """Trains in a process of its own, forked by a server that has imported everything and has started no thread."""
    folder.mkdir(exist_ok=True)
    child = PROCESSES.Process(target=train, args=(*arguments, folder))
    child.start()
    return child


def end(child: BaseProcess, folder: Path) -> int:
    """Waits for the end of a process; returns its exit code, negative for the signal that has ended it."""
    child.join(PATIENCE)
    if child.is_alive():
        raise TimeoutError(f"{folder} has not ended within {PATIENCE} seconds; see {folder.with_suffix('.log')}")
    return child.exitcode


def outlive(kills: int, chance: random.Random, folder: Path, *arguments: object) -> dict[str, int]:
    """Kills runs until all kills are done, each time starting again where the last has ended."""
    counts, number = {"kills": 0, "in a save": 0, "could not go on": 0, "runs": 0}, 0
    while counts["kills"] < kills:
        run, number = folder / f"run{number}", number + 1
        counts["runs"] += 1
        while True:
            last = get_last_checkpoint(run) if run.is_dir() else None
            child = start(run, *arguments)
            if counts["kills"] < kills:
                wait_for_progress(child, run, last)
                time.sleep(chance.uniform(0, 0.15))
                child.kill()
            code = end(child, run)
            if code == 0:
                break
            if code < 0:
                counts["kills"] += 1
                counts["in a save"] += is_in_a_save(run)
            else:
                counts["could not go on"] += 1
                shutil.rmtree(str(get_last_checkpoint(run)))
    return counts


def wait_for_progress(child: BaseProcess, run: Path, last: str | None) -> None:
    """Waits until a run has come further than where it began, or has ended."""
    deadline = time.monotonic() + PATIENCE
    while get_last_checkpoint(run) == last and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)


def is_in_a_save(run: Path) -> bool:
    """Whether a save had begun and not ended: some of its files are absent, or it has no name yet."""
    if (run / "_unfinished").is_dir():
        return True
    last = get_last_checkpoint(run)
    return last is not None and not Path(last, "trainer_state.json").is_file()


@pytest.mark.slow
@pytest.mark.robustness
@pytest.mark.parametrize("trainer_class", [BrainSFTTrainer, InPlace])
def test_killed_runs_end_with_the_same_weights(trainer_class, tmp_path):
    PROCESSES.set_forkserver_preload(["trainers.sft.sft_trainer"])
    save_text_model(tmp_path / "text_model")
    folder, arguments = tmp_path / "runs", (trainer_class, tmp_path / "text_model")
    folder.mkdir()
    assert end(start(folder / "calm", *arguments), folder / "calm") == 0
    counts = outlive(KILLS, random.Random(0), folder, *arguments)
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*/model.safetensors")}
    assert len(hashes) == 1, counts
    if trainer_class is BrainSFTTrainer:
        assert counts["could not go on"] == 0, counts
