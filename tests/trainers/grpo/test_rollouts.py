# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rollouts from a shared prefill: the tokens of rows apart, and how often brain and prompt are read."""

import pytest
import torch
from grpo_runs import PROMPT, make_model, make_rows
from testing_utils import EOS, PAD, VARIANTS, save_tiny_text_model, save_tiny_tokenizer
from transformers import GenerationConfig

from trainers.grpo.rollouts import (
    EncodedBrains,
    PromptBatch,
    cut_at_end,
    decode_from_shared_prefill,
    keep_groups_together,
)


MODES = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 0},
    "cool": {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_new_tokens": 5},
    "penalty": {"do_sample": True, "top_k": 0, "repetition_penalty": 1.5, "suppress_tokens": [5, 6]},
}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def variant(request, text_model):
    """Model, and prompts of three brains: four rows of the first, two of the second, three of the third."""
    interface, encoder = request.param
    model, processor = make_model(text_model, interface, encoder)
    rows = make_rows(encoder, brains=3)
    prompts = PromptBatch.collate(processor, [rows[place] for place in (0, 0, 1, 0, 2, 2, 1, 0, 2)])
    return model.eval(), prompts


def config(**mode):
    return GenerationConfig(max_new_tokens=8, pad_token_id=PAD, eos_token_id=[EOS, 7], **mode)


def shared(model, prompts, generation_config):
    brains = EncodedBrains.encode(model, prompts.brain)
    text = (prompts.input_ids, prompts.attention_mask)
    places = (prompts.brain_index, prompts.prefix_index)
    torch.manual_seed(0)
    return decode_from_shared_prefill(model, *text, brains.features, *places, generation_config)


def apart(model, prompts, generation_config):
    """Every row with its own prompt and brain, by `generate` alone."""
    brains, rows = EncodedBrains.encode(model, prompts.brain), prompts.prefix_index
    text = {"input_ids": prompts.input_ids[rows], "attention_mask": prompts.attention_mask[rows]}
    brain = brains.inputs_of_rows(prompts.brain_index[rows])
    torch.manual_seed(0)
    tokens = model.generate(**text, **brain, generation_config=generation_config)
    return tokens[:, prompts.input_ids.shape[1] :]


class TestTokens:
    @pytest.mark.parametrize("mode", MODES)
    def test_equal_those_of_rows_apart(self, variant, mode):
        model, prompts = variant
        generation_config = config(**MODES[mode])
        tokens = shared(model, prompts, generation_config)
        assert torch.equal(tokens, apart(model, prompts, generation_config))
        assert len(tokens) == 9

    def test_rows_of_one_brain_are_drawn_apart(self, variant):
        model, prompts = variant
        tokens = shared(model, prompts, config(**MODES["sampling"]))
        assert len({tuple(row.tolist()) for row in tokens[prompts.prefix_index == 0]}) == 4

    @pytest.mark.parametrize("prompt", ["", "word1"], ids=["brain alone", "one word"])
    def test_short_prompts(self, text_model, prompt):
        for interface in ("prefix", "cross_attention"):
            model, processor = make_model(text_model, interface)
            rows = make_rows(brains=2, prompt=prompt)
            prompts = PromptBatch.collate(processor, [rows[0], rows[1], rows[1]])
            generation_config = config(**MODES["sampling"])
            expected = apart(model.eval(), prompts, generation_config)
            assert torch.equal(shared(model, prompts, generation_config), expected)

    def test_prompts_of_other_lengths(self, text_model):
        model, processor = make_model(text_model)
        rows = [{**row, "prompt": " word5" * number} for number, row in enumerate(make_rows(brains=3), start=1)]
        prompts = PromptBatch.collate(processor, [rows[place] for place in (2, 0, 1, 0)])
        assert (prompts.attention_mask.sum(1) == torch.tensor([4, 2, 3])).all()
        generation_config = config(**MODES["greedy"])
        expected = apart(model.eval(), prompts, generation_config)
        assert torch.equal(shared(model, prompts, generation_config), expected)


