# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The battery of the model: identities that hold for every interface and every encoder."""

import copy

import pytest
import torch
from testing_utils import (
    INTERFACES,
    VARIANTS,
    VOCAB_SIZE,
    brain_inputs,
    prompt_ids,
    save_tiny_text_model,
    shared_path,
    tiny_brain_model,
)
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, FrameEncoderConfig, modeling_brain_head


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_text_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def variant(request, text_model):
    """Model, its brain inputs and its prompts."""
    interface, encoder = request.param
    model = tiny_brain_model(text_model, interface, encoder).eval()
    return model, brain_inputs(encoder), prompt_ids(model)


def labels_for(input_ids):
    """Labels on the last three tokens."""
    labels = torch.full_like(input_ids, -100)
    labels[:, -3:] = input_ids[:, -3:]
    return labels


class TestTextOnly:
    @pytest.mark.parametrize("interface", INTERFACES)
    @pytest.mark.parametrize("tied", [False, True])
    def test_logits_are_those_of_the_plain_llama(self, tmp_path, interface, tied):
        save_tiny_text_model(tmp_path, tie_word_embeddings=tied)
        model = tiny_brain_model(tmp_path, interface, "frames").eval()
        llama = LlamaForCausalLM.from_pretrained(tmp_path)
        input_ids = torch.randint(3, VOCAB_SIZE, (2, 9))
        assert torch.equal(model(input_ids).logits, llama(input_ids).logits)

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_logits_of_a_real_llama(self, interface):
        folder = shared_path("models/english-llama-28m")
        model = BrainLlamaForCausalLM.from_text_model(
            folder, FrameEncoderConfig(), config_kwargs={"interface": interface, "adapter_layers": (3, 5)}
        )
        llama = AutoModelForCausalLM.from_pretrained(folder)
        input_ids = torch.randint(3, 8192, (2, 12))
        assert model.dtype == llama.dtype == torch.bfloat16
        assert torch.equal(model(input_ids).logits, llama(input_ids).logits)

    def test_untrained_adapters_change_nothing(self, text_model):
        model = tiny_brain_model(text_model, "cross_attention", "frames").eval()
        for adapter in model.model.brain_interface.adapters:
            adapter.gate.data.zero_()
        input_ids = prompt_ids(model)
        with_brain = model(input_ids, **brain_inputs("frames")).logits
        assert torch.equal(with_brain, model(input_ids).logits)

    def test_rows_without_a_brain_are_untouched(self, variant):
        model, brain, input_ids = variant
        if model.config.interface == "prefix":
            return  # a row without a brain has no placeholders, and thus another length
        index = torch.tensor([1, -1, 0])
        logits = model(input_ids, brain_index=index, **brain).logits
        assert torch.equal(logits[1], model(input_ids).logits[1])
        assert not torch.allclose(logits[0], model(input_ids).logits[0], atol=1e-2)


