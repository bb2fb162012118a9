# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores as pure functions of strings and arrays, without torch or transformers: one definition for all who score."""

from .baselines import best_constant_caption, best_constant_captions, human_ceiling
from .captions import (
    bleu_from_statistics,
    bleu_statistics,
    caption_bleu,
    caption_rouge_1,
    caption_rouge_l,
    caption_scores,
)
from .cider import Cider, DocumentFrequencies
from .constant_text import best_constant_text
from .embedding_scores import EmbeddedTokens, bert_score, inverse_document_frequencies, sentence_similarity
from .meteor import Meteor, classic_meteor, meteor_from_statistics
from .meteor_data import MeteorData
from .perplexity import corpus_perplexity_gap, perplexity_gap
from .ptb_tokenization import ptb_tokenize
from .question_answering import (
    best_constant_answers,
    by_question_type,
    exact_match,
    normalize_answer,
    vqa_accuracy,
)
from .retrieval import (
    Identification,
    identify,
    pairwise_accuracy,
    pairwise_wins,
    remove_text_prior,
    two_way_identification,
)
from .text import (
    brainllm_scores,
    corpus_bleu,
    corpus_bleu_from_statistics,
    corpus_bleu_statistics,
    corpus_word_error_rate,
    rouge_f1,
    sentence_bleu,
    text_scores,
    word_error_rate,
)
from .tokenization import detokenize, word_tokenize


__all__ = [
    "Cider",
    "DocumentFrequencies",
    "EmbeddedTokens",
    "Identification",
    "Meteor",
    "MeteorData",
    "bert_score",
    "best_constant_answers",
    "best_constant_caption",
    "best_constant_captions",
    "best_constant_text",
    "bleu_from_statistics",
    "bleu_statistics",
    "brainllm_scores",
    "by_question_type",
    "caption_bleu",
    "caption_rouge_1",
    "caption_rouge_l",
    "caption_scores",
    "classic_meteor",
    "corpus_bleu",
    "corpus_bleu_from_statistics",
    "corpus_bleu_statistics",
    "corpus_perplexity_gap",
    "corpus_word_error_rate",
    "detokenize",
    "exact_match",
    "human_ceiling",
    "identify",
    "inverse_document_frequencies",
    "meteor_from_statistics",
    "normalize_answer",
    "pairwise_accuracy",
    "pairwise_wins",
    "perplexity_gap",
    "ptb_tokenize",
    "remove_text_prior",
    "rouge_f1",
    "sentence_bleu",
    "sentence_similarity",
    "text_scores",
    "two_way_identification",
    "vqa_accuracy",
    "word_error_rate",
    "word_tokenize",
]
