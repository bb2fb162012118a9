# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The private methods of TRL that reward tuning has to override: a release that changes them must not pass unseen."""

import inspect

import pytest
from grpo_runs import make_trainer
from testing_utils import save_tiny_text_model, save_tiny_tokenizer
from transformers import Trainer
from trl import GRPOTrainer

from trainers.grpo.grpo_trainer import BrainGRPOTrainer


# First parameters of each method that is overridden, as in the releases that `pyproject.toml` admits.
METHODS = {
    "_prepare_inputs": ["self", "generation_batch"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_tokenize_prompts": ["self", "prompts"],
    "_generate_single_turn": ["self", "prompt_ids", "images", "multimodal_fields", "num_generations"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_get_per_token_logps_and_entropies": [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
    ],
    "_compute_loss": ["self", "model", "inputs"],
    "_get_train_sampler": ["self", "dataset"],
    "_save": ["self", "output_dir", "state_dict"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_save_rng_state": ["self", "output_dir"],
    "_load_rng_state": ["self", "checkpoint"],
    "create_model_card": ["self"],
    "init_hf_repo": ["self", "token"],
}
# What TRL and the Trainer keep in the trainer, and our methods read or write.
ATTRIBUTES = (
    "_buffered_inputs", "_step", "_metrics", "_dist", "eos_token_ids", "generation_config", "generation_kwargs",
    "model_wrapped", "num_generations", "num_generations_eval", "num_iterations", "reward_weights",
    "reward_func_names", "multi_objective_aggregation", "shuffle_dataset",
)  # fmt: skip


class TestContract:
    @pytest.mark.parametrize("method", METHODS)
    def test_signature(self, method):
        parameters = list(inspect.signature(getattr(GRPOTrainer, method)).parameters)
        assert parameters[: len(METHODS[method])] == METHODS[method]

    def test_every_override_is_listed(self):
        inherited = {name for name, value in (vars(Trainer) | vars(GRPOTrainer)).items() if callable(value)}
        own = {name for name, value in vars(BrainGRPOTrainer).items() if callable(value)}
        assert (own & inherited) - {"__init__"} == METHODS.keys()

    def test_what_a_trainer_keeps(self, tmp_path):
        trainer = make_trainer(tmp_path, save_tiny_tokenizer(save_tiny_text_model(tmp_path / "llama")))
        assert [name for name in ATTRIBUTES if not hasattr(trainer, name)] == []
        sampler = trainer._get_train_sampler()
        assert (sampler.num_samples, sampler.generator.initial_seed()) == (6, trainer.args.seed)
        trainer.train()
        for name in ("_tr_loss", "_globalstep_last_logged"):
            assert hasattr(trainer, name)
        assert trainer.state.global_step == 2
