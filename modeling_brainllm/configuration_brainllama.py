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
"""Every size and every switch of the model: two encoder configurations and the one that joins them to a Llama."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import LlamaConfig, PreTrainedConfig

from .publishing_brainllama import GuardedPush


# trf-ignore: TRF057
@strict
class FrameEncoderConfig(PreTrainedConfig):
    r"""
    Configuration of the frame encoder, an MLP applied to each brain frame (a TR, or one averaged image per sentence).

    The defaults are BrainLLM as published (Ye et al. 2025, official code): two hidden layers of the input width with
    ReLU and dropout 0.5. With `num_hidden_layers=0` the encoder is a single linear map, whose weights can be set in
    closed form by ridge regression.

    Args:
        num_features (`int`, *optional*, defaults to 1000):
            Features of one frame (principal components or voxels).
        hidden_size (`int`, *optional*, defaults to 1000):
            Width of the encoder's output.
        num_hidden_layers (`int`, *optional*, defaults to 2):
            Linear layers, each followed by the activation and dropout; 0 is one plain linear map with a bias.
        hidden_act (`str`, *optional*, defaults to `"relu"`):
            Activation after each hidden layer.
        dropout (`float`, *optional*, defaults to 0.5):
            Dropout after each activation.
        num_frames (`int`, *optional*, defaults to 1):
            Most frames of one brain sample.
        use_frame_positions (`bool`, *optional*, defaults to `False`):
            Whether a learnt vector per frame is added to the input. As published, the first layer then has no bias.
        unit_norm_output (`bool`, *optional*, defaults to `False`):
            Whether each output frame is scaled to Euclidean length 1, so that the length of a prediction, which says
            more about the recording than about the text, cannot reach the language model.
        initializer_range (`float`, *optional*, defaults to 0.01):
            Standard deviation of the initial weights.
    """

    model_type = "brainllama_frame_encoder"

    num_features: int = 1000
    hidden_size: int = 1000
    num_hidden_layers: int = 2
    hidden_act: str = "relu"
    dropout: float = 0.5
    num_frames: int = 1
    use_frame_positions: bool = False
    unit_norm_output: bool = False
    initializer_range: float = 0.01

    def validate_sizes(self):
        """Sizes must be positive; checked by `@strict` at construction."""
        _require_positive(self, "num_features", "hidden_size", "num_frames")

    @property
    def num_tokens(self) -> int:
        """Encoder tokens of the longest brain sample: one per frame."""
        return self.num_frames


# trf-ignore: TRF057
@strict
class VoxelEncoderConfig(PreTrainedConfig):
    r"""
    Configuration of the voxel encoder: learnt queries attend over voxels by position and region, in the manner of
    MindLLM (arXiv 2502.15786), so that subjects with different voxel counts share every weight.

    The defaults mend the faults of the published encoder; each field marked "published:" can restore the published
    behaviour, and [`VoxelEncoderConfig.published`] restores it in all of them (138.8 M parameters).

    Args:
        region_sizes (`list[int]`, *optional*, defaults to `(180, 25, 7, 5, 3)`):
            Labels of each atlas (HCP-MMP1, Kastner 2015, pRF visual ROIs, face areas, place areas).
        atlases (`list[str]`, *optional*):
            Names of the atlases, in the order of `region_sizes`, by which a corpus knows them.
        region_embedding_size (`int`, *optional*, defaults to 32):
            Width of a region's embedding, per atlas.
        num_frequencies (`int`, *optional*, defaults to 192):
            Random Fourier frequencies of the voxel position; each gives a cosine and a sine.
        frequency_scale (`float`, *optional*, defaults to 1.0):
            Standard deviation of the frequencies, in cycles per unit of (normalised) coordinate. Codes of two voxels
            at a distance `d` are alike by `exp(-2 (pi * frequency_scale * d)²)`, which at 1.0 and 100 mm a unit is a
            bell of 16 mm; published: 5.0 (a bell of 3 mm, less than brains differ once they are aligned).
        coordinate_extent (`float` or `None`, *optional*, defaults to 100.0):
            Millimetres of the common space that make one unit; published: `None`, raw voxel indices, for which the
            Fourier code is a hash without neighbourhood.
        key_size (`int`, *optional*, defaults to 128):
            Width of queries and keys.
        num_queries (`int`, *optional*, defaults to 1024):
            Read-outs, and width of the shared prefix.
        normalize_logits (`bool`, *optional*, defaults to `True`):
            Whether queries and keys are RMS-normalised and logits divided by the root of `key_size`, so that attention
            is selective from the first step; published: `False`, where attention starts uniform.
        logit_scale (`float`, *optional*, defaults to 4.0):
            Factor of the normalised logits, of which an untrained query has a standard deviation of 1 over voxels: how
            sharply it looks at first. Without `normalize_logits` there is none.
        unit_norm_readout (`bool`, *optional*, defaults to `True`):
            Whether each read-out is divided by the length of its attention row, so that averaging thousands of voxels
            does not shrink the signal below the epsilon of the layer norm; published: `False`.
        activate_readout (`bool`, *optional*, defaults to `False`):
            Whether read-outs pass a GELU before the shared prefix; published: `True`, which all but erases the half of
            them that is negative. Attention adds voxels and subtracts none, so that the sign says what became less.
        separate_unlabelled (`bool`, *optional*, defaults to `True`):
            Whether label -1 (not cortex) has an embedding of its own; published: `False`, where -1 is read as the last
            region of the atlas.
        num_residual_layers (`int`, *optional*, defaults to 4):
            Residual layers of the shared prefix.
        input_dropout (`float`, *optional*, defaults to 0.5):
            Dropout after the first norm.
        dropout (`float`, *optional*, defaults to 0.15):
            Dropout in the residual layers.
        num_tokens (`int`, *optional*, defaults to 128):
            Brain tokens of one brain sample.
        hidden_size (`int`, *optional*, defaults to 1024):
            Width of a brain token.
        token_code_size (`int` or `None`, *optional*, defaults to 64):
            Each token is decoded from a code of its own of this size by one shared linear map; published: `None`, one
            linear map to all tokens, which holds 97 % of the published parameters.
        normalize_tokens (`bool`, *optional*, defaults to `True`):
            Whether each token is scaled to a root mean square of 1, without weights. The alignment leaves tokens of
            any size, and an interface that starts with biases of unit size would not hear small ones; published:
            `False`.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial weights.
    """

    model_type = "brainllama_voxel_encoder"

    region_sizes: list[int] | tuple[int, ...] = (180, 25, 7, 5, 3)
    atlases: list[str] | None = None
    region_embedding_size: int = 32
    num_frequencies: int = 192
    frequency_scale: float = 1.0
    coordinate_extent: float | None = 100.0
    key_size: int = 128
    num_queries: int = 1024
    normalize_logits: bool = True
    logit_scale: float = 4.0
    unit_norm_readout: bool = True
    activate_readout: bool = False
    separate_unlabelled: bool = True
    num_residual_layers: int = 4
    input_dropout: float = 0.5
    dropout: float = 0.15
    num_tokens: int = 128
    hidden_size: int = 1024
    token_code_size: int | None = 64
    normalize_tokens: bool = True
    initializer_range: float = 0.02

    def validate_sizes(self):
        """Sizes must be positive; checked by `@strict` at construction."""
        _require_positive(self, "key_size", "num_queries", "num_tokens", "hidden_size", "num_frequencies")
        if self.atlases is not None and len(self.atlases) != len(self.region_sizes):
            raise ValueError(
                f"`atlases` must name one atlas for each of `region_sizes`; found {self.atlases} and "
                f"{list(self.region_sizes)}."
            )

    @classmethod
    def published(cls, **kwargs) -> "VoxelEncoderConfig":
        """The encoder as MindLLM published it, every switch off and the full head."""
        attention = {"frequency_scale": 5.0, "coordinate_extent": None, "normalize_logits": False}
        readout = {
            "unit_norm_readout": False,
            "activate_readout": True,
            "separate_unlabelled": False,
            "normalize_tokens": False,
        }
        return cls(**{**attention, **readout, "token_code_size": None, **kwargs})


ENCODER_CONFIGS = {config.model_type: config for config in (FrameEncoderConfig, VoxelEncoderConfig)}


# trf-ignore: TRF057
@strict
class BrainLlamaConfig(GuardedPush, PreTrainedConfig):
    r"""
    Configuration of a frozen Llama that reads a brain encoder through one of two interfaces.

    Args:
        text_config (`dict` or `LlamaConfig`, *optional*):
            The language model.
        encoder_config (`dict`, `FrameEncoderConfig` or `VoxelEncoderConfig`, *optional*):
            The brain encoder.
        text_model_id (`str`, *optional*):
            Hub id or folder of the language model, from which a slim checkpoint is composed.
        text_model_revision (`str`, *optional*):
            Commit of that repository.
        text_model_included (`bool`, *optional*, defaults to `True`):
            Whether the checkpoint of this configuration holds the language model's weights; `save_pretrained` sets it.
        text_model_digest (`dict[str, str]`, *optional*):
            Digests of the language model's weights and of its head, made when the model is composed; a slim
            checkpoint is composed with no others.
        adapters (`dict[str, dict]`, *optional*):
            Options of the PEFT adapters that the checkpoint holds, by name; `save_pretrained` sets it.
        data_terms (`list[dict]`, *optional*):
            Terms of the corpora that the model was trained on, which its card names; trainers set it.
        blocked_subjects (`list[str]`, *optional*):
            People of whose brains nothing is to be decoded. Model (of voxels) and feature extractor refuse them by
            name; see [`BrainLlamaFeatureExtractor.block_subjects`].
        blocked_topics (`list[str]`, *optional*):
            Sentences on what is not to be written down; decoded texts close to one are withheld by whoever decodes
            with [`~trainers.embedders.content_filter.ContentFilter`], such as `examples/generate.py`.
        interface (`str`, *optional*, defaults to `"prefix"`):
            `"prefix"`: brain tokens fill placeholder tokens of the prompt. `"cross_attention"`: gated adapters between
            decoder layers attend to the brain tokens, and the prompt holds no placeholder.
        projector_type (`str`, *optional*, defaults to `"linear"`):
            `"linear"`, or `"mlp"` with one hidden layer.
        projector_intermediate_size (`int`, *optional*):
            Width of the hidden layer; needed by `"mlp"`.
        projector_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the hidden layer.
        projector_bias (`bool`, *optional*, defaults to `True`):
            Whether the projector has biases; BrainLLM as published has none.
        tokens_per_embedding (`int`, *optional*, defaults to 1):
            Language-model tokens that the projector makes of each encoder token.
        adapter_layers (`list[int]`, *optional*):
            0-based decoder layers after which a cross-attention adapter stands. By default (3, 7, 11, 15) as on the
            poster of BIT-LLM (whether it counts from 0 or 1 is not published, our choice); language models of fewer
            than 16 layers have theirs after each quarter. That an adapter has one RMSNorm before
            its attention and no feed-forward layer after it is not published; our choice, which has the printed number
            of parameters.
        gate_init (`float`, *optional*, defaults to 0.0):
            Initial opening `tanh(gate)` of the adapters, at least 0 and below 1. At 0 training starts from the plain
            language model, as in Flamingo; wide open, the brain is heard from the first step, which counts where
            training is short. Not published; our choice.
        brain_token_id, brain_start_token_id, brain_end_token_id (`int`, *optional*):
            Placeholder and boundary tokens. By default the three ids above the language model's vocabulary: no
            embedding row is added, the text-only logits stay those of the language model, and no placeholder can ever
            be predicted.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the interface's initial weights.
        tie_word_embeddings (`bool`, *optional*):
            Follows the language model.
    """

    model_type = "brainllama"
    sub_configs = {"text_config": LlamaConfig, "encoder_config": PreTrainedConfig}
    keys_to_ignore_at_inference = ["past_key_values"]

    text_config: dict | PreTrainedConfig | None = None
    encoder_config: dict | PreTrainedConfig | None = None
    text_model_id: str | None = None
    text_model_revision: str | None = None
    text_model_included: bool = True
    text_model_digest: dict[str, str] | None = None
    adapters: dict[str, dict] | None = None
    data_terms: list[dict] | None = None
    blocked_subjects: list[str] | None = None
    blocked_topics: list[str] | None = None
    interface: Literal["prefix", "cross_attention"] = "prefix"
    projector_type: Literal["linear", "mlp"] = "linear"
    projector_intermediate_size: int | None = None
    projector_act: str = "gelu"
    projector_bias: bool = True
    tokens_per_embedding: int = 1
    adapter_layers: list[int] | tuple[int, ...] | None = None
    gate_init: float = 0.0
    brain_token_id: int | None = None
    brain_start_token_id: int | None = None
    brain_end_token_id: int | None = None
    initializer_range: float = 0.02
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        self.text_config = _build_text_config(self.text_config)
        self.encoder_config = build_encoder_config(self.encoder_config)
        names = ("brain_token_id", "brain_start_token_id", "brain_end_token_id")
        for offset, name in enumerate(names):
            if getattr(self, name) is None:
                setattr(self, name, self.text_config.vocab_size + offset)
        if self.adapter_layers is None:
            self.adapter_layers = _spread_adapters(self.text_config.num_hidden_layers)
        self.tie_word_embeddings = self.text_config.tie_word_embeddings
        super().__post_init__(**kwargs)

    def validate_interface(self):
        """Checks that the parts fit together; run by `@strict` at construction."""
        _require_positive(self, "tokens_per_embedding")
        if self.projector_type == "mlp" and not self.projector_intermediate_size:
            raise ValueError(
                '`projector_type="mlp"` needs `projector_intermediate_size`, the width of its hidden layer.'
            )
        if not 0 <= self.gate_init < 1:
            raise ValueError(f"`gate_init` is tanh(gate), at least 0 and below 1; got {self.gate_init}.")
        vocab_size = self.text_config.vocab_size
        ids = [self.brain_token_id, self.brain_start_token_id, self.brain_end_token_id]
        if min(ids) < vocab_size or len(set(ids)) < 3:
            raise ValueError(
                "`brain_token_id`, `brain_start_token_id` and `brain_end_token_id` must be three different ids above "
                f"the language model's vocabulary of {vocab_size}; got {ids}. Leave them unset to get the next three."
            )
        depth = self.text_config.num_hidden_layers
        if self.interface == "cross_attention" and not all(0 <= layer < depth for layer in self.adapter_layers):
            raise ValueError(
                f"`adapter_layers` must lie in 0..{depth - 1} for a language model of {depth} layers; got "
                f"{list(self.adapter_layers)}. Choose layers that exist, e.g. {list(range(1, depth, 2))}."
            )

    @property
    def num_token_ids(self) -> int:
        """Ids that a prompt may hold: the vocabulary, and the placeholder and boundary tokens above it."""
        return max(self.brain_token_id, self.brain_start_token_id, self.brain_end_token_id) + 1

    @property
    def num_brain_tokens(self) -> int:
        """Language-model tokens of the longest brain sample: `num_tokens * tokens_per_embedding`."""
        return self.encoder_config.num_tokens * self.tokens_per_embedding


def _spread_adapters(num_layers: int) -> list[int]:
    """The last layer of each quarter of the first 16 layers, of which there may be fewer."""
    depth = min(num_layers, 16)
    return sorted({math.ceil(quarter * depth / 4) - 1 for quarter in (1, 2, 3, 4)})


def _require_positive(config: PreTrainedConfig, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"`{name}` of {type(config).__name__} must be at least 1; got {getattr(config, name)}.")


def _build_text_config(text_config: dict | PreTrainedConfig | None) -> PreTrainedConfig:
    if text_config is None:
        return LlamaConfig()
    if isinstance(text_config, dict):
        text_config = {"model_type": "llama", **text_config}
    model_type = text_config["model_type"] if isinstance(text_config, dict) else text_config.model_type
    if model_type != "llama":
        raise ValueError(
            f"`text_config` must be that of a Llama-architecture model (model_type 'llama'); found '{model_type}'. "
            "Llama 2/3.x, TinyLlama and SmolLM2 checkpoints qualify."
        )
    return LlamaConfig(**text_config) if isinstance(text_config, dict) else text_config


def build_encoder_config(encoder_config: dict | PreTrainedConfig | None) -> PreTrainedConfig:
    if encoder_config is None:
        return FrameEncoderConfig()
    if isinstance(encoder_config, PreTrainedConfig):
        return encoder_config
    model_type = encoder_config.get("model_type", FrameEncoderConfig.model_type)
    if model_type not in ENCODER_CONFIGS:
        raise ValueError(
            f"`encoder_config.model_type` must be one of {sorted(ENCODER_CONFIGS)}; found '{model_type}'."
        )
    return ENCODER_CONFIGS[model_type](**encoder_config)


__all__ = ["BrainLlamaConfig", "FrameEncoderConfig", "VoxelEncoderConfig"]
