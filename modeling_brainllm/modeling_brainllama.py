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
"""A frozen Llama that reads a brain: two encoders, two interfaces, one causal language model.

    brain values ─▶ encoder ─▶ projector ─┬─▶ prefix: fills the placeholder tokens of the prompt
                                          └─▶ cross-attention: keys and values of the gated adapters

Axis words used throughout: batch (text rows), brains (distinct brain samples), frames, features, voxels, tokens
(language-model positions), hidden.
"""

import math
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, Cache, DynamicCache, EncoderDecoderCache, GenerationConfig, GenerationMixin
from transformers import initialization as init
from transformers.generation import LogitsProcessor, LogitsProcessorList
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, ModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer, LlamaModel
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    cached_file,
    logging,
    torch_compilable_check,
)
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.hub import extract_commit_hash, get_checkpoint_shard_files
from transformers.utils.output_capturing import capture_outputs

from .configuration_brainllama import BrainLlamaConfig, FrameEncoderConfig, VoxelEncoderConfig
from .generation_brain_guidance import BrainGuidanceLogitsProcessor
from .modeling_brain_encoders import ENCODERS, FrameEncoder, SpreadLinear, VoxelEncoder
from .modeling_brain_interface import BrainAdapter, BrainCrossAttention, BrainInterface


BRAIN_INPUTS = (
    "brain_values",
    "brain_attention_mask",
    "brain_index",
    "voxel_coordinates",
    "voxel_regions",
    "brain_subjects",
    "encoder_outputs",
    "condition_mask",
    "brain_features",
)
TEXT_MODEL_PARTS = ("language_model.", "lm_head.")
# What a saved checkpoint offers to `trust_remote_code`; transformers itself would write the saved class only.
AUTO_MAP = {
    "AutoConfig": "configuration_brainllama.BrainLlamaConfig",
    "AutoModel": "modeling_brainllama.BrainLlamaModel",
    "AutoModelForCausalLM": "modeling_brainllama.BrainLlamaForCausalLM",
}
HUB_ARGUMENTS = ("cache_dir", "force_download", "proxies", "local_files_only", "token")


# `auto_docstring` is left out (its standard texts say less than ours, and it prints at import what it does not know).
# trf-ignore: TRF057
@dataclass
class BrainFeatures(ModelOutput):
    """
    What the language model reads of the distinct brain samples of a batch; made once by `encode_brain`, however many
    text rows, beams or returned sequences share a sample.

    Args:
        tokens (`torch.Tensor` of shape `(brains, tokens, hidden)`):
            Projected brain tokens.
        mask (`torch.Tensor` of shape `(brains, tokens)`, *optional*):
            True for real tokens; `None` when all are.
        keys_values (`list[tuple[torch.Tensor, torch.Tensor]]`):
            Keys and values `(brains, key-value heads, tokens, head size)` of each cross-attention adapter.
    """

    tokens: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    keys_values: list[tuple[torch.Tensor, torch.Tensor]] | None = None


class BrainCache(EncoderDecoderCache):
    """The language model's self-attention cache, the adapters' keys and values, and which brain tokens are real."""

    def __init__(self, self_attention_cache: Cache, brain_mask: torch.Tensor | None):
        super().__init__(self_attention_cache, DynamicCache())
        self.brain_mask = brain_mask


class PlaceholderSafeProcessor(LogitsProcessor):
    """
    Runs logits processors on scores that have a column for every id of the prompt.

    Placeholder ids lie above the vocabulary, where processors that look up the score of each prompt token (repetition
    penalty) would read out of bounds: the extra columns hold -inf for them and are cut off afterwards.
    """

    def __init__(self, processors: LogitsProcessorList, num_ids: int):
        self.processors = processors
        self.num_ids = num_ids

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        vocab_size = scores.shape[-1]
        padded = nn.functional.pad(scores, (0, self.num_ids - vocab_size), value=-torch.inf)
        return self.processors(input_ids, padded)[:, :vocab_size]


