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
"""The scores of [`~trainers.metrics`] as classes of the library `evaluate`, which loads each by its folder, too."""

from .bert_score import BertScore
from .brainllm_scores import BrainLLMScores
from .caption_bleu import CaptionBleu
from .caption_cider import CaptionCider
from .caption_meteor import CaptionMeteor
from .caption_rouge import CaptionRouge
from .perplexity_gap import PerplexityGap
from .retrieval import Retrieval
from .sentence_similarity import SentenceSimilarity
from .text_scores import TextScores


__all__ = [
    "BertScore",
    "BrainLLMScores",
    "CaptionBleu",
    "CaptionCider",
    "CaptionMeteor",
    "CaptionRouge",
    "PerplexityGap",
    "Retrieval",
    "SentenceSimilarity",
    "TextScores",
]
