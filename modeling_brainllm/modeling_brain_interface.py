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
The two ways from a brain encoder into the language model.

Prefix: a projector whose tokens fill placeholders of the prompt. Cross-attention: the same projector, and gated
adapters between decoder layers that attend to its tokens.
"""

import copy

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRMSNorm, eager_attention_forward

from .configuration_brainllama import BrainLlamaConfig
from .modeling_brain_encoders import SpreadLinear


class BrainProjector(nn.Module):
    """Encoder tokens → `tokens_per_embedding` language-model tokens each; linear or with one hidden layer."""

    def __init__(self, config: BrainLlamaConfig):
        super().__init__()
        self.tokens_per_embedding = config.tokens_per_embedding
        input_size = config.encoder_config.hidden_size
        self.hidden, self.act = None, ACT2FN[config.projector_act]
        # CODEPATH: the matched-MLP baseline of BIT-LLM has a hidden layer
        if config.projector_type == "mlp":
            self.hidden = nn.Linear(input_size, config.projector_intermediate_size, bias=config.projector_bias)
            input_size = config.projector_intermediate_size
        output_size = config.tokens_per_embedding * config.text_config.hidden_size
        # CODEPATH: as published, the last map of BrainLLM's prefix starts as small as its encoder; the tokens that
        # adapters read are of unit size, each around a bias of its own, so that those of one embedding differ
        if config.interface == "prefix":
            std, bias_std = config.encoder_config.initializer_range, 0.0
        else:
            std, bias_std = input_size**-0.5, 1.0
        self.output = SpreadLinear(input_size, output_size, bias=config.projector_bias, std=std, bias_std=bias_std)

    def forward(self, encoder_outputs: torch.Tensor) -> torch.Tensor:
        hidden_states = encoder_outputs if self.hidden is None else self.act(self.hidden(encoder_outputs))
        hidden_states = self.output(hidden_states).unflatten(-1, (self.tokens_per_embedding, -1))
        return hidden_states.flatten(1, 2)


class BrainCrossAttention(nn.Module):
    """Text positions attend to brain tokens, with the head shapes of the language model and no biases."""

    def __init__(self, config: BrainLlamaConfig):
        super().__init__()
        text_config = config.text_config
        self.config = text_config
        self.head_dim = text_config.head_dim
        self.num_key_value_groups = text_config.num_attention_heads // text_config.num_key_value_heads
        self.scaling = self.head_dim**-0.5
        # Attention functions read this off the module: without it sdpa would take an absent mask for a causal one.
        self.is_causal = False
        hidden_size, key_value_size = text_config.hidden_size, text_config.num_key_value_heads * self.head_dim
        heads_size, std = text_config.num_attention_heads * self.head_dim, hidden_size**-0.5
        self.q_proj = SpreadLinear(hidden_size, heads_size, bias=False, std=std)
        self.k_proj = SpreadLinear(hidden_size, key_value_size, bias=False, std=std)
        self.v_proj = SpreadLinear(hidden_size, key_value_size, bias=False, std=std)
        self.o_proj = SpreadLinear(heads_size, hidden_size, bias=False, std=heads_size**-0.5)

    def project_keys_values(self, brain_tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values `(brains, key-value heads, tokens, head size)` of tokens `(brains, tokens, hidden)`."""
        shape = (*brain_tokens.shape[:2], -1, self.head_dim)
        # Scaled to one length (without weights): a projector of any size serves, and only directions are read.
        brain_tokens = nn.functional.rms_norm(brain_tokens, brain_tokens.shape[-1:])
        keys, values = self.k_proj(brain_tokens).view(shape), self.v_proj(brain_tokens).view(shape)
        return keys.transpose(1, 2), values.transpose(1, 2)

    def forward(
        self,
        hidden_states: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        shape = hidden_states.shape[:-1]
        queries = self.q_proj(hidden_states).view(*shape, -1, self.head_dim).transpose(1, 2)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        attended, _ = attend(
            self, queries, keys, values, attention_mask, dropout=0.0, scaling=self.scaling, is_causal=False
        )
        return self.o_proj(attended.reshape(*shape, -1))


class BrainAdapter(GradientCheckpointingLayer):
    """
    Gated cross-attention after a decoder layer: `h + tanh(gate) · CrossAttention(RMSNorm(h), brain)`.

    The gate starts at `config.gate_init`, 0 by default, so that training starts from the plain language model. With
    Llama-3.2-3B shapes one adapter has 25,168,897 parameters and four 100,675,588, in agreement with the sizes on the
    BIT-LLM poster; its inner form is not published, our choice.
    """

    def __init__(self, config: BrainLlamaConfig):
        super().__init__()
        self.norm = LlamaRMSNorm(config.text_config.hidden_size, eps=config.text_config.rms_norm_eps)
        self.cross_attention = BrainCrossAttention(config)
        self.gate_init = config.gate_init
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        hidden_states: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        read = self.cross_attention(self.norm(hidden_states), keys, values, attention_mask)
        # In mixed precision the gate is finer than the stream that it adds to, which must not grow with it.
        return hidden_states + (self.gate.tanh() * read).to(hidden_states.dtype)


class BrainInterface(nn.Module):
    """Everything between encoder and language model: projector, and boundary vectors (prefix) or adapters."""

    def __init__(self, config: BrainLlamaConfig):
        super().__init__()
        self.projector = BrainProjector(config)
        # CODEPATH: `interface` decides which of the two ways into the language model exists
        is_prefix = config.interface == "prefix"
        self.boundary_embeddings = nn.Embedding(2, config.text_config.hidden_size) if is_prefix else None
        self.adapters = (
            nn.ModuleList() if is_prefix else nn.ModuleList(BrainAdapter(config) for _ in config.adapter_layers)
        )


def matched_intermediate_size(config: BrainLlamaConfig) -> int:
    """
    Width of the MLP projector at which the prefix interface has as many parameters as the cross-attention interface
    has in its adapters: the largest that does not exceed them. The two then differ in how they read a brain, not in
    size.

    With Llama-3.2-3B, four adapters and 1,024-wide brain tokens it is 24,572, for the 100.67 M of the BIT-LLM poster.

    Args:
        config ([`BrainLlamaConfig`]):
            Language model, encoder, `adapter_layers`, `tokens_per_embedding` and `projector_bias` that both share.
    """

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    def projector_of(width: int) -> nn.Module:
        mlp = copy.copy(config)
        mlp.projector_type, mlp.projector_intermediate_size = "mlp", width
        return BrainProjector(mlp)

    with torch.device("meta"):
        budget = len(config.adapter_layers) * count(BrainAdapter(config))
        narrow, wider = count(projector_of(1)), count(projector_of(2))
    return 1 + (budget - narrow) // (wider - narrow)


__all__ = [
    "BrainAdapter",
    "BrainCrossAttention",
    "BrainInterface",
    "BrainProjector",
    "matched_intermediate_size",
]