# trf-ignore: TRF057
class BrainLlamaPreTrainedModel(PreTrainedModel):
    """Initialisation, and checkpoints that hold the brain modules and the name of their language model."""

    config: BrainLlamaConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LlamaDecoderLayer", "BrainAdapter"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": LlamaDecoderLayer,
        "attentions": LlamaAttention,
        "cross_attentions": BrainCrossAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, (FrameEncoder, SpreadLinear, VoxelEncoder)):
            module.init_weights()
        elif isinstance(module, BrainAdapter):
            init.constant_(module.gate, math.atanh(module.gate_init))

    def freeze_text_model(self) -> None:
        """Stops gradients to the language model, whose weights a slim checkpoint does not hold."""
        for name, parameter in self.named_parameters():
            if any(part in name for part in TEXT_MODEL_PARTS):
                parameter.requires_grad_(False)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        *,
        merge_text_model: bool | None = None,
        state_dict: dict[str, torch.Tensor] | None = None,
        **kwargs,
    ) -> None:
        """
        Saves a slim checkpoint (brain modules, and the id and revision of the language model) or a merged one.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to write.
            merge_text_model (`bool`, *optional*):
                Whether the language model's weights are saved too. By default as the model was made: slim when the
                language model came from `config.text_model_id`. Merge after changing its weights (merged LoRA, full
                fine-tuning): a slim checkpoint would be composed with the unchanged ones.
            state_dict (`dict`, *optional*):
                Weights to save instead of the model's own.
            kwargs:
                See [`~transformers.PreTrainedModel.save_pretrained`].

        Raises:
            ValueError: if a slim checkpoint is asked for and the language model is unnamed or trainable.
        """
        merge = self.config.text_model_included if merge_text_model is None else merge_text_model
        state_dict = self.state_dict() if state_dict is None else state_dict
        if not merge:
            self._check_slim()
            state_dict = {k: v for k, v in state_dict.items() if not any(part in k for part in TEXT_MODEL_PARTS)}
        kept, self.config.text_model_included = self.config.text_model_included, merge
        self.config.auto_map = dict(AUTO_MAP)
        super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)
        self.config.text_model_included = kept

    def _check_slim(self) -> None:
        if self.config.text_model_id is None:
            raise ValueError(
                "A slim checkpoint needs `config.text_model_id`, the language model to be composed with at load; "
                "found None. Build the model with `from_text_model`, or save with `merge_text_model=True`."
            )
        trainable = [n for n, p in self.named_parameters() if "language_model." in n and p.requires_grad]
        # LoRA inside the language model is saved as an adapter; it is the base weights that would be lost.
        if [name for name in trainable if "lora_" not in name]:
            raise ValueError(
                f"{len(trainable)} parameters of the language model are trainable (first: {trainable[0]}), and a slim "
                "checkpoint would lose them. Save with `merge_text_model=True`, or call `freeze_text_model()` first."
            )

    def push_to_hub(self, repo_id: str, **kwargs) -> str:
        """Pushes the checkpoint; refuses a slim one whose language model is a folder of this computer."""
        if not self.config.text_model_included and os.path.isdir(self.config.text_model_id or ""):
            raise ValueError(
                f"`text_model_id` is the local folder '{self.config.text_model_id}', which nobody else can load. Set "
                "`model.config.text_model_id` to the Hub id of the same language model, or save a merged checkpoint."
            )
        return super().push_to_hub(repo_id, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *model_args, config=None, **kwargs):
        """
        Loads a checkpoint; a slim one is composed with the language model that it names.

        Takes what [`~transformers.PreTrainedModel.from_pretrained`] takes. `text_model_id="folder"` names another
        copy of the language model.

        Raises:
            OSError: if a slim checkpoint's language model cannot be found.
        """
        if pretrained_model_name_or_path is None:
            return super().from_pretrained(None, *model_args, config=config, **kwargs)
        if not isinstance(config, BrainLlamaConfig):
            hub_kwargs = {name: kwargs[name] for name in (*HUB_ARGUMENTS, "revision", "subfolder") if name in kwargs}
            config = BrainLlamaConfig.from_pretrained(pretrained_model_name_or_path, **hub_kwargs)
        for name in ("text_model_id", "text_model_revision"):
            setattr(config, name, kwargs.pop(name, getattr(config, name)))
        # CODEPATH: merged checkpoints hold the language model, slim ones name it
        if config.text_model_included:
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, config=config, **kwargs)
        return cls._compose(pretrained_model_name_or_path, *model_args, config=config, **kwargs)

    @classmethod
    def from_text_model(
        cls,
        text_model_id: str | os.PathLike,
        encoder_config: FrameEncoderConfig | VoxelEncoderConfig | None = None,
        *,
        revision: str | None = None,
        config_kwargs: dict | None = None,
        **kwargs,
    ):
        """
        Joins new brain modules to any Llama-architecture checkpoint, which stays frozen.

        Args:
            text_model_id (`str` or `os.PathLike`):
                Hub id or folder of the language model (safetensors).
            encoder_config (`FrameEncoderConfig` or `VoxelEncoderConfig`, *optional*):
                The brain encoder; BrainLLM's by default.
            revision (`str`, *optional*):
                Revision of the language model; its commit is written into the configuration.
            config_kwargs (`dict`, *optional*):
                Further fields of [`BrainLlamaConfig`], such as `interface`.
            kwargs:
                See [`~transformers.PreTrainedModel.from_pretrained`] (`dtype`, `device_map`, `token`, ...).

        Raises:
            OSError: if the language model cannot be found.
            ValueError: if it is not a Llama.
        """
        hub_kwargs = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        # Looked up first, for its error when the language model is absent and for the commit in its path.
        _, commit = _lazy_weights(text_model_id, revision=revision, **hub_kwargs)
        text_config = AutoConfig.from_pretrained(text_model_id, revision=revision, **hub_kwargs)
        # Dropout regularises weights that learn; in a frozen language model it would only blur what the brain adds.
        text_config.attention_dropout = 0.0
        config = BrainLlamaConfig(
            text_config=text_config,
            encoder_config=encoder_config,
            text_model_id=str(text_model_id),
            text_model_revision=commit or revision,
            text_model_included=False,
            **(config_kwargs or {}),
        )
        model = cls._compose(None, config=config, **kwargs)
        if model.can_generate() and cached_file(
            text_model_id, "generation_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
        ):
            model.generation_config = GenerationConfig.from_pretrained(text_model_id, revision=revision, **hub_kwargs)
        return model

    @classmethod
    def _text_weights(cls, weights: dict) -> dict:
        """Weights of a Llama checkpoint (with or without head) under the names that they have in our models."""
        renamed = {f"model.language_model.{k.removeprefix('model.')}": v for k, v in weights.items()}
        head = renamed.pop("model.language_model.lm_head.weight", None)
        # CODEPATH: the backbone has no head, and a language model with tied embeddings saves none
        return {**renamed, "lm_head.weight": head} if cls.can_generate() and head is not None else renamed

    @classmethod
    def _compose(cls, brain_checkpoint: str | os.PathLike | None, *model_args, config: BrainLlamaConfig, **kwargs):
        """Loads the language model that `config` names, and a slim checkpoint's brain modules (`None`: new ones)."""
        hub_kwargs = {name: kwargs.pop(name) for name in HUB_ARGUMENTS if name in kwargs}
        own_kwargs = {name: kwargs.pop(name) for name in ("revision", "subfolder") if name in kwargs}
        adapter_kwargs = dict(kwargs.pop("adapter_kwargs", None) or {})
        generation_config = kwargs.pop("generation_config", None)
        wants_info = kwargs.pop("output_loading_info", False)
        try:
            text, _ = _lazy_weights(config.text_model_id, revision=config.text_model_revision, **hub_kwargs)
        except OSError as error:
            raise OSError(
                f"'{brain_checkpoint or config.text_model_id}' needs the language model '{config.text_model_id}' "
                f"(revision {config.text_model_revision or 'main'}), which could not be loaded: {error} A slim "
                "checkpoint holds the brain modules only: download the language model (`hf auth login` if it is "
                'gated), or pass `text_model_id="/path/to/a/copy"`.'
            ) from error
        brain = _lazy_weights(brain_checkpoint, **hub_kwargs, **own_kwargs)[0] if brain_checkpoint else {}
        weights = {**cls._text_weights(text), **brain}
        if is_deepspeed_zero3_enabled():  # its loader scatters tensors, and knows no lazily read ones
            weights = {name: value[:] for name, value in weights.items()}
        if kwargs.get("dtype") in (None, "auto"):
            kwargs["dtype"] = config.dtype or config.text_config.dtype or torch.float32
        with _quiet_load_report():
            model, info = super().from_pretrained(
                None,
                *model_args,
                config=config,
                state_dict=weights,
                output_loading_info=True,
                **kwargs,
            )
        missing = [
            key
            for key in info["missing_keys"]
            if brain_checkpoint is not None or any(part in key for part in TEXT_MODEL_PARTS)
        ]
        if missing:
            raise ValueError(
                f"Weights are missing that '{brain_checkpoint or ''}' and '{config.text_model_id}' should hold: "
                f"{sorted(missing)[:5]} ({len(missing)} in all). The checkpoint is truncated or of another model."
            )
        model.freeze_text_model()
        model.name_or_path = model.config._name_or_path = str(brain_checkpoint or "")
        if model.can_generate() and brain_checkpoint is not None:
            generation_config = generation_config or GenerationConfig.from_pretrained(
                brain_checkpoint, **hub_kwargs, **own_kwargs
            )
            model.generation_config = generation_config
        adapter_path = adapter_kwargs.pop("_adapter_model_path", None)
        if adapter_path is not None:
            model.load_adapter(adapter_path, adapter_kwargs={**hub_kwargs, **adapter_kwargs})
        return (model, info) if wants_info else model


