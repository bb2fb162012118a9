# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Generation: every way of decoding agrees with the plain one, and the brain is read once."""

import copy

import pytest
import torch
from testing_utils import (
    INTERFACES,
    PAD,
    VARIANTS,
    VOCAB_SIZE,
    brain_inputs,
    prompt_ids,
    save_tiny_text_model,
    tiny_brain_model,
)
from transformers import CompileConfig, LlamaForCausalLM, SynthIDTextWatermarkingConfig, WatermarkingConfig

from modeling_brainllm import BrainLlamaForCausalLM, FrameEncoderConfig


MODES = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 20},
    "beam": {"num_beams": 3, "do_sample": False},
    "beam-returns": {"num_beams": 4, "num_return_sequences": 2, "do_sample": False},
    "sampled-returns": {"do_sample": True, "num_return_sequences": 3},
    # As published by BrainLLM; the penalty looks up the score of every prompt token, placeholders included.
    "published": {"num_beams": 5, "repetition_penalty": 2.0, "min_new_tokens": 4, "do_sample": False},
}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_text_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def variant(request, text_model):
    """Model, its brain inputs and its prompts."""
    interface, encoder = request.param
    model = tiny_brain_model(text_model, interface, encoder).eval()
    return model, brain_inputs(encoder), prompt_ids(model)


def generate(model, input_ids, **kwargs):
    torch.manual_seed(0)
    settings = {"max_new_tokens": 10, "attention_mask": torch.ones_like(input_ids), **kwargs}
    return model.generate(input_ids, **settings)


def teacher_forced(model, input_ids, brain, steps=10):
    """Greedy decoding by hand: a full forward pass for every token."""
    features = model.model.get_brain_features(**brain)
    finished = torch.zeros(len(input_ids), dtype=torch.bool)
    for _ in range(steps):
        token = model(input_ids, brain_features=features).logits[:, -1].argmax(-1)
        token = torch.where(finished, PAD, token)
        finished |= token == model.generation_config.eos_token_id
        input_ids = torch.cat([input_ids, token[:, None]], dim=1)
        if finished.all():
            break
    return input_ids


class TestModes:
    def test_greedy_equals_a_full_forward_per_token(self, variant):
        model, brain, input_ids = variant
        assert torch.equal(
            generate(model, input_ids, do_sample=False, **brain), teacher_forced(model, input_ids, brain)
        )

    @pytest.mark.parametrize("mode", MODES, ids=str)
    def test_cached_equals_uncached(self, variant, mode):
        model, brain, input_ids = variant
        cached = generate(model, input_ids, **MODES[mode], **brain)
        assert torch.equal(cached, generate(model, input_ids, use_cache=False, **MODES[mode], **brain))
        assert len(cached) == 3 * MODES[mode].get("num_return_sequences", 1)

    def test_static_cache_equals_dynamic(self, variant):
        model, brain, input_ids = variant
        dynamic = generate(model, input_ids, do_sample=False, **brain)
        static = generate(
            model, input_ids, do_sample=False, cache_implementation="static", disable_compile=True, **brain
        )
        assert torch.equal(dynamic, static)

    def test_bfloat16_cached_equals_uncached(self, variant):
        model, brain, input_ids = variant
        half = copy.deepcopy(model).to(torch.bfloat16)
        cached = generate(half, input_ids, do_sample=False, **brain)
        assert torch.equal(
            cached[:, :-6], generate(half, input_ids, do_sample=False, use_cache=False, **brain)[:, :-6]
        )

    def test_left_padded_batch_equals_single(self, variant):
        model, brain, input_ids = variant
        features = model.model.get_brain_features(**brain)
        padded = torch.cat([torch.full((3, 4), PAD), input_ids], dim=1)
        mask = torch.ones_like(padded)
        mask[:, :4] = 0
        batch = generate(model, padded, attention_mask=mask, do_sample=False, **brain)[:, padded.shape[1] :]
        for row in range(3):
            index = torch.tensor([row])
            single = generate(
                model, input_ids[row : row + 1], do_sample=False, brain_features=features, brain_index=index
            )[:, input_ids.shape[1] :]
            assert torch.equal(batch[row : row + 1, : single.shape[1]], single)

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_padded_frames_decode_like_short_ones(self, text_model, interface):
        model = tiny_brain_model(text_model, interface, "frames").eval()
        values = brain_inputs("frames", brains=1)["brain_values"][:, :2]
        padded = torch.cat([values, torch.full((1, 1, 6), 1e3)], dim=1)
        input_ids = prompt_ids(model, batch=1)
        if interface == "prefix":
            input_ids = torch.cat([input_ids[:, :2], input_ids[:, 4:]], dim=1)
        short = generate(model, input_ids, num_beams=2, brain_values=values)
        mask = torch.tensor([[1, 1, 0]])
        assert torch.equal(
            short, generate(model, input_ids, num_beams=2, brain_values=padded, brain_attention_mask=mask)
        )

    def test_placeholders_are_never_generated(self, variant):
        model, brain, input_ids = variant
        tokens = generate(
            model,
            input_ids,
            do_sample=True,
            temperature=50.0,
            top_k=0,
            max_new_tokens=60,
            num_return_sequences=4,
            **brain,
        )
        assert tokens[:, input_ids.shape[1] :].max() < VOCAB_SIZE

    def test_scores_have_the_vocabulary_of_the_language_model(self, variant):
        model, brain, input_ids = variant
        outputs = generate(
            model,
            input_ids,
            do_sample=False,
            repetition_penalty=1.5,
            output_scores=True,
            return_dict_in_generate=True,
            **brain,
        )
        assert {tuple(scores.shape) for scores in outputs.scores} == {(3, VOCAB_SIZE)}

    @pytest.mark.slow
    def test_compiled_static_cache_equals_dynamic(self, variant):
        model, brain, input_ids = variant
        dynamic = generate(model, input_ids, do_sample=False, **brain)
        compiled = generate(
            copy.deepcopy(model),
            input_ids,
            do_sample=False,
            cache_implementation="static",
            compile_config=CompileConfig(fullgraph=True),
            **brain,
        )
        assert torch.equal(dynamic, compiled)


