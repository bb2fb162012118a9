# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Text encoders by folder or Hub id: features of models that embed texts beside images, mean pooling for others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModelWithProjection

from modeling_brainllm import BrainLlamaForCausalLM

from ..common.distributed import zero_init_off


class TextFeatureEmbedder:
    """
    Texts → a model's own text features, in the space of its image features; mean pooling knows nothing of that space.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            A model with `get_text_features`, such as [`~transformers.CLIPModel`], or a
            [`~transformers.CLIPTextModelWithProjection`].
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        batch_size (`int`, *optional*, defaults to 64):
            Texts per forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int = 64):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings `[texts, width]`, float32, of length 1."""
        starts = range(0, len(texts), self.batch_size)
        return np.concatenate([self._embed(list(texts[start : start + self.batch_size])) for start in starts])

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> np.ndarray:
        # A model that is given no mask (SigLIP) was trained on texts that are all padded to one length.
        padding = True if "attention_mask" in self.tokenizer.model_input_names else "max_length"
        inputs = self.tokenizer(texts, padding=padding, truncation=True, return_tensors="pt").to(self.model.device)
        inputs.pop("token_type_ids", None)
        if hasattr(self.model, "get_text_features"):
            found = self.model.get_text_features(**inputs)
            features = found if isinstance(found, torch.Tensor) else found.pooler_output
        else:
            features = self.model(**inputs).text_embeds
        return nn.functional.normalize(features.float(), dim=-1).cpu().numpy()


class MeanPooledEmbedder:
    """
    Texts → mean of a transformer's hidden states over their tokens.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Any encoder or decoder without a head.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        layer (`int`, *optional*, defaults to -1):
            Hidden state that is pooled: 0 the input embeddings, -1 the last.
        batch_size (`int`, *optional*, defaults to 64):
            Texts per forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, layer: int = -1, batch_size: int = 64):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.layer = layer
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(cls, model_id: str, layer: int = -1, **kwargs) -> "MeanPooledEmbedder":
        """Loads any encoder by folder or Hub id, e.g. `sentence-transformers/all-MiniLM-L6-v2`."""
        with zero_init_off():
            model = AutoModel.from_pretrained(model_id, **kwargs)
        return cls(model, AutoTokenizer.from_pretrained(model_id), layer)

    @classmethod
    def from_language_model(cls, model: Any, tokenizer: Any, layer: int) -> "MeanPooledEmbedder":
        """A causal language model, that of a brain model among them; middle layers hold more meaning than the last."""
        brain = isinstance(model, BrainLlamaForCausalLM)
        return cls(model.model.language_model if brain else model.base_model, tokenizer, layer)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings `[texts, hidden]`, float32, of length 1."""
        # Texts of like length share a batch, so that little is padded.
        order = np.argsort([len(text) for text in texts], kind="stable")
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        embeddings = np.concatenate([self._embed([texts[i] for i in batch]) for batch in batches])
        return embeddings[np.argsort(order)]

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> np.ndarray:
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, return_tensors="pt", return_special_tokens_mask=True
        )
        is_special = inputs.pop("special_tokens_mask").bool()
        # A sentence encoder was trained to pool its special tokens too; a decoder's first token is an outlier.
        counted = inputs["attention_mask"].bool()
        if self._is_decoder():
            counted &= ~is_special
            begin = self.tokenizer.bos_token_id
            if begin is not None and not (inputs["input_ids"][:, 0] == begin).all():
                inputs, counted = self._begin(inputs, counted)
        inputs, counted = inputs.to(self.model.device), counted[..., None].to(self.model.device)
        hidden = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer].float()
        return nn.functional.normalize((hidden * counted).sum(1), dim=-1).cpu().numpy()

    def _is_decoder(self) -> bool:
        return getattr(self.model.config, "is_decoder", False) or self.model.config.model_type == "llama"

    def _begin(self, inputs: Any, counted: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """Some tokenizers put no token before a text; then its first word would be the outlier."""
        first = torch.full((len(counted), 1), self.tokenizer.bos_token_id)
        inputs["input_ids"] = torch.cat([first, inputs["input_ids"]], dim=1)
        inputs["attention_mask"] = torch.cat([torch.ones_like(first), inputs["attention_mask"]], dim=1)
        return inputs, torch.cat([torch.zeros_like(first, dtype=torch.bool), counted], dim=1)


def load_tokenizer(model_id: str, start_token: str | None = None, **kwargs) -> Any:
    """
    The tokenizer of a folder or Hub id, with the token that begins a text as its `bos_token`.

    Args:
        model_id (`str`):
            Folder or Hub id.
        start_token (`str`, *optional*):
            Token that begins a text; the tokenizer's own `bos_token` by default.
        **kwargs:
            Further arguments of `AutoTokenizer.from_pretrained`, e.g. `revision`.

    Raises:
        ValueError: the token is unknown to the tokenizer.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(model_id, **kwargs)
    if start_token is not None:
        if start_token not in tokenizer.get_vocab():
            raise ValueError(
                f"The tokenizer of {model_id} has no token '{start_token}'; its special tokens are "
                f"{tokenizer.all_special_tokens}. Give one of its own as `text_start_token`."
            )
        tokenizer.bos_token = start_token
    return tokenizer


def load_text_encoder(model_id: str, device: Any = "cpu") -> MeanPooledEmbedder | TextFeatureEmbedder:
    """
    The text encoder of a folder or Hub id: text features where the model has them, else mean-pooled hidden states.

    Args:
        model_id (`str`):
            E.g. `openai/clip-vit-large-patch14`, or `sentence-transformers/all-MiniLM-L6-v2`.
        device (`torch.device` or `str`, *optional*, defaults to `"cpu"`):
            Where it is to compute.
    """
    # `AutoModel` would read a text tower without the projection that leads to the images.
    projects = "CLIPTextModelWithProjection" in (AutoConfig.from_pretrained(model_id).architectures or [])
    with zero_init_off():
        model = (CLIPTextModelWithProjection if projects else AutoModel).from_pretrained(model_id).to(device)
    embedder = TextFeatureEmbedder if projects or hasattr(model, "get_text_features") else MeanPooledEmbedder
    return embedder(model, AutoTokenizer.from_pretrained(model_id))


__all__ = ["MeanPooledEmbedder", "TextFeatureEmbedder", "load_text_encoder", "load_tokenizer"]
