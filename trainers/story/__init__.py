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
"""Full stories told from brains (Tang et al. 2023; Ye et al. 2025): windows, word rate, beam, scores beside nulls."""

from .beam import BeamSearch, Hypothesis, SearchOptions
from .decoding import DecodingOptions, StoryDecoder, other_times, spoken_text
from .evaluation import StoryScore, WindowGrid, score_alone, score_story
from .proposals import Proposals
from .random_likelihood import RandomLikelihoodSearch
from .reconstruction import Reconstruction, reconstruct_story
from .scoring import StoryScorer
from .window_metrics import WINDOW_METRICS, WindowMetric, bert_recall
from .windows import Story, StoryWindow, TimedWord, read_story
from .word_rate import WordRate, better_than_shuffled, count_tokens, fit_word_rate


__all__ = [
    "WINDOW_METRICS",
    "BeamSearch",
    "DecodingOptions",
    "Hypothesis",
    "Proposals",
    "RandomLikelihoodSearch",
    "Reconstruction",
    "SearchOptions",
    "Story",
    "StoryDecoder",
    "StoryScore",
    "StoryScorer",
    "StoryWindow",
    "TimedWord",
    "WindowGrid",
    "WindowMetric",
    "WordRate",
    "bert_recall",
    "better_than_shuffled",
    "count_tokens",
    "fit_word_rate",
    "other_times",
    "read_story",
    "reconstruct_story",
    "score_alone",
    "score_story",
    "spoken_text",
]