class TestCounts:
    """Counted, not timed: what the brain costs does not depend on how many texts are decoded from it."""

    @pytest.mark.parametrize("mode", MODES, ids=str)
    @pytest.mark.parametrize("use_cache", [True, False])
    def test_each_brain_is_encoded_and_projected_once(self, variant, mode, use_cache):
        model, brain, input_ids = variant
        rows = {"encoder": [], "keys": []}

        def record(name):
            return lambda module, args, output: rows[name].append(len(output))

        handles = [model.model.brain_encoder.register_forward_hook(record("encoder"))]
        adapters = model.model.brain_interface.adapters
        handles += [adapter.cross_attention.k_proj.register_forward_hook(record("keys")) for adapter in adapters]
        try:
            generate(model, input_ids, use_cache=use_cache, **MODES[mode], **brain)
        finally:
            for handle in handles:
                handle.remove()
        assert rows["encoder"] == [3]
        assert rows["keys"] == [3] * len(adapters)

    @pytest.mark.parametrize("mode", MODES, ids=str)
    def test_each_prompt_is_read_once(self, variant, mode):
        """Rows and tokens of each pass: the prompts but for their last token, and then a token of every text."""
        model, brain, input_ids = variant
        shapes = []
        handle = model.model.language_model.layers[0].register_forward_pre_hook(
            lambda module, args: shapes.append(tuple(args[0].shape[:2]))
        )
        generate(model, input_ids, **MODES[mode], **brain)
        handle.remove()
        texts = max(MODES[mode].get("num_beams", 1), MODES[mode].get("num_return_sequences", 1))
        length = input_ids.shape[1]
        first = [(3, length)] if texts == 1 else [(3, length - 1), (3 * texts, 1)]
        assert shapes == first + [(3 * texts, 1)] * (len(shapes) - len(first))

    def test_prompts_that_cannot_be_shared(self, variant):
        """A single token leaves nothing to read before it; a prompt that ends with its brain is not torn apart."""
        model, brain, input_ids = variant
        prompts = [(input_ids[:, -1:], {})]
        if model.config.interface == "prefix":
            end = int((input_ids[0] >= VOCAB_SIZE).nonzero()[-1]) + 1
            prompts.append((input_ids[:, :end], brain))
        for ids, given in prompts:
            found = generate(model, ids, **MODES["beam"], **given)
            assert torch.equal(found, generate(model, ids, use_cache=False, **MODES["beam"], **given))

    def test_rows_that_share_a_brain_encode_it_once(self, variant):
        model, brain, input_ids = variant
        calls = []
        handle = model.model.brain_encoder.register_forward_hook(
            lambda module, args, output: calls.append(len(output))
        )
        shared = generate(model, input_ids.repeat(2, 1), brain_index=torch.arange(6) % 3, do_sample=False, **brain)
        handle.remove()
        assert calls == [3]
        assert torch.equal(shared[:3], shared[3:])


