# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What training minimises and what its evaluation compares, as pure functions of loss matrices and indices."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


def likelihood_contrast(losses: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    r"""
    InfoNCE over the likelihood of one text under several brains.

    With $\ell_{ij}$ the negative log-likelihood of text $i$ under its $j$-th candidate brain, of which $j=0$ is its
    own, the loss is

    $$ -\frac{1}{n}\sum_i \log \frac{\exp(-\ell_{i0}/\tau)}{\sum_j \exp(-\ell_{ij}/\tau)} $$

    It falls only when the own brain makes the text likelier than other brains do: what every brain gains alike, such
    as a learnt soft prompt, cancels.

    Args:
        losses (`torch.Tensor` of shape `(batch, candidates)`):
            Negative log-likelihoods in nats, the own brain first; `inf` marks a candidate that does not exist.
        temperature (`float`, *optional*, defaults to 1.0):
            Temperature $\tau$ in nats.

    Returns:
        `torch.Tensor`: scalar, 0 where every text has but its own brain.
    """
    own = torch.zeros(losses.shape[0], dtype=torch.long, device=losses.device)
    return nn.functional.cross_entropy(-losses / temperature, own)


def draw_candidates(
    brain_index: Sequence[int],
    groups: Sequence[str],
    blocks: Sequence[object],
    num_negatives: int,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """
    Draws for each text the brains under which it is scored: its own, then others of the batch.

    A brain may stand in for another if it belongs to another group (the leak-proof unit of the split: a passage) and
    to the same block (subject and number of frames), so that neither passage nor shape gives it away.

    Args:
        brain_index (`Sequence[int]` of length `batch`):
            Brain of each text.
        groups (`Sequence[str]` of length `batch`):
            Group of each text.
        blocks (`Sequence[object]` of length `batch`):
            What must be equal, e.g. `(subject, frames)`.
        num_negatives (`int`):
            Other brains per text.
        generator (`torch.Generator`, *optional*):
            Source of chance; the global one by default, which the trainer saves and restores with checkpoints.

    Returns:
        `torch.Tensor` of shape `(batch, 1 + num_negatives)`: indices of brains, -1 where the batch has too few.
    """
    pools = _pools(brain_index, groups, blocks)
    chances = torch.rand(len(brain_index), num_negatives, generator=generator).tolist()
    rows = []
    for own, group, block, chance in zip(brain_index, groups, blocks, chances, strict=True):
        brains, spans = pools[block]
        start, end = spans.get(group, (0, 0))
        drawn = _draw_places(len(brains) - (end - start), chance)
        others = [brains[place if place < start else place + end - start] for place in drawn]
        rows.append([own, *others, *[-1] * (num_negatives - len(others))])
    return torch.tensor(rows)


def _pools(
    brain_index: Sequence[int], groups: Sequence[str], blocks: Sequence[object]
) -> dict[object, tuple[list[int], dict[str, tuple[int, int]]]]:
    """Of each block its brains, those that belong to one group alone side by side, and where these begin and end."""
    groups_of: dict[object, dict[int, set[str]]] = {}
    for brain, group, block in sorted(zip(brain_index, groups, blocks, strict=True), key=lambda item: item[0]):
        groups_of.setdefault(block, {}).setdefault(brain, set()).add(group)
    pools: dict[object, tuple[list[int], dict[str, tuple[int, int]]]] = {}
    for block, found in groups_of.items():
        alone: dict[str, list[int]] = {}
        brains: list[int] = []
        # A brain that texts of several groups read is another group's for each of them.
        several = [brain for brain, own in found.items() if len(own) > 1]
        for brain, own in found.items():
            if len(own) == 1:
                alone.setdefault(next(iter(own)), []).append(brain)
        spans = {}
        for group, members in alone.items():
            spans[group] = (len(brains), len(brains) + len(members))
            brains += members
        pools[block] = (brains + several, spans)
    return pools


def _draw_places(num_places: int, chances: Sequence[float]) -> list[int]:
    """Different places, one for each number in [0, 1) as far as there are some: the first cards of a shuffled deck."""
    moved: dict[int, int] = {}
    drawn = []
    for i, chance in enumerate(chances[:num_places]):
        place = i + int(chance * (num_places - i))
        drawn.append(moved.get(place, place))
        moved[place] = moved.get(i, i)
    return drawn


def draw_segments(num_tokens: torch.Tensor, num_segments: int, shortest: int = 3, longest: int = 7) -> torch.Tensor:
    """
    Draws random segments of texts.

    Args:
        num_tokens (`torch.Tensor` of shape `(batch,)`):
            Tokens of each text.
        num_segments (`int`):
            Segments of each text.
        shortest, longest (`int`, *optional*, default to 3 and 7):
            Tokens of a segment; a shorter text is its own segment.

    Returns:
        `torch.Tensor` of shape `(segments, batch, tokens)`: True inside the segment. Drawn from the global generator.
    """
    shape = (num_segments, len(num_tokens))
    lengths = torch.randint(shortest, longest + 1, shape).minimum(num_tokens)
    starts = (torch.rand(shape) * (num_tokens - lengths + 1)).long()
    positions = torch.arange(int(num_tokens.max()))
    return (positions >= starts[..., None]) & (positions < (starts + lengths)[..., None])


def summarize_pairs(losses: np.ndarray, num_tokens: np.ndarray) -> dict[str, float]:
    """
    Validation loss, and what the brain contributes to it.

    Args:
        losses (`np.ndarray` of shape `(samples, 1 + permutations)`):
            Summed negative log-likelihood of each text under its own brain and under other brains, in nats.
        num_tokens (`np.ndarray` of shape `(samples,)`):
            Labelled tokens of each text.

    Returns:
        `dict[str, float]`: `loss`, mean over all tokens under the own brain; `pairwise_accuracy`, share of pairs in
        which the own brain makes the text likelier (ties .5, chance .5); `pairwise_gap`, mean over pairs of the loss
        per token under the other brain less that under the own. The last two only if there are pairs.
    """
    summary = {"loss": float(losses[:, 0].sum() / num_tokens.sum())}
    gaps = (losses[:, 1:] - losses[:, :1]) / num_tokens[:, None]
    if gaps.size:
        summary["pairwise_accuracy"] = float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))
        summary["pairwise_gap"] = float(gaps.mean())
    return summary


__all__ = ["draw_candidates", "draw_segments", "likelihood_contrast", "summarize_pairs"]
