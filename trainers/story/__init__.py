# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Full stories told from brains (Tang et al. 2023; Ye et al. 2025): windows, word rate, beam, scores beside nulls."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "beam": ["BeamSearch", "Hypothesis", "SearchOptions"],
        "decoding": ["DecodingOptions", "StoryDecoder", "other_times", "spoken_text"],
        "evaluation": ["StoryScore", "WindowGrid", "score_alone", "score_story"],
        "proposals": ["Proposals"],
        "random_likelihood": ["RandomLikelihoodSearch"],
        "reconstruction": ["Reconstruction", "reconstruct_story"],
        "scoring": ["StoryScorer"],
        "window_metrics": ["WINDOW_METRICS", "WindowMetric", "bert_recall"],
        "windows": ["Story", "StoryWindow", "TimedWord", "read_story"],
        "word_rate": ["WordRate", "better_than_shuffled", "count_tokens", "fit_word_rate"],
    },
)