class TestCompile:
    @pytest.mark.slow
    @pytest.mark.parametrize("training", [False, True])
    def test_forward_compiles_to_one_graph(self, variant, training):
        model, brain, input_ids = variant
        model = copy.deepcopy(model).train(training)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        labels = input_ids.masked_fill(torch.arange(input_ids.shape[1]) < input_ids.shape[1] - 3, -100)
        eager = model(input_ids, labels=labels, use_cache=False, **brain)
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True)(input_ids, labels=labels, use_cache=False, **brain)
        torch.testing.assert_close(compiled.loss, eager.loss, atol=1e-4, rtol=1e-4)
        if training:
            compiled.loss.backward()
            assert all(p.grad is not None for n, p in model.named_parameters() if "brain_" in n)


class TestOnAnyLlama:
    @pytest.mark.parametrize("heads", [(4, 4), (4, 1)], ids=["multi-head", "multi-query"])
    def test_head_layouts(self, tmp_path, heads):
        save_tiny_text_model(tmp_path, num_attention_heads=heads[0], num_key_value_heads=heads[1], head_dim=16)
        model = BrainLlamaForCausalLM.from_text_model(
            tmp_path,
            FrameEncoderConfig(num_features=6, num_frames=3),
            config_kwargs={"interface": "cross_attention", "adapter_layers": (1,)},
        )
        model.model.brain_interface.adapters[0].gate.data.fill_(1.0)
        input_ids = prompt_ids(model)
        cached = generate(model, input_ids, do_sample=False, **brain_inputs("frames"))
        uncached = generate(model, input_ids, do_sample=False, use_cache=False, **brain_inputs("frames"))
        assert torch.equal(cached, uncached)


# Every built-in logits processor that `generate` makes for a decoder, by the setting that asks for it.
PROCESSORS = {
    "guidance": {"guidance_scale": 1.5},
    "guidance-negative": {"guidance_scale": 1.5, "negative_prompt_ids": torch.tensor([[0, 5, 6]] * 3)},
    "repetition": {"repetition_penalty": 1.5},
    "encoder-repetition": {"encoder_repetition_penalty": 1.5},
    "ngram": {"no_repeat_ngram_size": 2},
    "encoder-ngram": {"encoder_no_repeat_ngram_size": 2},
    "bad-words": {"bad_words_ids": [[5], [6, 7]]},
    "sequence-bias": {"sequence_bias": [[[5], 3.0], [[6, 7], -2.0]]},
    "min-length": {"min_length": 20},
    "min-new-tokens": {"min_new_tokens": 5},
    "forced-bos": {"forced_bos_token_id": 4},
    "forced-eos": {"forced_eos_token_id": 1},
    "remove-invalid": {"remove_invalid_values": True},
    "length-penalty": {"exponential_decay_length_penalty": (3, 1.2)},
    "suppress": {"suppress_tokens": [4, 5]},
    "begin-suppress": {"begin_suppress_tokens": [4]},
    "renormalize": {"renormalize_logits": True, "num_beams": 2},
    "prefix-allowed": {"prefix_allowed_tokens_fn": lambda batch, ids: [5, 6, 7]},
    "watermark": {"watermarking_config": WatermarkingConfig()},
    "synthid": {
        "watermarking_config": SynthIDTextWatermarkingConfig(keys=[1, 2, 3, 4, 5], ngram_len=3), "do_sample": True,
    },
    "warpers": {
        "do_sample": True, "top_k": 5, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.9, "epsilon_cutoff": 1e-3,
        "eta_cutoff": 1e-3, "temperature": 0.7,
    },
    "top-h": {"do_sample": True, "top_h": 0.5},
}  # fmt: skip


class TestLogitsProcessors:
    @pytest.mark.parametrize("setting", PROCESSORS)
    def test_each_runs_and_with_beams_too(self, variant, setting):
        model, brain, input_ids = variant
        for beams in (1, 3):
            if beams > 1 and setting in ("synthid", "guidance-negative"):
                continue  # one keeps a state per row, the other has one prompt per row
            kwargs = {"do_sample": False, "num_beams": beams, **brain, **PROCESSORS[setting]}
            tokens = generate(model, input_ids, **kwargs)[:, input_ids.shape[1] :]
            assert tokens.max() < VOCAB_SIZE

    def test_guidance_by_hand(self, variant):
        """The first token: log-probabilities with the brain, moved away from those of the last token alone."""
        model, brain, input_ids = variant
        given = model(input_ids, **brain).logits[:, -1].log_softmax(-1)
        alone = model(input_ids[:, -1:]).logits[:, -1].log_softmax(-1)
        expected = (1.5 * (given - alone) + alone).argmax(-1)
        found = generate(model, input_ids, **brain, guidance_scale=1.5, do_sample=False, max_new_tokens=1)
        assert torch.equal(found[:, -1], expected)


