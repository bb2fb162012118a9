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

Placeholder and boundary tokens have ids above the language model's vocabulary. No row is added to its embeddings and
its head, so that its weights, and its logits for text alone, stay exactly its own, that one checkpoint of it serves
every brain model, and that no placeholder can ever be predicted. The price is paid here: such ids look up no embedding
(`_embed` fills them in), and logits processors see extra columns for them (`generation_brainllama`).

Axis words used throughout: batch (text rows), brains (distinct brain samples), frames, features, voxels, tokens
(language-model positions), hidden.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import Cache, DynamicCache
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, ModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer, LlamaModel
from transformers.utils import torch_compilable_check
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_brainllama import BrainLlamaConfig
from .generation_brainllama import CACHE_NAME, BrainCache, BrainGenerationMixin
from .modeling_brain_composition import ComposedCheckpoints
from .modeling_brain_encoders import ENCODERS, FrameEncoder, SpreadLinear, VoxelEncoder
from .modeling_brain_head import HeadLosses
from .modeling_brain_interface import BrainAdapter, BrainCrossAttention, BrainInterface
from .sharing_brainllama import refuse_blocked


# `auto_docstring` is left out (its standard texts say less than ours, and it prints at import what it does not know).
# trf-ignore: TRF057
@dataclass
class BrainFeatures(ModelOutput):
    """
    What the language model reads of the distinct brain samples of a batch; made once by `get_brain_features`, however
    many text rows, beams or returned sequences share a sample.

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


# trf-ignore: TRF057
class BrainLlamaPreTrainedModel(ComposedCheckpoints, PreTrainedModel):
    """Initialisation, and checkpoints composed of brain modules and a language model."""

    config: BrainLlamaConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LlamaDecoderLayer", "BrainAdapter"]
    _skip_keys_device_placement = ["past_key_values", "cache"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": LlamaDecoderLayer,
        "attentions": LlamaAttention,
        "cross_attentions": BrainCrossAttention,
    }

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args, **kwargs) -> nn.Module:
        """
        Nothing is to be done for a tokenizer that has the placeholder tokens, which need no rows; more is refused.

        Raises:
            ValueError: the vocabulary would become smaller, or reach into the ids of the placeholder tokens.
        """
        vocab_size, most = self.config.text_config.vocab_size, self.config.num_token_ids
        if new_num_tokens is not None and not vocab_size <= new_num_tokens <= most:
            raise ValueError(
                f"The vocabulary of {vocab_size} cannot become one of {new_num_tokens}: ids {vocab_size}..{most - 1} "
                "are the brain's placeholder tokens, and a slim checkpoint has the embeddings of its language model. "
                "Add tokens to the language model first, save it, and compose with that (`from_text_model`)."
            )
        return self.get_input_embeddings()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, (FrameEncoder, SpreadLinear, VoxelEncoder)):
            module.init_weights()
        elif isinstance(module, BrainAdapter):
            init.constant_(module.gate, math.atanh(module.gate_init))


# trf-ignore: TRF057
class BrainLlamaModel(BrainLlamaPreTrainedModel):
    """Llama backbone with a brain encoder and an interface; returns hidden states aligned with `input_ids`."""

    def __init__(self, config: BrainLlamaConfig):
        super().__init__(config)
        self.brain_encoder = ENCODERS[config.encoder_config.model_type](config.encoder_config)
        self.brain_interface = BrainInterface(config)
        self.language_model = LlamaModel(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.embed_tokens = value

    def get_brain_features(
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
            # CODEPATH: frames do not say whose they are; the feature extractor, which standardises them, refuses those
            if voxel_coordinates is not None:
                refuse_blocked(brain_subjects, self.config.blocked_subjects)
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
            if features is not None and brain_index is not None:
                torch_compilable_check(
                    torch.equal(
                        features.keys_values[0][0][brain_index.clamp(min=0)].to(layers[0].keys), layers[0].keys
                    ),
                    "`past_key_values` holds the keys and values of another brain than the one that is given beside "
                    "it. Begin with an empty cache, or leave the brain out to go on with the one in the cache.",
                )
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
        cache: Cache | None = None,
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
                Output of `get_brain_features`, given instead of the other brain inputs, which are described there.
            attention_mask, position_ids, past_key_values, inputs_embeds, use_cache:
                As in Llama; newer releases of transformers call `past_key_values` `cache`.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of `input_ids` and `inputs_embeds`.")
        if brain_features is None and (brain_values is not None or encoder_outputs is not None):
            brain_features = self.get_brain_features(
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
        past_key_values = cache if past_key_values is None else past_key_values
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
            **{CACHE_NAME: text_cache},
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
                **{CACHE_NAME: text_cache},
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
                '`attn_implementation="sdpa"` or `"eager"`, or leave packing off.'
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
class BrainLlamaForCausalLM(BrainLlamaPreTrainedModel, BrainGenerationMixin):
    """[`BrainLlamaModel`] with the language model's head: loss, `generate()`."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}

    def __init__(self, config: BrainLlamaConfig):
        super().__init__(config)
        self.model = BrainLlamaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

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
        cache: Cache | None = None,
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
        only: str | None = None,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        r"""
        Args:
            labels (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Tokens to predict, -100 elsewhere; brain tokens, which nothing predicts, count as -100. In training
                the head runs on their positions only, and `logits` are `None`.
            logits_to_keep (`int` or `torch.Tensor`, *optional*, defaults to 0):
                Last positions to compute logits for; 0 is all.
            only (`str`, *optional*):
                `"token_losses"` or `"brain_features"`: return what [`token_losses`] or `get_brain_features` does. What
                wraps a model (DDP, DeepSpeed, mixed precision, PEFT, a compiler) knows its `forward` alone.
            kwargs:
                The other inputs are those of [`BrainLlamaModel`].
        """
        brain = {
            "brain_values": brain_values,
            "brain_attention_mask": brain_attention_mask,
            "voxel_coordinates": voxel_coordinates,
            "voxel_regions": voxel_regions,
            "brain_subjects": brain_subjects,
            "encoder_outputs": encoder_outputs,
            "condition_mask": condition_mask,
        }
        if only == "brain_features":
            return self.model.get_brain_features(**brain)
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "past_key_values": cache if past_key_values is None else past_key_values,
            "inputs_embeds": inputs_embeds,
            "use_cache": use_cache,
            "brain_index": brain_index,
            "brain_features": brain_features,
            "segment_ids": segment_ids,
            **brain,
        }
        if only == "token_losses":
            return self.token_losses(labels, **inputs)
        outputs = self.model(**inputs, **kwargs)
        vocab_size, loss, logits = self.config.text_config.vocab_size, None, None
        labels = None if labels is None else labels.masked_fill(labels >= vocab_size, -100)
        # CODEPATH: the number of labels is unknown to a compiled graph, which therefore computes all logits
        if labels is not None and self.training and not torch.compiler.is_compiling():
            hidden_states, targets, _ = _at_labels(outputs.last_hidden_state, labels)
            loss = self.loss_function(
                self.lm_head(hidden_states), labels=None, vocab_size=vocab_size, shift_labels=targets, **kwargs
            )
        else:
            keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            # Contiguous: of a slice of several rows, half precision would copy the head's weights once for each row.
            logits = self.lm_head(outputs.last_hidden_state[:, keep].contiguous())
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
        labels = labels.masked_fill(labels >= self.config.text_config.vocab_size, -100)
        hidden_states, targets, rows = _at_labels(self.model(**inputs).last_hidden_state, labels)
        return HeadLosses.of(self.lm_head, hidden_states, targets), rows


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
