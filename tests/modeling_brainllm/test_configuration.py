# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The configuration: round trips, defaults derived in one place, and messages for what cannot be."""

import pytest
from testing_utils import ENCODERS, INTERFACES, tiny_encoder_config, tiny_text_config
from transformers import AutoConfig

from modeling_brainllm import BrainLlamaConfig, FrameEncoderConfig, VoxelEncoderConfig


class TestBrainLlamaConfig:
    @pytest.mark.parametrize("interface", INTERFACES)
    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_round_trip(self, tmp_path, interface, encoder):
        config = BrainLlamaConfig(
            text_config=tiny_text_config(),
            encoder_config=tiny_encoder_config(encoder),
            interface=interface,
            adapter_layers=(0, 2),
            text_model_id="someone/llama",
            text_model_revision="abc",
        )
        config.save_pretrained(tmp_path)
        loaded = AutoConfig.from_pretrained(tmp_path)
        assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()
        assert type(loaded.encoder_config) is type(config.encoder_config)
        assert loaded.get_text_config().hidden_size == 32

    def test_tokens_follow_the_vocabulary(self):
        config = BrainLlamaConfig(text_config=tiny_text_config(vocab_size=50), tokens_per_embedding=3)
        assert (config.brain_token_id, config.brain_start_token_id, config.brain_end_token_id) == (50, 51, 52)
        assert config.num_brain_tokens == 3

    def test_brain_tokens(self):
        frames = BrainLlamaConfig(encoder_config=FrameEncoderConfig(num_frames=4), tokens_per_embedding=2)
        voxels = BrainLlamaConfig(encoder_config=VoxelEncoderConfig())
        assert (frames.num_brain_tokens, voxels.num_brain_tokens) == (8, 128)

    @pytest.mark.parametrize(
        ("depth", "layers"),
        [(28, [3, 7, 11, 15]), (16, [3, 7, 11, 15]), (8, [1, 3, 5, 7]), (6, [1, 2, 4, 5]), (2, [0, 1]), (1, [0])],
    )
    def test_adapters_stand_where_there_are_layers(self, depth, layers):
        """After each quarter of the first 16 layers: the published ones where they exist."""
        text = tiny_text_config(num_hidden_layers=depth)
        config = BrainLlamaConfig(text_config=text, interface="cross_attention")
        assert config.adapter_layers == layers

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"gate_init": 1.0}, r"at least 0 and below 1; got 1\.0"),
            ({"interface": "cross_attention", "adapter_layers": (3, 7)}, r"must lie in 0\.\.3 .* got \[3, 7\]"),
            ({"interface": "suffix"}, "interface"),
            ({"projector_type": "mlp"}, "needs `projector_intermediate_size`"),
            ({"tokens_per_embedding": 0}, "`tokens_per_embedding` .* at least 1; got 0"),
            ({"brain_token_id": 5}, r"above the language model's vocabulary of 99; got \[5, 100, 101\]"),
            ({"encoder_config": {"model_type": "vit"}}, "must be one of .* found 'vit'"),
            ({"encoder_config": {"model_type": "brainllama_frame_encoder", "num_features": -1}}, "`num_features`"),
        ],
    )
    def test_bad_fields(self, fields, message):
        with pytest.raises(Exception, match=message):
            BrainLlamaConfig(text_config=tiny_text_config(), **fields)
