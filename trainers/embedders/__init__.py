# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors: sentence encoders, token embeddings, one cache."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "cache": ["CachedEncoder"],
        "text_encoders": ["MeanPooledEmbedder", "TextFeatureEmbedder", "load_text_encoder", "load_tokenizer"],
        "text_spaces": ["is_same_space", "text_space"],
        "token_embeddings": ["TokenEmbedder"],
    },
)
