# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A folder `checkpoint-N` is whole and its weights are finite, whatever became of the run that wrote it."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from modeling_brainllm.checksums import CHECKSUMS_FILE
from trainers.common.checkpoints import UNFINISHED, find_checkpoint, finish_checkpoint, own_class
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


@pytest.fixture
def make_trainer(make_model, make_processor, make_rows, tmp_path):
    def make(trainer_class: type[BrainSFTTrainer] = BrainSFTTrainer, **options) -> BrainSFTTrainer:
        model = make_model()
        options = {
            "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 2, "use_cpu": True, "disable_tqdm": True,
            "report_to": "none", "max_steps": 6, **options,
        }  # fmt: skip
        args = BrainSFTConfig(output_dir=tmp_path / "run", **options)
        rows, processor = make_rows(), make_processor(model)
        return trainer_class(model, args, train_dataset=rows, eval_dataset=rows, processing_class=processor)

    return make


class DiesWhileSaving(BrainSFTTrainer):
    """Ends in the middle of its second save, when weights and optimizer are written and generators are not."""

    def _save_rng_state(self, output_dir: str) -> None:
        if self.state.global_step == 4:
            raise KeyboardInterrupt
        super()._save_rng_state(output_dir)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


class TestWhole:
    def test_save_that_was_cut_short_has_no_name(self, make_trainer, tmp_path):
        undisturbed = make_trainer(max_steps=6, save_strategy="no")
        undisturbed.train()
        with pytest.raises(KeyboardInterrupt):
            make_trainer(DiesWhileSaving).train()
        assert names(tmp_path / "run") == [UNFINISHED, "checkpoint-2"]
        assert Path(get_last_checkpoint(tmp_path / "run")).name == "checkpoint-2"
        resumed = make_trainer()
        resumed.train(resume_from_checkpoint=get_last_checkpoint(tmp_path / "run"))
        assert names(tmp_path / "run") == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
        expected = undisturbed.model.state_dict()
        assert all(torch.equal(weight, expected[name]) for name, weight in resumed.model.state_dict().items())

    def test_older_ones_go_after_the_new_one_has_its_name(self, make_trainer, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            make_trainer(DiesWhileSaving, save_total_limit=1).train()
        assert Path(get_last_checkpoint(tmp_path / "run")).name == "checkpoint-2"
        make_trainer(save_total_limit=1).train(resume_from_checkpoint=True)
        assert names(tmp_path / "run") == ["checkpoint-6"]

    def test_the_best_is_remembered_by_its_name(self, make_trainer, tmp_path):
        options = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True}
        trainer = make_trainer(**options, metric_for_best_model="loss", save_total_limit=1)
        trainer.train()
        best = f"checkpoint-{trainer.state.best_global_step}"
        assert trainer.state.best_model_checkpoint == str(tmp_path / "run" / best)
        for folder in (tmp_path / "run").glob("checkpoint-*"):
            state = json.loads((folder / "trainer_state.json").read_text())
            assert Path(state["best_model_checkpoint"]).parent == tmp_path / "run"
        loaded = BrainLlamaProcessor.from_pretrained(trainer.state.best_model_checkpoint)
        assert loaded.tokenizer.vocab_size == trainer.processing_class.tokenizer.vocab_size

    def test_a_second_one_of_the_same_step_replaces_the_first(self, tmp_path):
        for text in ("first", "second"):
            (tmp_path / UNFINISHED / "checkpoint-2").mkdir(parents=True)
            (tmp_path / UNFINISHED / "checkpoint-2" / text).write_text(text)
            finish_checkpoint(tmp_path, "checkpoint-2")
        assert names(tmp_path) == ["checkpoint-2"]
        assert {file.name for file in (tmp_path / "checkpoint-2").iterdir()} == {"second", CHECKSUMS_FILE}

    def test_own_class_of_a_model_that_is_not_sharded(self):
        model = nn.Linear(2, 2)
        with own_class(model):
            assert type(model) is nn.Linear
        assert type(model) is nn.Linear


