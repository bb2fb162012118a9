# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""All completions of one prompt in one row: the prompt, with its brain, is read once, and so is its gradient."""

from dataclasses import dataclass

import torch


@dataclass
class SharedPrefill:
    """
    Completions packed as segments of their prompts, one row for each distinct prompt (the shared prefix).

    The last token of a prompt predicts the first token of each completion, so it opens every segment; the last token
    of a completion predicts nothing and is left out. A row reads

        padding, prompt but for its last token | last token, completion 1 | last token, completion 2 | ... padding

    and the model sees each segment as if the others were not there ([`BrainLlamaModel`], `segment_ids`).

    Attributes:
        input_ids, attention_mask, segment_ids, position_ids (`torch.LongTensor` of shape `(shared prefixes, tokens)`):
            Inputs of the model.
        shift_labels (`torch.LongTensor` of shape `(shared prefixes, tokens)`):
            The token that each position has to predict, -100 for none.
        rows (`torch.LongTensor` of shape `(shared prefixes,)`):
            For each shared prefix, one completion that belongs to it.
        places (`tuple[torch.LongTensor, torch.LongTensor]`):
            Packed row and column that predict each real token of the completions, in their order.
        completion_mask (`torch.BoolTensor` of shape `(completions, tokens)`):
            Which tokens are real.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    segment_ids: torch.Tensor
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
        prefix_index: torch.Tensor,
    ) -> "SharedPrefill":
        """
        Packs completions, in any order.

        Args:
            prompt_ids, prompt_mask (`torch.LongTensor` of shape `(completions, prompt tokens)`):
                Prompts, padded on the left.
            completion_ids, completion_mask (`torch.LongTensor` of shape `(completions, tokens)`):
                Completions, padded on the right; one without any real token has an empty segment.
            prefix_index (`torch.LongTensor` of shape `(completions,)`):
                Equal for completions of the same prompt under the same brain.
        """
        completion_mask = completion_mask.bool()
        _, shared_prefix = prefix_index.unique(return_inverse=True)
        number, start, rows = _lay_out(shared_prefix, completion_mask.sum(1))
        prefix_ids, prefix_mask = prompt_ids[rows, :-1], prompt_mask[rows, :-1]
        # Column of the position that predicts token j of each completion
        within = torch.arange(completion_ids.shape[1], device=shared_prefix.device)
        columns = prefix_ids.shape[1] + start[:, None] + within
        places = shared_prefix[:, None].expand_as(columns)[completion_mask], columns[completion_mask]
        width = prefix_ids.shape[1] + int((start + completion_mask.sum(1)).max())

        def spread(prefix_values: torch.Tensor, segment_values: torch.Tensor, padding: int) -> torch.Tensor:
            packed = prefix_values.new_full((len(rows), width), padding)
            packed[:, : prefix_ids.shape[1]] = prefix_values
            return packed.index_put(places, segment_values.expand_as(columns)[completion_mask].to(packed.dtype))

        inputs = torch.cat([prompt_ids[:, -1:], completion_ids[:, :-1]], dim=1)
        prefix_lengths = prefix_mask.sum(1)
        return cls(
            input_ids=spread(prefix_ids, inputs, 0),
            attention_mask=spread(prefix_mask, torch.ones_like(inputs), 0),
            segment_ids=spread(torch.zeros_like(prefix_ids), number[:, None] + 1, 0),
            position_ids=spread(
                (prefix_mask.cumsum(1) - 1).clamp(min=0), prefix_lengths[shared_prefix][:, None] + within, 0
            ),
            shift_labels=spread(torch.full_like(prefix_ids, -100), completion_ids, -100),
            rows=rows,
            places=places,
            completion_mask=completion_mask,
        )

    def unpack(self, values: torch.Tensor) -> torch.Tensor:
        """
        Values `(shared prefixes, tokens)` of packed rows → `(completions,
        tokens)`, 0 where a completion has no token.
        """
        unpacked = values.new_zeros(self.completion_mask.shape)
        return unpacked.masked_scatter(self.completion_mask, values[self.places])


def _lay_out(shared_prefix: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    For each completion its number among those of its shared prefix and its offset behind it; one completion per shared
    prefix.
    """
    order = shared_prefix.argsort(stable=True)
    is_first = torch.ones_like(shared_prefix, dtype=torch.bool)
    is_first[1:] = shared_prefix[order][1:] != shared_prefix[order][:-1]
    firsts = is_first.nonzero()[:, 0]
    ends = lengths[order].cumsum(0)
    ranks, starts = torch.empty_like(shared_prefix), torch.empty_like(shared_prefix)
    group = is_first.cumsum(0) - 1
    ranks[order] = torch.arange(len(shared_prefix), device=shared_prefix.device) - firsts[group]
    before = ends - lengths[order]
    starts[order] = before - before[firsts][group]
    return ranks, starts, order[firsts]


__all__ = ["SharedPrefill"]
