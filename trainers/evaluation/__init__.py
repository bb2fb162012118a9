# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Runs a model under every control and baseline, and leaves one table of samples."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "captions": ["caption_generation"],
        "evaluate": ["evaluate"],
        "predictions": ["evaluate_predictions"],
        "ridge_baseline": ["RidgeBaseline", "ridge_baseline"],
        "tasks": ["TASKS", "Task"],
        "text_predictions": ["evaluate_texts"],
    },
)
