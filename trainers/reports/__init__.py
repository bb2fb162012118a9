# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a table of samples says, as JSON, Markdown, HTML and model card."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "charts": ["Series", "bar_chart", "line_chart", "png_figure"],
        "hub_results": ["save_eval_results"],
        "model_card": ["create_model_card", "push_adapter"],
        "noise_ceiling": ["noise_ceiling_section"],
        "pooling": ["pool_reports"],
        "report": ["EvaluationReport"],
        "sections": ["Section"],
    },
)
