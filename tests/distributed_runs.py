# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Runs of the examples by one process and by two, and what must be equal between them."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
# Every way of sharing the work that the examples come with.
SHARED = ("multi_gpu", "deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3", "fsdp2")
# With its usual epsilon, Adam would blow up the rounding of gradients that are almost zero.
EXACT = (
    "--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--logging_steps", 1, "--adam_epsilon", 1e-3,
)  # fmt: skip


def launch_arguments(config: str, script: str, batch: int, *options: object) -> list:
    """Arguments of `accelerate launch`: two processes, or one where the configuration is of one, share a batch."""
    processes = 1 if config == "single_gpu" else 2
    file = EXAMPLES / "accelerate_configs" / f"{config}.yaml"
    launcher = ("--config_file", file, "--mixed_precision", "no", "--num_processes", processes)
    return [*launcher, EXAMPLES / script, "--per_device_train_batch_size", batch // processes, *EXACT, *options]


def logged(run: Path, name: str = "loss") -> list[float]:
    """A number that the trainer logged at every step."""
    history = json.loads((run / "trainer_state.json").read_text())["log_history"]
    return [entry[name] for entry in history if name in entry]


def assert_equal_weights(run: Path, other: Path, file: str = "model.safetensors") -> None:
    """Both hold the same weights, to rounding."""
    found, expected = load_file(run / file), load_file(other / file)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")
