# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""An adapter goes on the model that it was trained on top of, in whichever precision, and on no other."""

import copy

import pytest
import torch
from grpo_runs import make_trainer
from peft import LoraConfig, get_peft_model
from testing_utils import save_tiny_text_model, save_tiny_tokenizer, tiny_brain_model

from trainers.common.adapter_base import describe_base, require_base, save_base


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture
def model(text_model, tmp_path):
    """The base of an adapter in `tmp_path`."""
    model = tiny_brain_model(text_model, "cross_attention", "frames")
    save_base(describe_base(model), tmp_path)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_same_in_any_precision(model, tmp_path, dtype):
    require_base(describe_base(copy.deepcopy(model).to(dtype)), tmp_path)


def test_the_adapter_is_no_part_of_its_base(model):
    expected = describe_base(model)
    adapted = get_peft_model(model, LoraConfig(target_modules=r".*language_model.*\.q_proj"))
    assert describe_base(adapted.get_base_model()) == expected


@pytest.mark.parametrize("part", ["brain_encoder", "brain_interface", "language_model"])
def test_other_values(model, tmp_path, part):
    """Of brain modules that were trained on, or of a language model with another adapter merged into it."""
    name, weight = max(getattr(model.model, part).named_parameters(), key=lambda item: item[1].numel())
    with torch.no_grad():
        weight += 0.03 * weight.std() * torch.randn_like(weight)
    with pytest.raises(ValueError, match=rf"model: 1 of \d+ weights have other values, .*`model.{part}.{name}`"):
        require_base(describe_base(model), tmp_path)


def test_other_shapes(model, text_model, tmp_path):
    other = tiny_brain_model(text_model, "cross_attention", "frames", adapter_layers=(0,))
    with pytest.raises(ValueError, match=r"`model.brain_interface.adapters.1.* had the shape .*, here it has none"):
        require_base(describe_base(other), tmp_path)


def test_one_that_does_not_say(model, tmp_path, caplog):
    (tmp_path / "adapter").mkdir()
    with caplog.at_level("WARNING"):
        require_base(describe_base(model), tmp_path / "adapter")
    assert "has no `adapter_base.json`" in caplog.text


def test_a_run_is_not_resumed_on_another_model(tmp_path, text_model):
    """Not even where nothing of the rollouts waits, so that no tensor of the wrong shape would stop it."""
    saving = {"save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path / "run", text_model, "cross_attention", **saving).train()
    trainer = make_trainer(tmp_path / "other", text_model, "prefix", max_steps=3)
    message = "its interface was 'cross_attention', this model's is 'prefix'"
    with pytest.raises(ValueError, match=message):
        trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
