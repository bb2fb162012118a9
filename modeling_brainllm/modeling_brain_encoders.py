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
The two brain encoders.

One protocol: `encoder(brain_values, ...)` gives `(brains, encoder tokens, encoder hidden)`, and the encoder's
configuration says how many tokens (`num_tokens`) of which width (`hidden_size`).
"""

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN

from .configuration_brainllama import FrameEncoderConfig, VoxelEncoderConfig


# The switches of the published encoders, so that each can be ablated; both sides of each are tested.
# trf-ignore: TRF041 use_frame_positions, unit_norm_output, separate_unlabelled, token_code_size, coordinate_extent
# trf-ignore: TRF041 normalize_logits, unit_norm_readout, activate_readout, num_hidden_layers, normalize_tokens


class SpreadLinear(nn.Linear):
    """
    A linear map that knows the standard deviations of its initial weights and bias.

    Initialisation must be known to the module that holds the weights: when a checkpoint is composed, modules without
    weights of their own are not asked to initialise.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, std: float = 0.02, bias_std: float = 0.0
    ):
        self.std, self.bias_std = std, bias_std
        super().__init__(in_features, out_features, bias=bias)

    def init_weights(self) -> None:
        """Normal weights; a normal or zero bias."""
        init.normal_(self.weight, std=self.std)
        if self.bias is not None:
            init.normal_(self.bias, std=self.bias_std)


class BrainEncoder(nn.Module):
    """What both encoders share: a frozen one is in evaluation mode, whatever the model around it is told."""

    def train(self, mode: bool = True):
        """Training mode only for an encoder that learns: dropout would blur what a frozen one says."""
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))


class FrameEncoderLayer(nn.Module):
    """Linear, activation, dropout: one hidden layer of [`FrameEncoder`]."""

    def __init__(self, config: FrameEncoderConfig, input_size: int, bias: bool):
        super().__init__()
        self.linear = SpreadLinear(input_size, config.hidden_size, bias=bias, std=config.initializer_range)
        self.act = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.act(self.linear(hidden_states)))


class FrameEncoder(BrainEncoder):
    """The "brain decoder" MLP of BrainLLM (Ye et al. 2025), frame by frame; its last linear map is the projector."""

    def __init__(self, config: FrameEncoderConfig):
        super().__init__()
        self.config = config
        shape = (config.num_frames, config.num_features)
        self.positions = nn.Parameter(torch.empty(shape)) if config.use_frame_positions else None
        sizes = [config.num_features] + [config.hidden_size] * config.num_hidden_layers
        # As published, only the first layer has a bias, and not even that when a position vector is added before it.
        self.layers = nn.ModuleList(
            FrameEncoderLayer(config, size, bias=index == 0 and not config.use_frame_positions)
            for index, size in enumerate(sizes[:-1])
        )
        # No hidden layer means one plain linear map, whose weights ridge regression can set.
        self.readout = None
        if config.num_hidden_layers == 0:
            self.readout = SpreadLinear(config.num_features, config.hidden_size, std=config.initializer_range)

    def init_weights(self) -> None:
        """Published initialisation: positions uniform in (-1, 1); each linear map initialises itself."""
        if self.positions is not None:
            init.uniform_(self.positions, -1.0, 1.0)

    def forward(self, brain_values: torch.Tensor) -> torch.Tensor:
        """
        Args:
            brain_values (`torch.Tensor` of shape `(brains, frames, features)`): Frames, standardised by the processor.

        Returns:
            `torch.Tensor` of shape `(brains, frames, hidden)`.
        """
        expected = f"[brains, frames<={self.config.num_frames}, features={self.config.num_features}]"
        shape = tuple(brain_values.shape)
        if len(shape) != 3 or shape[2] != self.config.num_features or shape[1] > self.config.num_frames:
            raise ValueError(
                f"`brain_values` must have shape {expected}; got {shape}. Prepare them with the processor of this "
                "checkpoint, or build the model with the sizes of your recording."
            )
        hidden_states = brain_values
        if self.positions is not None:
            hidden_states = hidden_states + self.positions[: shape[1]]
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        if self.readout is not None:
            hidden_states = self.readout(hidden_states)
        if self.config.unit_norm_output:
            hidden_states = nn.functional.normalize(hidden_states, dim=-1)
        return hidden_states


