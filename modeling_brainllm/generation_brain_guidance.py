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
"""Brain guidance: how far decoding follows the brain, as an exponent on what the brain adds to each next token."""

from typing import TYPE_CHECKING

import torch
from transformers import LogitsProcessor


if TYPE_CHECKING:
    from transformers import PreTrainedModel


class BrainGuidanceLogitsProcessor(LogitsProcessor):
    r"""
    Weighs what the brain says against what the same model says under the null condition.

    With $p_0$ the next-token distribution under encoder outputs of 0, the scores become
    $\log p_0 + w\,(\log p - \log p_0)$: at $w=1$ those of the brain, at 0 those of the null condition; above 1 they
    exaggerate the brain, below 1 they temper a model that trusts it too much.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            The model that generates.
        scale (`float`):
            $w$.
        brain_features:
            Output of `get_brain_features` for one brain that is hidden (`condition_mask` False).
        has_brain (`torch.BoolTensor` of shape `(batch,)`):
            Which prompts read a brain; the others are left as they are.
        attention_mask (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
            That of the prompts.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether the pass under the null condition keeps its keys and values; not under a beam search, which
            reorders rows.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        scale: float,
        brain_features,
        has_brain: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        use_cache: bool = True,
    ):
        self.model, self.scale, self.brain_features = model, scale, brain_features
        self.has_brain, self.attention_mask, self.use_cache = has_brain, attention_mask, use_cache
        self._cache = None

    @torch.no_grad()
    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores `(rows, vocabulary)` under guidance, of rows that may be several for each prompt."""
        copies = len(input_ids) // len(self.has_brain)
        has_brain = self.has_brain.repeat_interleave(copies)
        null = torch.log_softmax(self._null_scores(input_ids, has_brain, copies).float(), dim=-1)
        own = torch.log_softmax(scores.float(), dim=-1)
        guided = null + self.scale * (own - null)
        return torch.where(has_brain[:, None], guided, scores.float()).to(scores.dtype)

    def _null_scores(self, input_ids: torch.LongTensor, has_brain: torch.Tensor, copies: int) -> torch.Tensor:
        """Next-token scores `(rows, vocabulary)` of the same prefixes under the null condition."""
        mask = self.attention_mask
        if mask is not None:
            mask = mask.repeat_interleave(copies, dim=0)
            written = mask.new_ones(len(mask), input_ids.shape[1] - mask.shape[1])
            mask = torch.cat([mask, written], dim=1)
        inputs: dict = {"brain_features": self.brain_features, "brain_index": has_brain.long() - 1}
        if self._cache is not None:
            inputs, input_ids = {"past_key_values": self._cache}, input_ids[:, -1:]
        outputs = self.model(
            input_ids=input_ids, attention_mask=mask, use_cache=self.use_cache, logits_to_keep=1, **inputs
        )
        self._cache = outputs.past_key_values if self.use_cache else None
        return outputs.logits[:, -1]


__all__ = ["BrainGuidanceLogitsProcessor"]
