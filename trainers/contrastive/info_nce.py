# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The alignment loss: symmetric InfoNCE in which one image has many brains, and negatives come from all processes."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


def info_nce(similarity: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    r"""
    $$\ell_i = \frac{1}{|P_i|} \sum_{j \in P_i} -\log \frac{e^{s_{ij}}}{e^{s_{ij}} + \sum_{n \notin P_i} e^{s_{in}}}$$

    With one positive a row it is the InfoNCE of CLIP (Radford et al. 2021). With several, each is compared with the
    negatives only: brains that saw the same image are never set against one another.

    Args:
        similarity (`torch.Tensor` of shape `(rows, candidates)`):
            $s$: cosines divided by the temperature.
        positive (`torch.Tensor` of shape `(rows, candidates)`):
            Which candidates belong to a row; at least one of each.

    Returns:
        `torch.Tensor` of shape `(rows,)`: in nats, 0 for a row without negatives.
    """
    # A finite baseline: a row without negatives would get NaN for a gradient from the logarithm of an empty sum.
    baseline = torch.finfo(similarity.dtype).min
    negatives = similarity.masked_fill(positive, baseline).logsumexp(dim=-1, keepdim=True)
    losses = nn.functional.softplus(negatives - similarity) * positive
    return losses.sum(dim=-1) / positive.sum(dim=-1)


def symmetric_info_nce(
    brains: torch.Tensor, targets: torch.Tensor, images: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    r"""
    $\frac{1}{2}$ (brains look for their target + targets look for their brains), averaged over the rows of all
    processes together.

    A process takes the rows that are its own, against the candidates of all. The mean over processes, which is what
    DDP makes of gradients, is then the loss of one large batch, and so are its gradients.

    Args:
        brains, targets (`torch.Tensor` of shape `(batch, width)`):
            Vectors of length 1 of this process.
        images (`torch.Tensor` of shape `(batch,)`):
            Identity of the image of each row; rows of one image are positives of one another.
        scale (`torch.Tensor`):
            Inverse temperature.
    """
    all_brains, all_targets, all_images = gather(brains), gather(targets), gather(images)
    positive = images[:, None] == all_images
    towards_targets = info_nce(scale * brains @ all_targets.T, positive)
    towards_brains = info_nce(scale * targets @ all_brains.T, positive)
    return (towards_targets.mean() + towards_brains.mean()) / 2


def gather(values: torch.Tensor) -> torch.Tensor:
    """Values `(processes * batch, ...)` of all processes, through which gradients flow back to each."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return values
    return _Gather.apply(values)


class _Gather(torch.autograd.Function):
    """`all_gather`, the gradient of which is the sum of what all processes ask of this one's values."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def image_numbers(groups: Sequence[str]) -> torch.Tensor:
    """Names of images as numbers `(batch,)`, the same in all processes (64 bits of a hash)."""
    digests = (blake2b(group.encode(), digest_size=8).digest() for group in groups)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests])


__all__ = ["gather", "image_numbers", "info_nce", "symmetric_info_nce"]