@contextmanager
def _quiet_load_report():
    """Holds back the table of missing weights: new brain modules must be missing, and all else is an error of ours."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _lazy_weights(repo: str | os.PathLike, **hub_kwargs) -> tuple[dict, str | None]:
    """Name → lazily read tensor for every weight of a safetensors checkpoint, and its commit if it came from a Hub."""
    index = cached_file(repo, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False, **hub_kwargs)
    if index is None:
        files = [cached_file(repo, SAFE_WEIGHTS_NAME, **hub_kwargs)]
    else:
        files, _ = get_checkpoint_shard_files(repo, index, **hub_kwargs)
    weights = {}
    for file in files:
        handle = safe_open(file, framework="pt")
        names = handle.keys()
        weights.update({name: handle.get_slice(name) for name in names})
    return weights, extract_commit_hash(files[0], None)


# trf-ignore: TRF057
class BrainLlamaModel(BrainLlamaPreTrainedModel):
    """Llama backbone with a brain encoder and an interface; returns hidden states aligned with `input_ids`."""

    def __init__(self, config: BrainLlamaConfig):
        super().__init__(config)
        self.brain_encoder = ENCODERS[config.encoder_config.model_type](config.encoder_config)
        self.brain_interface = BrainInterface(config)
        self.language_model = LlamaModel(config.text_config)
        self.post_init()
        self.freeze_text_model()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.embed_tokens = value

    def encode_brain(
        self,
        brain_values: torch.Tensor | list[torch.Tensor] | None = None,
        brain_attention_mask: torch.Tensor | None = None,
        voxel_coordinates: list[torch.Tensor] | None = None,
        voxel_regions: list[torch.Tensor] | None = None,
        brain_subjects: list[str] | None = None,
        encoder_outputs: torch.Tensor | None = None,
        condition_mask: torch.BoolTensor | None = None,
    ) -> BrainFeatures:
        """
        Runs encoder and projector, and the adapters' key and value projections, once per distinct brain sample.

        Args:
            brain_values (`torch.Tensor` `(brains, frames, features)` or `list` of `(brains, voxels)`, *optional*):
                Input of the encoder; see [`FrameEncoder`] and [`VoxelEncoder`].
            brain_attention_mask (`torch.Tensor` of shape `(brains, frames)`, *optional*):
                1 for real frames, which come first; only for frames.
            voxel_coordinates, voxel_regions, brain_subjects (*optional*):
                Geometry of the subjects; only for voxels.
            encoder_outputs (`torch.Tensor` of shape `(brains, encoder tokens, encoder hidden)`, *optional*):
                The encoder's output, given instead of `brain_values`.
            condition_mask (`torch.BoolTensor` of shape `(brains,)`, *optional*):
                False for a brain that is hidden: the encoder's output is 0 in its place (the null condition).
        """
        if (brain_values is None) == (encoder_outputs is None):
            raise ValueError("Give exactly one of `brain_values` and `encoder_outputs` (the encoder's output).")
        projector = self.brain_interface.projector
        dtype = projector.output.weight.dtype
        if encoder_outputs is None:
            geometry = {"voxel_coordinates": voxel_coordinates, "voxel_regions": voxel_regions}
            geometry = {**geometry, "brain_subjects": brain_subjects} if voxel_coordinates is not None else {}
            is_list = isinstance(brain_values, (list, tuple))
            values = [value.to(dtype) for value in brain_values] if is_list else brain_values.to(dtype)
            encoder_outputs = self.brain_encoder(values, **geometry)
        if condition_mask is not None:
            encoder_outputs = encoder_outputs.masked_fill(~condition_mask[:, None, None], 0.0)
        tokens = projector(encoder_outputs.to(dtype))
        mask = None
        if brain_attention_mask is not None:
            mask = brain_attention_mask.bool().repeat_interleave(self.config.tokens_per_embedding, dim=1)
        keys_values = [
            adapter.cross_attention.project_keys_values(tokens) for adapter in self.brain_interface.adapters
        ]
        return BrainFeatures(tokens, mask, keys_values)

    def _embed(
        self, input_ids: torch.LongTensor, features: BrainFeatures | None, brain_index: torch.LongTensor | None
    ) -> torch.Tensor:
        """Embeds `(batch, tokens)` ids; a row's k-th placeholder (prefix interface) takes its k-th brain token."""
        config, is_brain = self.config, input_ids == self.config.brain_token_id
        # Placeholder and boundary ids lie above the vocabulary: they look up any row, which is then replaced.
        inputs_embeds = self.get_input_embeddings()(input_ids.clamp(max=config.text_config.vocab_size - 1))
        expected = torch.zeros_like(is_brain[:, 0], dtype=torch.long)
        # CODEPATH: the cross-attention interface has no placeholders to fill
        if features is not None and config.interface == "prefix":
            num_tokens = features.tokens.shape[1]
            counts = expected.new_full((len(features.tokens),), num_tokens)
            counts = counts if features.mask is None else features.mask.sum(dim=1)
            expected = counts[brain_index.clamp(min=0)] * (brain_index >= 0)
            slots = (is_brain.cumsum(dim=1) - 1).clamp(0, num_tokens - 1)
            rows = features.tokens[brain_index.clamp(min=0)]
            filled = rows.gather(1, slots[..., None].expand(-1, -1, rows.shape[-1])).to(inputs_embeds.dtype)
            inputs_embeds = torch.where(is_brain[..., None], filled, inputs_embeds)
        torch_compilable_check(
            (is_brain.sum(dim=1) == expected).all(),
            lambda: (
                f"`input_ids` must hold one placeholder (id {config.brain_token_id}) per brain token. Expected per "
                f"row {expected.tolist()}, found {is_brain.sum(dim=1).tolist()} (interface '{config.interface}'). "
                "Prepare text and brain together with this checkpoint's processor, and do not truncate afterwards."
            ),
        )
        boundaries = self.brain_interface.boundary_embeddings
        if boundaries is not None:
            for row, token_id in enumerate((config.brain_start_token_id, config.brain_end_token_id)):
                vector = boundaries.weight[row].to(inputs_embeds.dtype)
                inputs_embeds = torch.where((input_ids == token_id)[..., None], vector, inputs_embeds)
        return inputs_embeds

    def _row_keys_values(
        self, features: BrainFeatures | None, brain_index: torch.LongTensor | None, past_key_values: Cache | None
    ) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], torch.Tensor | None]:
        """Adapter keys and values of each text row, and its mask `(batch, tokens)`: from the cache, or put into it."""
        cache = past_key_values if isinstance(past_key_values, BrainCache) else None
        if cache is not None and cache.is_updated.get(0):
            layers = cache.cross_attention_cache.layers
            return [(layer.keys, layer.values) for layer in layers], cache.brain_mask
        if features is None:
            return [], None
        index, has_brain = brain_index.clamp(min=0), (brain_index >= 0)[:, None, None, None]
        # A row without a brain gets zero values: the bias-free output projection then adds exactly nothing.
        rows = [(keys[index], values[index] * has_brain) for keys, values in features.keys_values]
        mask = None if features.mask is None else features.mask[index]
        if cache is not None:
            cache.brain_mask = mask
            for layer_idx, (keys, values) in enumerate(rows):
                cache.cross_attention_cache.update(keys, values, layer_idx)
                cache.is_updated[layer_idx] = True
        return rows, mask

    # trf-ignore: TRF057
    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        brain_values: torch.Tensor | list[torch.Tensor] | None = None,
        brain_attention_mask: torch.Tensor | None = None,
        brain_index: torch.LongTensor | None = None,
        voxel_coordinates: list[torch.Tensor] | None = None,
        voxel_regions: list[torch.Tensor] | None = None,
        brain_subjects: list[str] | None = None,
        encoder_outputs: torch.Tensor | None = None,
        condition_mask: torch.BoolTensor | None = None,
        brain_features: BrainFeatures | None = None,
        segment_ids: torch.LongTensor | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPast:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Prompt with placeholders (prefix) or without (cross-attention).
            segment_ids (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Several continuations of one beginning in one row: 0 for the beginning (the shared prefix), k for the
                k-th segment. A token attends to the shared prefix and to its own segment, as if the others were not
                there, and positions of every segment go on from the shared prefix's. The token before a continuation
                belongs to its segment, once for each, since it is what predicts the first one.
            brain_index (`torch.LongTensor` of shape `(batch,)`, *optional*):
                The brain sample of each text row, -1 for none; by default row i reads brain i.
            brain_features (`BrainFeatures`, *optional*):
                Output of `encode_brain`, to be given instead of the other brain inputs, which are described there.
            attention_mask, position_ids, past_key_values, inputs_embeds, use_cache:
                As in Llama.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of `input_ids` and `inputs_embeds`.")
        if brain_features is None and (brain_values is not None or encoder_outputs is not None):
            brain_features = self.encode_brain(
                brain_values,
                brain_attention_mask,
                voxel_coordinates,
                voxel_regions,
                brain_subjects,
                encoder_outputs,
                condition_mask,
            )
        if brain_features is not None:
            brain_index = self._check_brain_index(
                brain_features, brain_index, batch=len(input_ids if inputs_embeds is None else inputs_embeds)
            )
        if inputs_embeds is None:
            inputs_embeds = self._embed(input_ids, brain_features, brain_index)
        elif brain_features is not None and self.config.interface == "prefix":
            raise ValueError("The prefix interface finds its placeholders in `input_ids`; `inputs_embeds` has none.")

        text_config = self.config.text_config
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=text_config)
        keys_values, brain_mask = [], None
        # CODEPATH: only the cross-attention interface keeps brain keys and values
        if self.config.interface == "cross_attention":
            if (
                brain_features is not None
                and past_key_values is not None
                and not isinstance(past_key_values, BrainCache)
            ):
                past_key_values = BrainCache(past_key_values, None)
            keys_values, brain_mask = self._row_keys_values(brain_features, brain_index, past_key_values)
        text_cache = past_key_values
        if isinstance(past_key_values, BrainCache):
            text_cache = past_key_values.self_attention_cache

        if position_ids is None and segment_ids is not None:
            position_ids = _segment_positions(segment_ids, attention_mask)
        if position_ids is None:
            seen = text_cache.get_seq_length() if text_cache is not None else 0
            position_ids = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)[None] + seen
        causal_mask = create_causal_mask(
            config=text_config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=text_cache,
            # Where positions begin anew, sequences packed end to end would be taken for granted: ours share a shared
            # prefix.
            position_ids=position_ids if segment_ids is None else None,
            and_mask_function=None if segment_ids is None else self._own_segment(segment_ids),
        )
        if brain_mask is not None:
            brain_mask = create_bidirectional_mask(
                config=text_config,
                inputs_embeds=inputs_embeds,
                attention_mask=brain_mask,
                encoder_hidden_states=keys_values[0][0].transpose(1, 2).flatten(2),
            )
        hidden_states = self._decode(
            inputs_embeds, causal_mask, position_ids, text_cache, keys_values, brain_mask, **kwargs
        )
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=past_key_values)

    def _decode(
        self, hidden_states, causal_mask, position_ids, text_cache, keys_values, brain_mask, **kwargs
    ) -> torch.Tensor:
        """The language model's decoder layers, each adapter after its own."""
        position_embeddings = self.language_model.rotary_emb(hidden_states, position_ids=position_ids)
        # Without a brain there are no keys and values, and the adapters stand idle.
        adapted = zip(self.brain_interface.adapters, keys_values, strict=False)
        adapters = dict(zip(self.config.adapter_layers, adapted, strict=False))
        for index, layer in enumerate(self.language_model.layers):
            hidden_states = layer(
                hidden_states,
                attention_mask=causal_mask,
                position_embeddings=position_embeddings,
                position_ids=position_ids,
                past_key_values=text_cache,
                use_cache=text_cache is not None,
                **kwargs,
            )
            if index in adapters:
                adapter, (keys, values) = adapters[index]
                # Positional arguments: re-entrant checkpointing passes gradients through no others.
                hidden_states = adapter(hidden_states, keys, values, brain_mask)
        return self.language_model.norm(hidden_states)

    def _own_segment(self, segment_ids: torch.LongTensor) -> Callable:
        """A mask function that shows a query the shared prefix and its own segment."""
        attention = self.config.text_config._attn_implementation
        if "flash" in attention:
            raise ValueError(
                f"`segment_ids` need an attention with masks; found '{attention}'. Load the model with "
                '`attn_implementation="sdpa"` or `"flex_attention"`, or leave packing off.'
            )

        def is_visible(batch_idx, head_idx, q_idx, kv_idx):
            key_segment = segment_ids[batch_idx, kv_idx]
            return (key_segment == 0) | (key_segment == segment_ids[batch_idx, q_idx])

        return is_visible

    @staticmethod
    def _check_brain_index(
        features: BrainFeatures, brain_index: torch.LongTensor | None, batch: int
    ) -> torch.LongTensor:
        brains = len(features.tokens)
        if brain_index is None and brains == batch:
            return torch.arange(batch, device=features.tokens.device)
        if brain_index is None or tuple(brain_index.shape) != (batch,):
            found = "none" if brain_index is None else f"shape {tuple(brain_index.shape)}"
            raise ValueError(
                f"{batch} text rows and {brains} brain samples need a `brain_index` of shape ({batch},) that names "
                f"each row's brain (-1: none); found {found}."
            )
        return brain_index


