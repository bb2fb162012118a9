# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""All completions of one prompt in one row: the prompt, with its brain, is read once, and so is its gradient."""

from dataclasses import dataclass

import torch


@dataclass
class SharedPrefill:
    """
    Completions packed as branches of their prompts, one row for each distinct prompt (the trunk).

    The last token of a prompt predicts the first token of each completion, so it opens every branch; the last token
    of a completion predicts nothing and is left out. A row reads

        padding, prompt but for its last token | last token, completion 1 | last token, completion 2 | ... padding

    and the model sees each branch as if the others were not there ([`BrainLlamaModel`], `branch_ids`).

    Attributes:
        input_ids, attention_mask, branch_ids, position_ids (`torch.LongTensor` of shape `(trunks, tokens)`):
            Inputs of the model.
        shift_labels (`torch.LongTensor` of shape `(trunks, tokens)`):
            The token that each position has to predict, -100 for none.
        rows (`torch.LongTensor` of shape `(trunks,)`):
            For each trunk, one completion that belongs to it.
        places (`tuple[torch.LongTensor, torch.LongTensor]`):
            Packed row and column that predict each real token of the completions, in their order.
        completion_mask (`torch.BoolTensor` of shape `(completions, tokens)`):
            Which tokens are real.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    branch_ids: torch.Tensor
    position_ids: torch.Tensor
    shift_labels: torch.Tensor
    rows: torch.Tensor
    places: tuple[torch.Tensor, torch.Tensor]
    completion_mask: torch.Tensor

    @classmethod
    def pack(
        cls,
        prompt_ids: torch.Tensor,
        prompt_mask: torch.Tensor,
        completion_ids: torch.Tensor,
        completion_mask: torch.Tensor,
        trunk_index: torch.Tensor,
    ) -> "SharedPrefill":
        """
        Packs completions, in any order.

        Args:
            prompt_ids, prompt_mask (`torch.LongTensor` of shape `(completions, prompt tokens)`):
                Prompts, padded on the left.
            completion_ids, completion_mask (`torch.LongTensor` of shape `(completions, tokens)`):
                Completions, padded on the right; one without any real token has an empty branch.
            trunk_index (`torch.LongTensor` of shape `(completions,)`):
                Equal for completions of the same prompt under the same brain.
        """
        completion_mask = completion_mask.bool()
        _, trunk = trunk_index.unique(return_inverse=True)
        number, start, rows = _lay_out(trunk, completion_mask.sum(1))
        trunk_ids, trunk_mask = prompt_ids[rows, :-1], prompt_mask[rows, :-1]
        # Column of the position that predicts token j of each completion
        within = torch.arange(completion_ids.shape[1], device=trunk.device)
        columns = trunk_ids.shape[1] + start[:, None] + within
        places = trunk[:, None].expand_as(columns)[completion_mask], columns[completion_mask]
        width = trunk_ids.shape[1] + int((start + completion_mask.sum(1)).max())

        def spread(trunk_values: torch.Tensor, branch_values: torch.Tensor, padding: int) -> torch.Tensor:
            packed = trunk_values.new_full((len(rows), width), padding)
            packed[:, : trunk_ids.shape[1]] = trunk_values
            return packed.index_put(places, branch_values.expand_as(columns)[completion_mask].to(packed.dtype))

        inputs = torch.cat([prompt_ids[:, -1:], completion_ids[:, :-1]], dim=1)
        trunk_lengths = trunk_mask.sum(1)
        return cls(
            input_ids=spread(trunk_ids, inputs, 0),
            attention_mask=spread(trunk_mask, torch.ones_like(inputs), 0),
            branch_ids=spread(torch.zeros_like(trunk_ids), number[:, None] + 1, 0),
            position_ids=spread((trunk_mask.cumsum(1) - 1).clamp(min=0), trunk_lengths[trunk][:, None] + within, 0),
            shift_labels=spread(torch.full_like(trunk_ids, -100), completion_ids, -100),
            rows=rows,
            places=places,
            completion_mask=completion_mask,
        )

    def unpack(self, values: torch.Tensor) -> torch.Tensor:
        """Values `(trunks, tokens)` of packed rows → `(completions, tokens)`, 0 where a completion has no token."""
        unpacked = values.new_zeros(self.completion_mask.shape)
        return unpacked.masked_scatter(self.completion_mask, values[self.places])


def _lay_out(trunk: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each completion its number among those of its trunk and its offset behind it; one completion per trunk."""
    order = trunk.argsort(stable=True)
    is_first = torch.ones_like(trunk, dtype=torch.bool)
    is_first[1:] = trunk[order][1:] != trunk[order][:-1]
    firsts = is_first.nonzero()[:, 0]
    ends = lengths[order].cumsum(0)
    ranks, starts = torch.empty_like(trunk), torch.empty_like(trunk)
    group = is_first.cumsum(0) - 1
    ranks[order] = torch.arange(len(trunk), device=trunk.device) - firsts[group]
    before = ends - lengths[order]
    starts[order] = before - before[firsts][group]
    return ranks, starts, order[firsts]


__all__ = ["SharedPrefill"]
