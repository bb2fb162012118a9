# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The alignment model: its parts, the order of rows, checkpoints with and without our package, its encoder's way."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from testing_utils import ENCODERS, brain_inputs, save_tiny_text_model, tiny_brain_model, tiny_encoder_config
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    BrainLlamaModel,
    VoxelEncoderConfig,
)


TARGETS = {"text": 5, "image": 7}


def tiny_contrastive_model(encoder: str = "voxels", **kwargs) -> BrainContrastiveModel:
    torch.manual_seed(1)
    config = BrainContrastiveConfig(encoder_config=tiny_encoder_config(encoder), target_sizes=TARGETS, **kwargs)
    return BrainContrastiveModel(config).eval()


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return request.param


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_text_model(tmp_path_factory.mktemp("llama"))


class TestForward:
    @pytest.mark.parametrize("pooling", ["flatten", "mean"])
    def test_is_a_projection_of_pooled_tokens(self, encoder, pooling):
        model, brain = tiny_contrastive_model(encoder, pooling=pooling), brain_inputs(encoder)
        tokens = model.brain_encoder(**brain)
        pooled = tokens.reshape(3, -1) if pooling == "flatten" else tokens.mean(1)
        found = model(**brain)
        assert torch.equal(found.tokens, tokens)
        for name, width in TARGETS.items():
            expected = pooled @ model.heads[name].weight.T
            expected = expected / expected.norm(dim=1, keepdim=True)
            assert found.embeddings[name].shape == (3, width)
            torch.testing.assert_close(found.embeddings[name], expected)
        embedded = model.embed(**brain)
        assert all(torch.equal(embedded[name], found.embeddings[name]) for name in TARGETS)

    def test_rows_come_back_in_their_order(self):
        """Subjects of a mixed batch are encoded one after the other; `brain_index` undoes that."""
        model, brain = tiny_contrastive_model(), brain_inputs("voxels")
        extractor = BrainLlamaFeatureExtractor.from_config(model.config)
        for subject, *place in zip(
            brain["brain_subjects"], brain["voxel_coordinates"], brain["voxel_regions"], strict=True
        ):
            extractor.add_subject(subject, *place)
        first, second = brain["brain_values"]
        rows = [("S1", first[0]), ("S2", second[0]), ("S1", first[1])]
        mixed = model.embed(**extractor([values for _, values in rows], [subject for subject, _ in rows]))
        for number, (subject, values) in enumerate(rows):
            alone = model.embed(**extractor([values], subject))
            torch.testing.assert_close(mixed["text"][number], alone["text"][0])

    def test_absent_frames_have_no_part(self):
        for pooling in ("flatten", "mean"):
            model = tiny_contrastive_model("frames", pooling=pooling)
            values, mask = torch.randn(2, 3, 6), torch.tensor([[1, 1, 0], [1, 1, 1]])
            padded = model.embed(brain_values=values, brain_attention_mask=mask)["text"][0]
            short = model.embed(brain_values=values[:1, :2], brain_attention_mask=mask[:1, :2])["text"][0]
            torch.testing.assert_close(padded, short)

    def test_temperature_is_that_of_clip_and_bounded(self):
        model, brain = tiny_contrastive_model(), brain_inputs("voxels")
        scales = model(**brain).logit_scales
        assert [scales[name].item() for name in TARGETS] == pytest.approx([1 / 0.07] * 2)
        with torch.no_grad():
            model.log_scales.fill_(9.0)
        assert model(**brain).logit_scales["image"].item() == pytest.approx(100)
        model.clamp_temperature()
        assert model.log_scales.tolist() == pytest.approx([math.log(100)] * 2)
        model(**brain).logit_scales["text"].backward()
        assert model.log_scales.grad.abs().sum() > 0  # from its bound it can fall

    def test_zero_voxels_say_nothing_at_first(self):
        """The encoder of a new model gives exactly zero for no brain at all; the published one gives a constant."""
        model, brain = tiny_contrastive_model(), brain_inputs("voxels")
        brain["brain_values"] = [torch.zeros_like(values) for values in brain["brain_values"]]
        assert model(**brain).tokens.abs().max() == 0


