# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A filled cache moved about, a vocabulary that stays, and a head that is not copied."""

import copy
import math

import pytest
import torch
from testing_utils import VARIANTS, VOCAB_SIZE, brain_inputs, prompt_ids, save_tiny_text_model, tiny_brain_model
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_text_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def variant(request, text_model):
    """Model, its brain inputs and its prompts."""
    interface, encoder = request.param
    model = tiny_brain_model(text_model, interface, encoder).eval()
    return model, brain_inputs(encoder), prompt_ids(model)


class TestBrainCache:
    """Rows of a filled cache are moved about with all that belongs to them."""

    @pytest.fixture
    def filled(self, text_model):
        """Model, next tokens, and a cache of three rows whose brains have 3, 1 and 2 real frames."""
        model = tiny_brain_model(text_model, "cross_attention", "frames").eval()
        ids, mask = prompt_ids(model), torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
        brain = {**brain_inputs("frames"), "brain_attention_mask": mask}
        return model, ids, brain, lambda: model(ids, **brain, use_cache=True).past_key_values

    def following(self, model, cache, token):
        return model(token, past_key_values=cache).logits[:, -1]

    def test_select_reorder_and_repeat(self, filled):
        model, ids, brain, fill = filled
        token = torch.tensor([[5], [6], [7]])
        expected = model(torch.cat([ids, token], 1), **brain).logits[:, -1]
        rows = torch.tensor([2, 0])
        cache = fill()
        cache.batch_select_indices(rows)
        torch.testing.assert_close(self.following(model, cache, token[rows]), expected[rows], rtol=1e-4, atol=1e-4)
        order = torch.tensor([1, 2, 1])
        cache = fill()
        cache.reorder_cache(order)
        torch.testing.assert_close(self.following(model, cache, token[order]), expected[order], rtol=1e-4, atol=1e-4)
        cache = fill()
        cache.batch_repeat_interleave(2)
        found = self.following(model, cache, token.repeat_interleave(2, 0))
        torch.testing.assert_close(found, expected.repeat_interleave(2, 0), rtol=1e-4, atol=1e-4)

    def test_repeated_rows_move_among_prompts(self, filled):
        """Beams of one prompt leave what the brain says where it is; rows of other prompts take theirs along."""
        model, ids, brain, fill = filled
        token = torch.arange(5, 11)[:, None]
        expected = model(torch.cat([ids.repeat_interleave(2, 0), token], 1), **{
            **brain, "brain_index": torch.arange(3).repeat_interleave(2)
        }).logits[:, -1]  # fmt: skip
        for order, moves in (([1, 0, 2, 3, 5, 4], False), ([4, 5, 1, 2, 0, 3], True)):
            cache = fill()
            cache.batch_repeat_interleave(2)
            layers = cache.cross_attention_cache.layers
            before = [layer.keys for layer in layers]
            cache.reorder_cache(torch.tensor(order))
            assert [layer.keys is not keys for layer, keys in zip(layers, before, strict=True)] == [moves] * len(
                layers
            )
            found = self.following(model, cache, token[order])
            torch.testing.assert_close(found, expected[order], rtol=1e-4, atol=1e-4)

    def test_another_brain_beside_a_filled_cache(self, filled):
        model, _, brain, fill = filled
        other = {**brain, "brain_values": brain["brain_values"] + 1}
        token = torch.tensor([[5], [6], [7]])
        with pytest.raises(ValueError, match="holds the keys and values of another brain"):
            model(token, past_key_values=fill(), **other)
        expected = self.following(model, fill(), token)
        assert torch.equal(model(token, past_key_values=fill(), **brain).logits[:, -1], expected)


class TestVocabulary:
    def test_a_tokenizer_with_placeholders_changes_nothing(self, variant):
        model, brain, input_ids = variant
        before = model(input_ids, **brain).logits
        model.resize_token_embeddings(model.config.num_token_ids)
        assert torch.equal(model(input_ids, **brain).logits, before)

    @pytest.mark.parametrize("size", [VOCAB_SIZE - 1, VOCAB_SIZE + 4, 10 * VOCAB_SIZE])
    def test_other_sizes_are_refused(self, variant, size):
        model, _, _ = variant
        for part in (model, model.model):
            with pytest.raises(ValueError, match=rf"vocabulary of 99 cannot become one of {size}.*from_text_model"):
                part.resize_token_embeddings(size)


class TestHalfPrecisionHead:
    def test_the_head_is_not_copied_for_each_row(self, variant):
        """At the prompt, no tensor of `[batch, hidden, vocabulary]` comes about, and the logits stay."""
        model, brain, input_ids = variant
        model = copy.deepcopy(model).to(torch.bfloat16)
        hidden = model.config.text_config.hidden_size
        sizes = []

        class Sizes(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                made = function(*args, **(kwargs or {}))
                sizes.extend(t.shape for t in (made if isinstance(made, tuple) else (made,)) if torch.is_tensor(t))
                return made

        with torch.no_grad(), Sizes():
            found = model(input_ids, **brain, logits_to_keep=2).logits
        assert not [s for s in sizes if math.prod(s) >= 3 * hidden * VOCAB_SIZE]
        with torch.no_grad():
            expected = torch.stack([model.lm_head(row) for row in model.model(input_ids, **brain).last_hidden_state])
        assert torch.equal(found, expected[:, -2:])
