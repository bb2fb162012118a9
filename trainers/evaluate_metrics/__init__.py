# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The scores of [`~trainers.metrics`] as classes of the library `evaluate`, which loads each by its folder, too."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "bert_score": ["BertScore"],
        "brainllm_scores": ["BrainLLMScores"],
        "caption_bleu": ["CaptionBleu"],
        "caption_cider": ["CaptionCider"],
        "caption_meteor": ["CaptionMeteor"],
        "caption_rouge": ["CaptionRouge"],
        "perplexity_gap": ["PerplexityGap"],
        "question_answering": ["QuestionAnswering"],
        "retrieval": ["Retrieval"],
        "sentence_similarity": ["SentenceSimilarity"],
        "text_scores": ["TextScores"],
    },
)
