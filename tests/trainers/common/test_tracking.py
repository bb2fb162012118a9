# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Training curves go where `report_to` says; the extra `track` brings the readers."""

import pytest

from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


def test_tensorboard_holds_what_the_trainer_logs(make_model, make_processor, make_rows, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: `pip install 'brainllm[track]'`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = {"use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1, "max_steps": 3}
    args = BrainSFTConfig(output_dir=tmp_path, report_to="tensorboard", **options)
    model = make_model()
    trainer = BrainSFTTrainer(model, args, train_dataset=make_rows(), processing_class=make_processor(model))
    trainer.train()
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    for name in ("loss", "grad_norm", "learning_rate"):
        logged = {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}
        assert {event.step: event.value for event in events.Scalars(f"train/{name}")} == pytest.approx(logged)
        assert len(logged) == 3