# trf-ignore: TRF057
class BrainLlamaForCausalLM(BrainLlamaPreTrainedModel, GenerationMixin):
    """[`BrainLlamaModel`] with the language model's head: loss, `generate()`."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}

    def __init__(self, config: BrainLlamaConfig):
        super().__init__(config)
        self.model = BrainLlamaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
        self.freeze_text_model()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.lm_head = value

    # trf-ignore: TRF057
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        brain_values: torch.Tensor | list[torch.Tensor] | None = None,
        brain_attention_mask: torch.Tensor | None = None,
        brain_index: torch.LongTensor | None = None,
        voxel_coordinates: list[torch.Tensor] | None = None,
        voxel_regions: list[torch.Tensor] | None = None,
        brain_subjects: list[str] | None = None,
        encoder_outputs: torch.Tensor | None = None,
        condition_mask: torch.BoolTensor | None = None,
        brain_features: BrainFeatures | None = None,
        segment_ids: torch.LongTensor | None = None,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        r"""
        Args:
            labels (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Tokens to predict, -100 elsewhere. In training mode the head runs on their positions only, and `logits`
                are `None`.
            logits_to_keep (`int` or `torch.Tensor`, *optional*, defaults to 0):
                Last positions to compute logits for; 0 is all.
            kwargs:
                The other inputs are those of [`BrainLlamaModel`].
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            brain_values=brain_values,
            brain_attention_mask=brain_attention_mask,
            brain_index=brain_index,
            voxel_coordinates=voxel_coordinates,
            voxel_regions=voxel_regions,
            brain_subjects=brain_subjects,
            encoder_outputs=encoder_outputs,
            condition_mask=condition_mask,
            brain_features=brain_features,
            segment_ids=segment_ids,
            **kwargs,
        )
        vocab_size, loss, logits = self.config.text_config.vocab_size, None, None
        # CODEPATH: the number of labels is unknown to a compiled graph, which therefore computes all logits
        if labels is not None and self.training and not torch.compiler.is_compiling():
            hidden_states, targets, _ = _at_labels(outputs.last_hidden_state, labels)
            loss = self.loss_function(
                self.lm_head(hidden_states), labels=None, vocab_size=vocab_size, shift_labels=targets, **kwargs
            )
        else:
            keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.lm_head(outputs.last_hidden_state[:, keep])
            if labels is not None:
                loss = self.loss_function(logits, labels=labels, vocab_size=vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def token_losses(self, labels: torch.LongTensor, **inputs) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Cross-entropy of every labelled token, unreduced, with the head on label positions only.

        Args:
            labels (`torch.LongTensor` of shape `(batch, tokens)`):
                Tokens to score, -100 elsewhere.
            inputs:
                The other inputs of `forward`.

        Returns:
            `tuple(torch.Tensor, torch.Tensor)`: losses in nats and the text row of each, both of shape `(labels,)`.
        """
        hidden_states, targets, rows = _at_labels(self.model(**inputs).last_hidden_state, labels)
        losses = nn.functional.cross_entropy(self.lm_head(hidden_states).float(), targets, reduction="none")
        return losses, rows

    def generate(self, inputs=None, *, brain_guidance_scale: float = 1.0, logits_processor=None, **kwargs):
        """
        [`~transformers.GenerationMixin.generate`], with brain guidance.

        Args:
            brain_guidance_scale (`float`, *optional*, defaults to 1.0):
                Exponent on what the brain adds to each next token; see [`BrainGuidanceLogitsProcessor`].
        """
        if brain_guidance_scale != 1.0:
            input_ids = kwargs.get("input_ids") if inputs is None else inputs
            guidance = self._make_guidance(brain_guidance_scale, input_ids, kwargs)
            logits_processor = LogitsProcessorList([guidance, *(logits_processor or ())])
        return super().generate(inputs, logits_processor=logits_processor, **kwargs)

    def _make_guidance(self, scale: float, input_ids: torch.LongTensor, kwargs: dict) -> BrainGuidanceLogitsProcessor:
        """Encodes the brains once, for the text and for the null condition beside it."""
        brain = {name: kwargs.pop(name, None) for name in BRAIN_INPUTS}
        index, features = brain.pop("brain_index"), brain.pop("brain_features")
        if features is None and (brain["brain_values"] is not None or brain["encoder_outputs"] is not None):
            features = self.model.encode_brain(**brain)
        if features is None:
            raise ValueError(
                f"`brain_guidance_scale={scale}` needs a brain: give `brain_values` or `encoder_outputs`."
            )
        index = self.model._check_brain_index(features, index, batch=len(input_ids))
        kwargs |= {"brain_features": features, "brain_index": index}
        config = self.config
        zeros = features.tokens.new_zeros(
            1, features.tokens.shape[1] // config.tokens_per_embedding, config.encoder_config.hidden_size
        )
        beams = kwargs.get("num_beams", getattr(kwargs.get("generation_config"), "num_beams", None)) or 1
        return BrainGuidanceLogitsProcessor(
            self,
            scale,
            self.model.encode_brain(encoder_outputs=zeros),
            has_brain=index >= 0,
            attention_mask=kwargs.get("attention_mask"),
            use_cache=max(beams, self.generation_config.num_beams or 1) == 1,
        )

    def prepare_inputs_for_generation(self, input_ids, inputs_embeds=None, is_first_iteration=False, **kwargs):
        model_inputs = super().prepare_inputs_for_generation(
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and model_inputs.get("use_cache"):
            # The brain is in the cache by now: as prefix tokens, or as the adapters' keys and values.
            model_inputs.update(dict.fromkeys(BRAIN_INPUTS))
        return model_inputs

    def _expand_inputs_for_generation(self, expand_size=1, is_encoder_decoder=False, input_ids=None, **model_kwargs):
        """Encodes the brain before beams and returned sequences multiply the rows, which then share its features."""
        brain = {name: model_kwargs.pop(name, None) for name in BRAIN_INPUTS}
        index, features = brain.pop("brain_index"), brain.pop("brain_features")
        if features is None and (brain["brain_values"] is not None or brain["encoder_outputs"] is not None):
            features = self.model.encode_brain(**brain)
        if features is not None:
            model_kwargs["brain_index"] = self.model._check_brain_index(features, index, batch=len(input_ids))
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        return input_ids, {**model_kwargs, "brain_features": features}

    def _get_logits_processor(self, *args, **kwargs) -> LogitsProcessorList:
        processors = super()._get_logits_processor(*args, **kwargs)
        ids = (self.config.brain_token_id, self.config.brain_start_token_id, self.config.brain_end_token_id)
        return LogitsProcessorList([PlaceholderSafeProcessor(processors, max(ids) + 1)] if processors else [])


def _segment_positions(segment_ids: torch.LongTensor, attention_mask: torch.Tensor | None) -> torch.LongTensor:
    """
    Positions `(batch, tokens)`: those of the shared prefix are counted
    through, and each segment goes on from there.
    """
    segments = nn.functional.one_hot(segment_ids, int(segment_ids.max()) + 1)
    if attention_mask is not None:
        segments = segments * attention_mask[..., None]
    places = segments.cumsum(1).gather(-1, segment_ids[..., None])[..., 0] - 1
    return (places + (segment_ids > 0) * segments[..., 0].sum(1, keepdim=True)).clamp(min=0)


def _at_labels(
    hidden_states: torch.Tensor, labels: torch.LongTensor
) -> tuple[torch.Tensor, torch.LongTensor, torch.LongTensor]:
    """Hidden states `(labels, hidden)` that predict a labelled token, those tokens, and their text rows."""
    targets = nn.functional.pad(labels, (0, 1), value=-100)[:, 1:]
    rows, positions = (targets != -100).nonzero(as_tuple=True)
    return hidden_states[rows, positions], targets[rows, positions], rows


BrainLlamaConfig.register_for_auto_class()
BrainLlamaModel.register_for_auto_class("AutoModel")
BrainLlamaForCausalLM.register_for_auto_class("AutoModelForCausalLM")

__all__ = [
    "BrainCache",
    "BrainFeatures",
    "BrainLlamaForCausalLM",
    "BrainLlamaModel",
    "BrainLlamaPreTrainedModel",
]
