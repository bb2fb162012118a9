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
"""Text encoders by folder or Hub id: features of models that embed texts beside images, mean pooling for others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModelWithProjection

from .processes import loaded_whole
from .semantic import MeanPooledEmbedder


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
    with loaded_whole():
        model = (CLIPTextModelWithProjection if projects else AutoModel).from_pretrained(model_id).to(device)
    embedder = TextFeatureEmbedder if projects or hasattr(model, "get_text_features") else MeanPooledEmbedder
    return embedder(model, AutoTokenizer.from_pretrained(model_id))


__all__ = ["TextFeatureEmbedder", "load_text_encoder"]