class TestSwitchesOfTheEncoder:
    """Each new switch of the voxel encoder, on both sides."""

    def encode(self, values=None, **switches):
        torch.manual_seed(0)
        config = VoxelEncoderConfig(region_sizes=(2,), num_queries=64, num_tokens=1, hidden_size=64, **switches)
        model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=config)).eval()
        generator = torch.Generator().manual_seed(1)
        places = 70 * torch.rand(200, 3, generator=generator) - 35
        regions = torch.randint(0, 3, (200, 1), generator=generator)
        values = torch.randn(8, 200, generator=generator) if values is None else values
        return model.brain_encoder, places, regions, values

    def test_read_outs_keep_their_sign(self):
        """
        Without the activation a brain and its negative give opposite tokens, as long as the shared prefix is linear.
        """
        for activate in (False, True):
            encoder, places, regions, values = self.encode(activate_readout=activate, num_residual_layers=0)
            tokens, negative = (encoder([sign * values], [places], [regions]) for sign in (1, -1))
            assert torch.allclose(tokens, -negative, atol=1e-5) != activate

    def test_a_larger_scale_looks_at_fewer_voxels(self):
        from trainers.contrastive.encoder_diagnostics import effective_voxels

        counts = []
        for scale in (1.0, 4.0, 16.0):
            encoder, places, regions, _ = self.encode(logit_scale=scale)
            counts.append(effective_voxels(encoder.attention_weights(places, regions)).mean().item())
        assert 200 > counts[0] > 1.5 * counts[1] > 2 * counts[2]

    def test_neighbours_are_alike_at_the_scale_of_brains(self):
        """Codes of places 8 mm apart: nearly one at the default, unrelated at the published frequencies."""
        for scale in (1.0, 5.0):
            expected = math.exp(-2 * (math.pi * scale * 0.08) ** 2)
            encoder, places, _, _ = self.encode(frequency_scale=scale, num_frequencies=20_000)
            angles = 2 * math.pi * (places[:50] / 100) @ encoder.frequencies
            moved = 2 * math.pi * ((places[:50] + torch.tensor([8.0, 0, 0])) / 100) @ encoder.frequencies
            assert (angles - moved).cos().mean().item() == pytest.approx(expected, abs=0.02)

    def test_tokens_come_at_one_size_whatever_that_of_the_decoder(self):
        """Aligned tokens were once a tenth of what an interface starts from, which then heard its own biases alone."""
        tokens = {}
        for normalize in (False, True):
            encoder, places, regions, values = self.encode(normalize_tokens=normalize)
            encoder.token_decoder.weight.data *= 10
            tokens[normalize] = encoder([values], [places], [regions])
        sizes = tokens[False].pow(2).mean(-1, keepdim=True).sqrt()
        assert sizes.std() > 1e-3
        torch.testing.assert_close(tokens[True], tokens[False] / sizes, atol=1e-4, rtol=1e-3)

    def test_published_restores_all(self):
        published = VoxelEncoderConfig.published()
        assert (published.activate_readout, published.frequency_scale) == (True, 5.0)
        assert VoxelEncoderConfig().activate_readout is False
        assert (published.normalize_tokens, VoxelEncoderConfig().normalize_tokens) == (False, True)


class TestFrozenEncoder:
    def test_is_in_evaluation_mode_within_a_model_that_learns(self, encoder):
        model = tiny_contrastive_model(encoder).train()
        assert model.brain_encoder.training
        model.brain_encoder.requires_grad_(False)
        model.train()
        assert model.training
        assert not any(module.training for module in model.brain_encoder.modules())
        brain = brain_inputs(encoder)
        assert torch.equal(model(**brain).tokens, model(**brain).tokens)
        model.brain_encoder.requires_grad_(True)
        assert model.train().brain_encoder.training


