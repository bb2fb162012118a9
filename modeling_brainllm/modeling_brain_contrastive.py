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
"""
The alignment model of stage 1: a brain encoder whose embeddings lie beside those of what was perceived.

    brain values ─▶ encoder ─▶ brain tokens ─▶ pooling ─┬─▶ text head  ─▶ unit vector ~ embedding of the captions
                                                        └─▶ image head ─▶ unit vector ~ embedding of the image
"""

import json
import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.modeling_outputs import ModelOutput

from .checksums import MODEL_FILES, record_checksums, refuse_shards_elsewhere, verify_checksums
from .configuration_brain_contrastive import BrainContrastiveConfig
from .modeling_brain_encoders import ENCODERS, BrainEncoder, SpreadLinear
from .publishing_brainllama import GuardedPush


# What a saved checkpoint offers to `trust_remote_code`.
AUTO_MAP = {
    "AutoConfig": "configuration_brain_contrastive.BrainContrastiveConfig",
    "AutoModel": "modeling_brain_contrastive.BrainContrastiveModel",
}


# trf-ignore: TRF057
@dataclass
class BrainContrastiveOutput(ModelOutput):
    """
    Embeddings of distinct brain samples.

    Args:
        embeddings (`dict[str, torch.Tensor]` of shape `(brains, width)`):
            For each target space the embedding of each brain, of length 1.
        logit_scales (`dict[str, torch.Tensor]` of shape `()`):
            For each target space the inverse temperature that multiplies cosines.
        tokens (`torch.Tensor` of shape `(brains, tokens, hidden)`):
            Brain tokens, as the later stages read them.
    """

    embeddings: dict[str, torch.Tensor] | None = None
    logit_scales: dict[str, torch.Tensor] | None = None
    tokens: torch.Tensor | None = None


