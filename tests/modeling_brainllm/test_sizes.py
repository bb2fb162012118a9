# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Sizes and work, counted: the published parameter integers, and the FLOPs that a frozen language model saves."""

import copy

import pytest
import torch
from testing_utils import brain_inputs, prompt_ids, save_tiny_text_model, tiny_brain_model
from torch.utils.flop_counter import FlopCounterMode

from modeling_brainllm import BrainLlamaConfig, BrainLlamaModel, FrameEncoderConfig, VoxelEncoderConfig
from modeling_brainllm.modeling_brain_encoders import VoxelEncoder
from modeling_brainllm.modeling_brain_interface import matched_intermediate_size


LLAMA_3B = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
}


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def build(text_config, encoder_config, **config_kwargs) -> BrainLlamaModel:
    """The model without memory: only its shapes are asked for."""
    config = BrainLlamaConfig(text_config=text_config, encoder_config=encoder_config, **config_kwargs)
    with torch.device("meta"):
        return BrainLlamaModel(config)


class TestPublishedSizes:
    @pytest.mark.parametrize(
        ("positions", "hidden_size", "parameters"),
        [
            (False, 4096, 6_105_192),
            (True, 4096, 6_109_192),
            (False, 768, 2_770_536),
            (True, 1600, 3_608_200),
        ],
    )
    def test_brainllm(self, positions, hidden_size, parameters):
        """Ye et al. 2025, official code: adapter and the two boundary vectors."""
        encoder = FrameEncoderConfig(num_frames=5, use_frame_positions=positions)
        text = {"hidden_size": hidden_size, "num_hidden_layers": 1, "num_attention_heads": 32, "vocab_size": 8}
        model = build(text, encoder, projector_bias=False)
        assert count(model.brain_encoder) + count(model.brain_interface) == parameters
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert trainable == parameters

    def test_bitllm_interfaces(self):
        """ICML 2026 poster: 3.15 M, 100.67 M and 103.82 M on Llama-3.2-3B."""
        voxels = VoxelEncoderConfig.published()
        assert count(build(LLAMA_3B, voxels).brain_interface.projector) == 3_148_800
        mlp = build(LLAMA_3B, voxels, projector_type="mlp", projector_intermediate_size=24_572)
        assert count(mlp.brain_interface.projector) == 100_674_556
        crossed = build(LLAMA_3B, voxels, interface="cross_attention").brain_interface
        assert count(crossed.adapters) == 100_675_588
        assert count(crossed) == 103_824_388

    def test_matched_projector_is_as_large_as_the_adapters(self):
        """Never larger, and one unit more would be; at published shapes 24,572."""
        voxels = VoxelEncoderConfig.published()
        assert matched_intermediate_size(BrainLlamaConfig(text_config=LLAMA_3B, encoder_config=voxels)) == 24_572
        text = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 8}
        options = {"adapter_layers": [0, 2], "tokens_per_embedding": 3, "projector_bias": False}
        encoder = FrameEncoderConfig(num_features=5, hidden_size=7)
        width = matched_intermediate_size(BrainLlamaConfig(text_config=text, encoder_config=encoder, **options))
        adapters = count(build(text, encoder, interface="cross_attention", **options).brain_interface.adapters)
        sizes = [
            count(
                build(
                    text, encoder, projector_type="mlp", projector_intermediate_size=size, **options
                ).brain_interface.projector
            )
            for size in (width, width + 1)
        ]
        assert sizes[0] <= adapters < sizes[1]

    def test_mindllm_encoder(self):
        """138.8 M as published, of which the head is 134.35 M; our small head leaves 13 M."""
        config = VoxelEncoderConfig.published()
        with torch.device("meta"):
            published, ours = VoxelEncoder(config), VoxelEncoder(VoxelEncoderConfig())
        assert round(count(published) / 1e6, 1) == 138.8
        assert count(published.head) == 134_348_800
        assert count(published) - count(published.head) == 4_466_208
        assert count(ours) < 14e6


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_text_model(tmp_path_factory.mktemp("llama"))


