# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Alignment of a brain encoder with embeddings of texts and images."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "contrastive_config": ["BrainContrastiveTrainingConfig"],
        "contrastive_trainer": ["BrainContrastiveTrainer"],
        "encoder_diagnostics": ["diagnose_encoder"],
    },
)
