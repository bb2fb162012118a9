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

import torch
from torch import nn
from transformers import Cache, DynamicCache, EncoderDecoderCache, GenerationMixin
from transformers.generation import LogitsProcessor, LogitsProcessorList


BRAIN_INPUTS = (
    "brain_values",
    "brain_attention_mask",
    "brain_index",
    "voxel_coordinates",
    "voxel_regions",
    "brain_subjects",
    "encoder_outputs",
    "brain_features",
)


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


class BrainGenerationMixin(GenerationMixin):
    """`generate()` of a model that has `get_brain_features` in its backbone."""

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
        ids = (self.config.brain_token_id, self.config.brain_start_token_id, self.config.brain_end_token_id)
        return LogitsProcessorList([PlaceholderSafeProcessor(processors, max(ids) + 1)] if processors else [])


__all__ = ["BrainCache", "BrainGenerationMixin"]