class TestFlops:
    """Per processed token and matmul parameter: 2 forward, 2 for gradients to inputs, 2 for gradients to weights."""

    def flops(self, model, brain, input_ids, labels, backward=True) -> int:
        with FlopCounterMode(display=False) as counter:
            loss = model(input_ids, labels=labels, use_cache=False, **brain).loss
            if backward:
                loss.backward()
        return counter.get_total_flops()

    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_frozen_modules_get_no_weight_gradients(self, text_model, interface):
        """Freezing saves exactly one third of the work of the language model's linear maps that run in training."""
        model = tiny_brain_model(text_model, interface, "frames").train()
        model.set_attn_implementation("eager")
        brain, input_ids = brain_inputs("frames"), prompt_ids(model, length=8)
        labels = input_ids.masked_fill(torch.arange(input_ids.shape[1]) < input_ids.shape[1] - 4, -100)
        frozen = self.flops(model, brain, input_ids, labels)
        thawed_model = copy.deepcopy(model)
        thawed_model.model.language_model.layers.requires_grad_(True)
        thawed = self.flops(thawed_model, brain, input_ids, labels)
        matmuls = [m for m in model.model.language_model.layers.modules() if isinstance(m, torch.nn.Linear)]
        tokens = input_ids.numel()
        weight_gradients = sum(2 * tokens * m.weight.numel() for m in matmuls)
        # Thawed, the first layers also pass gradients to inputs that cross-attention alone would not reach.
        first_adapted = 0 if interface == "prefix" else model.config.adapter_layers[0] + 1
        per_layer = len(matmuls) // 4
        extra = sum(2 * tokens * m.weight.numel() for m in matmuls[: first_adapted * per_layer])
        inputs_of_first = {"prefix": 0, "cross_attention": 3}[interface]  # q, k, v of layer 0 have no input to teach
        extra -= sum(2 * tokens * m.weight.numel() for m in matmuls[:inputs_of_first])
        attention = thawed - frozen - weight_gradients - extra
        assert 0 <= attention <= 0.1 * weight_gradients

    def test_head_runs_on_label_positions_only(self, text_model):
        model = tiny_brain_model(text_model, "prefix", "frames").train()
        brain, input_ids = brain_inputs("frames"), prompt_ids(model, length=12)
        work = {}
        for labelled in (1, 5):
            cut = input_ids.shape[1] - labelled
            labels = input_ids.masked_fill(torch.arange(input_ids.shape[1]) < cut, -100)
            work[labelled] = self.flops(model, brain, input_ids, labels)
        head = model.lm_head.weight.numel()
        # Forward and the gradient to the hidden states, for four further labels in each of three rows.
        assert work[5] - work[1] == 2 * 2 * head * 4 * 3

    def test_voxel_attention_is_computed_once_per_subject(self):
        torch.manual_seed(0)
        encoder = VoxelEncoder(VoxelEncoderConfig(region_sizes=(4,), num_queries=64, num_tokens=2, hidden_size=8))
        for parameter in (*encoder.parameters(), encoder.frequencies):
            torch.nn.init.normal_(parameter, std=0.1)
        encoder.eval()
        coordinates, regions = torch.randn(500, 3), torch.randint(-1, 5, (500, 1))

        def work(brains, subject=None):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                encoder([torch.randn(brains, 500)], [coordinates], [regions], subject and [subject])
            return counter.get_total_flops()

        attention = work(1) - (work(2) - work(1))
        assert attention > 10 * (work(2) - work(1))  # the part that does not depend on the number of brains
        first, second = work(4, "S1"), work(4, "S1")
        assert first - second == attention


class TestAttentionCache:
    """Kept while nothing changes, forgotten as soon as a weight does, and never used while gradients flow."""

    def encoder(self):
        torch.manual_seed(0)
        encoder = VoxelEncoder(VoxelEncoderConfig(region_sizes=(4,), num_queries=8, key_size=8, num_tokens=2))
        for parameter in (*encoder.parameters(), encoder.frequencies):
            torch.nn.init.normal_(parameter, std=0.1)
        return encoder.eval()

    def test_follows_the_weights(self):
        encoder = self.encoder()
        brain = ([torch.randn(2, 20)], [torch.randn(20, 3)], [torch.randint(0, 5, (20, 1))])
        with torch.no_grad():
            kept = encoder(*brain, ["S1"])
            torch.testing.assert_close(kept, encoder(*brain))
            encoder.queries.mul_(3)
            assert not torch.allclose(encoder(*brain, ["S1"]), kept)
            torch.testing.assert_close(encoder(*brain, ["S1"]), encoder(*brain))

    @pytest.mark.parametrize("fused", [False, True])
    def test_follows_an_optimiser(self, fused):
        """A fused one writes into weights behind the back of their version counters."""
        encoder = self.encoder()
        brain = ([torch.randn(2, 20)], [torch.randn(20, 3)], [torch.randint(0, 5, (20, 1))])
        optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, fused=fused)
        for _ in range(2):
            with torch.no_grad():
                torch.testing.assert_close(encoder.eval()(*brain, ["S1"]), encoder(*brain))
                assert set(encoder.kept_attention) == {"S1"}
            encoder.train()(*brain, ["S1"]).square().sum().backward()
            assert not encoder.kept_attention
            optimizer.step()

    def test_gradients_reach_the_queries(self):
        encoder = self.encoder()
        brain = ([torch.randn(2, 20)], [torch.randn(20, 3)], [torch.randint(0, 5, (20, 1))])
        with torch.no_grad():
            encoder(*brain, ["S1"])
        encoder(*brain, ["S1"]).square().sum().backward()
        assert encoder.queries.grad.abs().sum() > 0


class TestVoxelEncoderFaults:
    """Each fault of the published encoder shows when its switch is off, and is gone when it is on."""

    def real_against_zero(self, **switches) -> float:
        torch.manual_seed(0)
        config = VoxelEncoderConfig.published(token_code_size=64, num_tokens=4, hidden_size=64, **switches)
        encoder = VoxelEncoder(config).eval()
        encoder.init_weights()
        voxels = 4000
        regions = torch.stack([torch.randint(-1, size + 1, (voxels,)) for size in config.region_sizes], dim=1)
        place = ([20.0 * torch.randn(voxels, 3)], [regions])
        with torch.no_grad():
            real = encoder([torch.randn(8, voxels)], *place).flatten(1)
            zero = encoder([torch.zeros(8, voxels)], *place).flatten(1)
        return torch.nn.functional.cosine_similarity(real, zero).mean().item()

    def test_published_read_out_ignores_the_brain_at_first(self):
        assert self.real_against_zero() > 0.95

    def test_unit_norm_read_out_sees_it(self):
        assert self.real_against_zero(unit_norm_readout=True, normalize_logits=True) < 0.8

    def test_label_minus_one_is_apart(self):
        for separate in (False, True):
            config = VoxelEncoderConfig(region_sizes=(3,), separate_unlabelled=separate, num_queries=8, num_tokens=2)
            encoder = VoxelEncoder(config)
            torch.nn.init.normal_(encoder.frequencies)
            same_place = torch.zeros(2, 3)
            keys = encoder.voxel_keys(same_place, torch.tensor([[-1], [3]]))
            assert torch.equal(keys[0], keys[1]) != separate
