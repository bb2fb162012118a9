# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Texts → tokens in their context, by any transformer: what [`~trainers.metrics.bert_score`] asks for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from ..common.distributed import zero_init_off
from ..metrics import EmbeddedTokens


class TokenEmbedder:
    """
    Texts → hidden states of their tokens.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Any encoder or decoder without a head.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer, with a padding token.
        layer (`int`, *optional*, defaults to -1):
            Hidden state that is taken: 0 the input embeddings, -1 the last. BERTScore's authors chose a middle layer
            for each model, e.g. 17 of 24 for `roberta-large`.
        batch_size (`int`, *optional*, defaults to 64):
            Texts per forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, layer: int = -1, batch_size: int = 64):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.layer = layer
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(cls, model_id: str, layer: int = -1, **kwargs) -> "TokenEmbedder":
        """Loads any encoder by folder or Hub id, e.g. `FacebookAI/roberta-large`."""
        with zero_init_off():
            model = AutoModel.from_pretrained(model_id, **kwargs)
        return cls(model, AutoTokenizer.from_pretrained(model_id), layer)

    def __call__(self, texts: Sequence[str]) -> list[EmbeddedTokens]:
        """Tokens of each text, with vectors `[tokens, hidden]` in float32."""
        # Texts of like length share a batch, so that little is padded.
        order = np.argsort([len(text) for text in texts], kind="stable").tolist()
        found: dict[int, EmbeddedTokens] = {}
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            found |= zip(batch, self._embed([texts[i] for i in batch]), strict=True)
        return [found[place] for place in range(len(texts))]

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> list[EmbeddedTokens]:
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, return_tensors="pt", return_special_tokens_mask=True
        )
        is_special = inputs.pop("special_tokens_mask").bool().numpy()
        ids, present = inputs["input_ids"].numpy(), inputs["attention_mask"].bool().numpy()
        inputs = inputs.to(self.model.device)
        hidden = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer].float().cpu().numpy()
        return [
            EmbeddedTokens(own[kept].tolist(), vectors[kept], special[kept])
            for own, vectors, special, kept in zip(ids, hidden, is_special, present, strict=True)
        ]


__all__ = ["TokenEmbedder"]
