# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What a language model expects next of each hypothesis, with the brain of the moment and the work of the past kept.

Two ways to bound the past, both linear in the length of a story:

- read anew (both interfaces): at each window the last `context_tokens` of every hypothesis are read under the window's
  brain, as in training, in one batched pass; the tokens of the window then come one by one on top of the cache. With
  the prefix interface there is no other way that is honest: its brain stands before the text, so that a changed brain
  changes the keys and values of every token behind it.
- `carry` (cross-attention only): the text's keys and values are kept from window to window, and only the adapters'
  brain keys and values change. Each token has been read once, under the brain of its own window. The cache is trimmed
  to the first token and the last `context_tokens`; the first token, on which attention rests, is turned (RoPE) to stay
  as near as if the text had just begun.
"""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import rotate_half

from modeling_brainllm import BrainLlamaForCausalLM
from modeling_brainllm.modeling_brainllama import BrainCache, BrainFeatures


class StoryScorer:
    """
    Next-token log-probabilities of several hypotheses of one length, window by window.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            In evaluation mode.
        bos_token_id (`int`, *optional*):
            What texts begin with, as the processor has it.
        context_tokens (`int`, *optional*, defaults to 10):
            Tokens of the past that are read (Ye et al. 2025: 10 in the published runs).
        carry (`bool`, *optional*, defaults to `False`):
            Whether the text's keys and values survive a change of brain.

    Raises:
        ValueError: `carry` with the prefix interface, or fewer than one token of context.
    """

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        bos_token_id: int | None,
        *,
        context_tokens: int = 10,
        carry: bool = False,
    ):
        if carry and model.config.interface == "prefix":
            raise ValueError(
                "`carry` keeps what was read under an earlier brain; the prefix interface puts the brain before the "
                "text, so that a new brain changes all of it. Leave `carry` off, or use the cross-attention interface."
            )
        if context_tokens < 1:
            raise ValueError(f"`context_tokens` must be at least 1; found {context_tokens}.")
        self.model, self.context_tokens, self.carry = model, context_tokens, carry
        self.head = [] if bos_token_id is None else [bos_token_id]
        self._forget()

    def begin(
        self, contexts: torch.Tensor, features: BrainFeatures | None, owners: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Opens a window.

        Args:
            contexts (`torch.LongTensor` of shape `(hypotheses, tokens)`):
                The last tokens of each, `context_tokens` of them or all there are.
            features ([`BrainFeatures`], *optional*):
                Of the window's brain samples; `None` reads the text alone.
            owners (`torch.LongTensor` of shape `(hypotheses,)`, *optional*):
                Which of these samples each hypothesis reads, where there is more than one.

        Returns:
            `torch.Tensor` of shape `(hypotheses, vocabulary)`: log-probabilities of the first token of the window.
        """
        if self.carry and self.position:
            self._trim()
            self.cache = BrainCache(_text_cache(self.cache), None)
            return self._read(contexts[:, -1:], features, owners)
        self._forget()
        head = [*self.head, *self._brain_block(features)]
        heads = torch.tensor([head] * len(contexts), dtype=torch.long, device=contexts.device)
        ids = torch.cat([heads.view(len(contexts), -1), contexts[:, -self.context_tokens :]], dim=1)
        if not ids.shape[1]:
            raise ValueError("There is nothing to begin with: the tokenizer has no BOS. Give the story an `opening`.")
        return self._read(ids, features, owners)

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """
        Goes on by one token.

        Args:
            parents (`torch.LongTensor` of shape `(hypotheses,)`):
                The hypothesis of the step before that each continues; their number may change.
            tokens (`torch.LongTensor` of shape `(hypotheses,)`):
                What each says.

        Returns:
            `torch.Tensor` of shape `(hypotheses, vocabulary)`: log-probabilities of the next token.
        """
        self.keep(parents)
        return self._read(tokens[:, None])

    def keep(self, parents: torch.Tensor) -> None:
        """Closes a window: these hypotheses survive; the last token of each is read when the next window begins."""
        self.cache.reorder_cache(parents)

    def _forget(self) -> None:
        config: Any = self.model.config.text_config
        self.cache: Any = DynamicCache(config=config)
        self.position = 0

    def _brain_block(self, features: BrainFeatures | None) -> list[int]:
        config: Any = self.model.config
        if features is None or features.tokens is None or config.interface != "prefix":
            return []
        tokens = [config.brain_token_id] * features.tokens.shape[1]
        return [config.brain_start_token_id, *tokens, config.brain_end_token_id]

    def _read(
        self, ids: torch.Tensor, features: BrainFeatures | None = None, owners: torch.Tensor | None = None
    ) -> torch.Tensor:
        positions = torch.arange(self.position, self.position + ids.shape[1], device=ids.device)[None]
        index = owners
        if features is None or features.tokens is None or len(features.tokens) == 1:
            index = None if features is None else torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        outputs = self.model(
            input_ids=ids,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            brain_features=features,
            brain_index=index,
            logits_to_keep=1,
        )
        self.cache, self.position = outputs.past_key_values, self.position + ids.shape[1]
        return outputs.logits[:, -1].float().log_softmax(-1)

    def _trim(self) -> None:
        """Leaves the head and all but one of the last `context_tokens`; the one that is pending comes next."""
        layers = _text_cache(self.cache).layers
        surplus = layers[0].get_seq_length() - len(self.head) - (self.context_tokens - 1)
        if surplus <= 0:
            return
        start, device = len(self.head), layers[0].keys.device
        shift = torch.tensor([[surplus]], device=device)
        cos, sin = self.model.model.language_model.rotary_emb(layers[0].keys, position_ids=shift)
        for layer in layers:
            head = layer.keys[:, :, :start]
            layer.keys = torch.cat([head * cos + rotate_half(head) * sin, layer.keys[:, :, start + surplus :]], dim=2)
            layer.values = torch.cat([layer.values[:, :, :start], layer.values[:, :, start + surplus :]], dim=2)


def _text_cache(cache: Any) -> Any:
    return cache.self_attention_cache if isinstance(cache, BrainCache) else cache


__all__ = ["StoryScorer"]
