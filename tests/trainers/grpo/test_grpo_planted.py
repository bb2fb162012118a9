# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Planted: two brain patterns whose names the reward wants; it is earned by their brains, and by no others."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.grpo_trainer import BrainGRPOTrainer


NAMES = ("red", "blue")
NUM_FEATURES, BRAINS, STEPS = 6, 64, 55


def naming(completions, references, **columns):
    """Share of the words that name what was seen."""
    return [text.split().count(names[0]) / 3 for text, names in zip(completions, references, strict=True)]


def rows(shuffled: bool) -> Dataset:
    generator = np.random.default_rng(0)
    kinds = np.arange(BRAINS) % 2
    code = generator.standard_normal(NUM_FEATURES)
    values = np.where(kinds, 1.0, -1.0)[:, None] * code + 0.2 * generator.standard_normal((BRAINS, NUM_FEATURES))
    seen = generator.permutation(kinds) if shuffled else kinds
    return Dataset.from_list(
        [
            {
                "sample_id": f"{number}", "brain_id": f"{number}", "group": f"{number}", "subject": "s1",
                "prompt": "the cat is", "brain_values": [values[number].tolist()],
                "references": [NAMES[seen[number]]],
            }
            for number in range(BRAINS)
        ]
    )  # fmt: skip


def tune(folder, make_model, make_processor, interface: str, shuffled: bool) -> tuple[BrainGRPOTrainer, list[float]]:
    model = make_model(config_kwargs={"interface": interface, "tokens_per_embedding": 2, "adapter_layers": (0, 1)})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(1.0)
            elif "brain_interface" in name and "norm" not in name:
                parameter.normal_(std=0.5)
    options = {"per_device_train_batch_size": 64, "num_generations": 8, "max_completion_length": 3, "beta": 0.0}
    args = BrainGRPOConfig(
        output_dir=str(folder), learning_rate=2e-2, max_steps=STEPS, logging_steps=1, save_strategy="no", use_cpu=True,
        report_to=[], disable_tqdm=True, **options,
    )  # fmt: skip
    trainer = BrainGRPOTrainer(model, naming, args, rows(shuffled), processing_class=make_processor(model))
    trainer.train()
    return trainer, [log["reward"] for log in trainer.state.log_history if "reward" in log]


def greedy(trainer: BrainGRPOTrainer, rows: Dataset) -> set[str]:
    processor = trainer.processing_class
    text = [processor.brain_token + row["prompt"] for row in rows]
    inputs = processor(text=text, brain=[np.array(row["brain_values"]) for row in rows], subject="s1")
    tokens = trainer.model.eval().generate(**inputs, max_new_tokens=3, do_sample=False)
    return set(processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
def test_two_patterns_get_their_names(tmp_path, make_model, make_processor, interface):
    trainer, rewards = tune(tmp_path, make_model, make_processor, interface, shuffled=False)
    assert np.mean(rewards[:3]) < 0.2
    assert np.mean(rewards[-5:]) > 0.8
    first, second = (rows(False).select(range(kind, 10, 2)) for kind in range(2))
    assert greedy(trainer, first) == {"red red red"}
    assert greedy(trainer, second) == {"blue blue blue"}


@pytest.mark.slow
def test_under_shuffled_brains_there_is_no_more_than_one_name_for_all(tmp_path, make_model, make_processor):
    _, rewards = tune(tmp_path, make_model, make_processor, "cross_attention", shuffled=True)
    assert max(np.convolve(rewards, np.ones(5) / 5, "valid")) <= 0.6