class TestBrain:
    def test_another_brain_gives_other_logits(self, variant):
        model, brain, input_ids = variant
        other = brain_inputs("frames" if torch.is_tensor(brain["brain_values"]) else "voxels", seed=1)
        difference = model(input_ids, **brain).logits - model(input_ids, **other).logits
        assert difference[:, -1].abs().max() > 1e-2

    def test_row_of_a_batch_equals_a_batch_of_one(self, variant):
        model, brain, input_ids = variant
        features = model.model.get_brain_features(**brain)
        batch = model(input_ids, **brain).logits
        for row in range(3):
            index = torch.tensor([row])
            single = model(input_ids[row : row + 1], brain_features=features, brain_index=index).logits[0]
            torch.testing.assert_close(single, batch[row], atol=2e-5, rtol=1e-4)

    def test_brain_index_shares_a_brain_between_rows(self, variant):
        model, brain, input_ids = variant
        index = torch.tensor([2, 0, 2])
        shared = model(input_ids, brain_index=index, **brain).logits
        straight = model(input_ids, **brain).logits
        torch.testing.assert_close(shared[2], straight[2])
        first = model(input_ids[[2, 1, 0]], **brain).logits
        assert not torch.allclose(shared[0], first[0], atol=1e-3)

    def test_given_embeddings_equal_the_encoder(self, variant):
        model, brain, input_ids = variant
        embeds = model.model.brain_encoder(**brain)
        given = model(input_ids, encoder_outputs=embeds).logits
        torch.testing.assert_close(given, model(input_ids, **brain).logits)

    def test_a_hidden_brain_is_an_encoder_output_of_zero(self, variant):
        model, brain, input_ids = variant
        embeds = model.model.brain_encoder(**brain)
        embeds[1:] = 0
        visible = torch.tensor([True, False, False])
        hidden = model(input_ids, condition_mask=visible, **brain).logits
        torch.testing.assert_close(hidden, model(input_ids, encoder_outputs=embeds).logits)
        assert not torch.allclose(hidden[1:], model(input_ids, **brain).logits[1:], atol=1e-3)

    def test_left_padding_is_invisible(self, variant):
        model, brain, input_ids = variant
        padded = torch.cat([torch.full((3, 4), 2), input_ids], dim=1)
        mask = torch.ones_like(padded)
        mask[:, :4] = 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model(padded, attention_mask=mask, position_ids=positions, **brain).logits[:, 4:]
        torch.testing.assert_close(logits, model(input_ids, **brain).logits, atol=2e-5, rtol=1e-4)

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_padded_frames_are_invisible(self, text_model, interface):
        model = tiny_brain_model(text_model, interface, "frames").eval()
        values = brain_inputs("frames", brains=1)["brain_values"][:, :2]
        padded = torch.cat([values, torch.full((1, 1, 6), 1e3)], dim=1)
        input_ids = prompt_ids(model, batch=1)
        if interface == "prefix":
            input_ids = torch.cat([input_ids[:, :2], input_ids[:, 4:]], dim=1)  # two placeholders less
        short = model(input_ids, brain_values=values).logits
        mask = torch.tensor([[1, 1, 0]])
        long = model(input_ids, brain_values=padded, brain_attention_mask=mask).logits
        torch.testing.assert_close(long, short, atol=2e-5, rtol=1e-4)

    def test_sdpa_equals_eager(self, variant):
        model, brain, input_ids = variant
        eager = copy.deepcopy(model)
        eager.set_attn_implementation("eager")
        difference = eager(input_ids, **brain).logits - model(input_ids, **brain).logits
        assert difference.abs().max() < 1e-4

    def test_bfloat16_runs_close_to_float32(self, variant):
        model, brain, input_ids = variant
        half = copy.deepcopy(model).to(torch.bfloat16)
        full, logits = model(input_ids, **brain).logits, half(input_ids, **brain).logits
        assert logits.dtype == torch.bfloat16
        assert torch.corrcoef(torch.stack([full.flatten(), logits.float().flatten()]))[0, 1] > 0.99

    def test_hidden_states_and_attentions_are_recorded(self, variant):
        model, brain, input_ids = variant
        eager = copy.deepcopy(model)
        eager.set_attn_implementation("eager")
        outputs = eager(input_ids, output_hidden_states=True, output_attentions=True, **brain)
        assert len(outputs.hidden_states) == 5
        assert len(outputs.attentions) == 4
        assert outputs.attentions[0].shape == (3, 4, input_ids.shape[1], input_ids.shape[1])


