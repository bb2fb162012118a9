# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Recipes and documented commands: every option exists, and recipes hold only what differs from the defaults."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import yaml
from trl import TrlParser

from trainers import BrainSFTConfig, DataArguments, ModelArguments, SemanticArguments, WarmupArguments


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Those of train_sft.py; the other scripts have tests of their own.
RECIPES = sorted(
    path for path in (EXAMPLES / "recipes").glob("*.yaml") if not path.name.startswith(("contrastive", "grpo"))
)
PARTS = (ModelArguments, DataArguments, WarmupArguments, SemanticArguments, BrainSFTConfig)


def parse(arguments: list[str]) -> dict[type, object]:
    return dict(zip(PARTS, TrlParser(PARTS).parse_args_and_config(arguments), strict=True))


@pytest.fixture
def needed(tmp_path) -> list[str]:
    return ["--dataset", "rows", "--text_model_id", "model", "--output_dir", str(tmp_path), "--use_cpu"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
class TestRecipes:
    def test_parses(self, recipe, needed):
        parsed = parse(["--config", str(recipe), *needed, "--text_files", "text.txt"])
        for name, value in yaml.safe_load(recipe.read_text()).items():
            holders = [part for part in parsed.values() if name in {f.name for f in dataclasses.fields(part)}]
            assert len(holders) == 1, name
            assert getattr(holders[0], name) == value, name


class TestCommands:
    def test_official_is_as_published(self, needed):
        config = parse(["--config", str(EXAMPLES / "recipes" / "official.yaml"), *needed])[BrainSFTConfig]
        optimiser = (
            config.learning_rate,
            config.adam_beta1,
            config.adam_beta2,
            config.adam_epsilon,
            config.weight_decay,
        )
        assert optimiser == (1e-4, 0.9, 0.999, 1e-8, 0.0)
        assert (config.per_device_train_batch_size, config.max_grad_norm, config.seed) == (8, 10.0, 2021)
        assert (config.num_train_epochs, config.early_stopping_patience) == (100, 10)
        assert config.lr_scheduler_type == "constant"
        assert config.contrastive_weight == 0

    def test_documented_command_of_training(self, tmp_path, monkeypatch):
        text = (EXAMPLES / "train_sft.py").read_text()
        command = re.search(r"^    accelerate launch (.*?)\n\n", text, re.DOTALL | re.MULTILINE).group(1)
        script, *arguments = shlex.split(command.replace("\\\n", " "))
        monkeypatch.chdir(EXAMPLES.parent)
        arguments[arguments.index("--output_dir") + 1] = str(tmp_path)
        assert (EXAMPLES.parent / script).is_file()
        assert parse([*arguments, "--use_cpu"])[ModelArguments].text_model_id == "meta-llama/Llama-2-7b-hf"

    def test_plain_text_is_sampled_where_there_is_no_other(self):
        assert SemanticArguments(semantic=True).num_sampled_sentences == 10_000
        assert SemanticArguments(semantic=True, text_files=["text.txt"]).num_sampled_sentences == 0
        assert SemanticArguments(semantic=True, pretrained_interface="runs/plain-text").num_sampled_sentences == 0
        with pytest.raises(ValueError, match="needs plain text"):
            SemanticArguments(semantic=True, num_sampled_sentences=0)

    def test_one_origin_of_the_model(self):
        with pytest.raises(ValueError, match="Give either"):
            ModelArguments()
