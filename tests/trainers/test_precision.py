# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Mixed precision and compilation act in every trainer: told from what its layers computed, not from its options."""

import pytest
import torch
from precision_steps import make_trainer, watch
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
