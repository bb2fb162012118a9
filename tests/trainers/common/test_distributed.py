# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Processes that would train apart, and models that are loaded beside a sharded one."""

import pytest
from transformers import AutoModel
from transformers.integrations import HfDeepSpeedConfig, is_deepspeed_zero3_enabled

from trainers.common.distributed import require_whole_weights, zero_init_off
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer
from trainers.warmup.warmup_config import BrainWarmupConfig
from trainers.warmup.warmup_trainer import BrainWarmupTrainer


QUIET = {"use_cpu": True, "report_to": "none", "disable_tqdm": True}
ZERO3 = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}}


@pytest.mark.parametrize("kind", [(BrainSFTTrainer, BrainSFTConfig), (BrainWarmupTrainer, BrainWarmupConfig)])
def test_fsdp_that_would_be_none_is_refused(make_model, make_processor, make_rows, monkeypatch, tmp_path, kind):
    """On CPUs, or on one GPU, accelerate takes the wish for FSDP and does something else."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    (trainer_class, config_class), model = kind, make_model()
    args, processor = config_class(output_dir=tmp_path, **QUIET), make_processor(model)
    with pytest.raises(ValueError, match=r"FSDP was asked for, but accelerate would share the work as NO"):
        trainer_class(model, args, make_rows(), processing_class=processor)


def test_stage_that_needs_whole_weights(monkeypatch, tmp_path):
    args = BrainSFTConfig(output_dir=tmp_path, **QUIET)
    require_whole_weights(args, "The stage")
    zero3 = HfDeepSpeedConfig(ZERO3)  # known to transformers as long as it lives
    with pytest.raises(ValueError, match=r"The stage needs whole weights, which ZeRO-3 splits"):
        require_whole_weights(args, "The stage")
    del zero3
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"which FSDP splits among processes"):
        require_whole_weights(args, "The stage")


def test_loaded_whole_beside_zero3(text_model):
    zero3 = HfDeepSpeedConfig(ZERO3)
    with zero_init_off():
        assert not is_deepspeed_zero3_enabled()
        model = AutoModel.from_pretrained(text_model)
    assert all(weight.numel() for weight in model.parameters())
    assert is_deepspeed_zero3_enabled()
    del zero3
    assert not is_deepspeed_zero3_enabled()
