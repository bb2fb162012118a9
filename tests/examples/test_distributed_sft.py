# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Prompt tuning by two processes, each way of sharing the work, against one process: the same losses and weights."""

from pathlib import Path

import pytest
import torch
from distributed_runs import SHARED, assert_equal_weights, launch_arguments, logged
from transformers.trainer_utils import get_last_checkpoint


CROSS = (
    "--interface", "cross_attention", "--adapter_layers", 0, 1, "--gate_learning_rate_ratio", 10,
    "--gradient_accumulation_steps", 2,
)  # fmt: skip
# 92 training rows are whole batches of 4: a last, smaller one would be filled up with other rows by each process.
WARMUP = ("--warmup_epochs", 1, "--max_steps", 2)


@pytest.fixture(scope="module")
def runs(launch_forked, corpus, text_model, tmp_path_factory) -> Path:
    """Folder of the runs: one process, two of each kind, and what is refused."""
    folder = tmp_path_factory.mktemp("runs")

    def job(config: str, output: str, *options: object) -> list:
        data = ("--dataset", corpus, "--text_model_id", text_model, "--output_dir", folder / output)
        rates = ("--encoder_dropout", 0, "--learning_rate", 3e-2, "--max_grad_norm", 0.1)
        return launch_arguments(config, "train_sft.py", 4, *data, *rates, *options)

    jobs = {"alone": job("single_gpu", "alone", *CROSS, "--max_steps", 4)}
    for kind in ("deepspeed_zero3", "fsdp2"):  # two steps first, which the next launch goes on from
        jobs[f"{kind}-begun"] = job(kind, kind, *CROSS, "--max_steps", 2)
    for kind in SHARED:
        jobs[kind] = job(kind, kind, *CROSS, "--max_steps", 4)
    jobs["warm-alone"] = job("single_gpu", "warm-alone", *WARMUP)
    jobs["warm"] = job("deepspeed_zero2", "warm", *WARMUP)
    refused = {
        "refused-zero3": job("deepspeed_zero3", "refused-zero3", *WARMUP),
        "refused-fsdp2": job("fsdp2", "refused-fsdp2", *WARMUP),
        "refused-no-cpu": [argument for argument in job("multi_gpu", "refused") if argument != "--use_cpu"],
    }
    launch_forked(folder, jobs | refused, may_fail=tuple(refused))
    return folder


def printed(runs: Path, name: str) -> str:
    """What all ranks of a job printed: the first that fails ends the others."""
    return "".join(log.read_text() for log in runs.glob(f"{name}.*"))


@pytest.mark.slow
class TestPromptTuning:
    @pytest.mark.parametrize("kind", SHARED)
    def test_two_processes_equal_one(self, runs, kind):
        """Token-weighted losses, clipped and accumulated gradients; under ZeRO-3 and FSDP2 in two launches."""
        found, expected = logged(runs / kind), logged(runs / "alone")
        assert found == pytest.approx(expected, rel=1e-5)
        assert_equal_weights(runs / kind, runs / "alone")
        assert expected[-1] < expected[0] - 0.01

    @pytest.mark.parametrize("kind", SHARED)
    def test_checkpoints_are_those_of_one_process(self, runs, kind):
        assert Path(get_last_checkpoint(runs / kind)).name == "checkpoint-4"
        for name in ("", "checkpoint-4"):
            shared, alone = runs / kind / name, runs / "alone" / name
            assert_equal_weights(shared, alone)
            assert (shared / "config.json").read_text() == (alone / "config.json").read_text()
            code = sorted(file.name for file in shared.glob("*.py") if not file.name.startswith("zero_to_"))
            assert code == sorted(file.name for file in alone.glob("*.py"))
        assert not (runs / kind / "_unfinished").exists()

    def test_gathered_checkpoint_loads_like_any_other(self, runs):
        from modeling_brainllm import BrainLlamaForCausalLM

        expected = BrainLlamaForCausalLM.from_pretrained(runs / "alone").state_dict()
        for kind in ("deepspeed_zero3", "fsdp2"):
            found = BrainLlamaForCausalLM.from_pretrained(runs / kind).state_dict()
            assert all(torch.allclose(found[name], weight, atol=1e-5) for name, weight in expected.items())


@pytest.mark.slow
class TestStages:
    def test_warmup_then_prompt_tuning_under_zero2(self, runs):
        assert logged(runs / "warm") == pytest.approx(logged(runs / "warm-alone"), rel=1e-5)
        assert_equal_weights(runs / "warm", runs / "warm-alone")

    @pytest.mark.parametrize(("kind", "name"), [("zero3", "ZeRO-3"), ("fsdp2", "FSDP")])
    def test_warmup_of_shards_is_refused(self, runs, kind, name):
        message = f"ValueError: The warm-up needs whole weights, which {name} splits among processes"
        assert message in printed(runs, f"refused-{kind}")

    def test_processes_that_would_train_alone_are_refused(self, runs):
        log = printed(runs, "refused-no-cpu")
        assert "2 processes were started together, but this one counts 1" in log
        assert "give the script `--use_cpu`" in log
