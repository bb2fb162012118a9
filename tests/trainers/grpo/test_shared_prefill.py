# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Completions as segments of their prompt: the layout by hand, and the numbers against rows of their own."""

import copy

import pytest
import torch
from testing_utils import VARIANTS, brain_inputs, prompt_ids, save_tiny_text_model, tiny_brain_model

from trainers.grpo.shared_prefill import SharedPrefill


PAD = 0


def packed(prompts, prompt_mask, completions, completion_mask, prefix_index) -> SharedPrefill:
    tensors = (torch.tensor(rows) for rows in (prompts, prompt_mask, completions, completion_mask, prefix_index))
    return SharedPrefill.pack(*tensors)


class TestLayout:
    """Two prompts, the first with two completions and the second with one that is longer; rows are not in order."""

    def setup_method(self):
        self.pack = packed(
            prompts=[[0, 10, 11, 12], [20, 21, 22, 23], [0, 10, 11, 12]],
            prompt_mask=[[0, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]],
            completions=[[31, 32, PAD], [41, 42, 43], [51, PAD, PAD]],
            completion_mask=[[1, 1, 0], [1, 1, 1], [1, 0, 0]],
            prefix_index=[7, 9, 7],
        )

    def test_a_prompt_stands_once_and_its_last_token_opens_each_branch(self):
        assert self.pack.input_ids.tolist() == [[0, 10, 11, 12, 31, 12], [20, 21, 22, 23, 41, 42]]
        assert self.pack.attention_mask.tolist() == [[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]
        assert self.pack.segment_ids.tolist() == [[0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1]]

    def test_each_branch_goes_on_where_the_prompt_ends(self):
        assert self.pack.position_ids.tolist() == [[0, 0, 1, 2, 3, 2], [0, 1, 2, 3, 4, 5]]

    def test_each_position_predicts_the_token_behind_it_in_its_branch(self):
        no = -100
        assert self.pack.shift_labels.tolist() == [[no, no, no, 31, 32, 51], [no, no, no, 41, 42, 43]]

    def test_a_row_knows_a_completion_of_its_prompt(self):
        assert self.pack.rows.tolist() == [0, 1]

    def test_values_come_back_to_their_completions(self):
        labels = self.pack.shift_labels
        assert self.pack.unpack(labels).tolist() == [[31, 32, 0], [41, 42, 43], [51, 0, 0]]


def test_a_completion_without_tokens_has_an_empty_branch():
    pack = packed([[1, 2]] * 2, [[1, 1]] * 2, [[5, 6], [7, 8]], [[0, 0], [1, 1]], [0, 0])
    assert pack.input_ids.tolist() == [[1, 2, 7]]
    assert pack.unpack(pack.shift_labels).tolist() == [[0, 0], [7, 8]]


def test_no_completion_has_tokens():
    pack = packed([[1, 2]], [[1, 1]], [[5]], [[0]], [0])
    assert pack.input_ids.tolist() == [[1]]
    assert pack.unpack(pack.shift_labels).tolist() == [[0]]


def test_a_prompt_of_one_token_is_only_a_beginning():
    pack = packed([[1], [1]], [[1], [1]], [[5, 6], [7, 8]], [[1, 1], [1, 1]], [0, 0])
    assert pack.input_ids.tolist() == [[1, 5, 1, 7]]
    assert pack.position_ids.tolist() == [[0, 1, 0, 1]]


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def completions(request, tmp_path_factory):
    """Model, brain inputs, and 12 completions of 3 prompts, one of which is padded, in mixed order."""
    interface, encoder = request.param
    model = tiny_brain_model(save_tiny_text_model(tmp_path_factory.mktemp("llama")), interface, encoder).eval()
    generator = torch.Generator().manual_seed(0)
    shared_prefix = torch.tensor([2, 0, 1, 0, 2, 2, 1, 0, 1, 0, 2, 1])
    prompts = prompt_ids(model)[shared_prefix]
    prompts = torch.cat([torch.full((12, 2), 2), prompts], dim=1)
    mask = torch.ones_like(prompts)
    mask[:, :2] = 0
    ids = torch.randint(3, 99, (12, 5), generator=generator)
    lengths = torch.randint(0, 6, (12,), generator=generator)
    return (
        model,
        brain_inputs(encoder),
        shared_prefix,
        (prompts, mask, ids, (torch.arange(5) < lengths[:, None]).long()),
    )


def log_probs_apart(model, features, shared_prefix, prompts, prompt_mask, ids, mask):
    """Log-probabilities `(completions, tokens)` by a full forward pass of each row, its own prompt before it."""
    inputs, masks = torch.cat([prompts, ids], dim=1), torch.cat([prompt_mask, mask], dim=1)
    logits = model(inputs, attention_mask=masks, brain_features=features, brain_index=shared_prefix).logits
    scores = logits[:, -ids.shape[1] - 1 : -1].log_softmax(-1)
    return scores.gather(-1, ids[..., None])[..., 0] * mask


def log_probs_packed(model, features, shared_prefix, *rows):
    pack = SharedPrefill.pack(*rows, shared_prefix)
    names = ("input_ids", "attention_mask", "position_ids", "segment_ids")
    inputs = {name: getattr(pack, name) for name in names}
    logits = model(**inputs, brain_features=features, brain_index=shared_prefix[pack.rows]).logits
    scores = logits.log_softmax(-1).gather(-1, pack.shift_labels.clamp(min=0)[..., None])[..., 0]
    return pack.unpack(scores)


def test_log_probabilities_equal_those_of_rows_apart(completions):
    model, brain, shared_prefix, rows = completions
    features = model.model.get_brain_features(**brain)
    apart, together = (f(model, features, shared_prefix, *rows) for f in (log_probs_apart, log_probs_packed))
    torch.testing.assert_close(together, apart, atol=2e-5, rtol=1e-5)


def test_gradients_equal_those_of_rows_apart(completions):
    model, brain, shared_prefix, rows = completions
    gradients = []
    for log_probs in (log_probs_apart, log_probs_packed):
        copied = copy.deepcopy(model)
        copied.model.language_model.requires_grad_(True)
        log_probs(copied, copied.model.get_brain_features(**brain), shared_prefix, *rows).mean().backward()
        gradients.append({name: p.grad for name, p in copied.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        # Of the largest: an encoder whose tokens are normalised passes on gradients of some hundreds.
        atol = 1e-5 * max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(gradients[1][name], gradient, atol=atol, rtol=1e-5, msg=name)