class TestLoss:
    def test_loss_is_the_mean_cross_entropy_of_the_labels(self, variant):
        model, brain, input_ids = variant
        labels = labels_for(input_ids)
        logits = model(input_ids, **brain).logits.double()
        by_hand = -logits.log_softmax(-1)[:, -4:-1].gather(-1, input_ids[:, -3:, None]).mean()
        evaluated = model.eval()(input_ids, labels=labels, **brain)
        torch.testing.assert_close(evaluated.loss.double(), by_hand, atol=1e-5, rtol=1e-5)
        losses, rows = model.token_losses(labels, input_ids=input_ids, **brain)
        torch.testing.assert_close(losses.mean().double(), by_hand, atol=1e-5, rtol=1e-5)
        assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]

    @pytest.mark.parametrize("labels_at_once", [1, 2, 4, 9])
    def test_logits_of_some_labels_at_a_time(self, variant, labels_at_once, monkeypatch):
        """Losses and gradients are those of all logits together, whatever each loss counts for."""
        model, brain, input_ids = variant
        found = []
        for at_once in (9, labels_at_once):
            monkeypatch.setattr(modeling_brain_head, "LOGITS_AT_ONCE", at_once * model.lm_head.weight.shape[0])
            copied = copy.deepcopy(model)
            losses, _ = copied.token_losses(labels_for(input_ids), input_ids=input_ids, **brain)
            (losses * torch.linspace(-1, 1, 9)).sum().backward()
            gradients = {name: p.grad for name, p in copied.named_parameters() if p.grad is not None}
            with torch.no_grad():
                silent, _ = copied.token_losses(labels_for(input_ids), input_ids=input_ids, **brain)
            found.append((losses, silent, gradients))
        assert len(found[0][2])
        torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)

    def test_training_computes_the_same_loss_on_label_positions_only(self, variant):
        model, brain, input_ids = variant
        trained = copy.deepcopy(model).train()
        for module in trained.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        labels = labels_for(input_ids)
        outputs = trained(input_ids, labels=labels, **brain)
        assert outputs.logits is None
        torch.testing.assert_close(outputs.loss, model(input_ids, labels=labels, **brain).loss)
        halved = trained(input_ids, labels=labels, num_items_in_batch=18, **brain).loss
        torch.testing.assert_close(halved, outputs.loss / 2)

    def test_gradients_reach_the_brain_modules_and_nothing_else(self, variant):
        model, brain, input_ids = variant
        model = copy.deepcopy(model).train()
        model(input_ids, labels=labels_for(input_ids), **brain).loss.backward()
        for name, parameter in model.named_parameters():
            is_brain = "brain_encoder" in name or "brain_interface" in name
            assert (parameter.grad is not None) == is_brain, name
            if is_brain:
                assert parameter.grad.abs().sum() > 0, name

    @pytest.mark.parametrize("reentrant", [False, True])
    def test_activation_checkpointing_gives_equal_gradients(self, variant, reentrant):
        model, brain, input_ids = variant
        gradients = []
        for checkpointing in (False, True):
            copied = copy.deepcopy(model).train()
            for module in copied.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            if checkpointing:
                # Renamed in transformers 5.2x; the new name is absent from our baseline.
                enable = getattr(copied, "activation_checkpointing_enable", copied.gradient_checkpointing_enable)
                enable({"use_reentrant": reentrant})
                copied.enable_input_require_grads()
            copied(input_ids, labels=labels_for(input_ids), use_cache=False, **brain).loss.backward()
            gradients.append({n: p.grad for n, p in copied.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradient, gradients[1][name], atol=1e-5, rtol=1e-4)


class TestInitialisation:
    """However a model is made, its new modules start as documented; composing once skipped modules without weights."""

    def test_composed_models_start_as_documented(self, text_model):
        encoder = FrameEncoderConfig(num_features=100, hidden_size=200, num_frames=2, use_frame_positions=True)
        prefix = BrainLlamaForCausalLM.from_text_model(text_model, encoder, dtype=torch.float32).model
        assert prefix.brain_encoder.layers[0].linear.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert prefix.brain_interface.projector.output.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert prefix.brain_encoder.positions.abs().max() <= 1
        assert prefix.brain_encoder.positions.std().item() == pytest.approx(3**-0.5, rel=0.2)
        options = {"interface": "cross_attention", "adapter_layers": (1,), "tokens_per_embedding": 8, "gate_init": 0.9}
        crossed = BrainLlamaForCausalLM.from_text_model(
            text_model, encoder, config_kwargs=options, dtype=torch.float32
        ).model.brain_interface
        attention = crossed.adapters[0].cross_attention
        assert crossed.projector.output.weight.std().item() == pytest.approx(200**-0.5, rel=0.05)
        assert crossed.projector.output.bias.std().item() == pytest.approx(1, rel=0.2)
        assert attention.k_proj.weight.std().item() == pytest.approx(32**-0.5, rel=0.2)
        assert crossed.adapters[0].gate.tanh().item() == pytest.approx(0.9)


class TestLearning:
    @pytest.mark.parametrize("interface", INTERFACES)
    def test_learns_a_planted_signal_and_not_a_shuffled_one(self, text_model, interface):
        """Two brain patterns name two words: learnt in 80 steps, and not at all when the patterns are shuffled."""
        accuracies = {}
        for shuffled in (False, True):
            torch.manual_seed(0)
            model = tiny_brain_model(text_model, interface, "frames")
            optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
            patterns, words = torch.randn(2, 3, 6), torch.tensor([10, 20])
            input_ids = prompt_ids(model, batch=16, length=2)[:1].repeat(16, 1)
            for _ in range(80):
                kinds = torch.randint(2, (16,))
                seen = torch.randint(2, (16,)) if shuffled else kinds
                batch = torch.cat([input_ids, words[kinds, None]], dim=1)
                labels = torch.full_like(batch, -100)
                labels[:, -1] = batch[:, -1]
                model.train()(
                    batch, labels=labels, brain_values=patterns[seen] + 0.1 * torch.randn(16, 3, 6)
                ).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            kinds = torch.arange(16) % 2
            logits = model.eval()(input_ids, brain_values=patterns[kinds] + 0.1 * torch.randn(16, 3, 6)).logits[:, -1]
            accuracies[shuffled] = (logits[:, words].argmax(-1) == kinds).float().mean().item()
        assert accuracies[False] == 1.0
        assert accuracies[True] <= 0.75


class TestBadInput:
    def test_placeholder_count_must_equal_brain_tokens(self, text_model):
        model = tiny_brain_model(text_model, "prefix", "frames")
        input_ids = prompt_ids(model)
        cut = torch.cat([input_ids[:, :3], input_ids[:, 4:]], dim=1)
        with pytest.raises((ValueError, RuntimeError), match=r"Expected per row \[6, 6, 6\], found \[5, 5, 5\]"):
            model(cut, **brain_inputs("frames"))

    def test_placeholders_without_a_brain(self, text_model):
        model = tiny_brain_model(text_model, "prefix", "frames")
        with pytest.raises((ValueError, RuntimeError), match=r"Expected per row \[0, 0, 0\], found \[6, 6, 6\]"):
            model(prompt_ids(model))

    @pytest.mark.parametrize("shape", [(2, 3, 5), (2, 6), (2, 4, 6)])
    def test_wrong_shape(self, text_model, shape):
        model = tiny_brain_model(text_model, "cross_attention", "frames")
        with pytest.raises(ValueError, match=r"\[brains, frames<=3, features=6\]; got"):
            model(prompt_ids(model, batch=2), brain_values=torch.zeros(shape))

    def test_more_brains_than_rows_need_an_index(self, text_model):
        model = tiny_brain_model(text_model, "cross_attention", "frames")
        with pytest.raises(ValueError, match="`brain_index` of shape"):
            model(prompt_ids(model, batch=2), **brain_inputs("frames"))

    def test_geometry_of_another_subject(self, text_model):
        model = tiny_brain_model(text_model, "cross_attention", "voxels")
        brain = brain_inputs("voxels")
        brain["voxel_coordinates"] = brain["voxel_coordinates"][::-1]
        with pytest.raises(ValueError, match="Subject 'S1'"):
            model(prompt_ids(model), **brain)

    def test_text_model_must_be_a_llama(self):
        with pytest.raises(ValueError, match="found 'gpt2'"):
            BrainLlamaConfig(text_config={"model_type": "gpt2"})


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("interface", INTERFACES)
def test_labels_that_are_the_prompt_itself(text_model, interface, training):
    """Placeholders are no labels: the loss is that of the tokens of the vocabulary."""
    model = tiny_brain_model(text_model, interface, "frames").train(training)
    model.model.brain_encoder.eval()
    input_ids, brain = prompt_ids(model), brain_inputs("frames")
    labels = input_ids.masked_fill(input_ids >= model.config.text_config.vocab_size, -100)
    expected = model(input_ids, **brain, labels=labels).loss
    assert torch.equal(model(input_ids, **brain, labels=input_ids).loss, expected)
    losses, _ = model.token_losses(input_ids, input_ids=input_ids, **brain)
    torch.testing.assert_close(losses.mean(), expected)
