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
"""Generation with a brain: encoded once, read from the cache after the prompt, its placeholder ids never scored."""

import inspect

import torch
from torch import nn
from transformers import Cache, DynamicCache, EncoderDecoderCache, GenerationMixin
from transformers.generation import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)
from transformers.masking_utils import create_causal_mask

from .generation_brain_guidance import BrainGuidanceLogitsProcessor


# Releases of transformers differ in what masks, decoder layers and `generate` call the cache; layers would ignore the
# other name.
CACHE_NAME = "cache" if "cache" in inspect.signature(create_causal_mask).parameters else "past_key_values"

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


# Logits processors that use the prompt's tokens as columns of the scores.
READERS_OF_PROMPTS = (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)


class BrainCache(EncoderDecoderCache):
    """The language model's self-attention cache, the adapters' keys and values, and which brain tokens are real.

    What a brain says is constant while a text grows. Rows that were repeated from one prompt share it, so beams that
    change places among themselves leave it where it is.
    """

    def __init__(self, self_attention_cache: Cache, brain_mask: torch.Tensor | None):
        super().__init__(self_attention_cache, DynamicCache())
        self.brain_mask = brain_mask
        self.prompts: torch.Tensor | None = None  # of each row; known once rows were repeated

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        self.self_attention_cache.reorder_cache(beam_idx)
        prompts = None if self.prompts is None else self.prompts[beam_idx]
        if prompts is None or not torch.equal(prompts, self.prompts):
            self.cross_attention_cache.reorder_cache(beam_idx)
            self._take_rows(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self._take_rows(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        rows = self.self_attention_cache.layers[0].keys
        before = torch.arange(len(rows) // repeats, device=rows.device) if self.prompts is None else self.prompts
        self.prompts = before.repeat_interleave(repeats)
        if self.brain_mask is not None:
            self.brain_mask = self.brain_mask.repeat_interleave(repeats, dim=0)

    def _take_rows(self, rows: torch.Tensor) -> None:
        if self.prompts is not None:
            self.prompts = self.prompts[rows.to(self.prompts.device)]
        if self.brain_mask is not None:
            self.brain_mask = self.brain_mask[rows.to(self.brain_mask.device)]


class PlaceholderSafeProcessor(LogitsProcessor):
    """
    Runs a logits processor on scores that have a column for every id of the prompt.

    Placeholder ids lie above the vocabulary, where a processor that looks up the scores of the prompt's tokens would
    read out of bounds: the extra columns hold -inf for them and are cut off afterwards.
    """

    def __init__(self, processor: LogitsProcessor, num_ids: int):
        self.processor = processor
        self.num_ids = num_ids

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        vocab_size = scores.shape[-1]
        padded = nn.functional.pad(scores, (0, self.num_ids - vocab_size), value=-torch.inf)
        return self.processor(input_ids, padded)[:, :vocab_size]


class FirstScoresProcessor(LogitsProcessor):
    """Refuses to decode text from scores that are no numbers, at the first token: each look waits for the device."""

    def __init__(self):
        self.is_first = True

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self.is_first and not scores.isfinite().all():
            rows = (~scores.isfinite().all(-1)).nonzero()[:, 0].tolist()
            raise FloatingPointError(
                f"The scores of the first token are NaN or infinite in the rows {rows}: weights of the checkpoint are "
                "broken, or values of the brain too large for the model's type of numbers."
            )
        self.is_first = False
        return scores


@torch.no_grad()
def read_prompts(model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor, **brain) -> Cache:
    """
    Reads prompts but for their last token, which `generate` reads itself.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Model, or whatever is wrapped around it (PEFT, FSDP).
        input_ids, attention_mask (`torch.LongTensor` of shape `(prompts, tokens)`):
            Two tokens or more, padded on the left.
        brain (`dict`):
            Inputs of the brain, such as `brain_features` and `brain_index`.

    Returns:
        [`~transformers.Cache`]: For `generate`; repeat or select its rows for several texts of a prompt.
    """
    mask = attention_mask[:, :-1]
    outputs = model(
        input_ids=input_ids[:, :-1], attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=True, logits_to_keep=1, **brain,
    )  # fmt: skip
    return outputs.past_key_values


class BrainGenerationMixin(GenerationMixin):
    """`generate()` of a model that has `get_brain_features` in its backbone."""

    def generate(self, inputs=None, *, brain_guidance_scale: float = 1.0, logits_processor=None, **kwargs):
        """
        [`~transformers.GenerationMixin.generate`], with brain guidance. Beams and returned sequences share the prefill
        of their prompt, where the cache grows with the text and the prompt does not end within a brain.

        Args:
            brain_guidance_scale (`float`, *optional*, defaults to 1.0):
                Exponent on what the brain adds to each next token; see [`BrainGuidanceLogitsProcessor`].
        """
        if brain_guidance_scale != 1.0:
            input_ids = kwargs.get("input_ids") if inputs is None else inputs
            guidance = self._make_guidance(brain_guidance_scale, input_ids, kwargs)
            logits_processor = LogitsProcessorList([guidance, *(logits_processor or ())])
        kwargs = self._share_prefill(kwargs.get("input_ids") if inputs is None else inputs, kwargs)
        return super().generate(inputs, logits_processor=logits_processor, **kwargs)

    def _share_prefill(self, input_ids: torch.LongTensor | None, kwargs: dict) -> dict:
        """Arguments of `generate` in which rows that begin with one prompt begin with copies of its cache."""
        config = kwargs.get("generation_config") or self.generation_config

        def option(name: str):
            return kwargs.get(name, getattr(config, name, None))

        repeats = max(option("num_beams") or 1, option("num_return_sequences") or 1)
        given = ("past_key_values", "cache", "inputs_embeds", "position_ids", "assistant_model", "custom_generate")
        differs = any(kwargs.get(name) is not None for name in given) or option("use_cache") is False
        differs |= any(option(name) is not None for name in ("prefill_chunk_size", "prompt_lookup_num_tokens"))
        grows = option("cache_implementation") in (None, "dynamic")
        mask = kwargs.get("attention_mask")
        if repeats == 1 or differs or not grows or input_ids is None or mask is None or input_ids.shape[1] == 1:
            return kwargs
        if (input_ids[:, -1] >= self.config.get_text_config().vocab_size).any():
            return kwargs
        brain = {name: kwargs[name] for name in BRAIN_INPUTS if kwargs.get(name) is not None}
        cache = read_prompts(self, input_ids, mask, **brain)
        cache.batch_repeat_interleave(repeats)
        others = {name: value for name, value in kwargs.items() if name not in BRAIN_INPUTS}
        return {**others, CACHE_NAME: cache}

    def _make_guidance(self, scale: float, input_ids: torch.LongTensor, kwargs: dict) -> BrainGuidanceLogitsProcessor:
        """Encodes the brains once, for the text and for the null condition beside it."""
        brain = {name: kwargs.pop(name, None) for name in BRAIN_INPUTS}
        index, features = brain.pop("brain_index"), brain.pop("brain_features")
        if features is None and (brain["brain_values"] is not None or brain["encoder_outputs"] is not None):
            features = self.model.get_brain_features(**brain)
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
            self.model.get_brain_features(encoder_outputs=zeros),
            has_brain=index >= 0,
            attention_mask=kwargs.get("attention_mask"),
            use_cache=max(beams, self.generation_config.num_beams or 1) == 1,
        )

    def _validate_generation_mode(self, generation_mode, generation_config, generation_mode_kwargs):
        super()._validate_generation_mode(generation_mode, generation_config, generation_mode_kwargs)
        assistant, is_prefix = generation_mode_kwargs.get("assistant_model"), self.config.interface == "prefix"
        if assistant is not None and (is_prefix or getattr(assistant.config, "interface", "prefix") == "prefix"):
            raise ValueError(
                "An `assistant_model` must read the same prompt and brain: both models need the interface "
                "'cross_attention'. Leave it out, or take `prompt_lookup_num_tokens`."
            )
        if generation_config.assistant_early_exit is not None:
            raise ValueError(
                "`assistant_early_exit` would leave out brain adapters with their layers. Take "
                "`prompt_lookup_num_tokens`."
            )
        if generation_config.prefill_chunk_size is not None and is_prefix:
            raise ValueError(
                "`prefill_chunk_size` would tear the brain's placeholder tokens apart, which the interface 'prefix' "
                "fills together. Leave it out."
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
            features = self.model.get_brain_features(**brain)
        if features is not None:
            model_kwargs["brain_index"] = self.model._check_brain_index(features, index, batch=len(input_ids))
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        return input_ids, {**model_kwargs, "brain_features": features}

    def _get_logits_processor(self, *args, **kwargs) -> LogitsProcessorList:
        processors = super()._get_logits_processor(*args, **kwargs)
        if kwargs["generation_config"].remove_invalid_values is not True:
            processors.insert(0, FirstScoresProcessor())
        num_ids = self.config.num_token_ids
        # Each by itself: others keep a state of the vocabulary's size, and `generate` looks for some by their class.
        return LogitsProcessorList(
            PlaceholderSafeProcessor(each, num_ids) if isinstance(each, READERS_OF_PROMPTS) else each
            for each in processors
        )


__all__ = ["BrainCache", "BrainGenerationMixin", "read_prompts"]
