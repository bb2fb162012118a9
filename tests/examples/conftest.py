# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus and a tiny language model, as folders for the scripts."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = [
    "the", "and", "in", "at", "after", "before", "every", "day", "night", "morning", "storm", "winter", "near",
    "behind", "inside", "beyond", "beside", "above", ".",
]  # fmt: skip


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Folder of a small synthetic corpus."""
    from dataset_builders import prepare_corpus, save_corpus

    folder = tmp_path_factory.mktemp("corpus")
    builder = prepare_corpus("synthetic_sentences", cache_dir=folder / "cache", num_passages=20, num_features=8)
    save_corpus(builder, folder / "rows")
    return folder / "rows"


@pytest.fixture(scope="session")
def text_model(tmp_path_factory) -> Path:
    """Folder of an untrained Llama with a word tokenizer of the grammar."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from dataset_builders.corpora.synthetic.sentences import CONTENT_WORDS

    vocabulary = dict.fromkeys(["<unk>", "<s>", "</s>", *WORDS, *CONTENT_WORDS])
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    folder = tmp_path_factory.mktemp("text_model")
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, bos_token_id=1, eos_token_id=2,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def run_example(tmp_path) -> Callable[..., str]:
    """Runs a documented command from an empty folder and returns what it printed."""

    def run(script: str, *arguments: object, launch: bool = False, env: dict[str, str] | None = None) -> str:
        launcher = (
            ["-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"] if launch else []
        )
        command = [sys.executable, *launcher, str(REPOSITORY / "examples" / script), *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"{script} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture
def run_here(monkeypatch, capsys) -> Callable[..., str]:
    """Runs a script without a process of its own, which would import everything anew, and returns what it printed."""

    def run(script: str, *arguments: object) -> str:
        file = str(REPOSITORY / "examples" / script)
        monkeypatch.setattr(sys, "argv", [file, *map(str, arguments)])
        runpy.run_path(file, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="session")
def launch_forked(tmp_path_factory) -> Callable[..., None]:
    """Runs `accelerate launch` with the arguments of each job, by name; what rank 0 prints goes to `logs / name.0`."""

    def launch(logs: Path, jobs: dict[str, list], may_fail: tuple[str, ...] = ()) -> None:
        entries = [
            {"log": str(logs / name), "arguments": list(map(str, arguments)), "may_fail": name in may_fail}
            for name, arguments in jobs.items()
        ]
        file = tmp_path_factory.mktemp("jobs") / "jobs.json"
        file.write_text(json.dumps(entries))
        command = [sys.executable, str(Path(__file__).parent / "forked_launch.py"), str(file)]
        paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"{done.stdout}\n{done.stderr}", pytrace=False)

    return launch