class TestCheckpoints:
    def test_reload_through_auto_classes(self, encoder, tmp_path):
        model, brain = tiny_contrastive_model(encoder), brain_inputs(encoder)
        with torch.no_grad():
            model.log_scales.copy_(torch.tensor([1.0, 2.0]))
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path)
        assert type(loaded) is BrainContrastiveModel
        assert loaded(**brain).logit_scales["text"] == model(**brain).logit_scales["text"]
        for name in TARGETS:
            assert torch.equal(loaded.embed(**brain)[name], model.embed(**brain)[name])
        assert list(AutoConfig.from_pretrained(tmp_path).target_sizes) == list(model.config.target_sizes)

    def test_feature_extractor_travels_with_it(self, tmp_path):
        model = tiny_contrastive_model("frames")
        model.save_pretrained(tmp_path)
        BrainLlamaFeatureExtractor.from_config(model.config).save_pretrained(tmp_path)
        assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is BrainLlamaFeatureExtractor

    def test_dtype(self, tmp_path):
        tiny_contrastive_model("voxels").save_pretrained(tmp_path)
        model = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        assert model.embed(**brain_inputs("voxels"))["text"].dtype == torch.bfloat16

    @pytest.mark.slow
    def test_without_our_package(self, tmp_path, run_python):
        model, brain = tiny_contrastive_model("frames"), brain_inputs("frames")
        model.save_pretrained(tmp_path / "saved")
        torch.save(brain, tmp_path / "brain.pt")
        script = """
import sys, torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1] + "/saved", trust_remote_code=True)
torch.save(model.embed(**torch.load(sys.argv[1] + "/brain.pt", weights_only=True))["text"], sys.argv[1] + "/text.pt")
print(type(model).__module__)
"""
        printed = run_python(script, str(tmp_path), isolated=True)
        assert printed.strip().splitlines()[-1].startswith("transformers_modules.")
        assert torch.equal(torch.load(tmp_path / "text.pt", weights_only=True), model.embed(**brain)["text"])

    def test_holds_names_for_remote_code(self, tmp_path):
        tiny_contrastive_model("voxels").save_pretrained(tmp_path)
        names = json.loads((tmp_path / "config.json").read_text())["auto_map"]
        for name in names.values():
            assert (tmp_path / f"{name.partition('.')[0]}.py").is_file()
        assert set(load_file(tmp_path / "model.safetensors")) == set(tiny_contrastive_model("voxels").state_dict())


class TestHandOver:
    def test_language_model_hears_what_was_aligned(self, text_model, encoder):
        model, brain = tiny_contrastive_model(encoder), brain_inputs(encoder)
        reader = tiny_brain_model(text_model, "cross_attention", encoder).eval()
        tokens = model(**brain).tokens
        assert not torch.allclose(reader.model.brain_encoder(**brain), tokens)
        model.copy_encoder(reader)
        assert torch.equal(reader.model.brain_encoder(**brain), tokens)

    def test_also_after_a_checkpoint_and_to_the_backbone(self, text_model, tmp_path):
        tiny_contrastive_model("voxels").save_pretrained(tmp_path)
        model, brain = BrainContrastiveModel.from_pretrained(tmp_path), brain_inputs("voxels")
        reader = BrainLlamaModel.from_text_model(text_model, model.config.encoder_config).eval()
        model.copy_encoder(reader)
        assert torch.equal(reader.brain_encoder(**brain), model(**brain).tokens)

    def test_another_encoder_is_refused(self, text_model):
        reader = tiny_brain_model(text_model, "prefix", "voxels")
        reader.config.encoder_config.logit_scale = 2.0
        with pytest.raises(ValueError, match=r"differ \(logit_scale: 4.0 and 2.0\)"):
            tiny_contrastive_model("voxels").copy_encoder(reader)


class TestBadInput:
    @pytest.mark.parametrize("sizes", [{}, {"sound": 3}, {"text": 0}])
    def test_targets(self, sizes):
        with pytest.raises(Exception, match="`target_sizes` must give the width"):
            BrainContrastiveConfig(target_sizes=sizes)

    def test_temperature(self):
        with pytest.raises(Exception, match="`initial_temperature` must be at least"):
            BrainContrastiveConfig(initial_temperature=0.001)