# trf-ignore: TRF057
class BrainContrastiveModel(GuardedPush, PreTrainedModel):
    """
    A brain encoder, one bias-free projection for each space that brains are aligned with, and a temperature for each.

    It is the first stage of BIT-LLM; what the poster leaves open is said in [`BrainContrastiveConfig`]. The loss lives
    in `BrainContrastiveTrainer`, because its negatives come from all processes.
    """

    config: BrainContrastiveConfig

    def __init__(self, config: BrainContrastiveConfig):
        super().__init__(config)
        encoder = config.encoder_config
        self.brain_encoder = ENCODERS[encoder.model_type](encoder)
        # CODEPATH: every head reads all tokens ("flatten", the default) or their mean
        pooled_size = encoder.hidden_size * (encoder.num_tokens if config.pooling == "flatten" else 1)
        self.heads = nn.ModuleDict(
            {
                name: SpreadLinear(pooled_size, size, bias=False, std=config.initializer_range)
                for name, size in config.target_sizes.items()
            }
        )
        self.log_scales = nn.Parameter(torch.empty(len(config.target_sizes)))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, (BrainEncoder, SpreadLinear)):
            module.init_weights()
        elif module is self:
            init.constant_(self.log_scales, -math.log(self.config.initial_temperature))

    def get_input_embeddings(self) -> None:
        """None: the model reads no tokens."""

    # trf-ignore: TRF057
    def forward(
        self,
        brain_values: torch.Tensor | list[torch.Tensor],
        brain_attention_mask: torch.Tensor | None = None,
        voxel_coordinates: list[torch.Tensor] | None = None,
        voxel_regions: list[torch.Tensor] | None = None,
        brain_subjects: list[str] | None = None,
        brain_index: torch.LongTensor | None = None,
    ) -> BrainContrastiveOutput:
        r"""
        Args:
            brain_values (`torch.Tensor` `(brains, frames, features)` or `list` of `(brains, voxels)`):
                Input of the encoder; see [`FrameEncoder`] and [`VoxelEncoder`].
            brain_attention_mask (`torch.Tensor` of shape `(brains, frames)`, *optional*):
                1 for real frames, which come first; only for frames.
            voxel_coordinates, voxel_regions, brain_subjects (*optional*):
                Geometry of the subjects; only for voxels.
            brain_index (`torch.LongTensor` of shape `(brains,)`, *optional*):
                Order of the result, as the feature extractor gives it: entry i is the place of the i-th sample that it
                was handed. By default the order of `brain_values`, subject by subject.

        Returns:
            [`BrainContrastiveOutput`].
        """
        dtype = self.log_scales.dtype
        if voxel_coordinates is None:
            tokens = self.brain_encoder(brain_values.to(dtype))
        else:
            values = [value.to(dtype) for value in brain_values]
            tokens = self.brain_encoder(values, voxel_coordinates, voxel_regions, brain_subjects)
        if brain_index is not None:
            tokens = tokens[brain_index]
            brain_attention_mask = None if brain_attention_mask is None else brain_attention_mask[brain_index]
        pooled = self._pool(tokens, brain_attention_mask)
        embeddings = {name: nn.functional.normalize(head(pooled), dim=-1) for name, head in self.heads.items()}
        scales = self.log_scales.clamp(max=math.log(self.config.max_logit_scale)).exp()
        return BrainContrastiveOutput(embeddings, dict(zip(self.heads, scales, strict=True)), tokens)

    def embed(self, **inputs: Any) -> dict[str, torch.Tensor]:
        """For each target space the embeddings `(brains, width)` of brains, of length 1; inputs as in `forward`."""
        return self(**inputs).embeddings

    def _pool(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """One vector `(brains, pooled)` of tokens `(brains, tokens, hidden)`, of which absent frames have no part."""
        present = torch.ones_like(tokens[..., :1]) if mask is None else mask[..., None].to(tokens.dtype)
        # CODEPATH: "mean" is the smaller choice; ours, since none is published
        if self.config.pooling == "mean":
            return (tokens * present).sum(dim=1) / present.sum(dim=1)
        missing = self.config.encoder_config.num_tokens - tokens.shape[1]
        return nn.functional.pad(tokens * present, (0, 0, 0, missing)).flatten(1)

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Brings inverse temperatures back to their bound, as CLIP does at each step, so that they can still fall."""
        self.log_scales.clamp_(max=math.log(self.config.max_logit_scale))

    def copy_encoder(self, model: nn.Module) -> None:
        """
        Copies the weights of this encoder into a language model that reads brains, the way from stage 1 to stage 2.

        Args:
            model ([`BrainLlamaForCausalLM`] or [`BrainLlamaModel`]):
                A model with an encoder of the same configuration.

        Raises:
            ValueError: the encoders differ; names the fields.
        """
        own, other = (
            json.loads(config.encoder_config.to_json_string(False)) for config in (self.config, model.config)
        )
        names = [name for name in {**own, **other} if name not in WITHOUT_EFFECT and own.get(name) != other.get(name)]
        if names:
            found = ", ".join(f"{name}: {own.get(name)} and {other.get(name)}" for name in sorted(names))
            raise ValueError(
                f"The encoders of the two models differ ({found}). Build the language model with "
                "`encoder_config=contrastive_model.config.encoder_config`."
            )
        encoder = model.base_model.brain_encoder
        with _whole_weights(self.brain_encoder, encoder):
            encoder.load_state_dict(self.brain_encoder.state_dict())

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """See [`~transformers.PreTrainedModel.save_pretrained`]; the checkpoint can be loaded without this package."""
        self.config.auto_map = dict(AUTO_MAP)
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            record_checksums(save_directory, MODEL_FILES)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """See [`~transformers.PreTrainedModel.from_pretrained`]; its files are compared with their checksums."""
        if pretrained_model_name_or_path is not None:
            verify_checksums(pretrained_model_name_or_path, MODEL_FILES, kwargs.get("subfolder"))
            refuse_shards_elsewhere(pretrained_model_name_or_path, **kwargs)
        return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)


# Fields of an encoder's configuration that say nothing of what it computes.
WITHOUT_EFFECT = ("transformers_version", "dtype", "architectures", "_name_or_path")


@contextmanager
def _whole_weights(*modules: nn.Module) -> Generator[None]:
    """Within, weights are whole that DeepSpeed ZeRO-3 has scattered over processes."""
    if not is_deepspeed_zero3_enabled():
        yield
        return
    parameters = [parameter for module in modules for parameter in module.parameters()]
    with import_module("deepspeed").zero.GatheredParameters(parameters, modifier_rank=0):
        yield


BrainContrastiveConfig.register_for_auto_class()
BrainContrastiveModel.register_for_auto_class("AutoModel")

__all__ = ["BrainContrastiveModel", "BrainContrastiveOutput"]
