# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""LoRA on the language model in prompt tuning, both ways that PEFT puts it there: trained, saved, resumed, merged."""

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


TARGETS = r".*language_model\.layers\.\d+\.self_attn\.(q|v)_proj"
WHOLE = ["brain_encoder", "brain_interface"]


def with_lora_inside(model):
    torch.manual_seed(5)
    model.add_adapter(LoraConfig(r=4, target_modules=TARGETS))
    model.model.brain_encoder.requires_grad_(True)
    model.model.brain_interface.requires_grad_(True)
    return model


def with_lora_around(model):
    torch.manual_seed(5)
    return get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=TARGETS, modules_to_save=WHOLE))


WAYS = {"inside": with_lora_inside, "around": with_lora_around}


@pytest.fixture
def base(make_model, tmp_path):
    """A slim checkpoint, so that an adapter has something to be put on again."""
    model = make_model()
    model.save_pretrained(tmp_path / "base")
    return lambda: AutoModelForCausalLM.from_pretrained(tmp_path / "base")


@pytest.fixture
def make_trainer(base, make_processor, make_rows, tmp_path):
    def make(way: str, folder: str = "run", model=None, **options) -> BrainSFTTrainer:
        model = WAYS[way](base()) if model is None else model
        options = {
            "learning_rate": 1e-2, "save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "report_to": "none",
            "max_steps": 6, "logging_steps": 1, **options,
        }  # fmt: skip
        args = BrainSFTConfig(output_dir=tmp_path / folder, **options)
        return BrainSFTTrainer(
            model, args, train_dataset=make_rows(), eval_dataset=make_rows(8, seed=1),
            processing_class=make_processor(base()),
        )  # fmt: skip

    return make


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def evaluation(trainer) -> float:
    return trainer.evaluate()["eval_loss"]


@pytest.mark.parametrize("way", WAYS)
class TestLora:
    def test_learns_in_every_part_and_nowhere_else(self, make_trainer, way):
        trainer = make_trainer(way)
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.train()
        moved = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
        assert moved == set(weights(trainer.model))
        for part in ("lora_A", "lora_B", "brain_encoder", "brain_interface"):
            assert any(part in name for name in moved), part
        assert not any("language_model" in name and "lora_" not in name for name in moved)

    def test_resume_equals_undisturbed(self, make_trainer, way, tmp_path):
        whole = make_trainer(way, "whole", save_strategy="steps", save_steps=3)
        whole.train()
        resumed = make_trainer(way, "resumed")
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
        expected = weights(whole.model)
        for name, weight in weights(resumed.model).items():
            assert torch.equal(weight, expected[name]), name

    def test_best_checkpoint_is_put_back(self, make_trainer, way):
        options = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
        trainer = make_trainer(way, max_steps=6, load_best_model_at_end=True, learning_rate=0.3, **options)
        trainer.train()
        losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
        assert losses.index(min(losses)) < len(losses) - 1, "the last is the best, which shows nothing"
        assert evaluation(trainer) == pytest.approx(min(losses), rel=1e-6)

    def test_saved_and_merged_say_the_same(self, make_trainer, way, tmp_path):
        trainer = make_trainer(way)
        trainer.train()
        trainer.save_model(str(tmp_path / "saved"))
        expected, load = evaluation(trainer), AutoModelForCausalLM.from_pretrained
        loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "saved") if way == "around" else None
        loaded = load(tmp_path / "saved") if loaded is None else loaded
        assert evaluation(make_trainer(way, model=loaded)) == pytest.approx(expected, rel=1e-6)
        if way == "around":
            trainer.model.merge_and_unload().save_pretrained(tmp_path / "merged", merge_text_model=True)
            assert evaluation(make_trainer(way, model=load(tmp_path / "merged"))) == pytest.approx(expected, rel=1e-4)


def test_weights_that_peft_would_not_save_are_refused(base, make_trainer):
    model = get_peft_model(base(), LoraConfig(r=4, target_modules=TARGETS))
    make_trainer("around", model=model)  # LoRA alone is a choice
    model.get_base_model().model.brain_interface.requires_grad_(True)
    with pytest.raises(ValueError, match=r"brain_interface.*modules_to_save=.*add_adapter"):
        make_trainer("around", model=model)
