# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The warm-up: its loss by hand, its direction, its refusals."""

import pytest
import torch

from trainers.warmup.warmup_config import BrainWarmupConfig
from trainers.warmup.warmup_trainer import BrainWarmupTrainer


@pytest.fixture
def make_warmup(make_model, make_processor, make_rows, tmp_path):
    def make(model=None, rows=None, **options):
        model = make_model() if model is None else model
        options = {
            "max_steps": 40,
            "logging_steps": 1,
            "use_cpu": True,
            "disable_tqdm": True,
            "report_to": "none",
            **options,
        }
        config = BrainWarmupConfig(output_dir=tmp_path, **options)
        rows = make_rows() if rows is None else rows
        return BrainWarmupTrainer(model, config, train_dataset=rows, processing_class=make_processor(model))

    return make


def batch_of(trainer, rows):
    return trainer.data_collator([rows[i] for i in range(len(rows))])


class TestWarmupLoss:
    def test_by_hand(self, make_warmup, make_rows):
        trainer, rows = make_warmup(), make_rows(3)
        model, tokenizer = trainer.model.eval(), trainer.processing_class.tokenizer
        terms = []
        for row in rows:
            token = model.model.get_brain_features(brain_values=torch.tensor([row["brain_values"]])).tokens[0]
            ids = tokenizer(row["prompt"], add_special_tokens=False, return_tensors="pt")["input_ids"]
            target = model.get_input_embeddings()(ids)[0].mean(0)
            terms.append((token - target).square().mean())
        torch.testing.assert_close(trainer.compute_loss(model, batch_of(trainer, rows)), torch.stack(terms).mean())

    def test_position_table_is_left_out(self, make_warmup, make_model, make_rows):
        model, rows = make_model(num_frames=2, use_frame_positions=True), make_rows(3, num_frames=2)
        trainer = make_warmup(model=model, rows=rows)
        with_table = trainer.compute_loss(model.eval(), batch_of(trainer, rows))
        with_table.backward()
        table = model.model.brain_encoder.positions
        assert table.grad.abs().max() < 1e-6
        with torch.no_grad():
            table.zero_()
        torch.testing.assert_close(trainer.compute_loss(model, batch_of(trainer, rows)), with_table.detach())

    def test_padded_frames_do_not_count(self, make_warmup, make_model, make_rows):
        model = make_model(num_frames=3)
        long, short = make_rows(1, num_frames=3)[0], {**make_rows(1)[0], "brain_id": "short"}
        trainer = make_warmup(model=model, rows=make_rows(2, num_frames=3))
        alone = [trainer.compute_loss(model.eval(), trainer.data_collator([row])).item() for row in (long, short)]
        together = trainer.compute_loss(model, trainer.data_collator([long, short])).item()
        assert together == pytest.approx((3 * alone[0] + alone[1]) / 4, abs=1e-6)

    def test_training_lowers_it(self, make_warmup):
        trainer = make_warmup()
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        assert losses[-1] < 0.9 * losses[0]


class TestRefusals:
    def test_cross_attention(self, make_warmup, make_model):
        with pytest.raises(ValueError, match="puts no brain token among the text"):
            make_warmup(model=make_model(config_kwargs={"interface": "cross_attention", "adapter_layers": [0]}))

    def test_row_without_prompt(self, make_warmup, make_rows):
        trainer = make_warmup()
        with pytest.raises(ValueError, match="tiny/0/1 have none"):
            trainer.compute_loss(trainer.model, trainer.data_collator([{**make_rows(1)[0], "prompt": ""}]))
