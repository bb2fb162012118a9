# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The stages before fine-tuning: a ridge map into the encoder, an interface learnt from plain text."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "plain_text": ["plain_text_rows", "read_sentences", "sample_text_from_model", "without_overlap"],
        "semantic": ["PredictionNoise", "SentenceEmbedder", "calibrate", "write_into_encoder"],
        "stages": [
            "collect_plain_text",
            "fit_encoder",
            "make_embedder",
            "run_semantic_stages",
            "run_warmup",
            "pretrain_interface",
            "with_predictions",
        ],
        "warmup_config": ["BrainWarmupConfig"],
        "warmup_trainer": ["BrainWarmupTrainer"],
    },
)