class VoxelResidualLayer(nn.Module):
    """Residual layer of the voxel encoder's shared prefix: linear, layer norm, GELU, dropout."""

    def __init__(self, config: VoxelEncoderConfig):
        super().__init__()
        self.linear = nn.Linear(config.num_queries, config.num_queries)
        self.norm = nn.LayerNorm(config.num_queries)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states + self.dropout(nn.functional.gelu(self.norm(self.linear(hidden_states))))


class VoxelEncoder(BrainEncoder):
    """
    Learnt queries attend over voxels by position and region (MindLLM, arXiv 2502.15786, section 3).

    With keys `K` made of geometry alone and raw voxel values `x`, the read-outs of a sample are `x softmax(Q Kᵀ)ᵀ`.
    The attention is thus one matrix per subject, computed once per subject and step and kept while weights are frozen.
    """

    def __init__(self, config: VoxelEncoderConfig):
        super().__init__()
        self.config = config
        self.frequencies = nn.Buffer(torch.empty(3, config.num_frequencies))
        self.coordinate_layers = nn.ModuleList(
            nn.Linear(2 * config.num_frequencies if index == 0 else config.key_size, config.key_size)
            for index in range(3)
        )
        extra_rows = 2 if config.separate_unlabelled else 1
        self.region_embeddings = nn.ModuleList(
            nn.Embedding(size + extra_rows, config.region_embedding_size) for size in config.region_sizes
        )
        self.key = nn.Linear(
            config.key_size + config.region_embedding_size * len(config.region_sizes), config.key_size
        )
        self.queries = nn.Parameter(torch.empty(config.num_queries, config.key_size))
        self.input_norm = nn.LayerNorm(config.num_queries)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.layers = nn.ModuleList(VoxelResidualLayer(config) for _ in range(config.num_residual_layers))
        # With token codes one small map is shared by all tokens; without, this is the published full head.
        self.token_size = config.token_code_size or config.hidden_size
        self.head = nn.Linear(config.num_queries, config.num_tokens * self.token_size)
        self.token_decoder = nn.Linear(self.token_size, config.hidden_size) if config.token_code_size else None
        self._attention_cache: dict[str, tuple[tuple, torch.Tensor]] = {}

    def init_weights(self) -> None:
        """Normal weights and frequencies, Xavier queries."""
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Embedding)):
                init.normal_(layer.weight, std=self.config.initializer_range)
        init.normal_(self.frequencies, std=self.config.frequency_scale)
        init.xavier_uniform_(self.queries)

    def voxel_keys(self, voxel_coordinates: torch.Tensor, voxel_regions: torch.Tensor) -> torch.Tensor:
        """Keys `(voxels, key size)` of voxels at `(voxels, 3)` with atlas labels `(voxels, atlases)`."""
        positions = voxel_coordinates.float()
        if self.config.coordinate_extent is not None:
            positions = positions / self.config.coordinate_extent
        angles = 2 * torch.pi * positions @ self.frequencies.float()
        hidden_states = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.key.weight.dtype)
        for index, layer in enumerate(self.coordinate_layers):
            hidden_states = layer(hidden_states if index == 0 else nn.functional.gelu(hidden_states))
        regions = []
        for atlas, embedding in enumerate(self.region_embeddings):
            # Label -1 is "not cortex", 0 "unlabelled"; as published, -1 wraps around to the last region.
            rows = voxel_regions[:, atlas] + 1 if self.config.separate_unlabelled else voxel_regions[:, atlas]
            regions.append(embedding(rows % embedding.num_embeddings))
        return self.key(torch.cat([*regions, hidden_states], dim=-1))

    def attention_weights(self, voxel_coordinates: torch.Tensor, voxel_regions: torch.Tensor) -> torch.Tensor:
        """Attention `(queries, voxels)` of one subject; rows sum to 1, or have length 1 with `unit_norm_readout`."""
        queries, keys = self.queries, self.voxel_keys(voxel_coordinates, voxel_regions)
        if self.config.normalize_logits:
            size = (self.config.key_size,)
            queries = nn.functional.rms_norm(queries, size) * (self.config.logit_scale / self.config.key_size**0.5)
            keys = nn.functional.rms_norm(keys, size)
        weights = (queries @ keys.T).float().softmax(dim=-1)
        if self.config.unit_norm_readout:
            weights = nn.functional.normalize(weights, dim=-1)
        return weights.to(self.queries.dtype)

    def _subject_attention(
        self, subject: str | None, coordinates: torch.Tensor, regions: torch.Tensor
    ) -> torch.Tensor:
        """`attention_weights`, kept per subject for as long as no gradient can flow and no weight has changed."""
        weights = [self.queries, self.frequencies, *self.key.parameters()]
        weights += [*self.coordinate_layers.parameters(), *self.region_embeddings.parameters()]
        learning = self.training or (torch.is_grad_enabled() and any(weight.requires_grad for weight in weights))
        if learning:
            # Weights are about to change, and a fused optimiser does so without raising their version.
            self._attention_cache.clear()
        if subject is None or learning or torch.compiler.is_compiling():
            return self.attention_weights(coordinates, regions)
        # An in-place update raises a tensor's version, and a replaced tensor lies elsewhere: either makes a new key.
        state = (len(coordinates), *((weight.data_ptr(), weight._version) for weight in weights))
        kept_state, attention = self._attention_cache.get(subject, (None, None))
        if kept_state != state:
            attention = self.attention_weights(coordinates, regions).detach()
            self._attention_cache[subject] = (state, attention)
        return attention

    @property
    def kept_attention(self) -> dict[str, torch.Tensor]:
        """Attention `(queries, voxels)` of each subject that was last encoded without gradients."""
        return {subject: attention for subject, (_, attention) in self._attention_cache.items()}

    def forward(
        self,
        brain_values: list[torch.Tensor],
        voxel_coordinates: list[torch.Tensor],
        voxel_regions: list[torch.Tensor],
        brain_subjects: list[str] | None = None,
    ) -> torch.Tensor:
        """
        Args:
            brain_values (`list` of `torch.Tensor` of shape `(brains of the subject, voxels of the subject)`):
                One entry per subject of the batch; nobody is padded to the largest brain.
            voxel_coordinates (`list` of `torch.Tensor` of shape `(voxels, 3)`):
                Positions in millimetres of a common space, per subject.
            voxel_regions (`list` of `torch.Tensor` of shape `(voxels, atlases)`):
                Labels; -1 not cortex, 0 unlabelled, then 1..size of the atlas.
            brain_subjects (`list[str]`, *optional*):
                Names of the subjects; with them the attention of a frozen encoder is kept. A name stands for one
                geometry.

        Returns:
            `torch.Tensor` of shape `(brains, tokens, hidden)`, the subjects' samples one after the other.
        """
        subjects = brain_subjects or [None] * len(brain_values)
        if not len(brain_values) == len(voxel_coordinates) == len(voxel_regions) == len(subjects):
            raise ValueError(
                "`brain_values`, `voxel_coordinates`, `voxel_regions` and `brain_subjects` must hold one entry per "
                f"subject; got {len(brain_values)}, {len(voxel_coordinates)}, {len(voxel_regions)}, {len(subjects)}."
            )
        readouts = []
        parts = zip(subjects, brain_values, voxel_coordinates, voxel_regions, strict=True)
        for subject, values, coordinates, regions in parts:
            if values.shape[-1] != len(coordinates) or regions.shape != (
                len(coordinates),
                len(self.region_embeddings),
            ):
                raise ValueError(
                    f"Subject {subject!r}: expected values [brains, voxels], coordinates [voxels, 3] and regions "
                    f"[voxels, {len(self.region_embeddings)}] of the same voxels; found {tuple(values.shape)}, "
                    f"{tuple(coordinates.shape)}, {tuple(regions.shape)}. Use the geometry saved with the processor."
                )
            readouts.append(values @ self._subject_attention(subject, coordinates, regions).T)
        hidden_states = self.input_norm(torch.cat(readouts))
        if self.config.activate_readout:
            hidden_states = nn.functional.gelu(hidden_states)
        hidden_states = self.input_dropout(hidden_states)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        tokens = self.head(hidden_states).unflatten(-1, (self.config.num_tokens, self.token_size))
        tokens = tokens if self.token_decoder is None else self.token_decoder(tokens)
        if self.config.normalize_tokens:
            tokens = nn.functional.rms_norm(tokens, tokens.shape[-1:])
        return tokens


ENCODERS = {FrameEncoderConfig.model_type: FrameEncoder, VoxelEncoderConfig.model_type: VoxelEncoder}

__all__ = ["ENCODERS", "BrainEncoder", "FrameEncoder", "SpreadLinear", "VoxelEncoder"]
