# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores and comparisons of tables of samples."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "captions": ["score_captions"],
        "comparisons": ["compare", "compare_by_subject"],
        "texts": ["score_texts"],
    },
)
