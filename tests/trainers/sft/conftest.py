# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A trainer of prompt tuning on tiny rows."""

import pytest

from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


@pytest.fixture
def make_trainer(make_model, make_processor, make_rows, tmp_path):
    def make(model=None, rows=None, eval_rows=None, folder="run", **options) -> BrainSFTTrainer:
        model = make_model() if model is None else model
        options = {
            "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "disable_tqdm": True,
            "report_to": "none", "max_steps": 8, **options,
        }  # fmt: skip
        return BrainSFTTrainer(
            model,
            BrainSFTConfig(output_dir=tmp_path / folder, **options),
            train_dataset=make_rows() if rows is None else rows,
            eval_dataset=eval_rows,
            processing_class=make_processor(model),
        )

    return make
