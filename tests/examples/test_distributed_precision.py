# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""bfloat16 acts in every trainer under DDP and ZeRO-2: told from what the layers of two processes computed."""

import json

import pytest
from repository import REPOSITORY
from testing_utils import save_tiny_text_model, save_tiny_tokenizer


STAGES = ("warmup", "sft", "contrastive", "grpo")
KINDS = {"multi_gpu": "MULTI_CPU", "deepspeed_zero2": "DEEPSPEED"}


@pytest.fixture(scope="module")
def runs(launch_forked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    save_tiny_tokenizer(save_tiny_text_model(folder / "text_model"))
    jobs = {}
    for kind in KINDS:
        file = REPOSITORY / "examples" / "accelerate_configs" / f"{kind}.yaml"
        launcher = ["--config_file", file, "--num_processes", 2, "--mixed_precision", "bf16"]
        for stage in STAGES:
            script = [REPOSITORY / "tests" / "precision_steps.py", folder, stage, "bf16"]
            jobs[f"{kind}-{stage}"] = [*launcher, *script]
    launch_forked(folder, jobs)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_compute_in_bfloat16(runs, kind, stage):
    lines = (runs / f"{kind}-{stage}.0").read_text().splitlines()
    found = json.loads(next(line for line in lines if line.startswith("FOUND")).partition(" ")[2])
    assert found["world"] == 2
    assert found["distributed"] == KINDS[kind]
    assert {name for types in found["types"].values() for name in types} == {"torch.bfloat16"}
    assert all(loss == loss for loss in found["losses"])
