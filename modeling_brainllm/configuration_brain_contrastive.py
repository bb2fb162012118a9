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
"""Sizes and switches of the alignment model: a brain encoder, and one projection for each space it is aligned with."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_brainllama import build_encoder_config
from .publishing_brainllama import GuardedPush


TARGETS = ("text", "image")


# trf-ignore: TRF057
@strict
class BrainContrastiveConfig(GuardedPush, PreTrainedConfig):
    r"""
    Configuration of [`BrainContrastiveModel`], the first stage of BIT-LLM (ICML 2026 poster): brain embeddings are
    aligned with embeddings of the image that was seen and of its captions. The poster names the loss, a symmetric
    InfoNCE, and says nothing of pooling, heads or temperature.

    Args:
        encoder_config (`dict`, `FrameEncoderConfig` or `VoxelEncoderConfig`, *optional*):
            The brain encoder.
        target_sizes (`dict[str, int]`, *optional*, defaults to `{"text": 384}`):
            Width of the embeddings of each space with which brains are aligned; `"text"`, `"image"` or both.
        text_space (`list[float]`, *optional*):
            Coordinates of a fixed sentence, by which the text encoder is known again whose space is `"text"`; `None`
            where nobody knows it. Rewards that embed captions compare theirs.
        pooling (`str`, *optional*, defaults to `"flatten"`):
            How brain tokens make one vector: `"flatten"`, all side by side, so that each token is taught something of
            its own, or `"mean"`, with which heads have `num_tokens` times fewer weights, and tokens stay more alike.
            Not published; our choice.
        initial_temperature (`float`, *optional*, defaults to 0.07):
            Temperature of each space before training, that of CLIP. Not published; our choice.
        max_logit_scale (`float`, *optional*, defaults to 100.0):
            Bound of the inverse temperature, that of CLIP. Not published; our choice.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the heads' initial weights.
        data_terms (`list[dict]`, *optional*):
            Terms of the corpora that the model was trained on, which its card names; trainers set it.
    """

    model_type = "brain_contrastive"
    sub_configs = {"encoder_config": PreTrainedConfig}

    encoder_config: dict | PreTrainedConfig | None = None
    target_sizes: dict[str, int] | None = None
    text_space: list[float] | None = None
    pooling: Literal["flatten", "mean"] = "flatten"
    initial_temperature: float = 0.07
    max_logit_scale: float = 100.0
    initializer_range: float = 0.02
    data_terms: list[dict] | None = None

    def __post_init__(self, **kwargs):
        self.encoder_config = build_encoder_config(self.encoder_config)
        sizes = {"text": 384} if self.target_sizes is None else self.target_sizes
        # In one order, whatever that of the file: heads and temperatures follow it.
        self.target_sizes = dict(sorted(sizes.items()))
        super().__post_init__(**kwargs)

    def validate_targets(self):
        """Spaces are known, and the temperature lies within its bound; run by `@strict` at construction."""
        wrong = {name: size for name, size in self.target_sizes.items() if name not in TARGETS or size < 1}
        if wrong or not self.target_sizes:
            raise ValueError(
                f"`target_sizes` must give the width, at least 1, of one or more of the spaces {', '.join(TARGETS)}; "
                f"found {self.target_sizes}."
            )
        if not 0 < 1 / self.max_logit_scale <= self.initial_temperature < math.inf:
            raise ValueError(
                f"`initial_temperature` must be at least 1 / `max_logit_scale`; found {self.initial_temperature} and "
                f"{self.max_logit_scale}."
            )


__all__ = ["TARGETS", "BrainContrastiveConfig"]
