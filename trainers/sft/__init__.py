# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning of the brain interface."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "objectives": ["likelihood_contrast"],
        "sft_config": ["BrainSFTConfig"],
        "sft_trainer": ["BrainSFTTrainer"],
    },
)
