# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Several continuations of one beginning in one row: each as if the others were not there."""

import copy

import pytest
import torch
from testing_utils import VARIANTS, brain_inputs, prompt_ids, save_tiny_text_model, tiny_brain_model


LENGTHS = (4, 1, 3)


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def variant(request, tmp_path_factory):
    """Model, its brain inputs, and prompts `(3, tokens)` with three continuations each."""
    interface, encoder = request.param
    text_model = save_tiny_text_model(tmp_path_factory.mktemp("llama"))
    model = tiny_brain_model(text_model, interface, encoder).eval()
    generator = torch.Generator().manual_seed(3)
    continuations = [torch.randint(3, 99, (3, length), generator=generator) for length in LENGTHS]
    return model, brain_inputs(encoder), prompt_ids(model), continuations


def pack(prompts, continuations):
    """Trunk and segments in one row; labels are the continuations, of which each prompt's last token foretells one."""
    parts, segments, labels = [prompts[:, :-1]], [torch.zeros_like(prompts[:, :-1])], [prompts[:, :-1] * 0 - 100]
    for number, continuation in enumerate(continuations, start=1):
        tokens = torch.cat([prompts[:, -1:], continuation], dim=1)
        parts.append(tokens)
        segments.append(torch.full_like(tokens, number))
        labels.append(torch.cat([prompts[:, -1:] * 0 - 100, continuation], dim=1))
    return torch.cat(parts, dim=1), torch.cat(segments, dim=1), torch.cat(labels, dim=1)


def apart(prompts, continuation):
    """The same continuation in a row of its own."""
    labels = torch.cat([torch.full_like(prompts, -100), continuation], dim=1)
    return torch.cat([prompts, continuation], dim=1), labels


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_losses_equal_those_of_rows_apart(variant, attention):
    model, brain, prompts, continuations = variant
    model = copy.deepcopy(model)
    model.set_attn_implementation(attention)
    input_ids, segment_ids, labels = pack(prompts, continuations)
    packed, rows = model.token_losses(labels, input_ids=input_ids, segment_ids=segment_ids, **brain)
    for row in range(3):
        expected = []
        for continuation in continuations:
            ids, own = apart(prompts, continuation)
            losses, places = model.token_losses(own, input_ids=ids, **brain)
            expected.append(losses[places == row])
        torch.testing.assert_close(packed[rows == row], torch.cat(expected), atol=2e-5, rtol=1e-4)


def test_gradients_equal_those_of_rows_apart(variant):
    model, brain, prompts, continuations = variant
    gradients = []
    for packed in (True, False):
        copied = copy.deepcopy(model)
        if packed:
            input_ids, segment_ids, labels = pack(prompts, continuations)
            copied.token_losses(labels, input_ids=input_ids, segment_ids=segment_ids, **brain)[0].sum().backward()
        else:
            for continuation in continuations:
                ids, own = apart(prompts, continuation)
                copied.token_losses(own, input_ids=ids, **brain)[0].sum().backward()
        gradients.append({name: p.grad for name, p in copied.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        # Of the largest: an encoder whose tokens are normalised passes on gradients of some hundreds.
        atol = 1e-4 * max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(gradient, gradients[1][name], atol=atol, rtol=1e-4, msg=name)


def test_padding_on_either_side_is_invisible(variant):
    model, brain, prompts, continuations = variant
    input_ids, segment_ids, labels = pack(prompts, continuations)
    plain, _ = model.token_losses(labels, input_ids=input_ids, segment_ids=segment_ids, **brain)
    for side in ((5, 0), (0, 5)):
        pad = torch.nn.functional.pad
        mask = pad(torch.ones_like(input_ids), side)
        inputs = {"input_ids": pad(input_ids, side, value=2), "segment_ids": pad(segment_ids, side)}
        padded, _ = model.token_losses(pad(labels, side, value=-100), attention_mask=mask, **inputs, **brain)
        torch.testing.assert_close(padded, plain, atol=2e-5, rtol=1e-4)


def test_one_branch_is_a_plain_row(variant):
    model, brain, prompts, _ = variant
    segment_ids = torch.zeros_like(prompts)
    segment_ids[:, -2:] = 1
    torch.testing.assert_close(
        model(prompts, segment_ids=segment_ids, **brain).logits, model(prompts, **brain).logits, atol=2e-5, rtol=1e-4
    )


def test_attention_without_masks_is_refused(variant):
    model, brain, prompts, _ = variant
    model = copy.deepcopy(model)
    # The kernels are not installed: only the name counts, before any of them would run.
    model.config.text_config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ValueError, match="need an attention with masks; found 'flash_attention_2'"):
        model(prompts, segment_ids=torch.zeros_like(prompts), **brain)
