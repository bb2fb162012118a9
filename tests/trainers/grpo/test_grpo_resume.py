# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A run that is cut anywhere and goes on equals an undisturbed one, bit for bit, with rollouts that were waiting."""

import json
import shutil

import pytest
import torch
from grpo_runs import adapter_weights, low_words, make_trainer
from testing_utils import save_tiny_text_model, save_tiny_tokenizer

from trainers.grpo.reward_monitor import RewardMonitor
from trainers.grpo.rollout_state import load_rollouts, rollout_file, save_rollouts
from trainers.grpo.rollouts import EncodedBrains


STEPS = 9
# Six brains, two of them a generation batch: in each case epochs end, and cuts fall into waiting rollouts.
CASES = {
    "a rollout a step": {},
    "slices used twice": {"per_device_train_batch_size": 4, "steps_per_generation": 2, "num_iterations": 2},
    "accumulation": {
        "per_device_train_batch_size": 4, "steps_per_generation": 4, "gradient_accumulation_steps": 2,
        "num_iterations": 2, "logging_steps": 2,
    },
    "nothing shared": {
        "per_device_train_batch_size": 4, "steps_per_generation": 3, "share_prefill": False, "beta": 0.0,
        "logging_steps": 2,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


def make_run(folder, text_model, **options):
    saving = {"save_strategy": "steps", "save_steps": 1, "max_steps": STEPS, "optim": "adamw_torch"}
    monitor = {"reward_monitor": RewardMonitor(window=2)}
    return make_trainer(folder, text_model, "prefix", trainer_kwargs=monitor, **{**saving, **options})


def logs(trainer):
    """All that was logged but the clock."""
    clock = ("step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss")
    return [{k: v for k, v in entry.items() if k not in clock} for entry in trainer.state.log_history]


def assert_equal(run, other):
    for name, weight in adapter_weights(run).items():
        assert torch.equal(weight, adapter_weights(other)[name]), name
    for states in zip(run.optimizer.state.values(), other.optimizer.state.values(), strict=True):
        assert all(torch.equal(states[0][name], states[1][name]) for name in ("exp_avg", "exp_avg_sq", "step"))
    assert run.reward_monitor.state_dict() == other.reward_monitor.state_dict()
    assert json.dumps(logs(run), sort_keys=True) == json.dumps(logs(other), sort_keys=True)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_run_cut_anywhere(tmp_path, text_model, case):
    undisturbed = make_run(tmp_path / "whole", text_model, **CASES[case])
    undisturbed.train()
    for cut in range(1, STEPS):
        torch.manual_seed(cut)  # nothing of this process may be needed
        resumed = make_run(tmp_path / f"cut{cut}", text_model, **CASES[case])
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{cut}"))
        assert_equal(resumed, undisturbed)


def test_a_run_cut_within_a_generation_batch(tmp_path, text_model):
    case = {**CASES["slices used twice"], "max_steps": 4}
    undisturbed = make_run(tmp_path / "whole", text_model, **case)
    undisturbed.train()
    drawn = []

    def keep(completions, **columns):
        drawn.extend(completions)
        return low_words(completions)

    keep.__name__ = low_words.__name__
    resumed = make_run(tmp_path / "cut", text_model, reward=keep, **case)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-1"))
    assert_equal(resumed, undisturbed)
    assert not drawn  # all four steps learn from the rollouts of the first


def test_rollouts_are_kept_as_long_as_they_wait(tmp_path, text_model):
    make_run(tmp_path, text_model, **{**CASES["slices used twice"], "max_steps": 4}).train()
    waiting = [load_rollouts(rollout_file(tmp_path / f"checkpoint-{step}", 0), torch.device("cpu")) for step in (1, 4)]
    assert [len(slices or []) for _, slices, _ in waiting] == [2, 0]
    assert [brains is None for _, _, brains in waiting] == [False, True]
    assert [progress["step"] for progress, _, _ in waiting] == [1, 4]


@pytest.mark.parametrize("change", ["absent", "other batches"])
def test_without_its_rollouts_a_run_goes_on_with_a_warning(tmp_path, text_model, caplog, change):
    case = {**CASES["slices used twice"], "max_steps": 4}
    make_run(tmp_path / "whole", text_model, **case).train()
    checkpoint = shutil.copytree(tmp_path / "whole" / "checkpoint-1", tmp_path / "checkpoint-1")
    if change == "absent":
        rollout_file(checkpoint, 0).unlink()
        (checkpoint / "SHA256SUMS").unlink()  # which would miss it
    else:
        case |= {"per_device_train_batch_size": 8}
    resumed = make_run(tmp_path / "cut", text_model, **case)
    with caplog.at_level("WARNING"):
        resumed.train(resume_from_checkpoint=str(checkpoint))
    assert resumed.state.global_step == 4
    assert "rollouts are made anew" in caplog.text


def test_what_is_saved_is_read_again(tmp_path):
    slices = [
        {"ids": torch.arange(6).view(2, 3)[:, 1:], "n": torch.tensor(4), "sample_id": ["a", "b"]},
        {"ids": torch.ones(2, 2, dtype=torch.long), "n": torch.tensor(4), "sample_id": ["c", "d"]},
    ]
    brains = EncodedBrains(torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 1, 1]]), features=None)
    progress = {"step": 3, "metrics": {"reward": [0.1, float("nan")]}}
    save_rollouts(tmp_path / "file", progress, slices, brains)
    read, read_slices, (embeds, mask) = load_rollouts(tmp_path / "file", torch.device("cpu"))
    assert json.dumps(read) == json.dumps(progress)
    for rows, expected in zip(read_slices, slices, strict=True):
        assert rows["sample_id"] == expected["sample_id"]
        assert torch.equal(rows["ids"], expected["ids"])
        assert torch.equal(rows["n"], expected["n"])
    assert torch.equal(embeds, brains.embeds)
    assert torch.equal(mask, brains.mask)


def test_a_checkpoint_holds_no_pickled_rollouts(tmp_path, text_model):
    make_run(tmp_path, text_model, **{**CASES["slices used twice"], "max_steps": 1}).train()
    names = {file.name for file in (tmp_path / "checkpoint-1").iterdir()}
    assert "rollouts_0.safetensors" in names
    # The rest that torch pickles is the Trainer's own: optimiser, schedule, generators, arguments.
    assert {name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))} == {
        "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"
    }  # fmt: skip