class BreaksAWeight(TrainerCallback):
    """As an optimizer may whose step is too long for the weights' type."""

    def on_step_end(self, args, state, control, model, **kwargs) -> None:
        if state.global_step == 2:
            model.model.brain_interface.projector.output.weight.data[0, 0] = math.inf


class TestFinite:
    """What is NaN or infinite ends the run, and the last good checkpoint stays, whatever `save_total_limit` is."""

    def test_gradient(self, make_trainer, tmp_path):
        """The loss is finite; the step, of two batches, is neither taken nor saved, and the run can be taken up."""
        batches = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
        trainer = make_trainer(save_steps=1, save_total_limit=1, **batches)
        weight = trainer.model.model.brain_interface.projector.output.weight
        weight.register_hook(lambda gradient: gradient * (math.nan if trainer.state.global_step == 2 else 1.0))
        message = r"gradient of step 3 is NaN or infinite \(norm nan\), .* samples (tiny/\d+/\d, ){7}tiny/\d+/\d\. "
        with pytest.raises(FloatingPointError, match=message):
            trainer.train()
        assert names(tmp_path / "run") == ["checkpoint-2"]
        saved, weights = load_file(tmp_path / "run" / "checkpoint-2" / "model.safetensors"), trainer.model.state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in saved.items())
        make_trainer(save_steps=1, save_total_limit=1, **batches).train(resume_from_checkpoint=True)
        assert names(tmp_path / "run") == ["checkpoint-6"]

    def test_loss_of_some_texts(self, make_trainer, tmp_path):
        """Only the texts of the broken brain are named, and the checkpoint loads."""
        trainer = make_trainer(save_total_limit=1)
        collate, broken = trainer.data_collator, []

        def break_one(rows):
            batch = collate(rows)
            broken.append([row["sample_id"] for row in rows if row["brain_id"] == rows[0]["brain_id"]])
            if len(broken) == 4:
                batch["brain_values"][batch["brain_index"][0]] = math.nan
            return batch

        trainer.data_collator = break_one
        with pytest.raises(FloatingPointError) as error:
            trainer.train()
        assert f"loss of step 4 is nan, in the batch of samples {', '.join(broken[3])}. Look" in str(error.value)
        assert names(tmp_path / "run") == ["checkpoint-2"]
        model = BrainLlamaForCausalLM.from_pretrained(tmp_path / "run" / "checkpoint-2")
        assert all(weight.isfinite().all() for weight in model.state_dict().values())

    def test_weights(self, make_trainer, tmp_path):
        trainer = make_trainer(save_steps=1, save_total_limit=1)
        trainer.add_callback(BreaksAWeight())
        with pytest.raises(FloatingPointError, match=r"After step 2, 1 weights are NaN or inf.* \(.*output.weight\)"):
            trainer.train()
        assert Path(get_last_checkpoint(tmp_path / "run")).name == "checkpoint-1"
        with pytest.raises(FloatingPointError, match="checkpoints in '.*' are as they were"):
            trainer.save_model()


class TestFound:
    """The checkpoint from which a run goes on."""

    def test_the_last_one_or_the_one_that_is_named(self, make_trainer, tmp_path):
        args = make_trainer(max_steps=4).args
        assert find_checkpoint(args) is None
        trainer = make_trainer(max_steps=4)
        trainer.train()
        assert find_checkpoint(args) == str(tmp_path / "run" / "checkpoint-4")
        args.resume_from_checkpoint = str(tmp_path / "run" / "checkpoint-2")
        assert find_checkpoint(args) == args.resume_from_checkpoint

    @pytest.mark.parametrize("name", ["true", "run", "run/checkpoint-9"])
    def test_what_is_no_checkpoint_is_refused(self, make_trainer, tmp_path, name):
        make_trainer(max_steps=2).train()
        args = make_trainer(resume_from_checkpoint=str(tmp_path / name)).args
        with pytest.raises(ValueError, match=rf"`resume_from_checkpoint` is '.*{name}', which is no checkpoint"):
            find_checkpoint(args)