class TestOtherWays:
    """Each other way of decoding says what the plain one says, or is refused in a sentence."""

    @pytest.mark.parametrize("way", ["lookup", "assistant", "chunks"])
    def test_equals_the_plain_one_or_is_refused(self, variant, way):
        model, _, _ = variant
        encoder = "frames" if isinstance(model.config.encoder_config, FrameEncoderConfig) else "voxels"
        brain, input_ids = brain_inputs(encoder, brains=1), prompt_ids(model, batch=1)
        settings = {
            "lookup": {"prompt_lookup_num_tokens": 3}, "assistant": {"assistant_model": model},
            "chunks": {"prefill_chunk_size": 3},
        }[way]  # fmt: skip
        if way != "lookup" and model.config.interface == "prefix":
            with pytest.raises(ValueError, match="`assistant_model`|`prefill_chunk_size`"):
                generate(model, input_ids, **brain, do_sample=False, **settings)
            return
        found = generate(model, input_ids, **brain, do_sample=False, **settings)
        assert torch.equal(found, generate(model, input_ids, **brain, do_sample=False))

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_assistants_that_cannot_read_the_brain(self, text_model, interface):
        model, plain = tiny_brain_model(text_model, interface, "frames"), LlamaForCausalLM.from_pretrained(text_model)
        prompt = {"input_ids": prompt_ids(model, batch=1), **brain_inputs("frames", 1)}
        with pytest.raises(ValueError, match=r"`assistant_model` must read the same prompt and brain"):
            model.generate(**prompt, assistant_model=plain)
        with pytest.raises(ValueError, match="would leave out brain adapters"):
            model.generate(**prompt, assistant_early_exit=2)


def test_broken_weights_write_no_text(variant):
    """With NaN in the brain modules or in the language model, by every way of decoding."""
    model, brain, input_ids = variant
    for part in ("brain_interface", "layers.1.mlp.up_proj"):
        broken = copy.deepcopy(model)
        with torch.no_grad():
            for name, parameter in broken.named_parameters():
                if part in name:
                    parameter.fill_(torch.nan)
        for mode in MODES.values():
            with pytest.raises(FloatingPointError, match=r"first token are NaN or infinite in the rows \[0"):
                generate(broken, input_ids, **brain, **mode)


class TestGuidance:
    """Against the definition, token by token, without a cache."""

    @pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
    @pytest.mark.parametrize("mode", ["greedy", "beam"])
    def test_equals_the_definition(self, variant, scale, mode):
        model, brain, input_ids = variant
        features = model.model.get_brain_features(**brain)
        hidden = model.model.get_brain_features(
            **brain, condition_mask=torch.zeros(len(features.tokens), dtype=torch.bool)
        )
        found = generate(
            model, input_ids, **brain, **MODES[mode], brain_guidance_scale=scale, max_new_tokens=6,
            return_dict_in_generate=True, output_scores=True, eos_token_id=None,
        )  # fmt: skip
        if mode == "beam":
            # A search says how likely it takes its sequences to be: the mean guided log-probability of their tokens.
            likelihood = self.likelihood(model, found.sequences, input_ids, features, hidden, scale)
            torch.testing.assert_close(found.sequences_scores, likelihood / 6, atol=2e-4, rtol=1e-3)
            return
        sequences = input_ids
        for step in range(6):
            own, null = (
                model(sequences, brain_features=given).logits[:, -1].log_softmax(-1) for given in (features, hidden)
            )
            expected = null + scale * (own - null)
            torch.testing.assert_close(found.scores[step], expected, atol=2e-4, rtol=1e-3)
            sequences = found.sequences[:, : sequences.shape[1] + 1]

    @staticmethod
    def likelihood(model, ids, input_ids, features, hidden, scale):
        own, null = (model(ids, brain_features=given).logits[:, :-1].log_softmax(-1) for given in (features, hidden))
        guided = (null + scale * (own - null)).gather(2, ids[:, 1:, None].clamp(max=own.shape[-1] - 1))[..., 0]
        return guided[:, input_ids.shape[1] - 1 :].sum(1)

    def test_one_is_no_guidance_and_sampling_runs(self, variant):
        model, brain, input_ids = variant
        plain = generate(model, input_ids, **brain)
        assert torch.equal(generate(model, input_ids, **brain, brain_guidance_scale=1.0), plain)
        sampled = generate(model, input_ids, **brain, **MODES["sampled-returns"], brain_guidance_scale=1.5)
        assert len(sampled) == 3 * len(input_ids)

    def test_without_a_brain(self, variant):
        model, _, input_ids = variant
        with pytest.raises(ValueError, match="needs a brain"):
            generate(model, input_ids, brain_guidance_scale=2.0)
