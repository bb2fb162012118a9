# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Training curves go where `report_to` says; the extra `track` brings the readers."""

import pytest

from trainers.sft_config import BrainSFTConfig
from trainers.sft_trainer import BrainSFTTrainer


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
