# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Mixed precision and compilation act in every trainer: told from what its layers computed, not from its options."""

import json
import os
import subprocess
import sys

import pytest
import torch
from precision_steps import make_trainer, watch
from repository import REPOSITORY
from testing_utils import save_tiny_text_model, save_tiny_tokenizer


STAGES = ("warmup", "sft", "contrastive", "grpo")
LANGUAGE_MODEL = {"sft", "grpo"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the random language model lies."""
    folder = tmp_path_factory.mktemp("precision")
    save_tiny_tokenizer(save_tiny_text_model(folder / "text_model"))
    return folder


@pytest.mark.parametrize("stage", STAGES)
class TestOneProcess:
    @pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
    def test_layers_compute_in_the_precision_asked_for(self, folder, stage, bf16):
        trainer = make_trainer(stage, folder, bf16=bf16)
        seen = watch(trainer)
        trainer.train()
        expected = {torch.bfloat16 if bf16 else torch.float32}
        assert seen, "no layer was watched"
        assert {part: types for part, types in seen.items() if types != expected} == {}
        assert {"language_model", "lm_head"} <= set(seen) or stage not in LANGUAGE_MODEL
        assert {p.dtype for p in trainer.model.parameters() if p.requires_grad} == {torch.float32}

    def test_evaluation_computes_in_it_too(self, folder, stage):
        if stage not in ("sft", "contrastive"):
            pytest.skip("this stage is not evaluated during training")
        trainer = make_trainer(stage, folder, bf16=True)
        seen = watch(trainer)
        trainer.evaluate(trainer.train_dataset)
        assert set().union(*seen.values()) == {torch.bfloat16}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["warmup", "sft"])
def test_compiled_steps_are_the_plain_ones(folder, stage):
    runs = {}
    for compiled in (False, True):
        trainer = make_trainer(
            stage, folder, torch_compile=compiled, torch_compile_backend="eager" if compiled else None
        )
        trainer.train()
        runs[compiled] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        trainer.save_model(str(folder / f"{stage}-{compiled}"))
    assert runs[True] == pytest.approx(runs[False], rel=1e-5)
    names = [sorted(path.name for path in (folder / f"{stage}-{compiled}").iterdir()) for compiled in (False, True)]
    assert names[0] == names[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("config", "kind"), [("multi_gpu", "MULTI_CPU"), ("deepspeed_zero2", "DEEPSPEED")])
def test_two_processes_compute_in_bfloat16(folder, stage, config, kind):
    paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests" / "examples")))
    file = REPOSITORY / "examples" / "accelerate_configs" / f"{config}.yaml"
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file), "--num_processes", "2"]
    script = [str(REPOSITORY / "tests" / "precision_steps.py"), str(folder), stage, "bf16"]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launcher, "--mixed_precision", "bf16", *script], env=environment, capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if "FOUND" in line]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert found, done.stdout
    found = json.loads(found[-1].partition("FOUND")[2])
    assert found["world"] == 2
    assert found["distributed"] == kind
    assert {name for types in found["types"].values() for name in types} == {"torch.bfloat16"}
    assert all(loss == loss for loss in found["losses"])
