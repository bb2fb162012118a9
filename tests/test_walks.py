# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How many files one follows to understand one thing. Each walk of CONTRIBUTING.md is drawn from a run: the files that it
enters, in the order in which it first enters them. `BRAINLLM_DRAW=1 pytest tests/test_walks.py` draws them anew.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from grpo_runs import make_rows, make_trainer
from layouts.bids import bids
from repository import REPOSITORY, ROOMS
from testing_utils import save_tiny_text_model, save_tiny_tokenizer

from dataset_builders import prepare_corpus
from trainers import (
    BrainSFTConfig,
    BrainSFTTrainer,
    DataArguments,
    ModelArguments,
    load_corpus_splits,
    load_model_and_processor,
)
from trainers.grpo.reward_setup import fit_document_frequencies
from trainers.grpo.rewards import CiderReward


DOCUMENT = REPOSITORY / "CONTRIBUTING.md"
ALONE = "BRAINLLM_WALKS_ALONE"


def files_of(work: Callable[[], object]) -> list[str]:
    """Files of the rooms whose functions run, in the order of their first call."""
    names: dict[str, None] = {}
    folders = tuple(f"{REPOSITORY / room}{os.sep}" for room in ROOMS)

    def notice(frame, event, argument):
        code = frame.f_code
        # Bodies of modules and classes run when they are imported, which is no step of a walk.
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(folders):
            names.setdefault(Path(code.co_filename).relative_to(REPOSITORY).as_posix())

    sys.setprofile(notice)
    try:
        work()
    finally:
        sys.setprofile(None)
    return list(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("walks")


@pytest.fixture(scope="module")
def text_model(folder) -> Path:
    return save_tiny_tokenizer(save_tiny_text_model(folder / "llama"))


@pytest.fixture(scope="module")
def trainer(folder, text_model) -> BrainSFTTrainer:
    from dataset_builders import save_corpus

    builder = prepare_corpus("synthetic_sentences", cache_dir=folder / "cache", num_passages=20, num_features=8)
    save_corpus(builder, folder / "rows")
    splits = load_corpus_splits(DataArguments(dataset=str(folder / "rows")))
    arguments = ModelArguments(text_model_id=str(text_model), interface="cross_attention", encoder_hidden_size=8)
    model, processor = load_model_and_processor(arguments, splits["train"])
    options = BrainSFTConfig(output_dir=str(folder / "sft"), use_cpu=True, report_to="none", disable_tqdm=True)
    return BrainSFTTrainer(model, options, splits["train"], splits["validation"], processing_class=processor)


def sample_to_loss(trainer):
    return files_of(lambda: trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader()))))


def prompt_to_text(trainer):
    row, processor = trainer.train_dataset[0], trainer.processing_class

    def decode():
        text = [processor.brain_token + row["prompt"]]
        inputs = processor(text=text, brain=[row["brain_values"]], subject=[row["subject"]], return_tensors="pt")
        processor.batch_decode(trainer.model.generate(**inputs, max_new_tokens=3))

    return files_of(decode)


def caption_to_gradient(folder, text_model):
    rows = make_rows()
    reward = CiderReward(fit_document_frequencies(rows))
    return files_of(make_trainer(folder / "grpo", text_model, reward=reward, rows=rows, max_steps=1).train)


def bids_run_to_rows(folder):
    runs = {f"sub-0{subject}_task-story_run-{run}": run for subject in (1, 2) for run in (1, 2)}
    bids(folder / "bids", runs)
    options = {"num_folds": 2, "validation_fraction": 0.0, "standardize": "none", "cache_dir": folder / "bids-cache"}
    return files_of(lambda: prepare_corpus("bids", folder / "bids", **options).as_dataset_dict())


def draw(walks: dict[str, list[str]]) -> str:
    lines = []
    for title, files in walks.items():
        lines.append(f"- **{title}**, {len(files)} files: " + " → ".join(f"`{name}`" for name in files))
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(ALONE in os.environ, reason="this is the process of its own")
def test_in_a_process_of_its_own():
    """What an earlier test of the same process has cached would not be called again."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", __file__]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment | {ALONE: "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(ALONE not in os.environ, reason="run in a process of its own by the test above")
def test_the_walks_of_contributing_are_those_of_the_code(folder, text_model, trainer):
    walks = {
        "sample → loss": sample_to_loss(trainer),
        "prompt → text": prompt_to_text(trainer),
        "caption → reward → gradient": caption_to_gradient(folder, text_model),
        "BIDS run → rows": bids_run_to_rows(folder),
    }
    text = DOCUMENT.read_text()
    drawn = re.sub(r"(<!-- walks:start -->\n).*?(<!-- walks:end -->)",
                   lambda found: f"{found[1]}{draw(walks)}\n{found[2]}", text, flags=re.DOTALL)  # fmt: skip
    if os.environ.get("BRAINLLM_DRAW"):
        DOCUMENT.write_text(drawn)
    else:
        assert drawn == text, "draw them anew: BRAINLLM_DRAW=1 pytest tests/test_walks.py"