class TestCounts:
    def test_brain_and_prompt_are_read_once(self, variant):
        model, prompts = variant
        encoded, keys, read = [], [], []
        adapters = model.model.brain_interface.adapters
        handles = [model.model.brain_encoder.register_forward_hook(lambda *args: encoded.append(len(args[2])))]
        handles += [
            adapter.cross_attention.k_proj.register_forward_hook(lambda *args: keys.append(len(args[2])))
            for adapter in adapters
        ]
        handles.append(
            model.model.language_model.layers[0].register_forward_hook(
                lambda *args: read.append(tuple(args[1][0].shape[:2]))
            )
        )
        shared(model, prompts, config(**MODES["cool"]))
        for handle in handles:
            handle.remove()
        assert encoded == [3]
        assert keys == [3] * len(adapters)
        assert read[0] == (3, prompts.input_ids.shape[1] - 1)
        assert set(read[1:]) == {(9, 1)}


class TestPromptBatch:
    def test_equal_brains_and_prompts_enter_once(self, variant):
        _, prompts = variant
        assert len(prompts.input_ids) == 3
        assert prompts.prefix_index.tolist() == [0, 0, 1, 0, 2, 2, 1, 0, 2]
        assert [len(ids) for ids in prompts.prompt_ids()] == [
            int(prompts.attention_mask[place].sum()) for place in prompts.prefix_index
        ]

    def test_one_brain_under_two_prompts(self, text_model):
        _, processor = make_model(text_model)
        row = make_rows(brains=1)[0]
        prompts = PromptBatch.collate(processor, [row, {**row, "prompt": "word9"}, row])
        assert prompts.prefix_index.tolist() == [0, 1, 0]
        assert prompts.brain_index.tolist() == [0, 0]
        assert len(prompts.brain["brain_values"]) == 1

    def test_the_brain_stands_where_the_marker_is_or_first(self, text_model):
        _, processor = make_model(text_model, "prefix")
        row = make_rows(brains=1)[0]
        prompts = PromptBatch.collate(processor, [row, {**row, "prompt": "word1 word2 word3"}])
        first, second = (ids.index(processor.brain_start_token_id) for ids in prompts.prompt_ids()[:2])
        assert (first, second) == (PROMPT.split().index("<|brain|>") + 1, 1)


def test_a_completion_ends_with_its_first_end_token():
    tokens = torch.tensor([[5, 1, 6, 1], [1, 2, 2, 2], [5, 6, 7, 8]])
    assert cut_at_end(tokens, [1, 7]) == [[5, 1], [1], [5, 6, 7]]


def test_keeping_groups_together_moves_rows_whole():
    rows = {"prefix_index": torch.tensor([1, 0, 1, 2, 0, 2]), "x": torch.arange(6), "names": list("abcdef")}
    scalar = torch.tensor(5)
    slices = [
        {**{name: value[:3] for name, value in rows.items()}, "n": scalar},
        {**{name: value[3:] for name, value in rows.items()}, "n": scalar},
    ]
    first, second = keep_groups_together(slices)
    assert first["prefix_index"].tolist() + second["prefix_index"].tolist() == [1, 1, 0, 0, 2, 2]
    assert first["x"].tolist() + second["x"].tolist() == [0, 2, 1, 4, 3, 5]
    assert first["names"] + second["names"] == ["a", "c", "b", "e", "d", "f"]
    assert first["n"] is scalar


def test_rows_that_would_be_misread_are_refused(tmp_path):
    save_tiny_tokenizer(save_tiny_text_model(tmp_path))
    _, processor = make_model(tmp_path)
    rows = list(make_rows())
    with pytest.raises(ValueError, match=r"`prompt` of row 'tiny/0' .*chat template before"):
        PromptBatch.collate(processor, [{**rows[0], "prompt": [{"role": "user", "content": "word1"}]}])
    shared = [rows[0], {**rows[1], "brain_id": rows[0]["brain_id"]}]
    with pytest.raises(ValueError, match=r"'brain/0' is given to subjects 'S1' and 'S2'"):
        PromptBatch.collate(processor, shared)
