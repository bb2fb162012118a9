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
"""The losses of a language model's frozen head, without all logits in memory at once."""

import torch
from torch import nn


# 64 MiB in float32, and in a step some two or three times that.
LOGITS_AT_ONCE = 2**24


class HeadLosses(torch.autograd.Function):
    """
    Cross-entropy of each hidden state under a frozen head, some labels at a time, so that their logits never lie in
    memory together.

    A loss depends on its own hidden state alone. So its gradient is known once its logits are, and is kept, a vector
    of the hidden size, in their place; no logit is computed twice.
    """

    @classmethod
    def of(cls, head: nn.Module, hidden_states: torch.Tensor, targets: torch.LongTensor) -> torch.Tensor:
        size = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
        frozen = not any(parameter.requires_grad for parameter in head.parameters())
        if len(targets) <= size or not frozen or torch.compiler.is_compiling():
            return nn.functional.cross_entropy(head(hidden_states).float(), targets, reduction="none")
        return cls.apply(hidden_states, targets, head, size, torch.is_grad_enabled() and hidden_states.requires_grad)

    @staticmethod
    def forward(ctx, hidden_states, targets, head, size, keep_gradient):
        losses = hidden_states.new_empty(len(targets), dtype=torch.float32)
        gradients = torch.empty_like(hidden_states) if keep_gradient else None
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            with torch.set_grad_enabled(keep_gradient):
                states = hidden_states[part].detach().requires_grad_(keep_gradient)
                found = nn.functional.cross_entropy(head(states).float(), targets[part], reduction="none")
                losses[part] = found.detach()
                if keep_gradient:
                    (gradients[part],) = torch.autograd.grad(found.sum(), states)
            del found
        ctx.save_for_backward(*[gradients] if keep_gradient else [])
        return losses

    @staticmethod
    def backward(ctx, grad_losses):
        (gradients,) = ctx.saved_tensors
        return (grad_losses[:, None] * gradients).to(gradients.dtype), None, None, None, None


__all__ = ["HeadLosses"]
