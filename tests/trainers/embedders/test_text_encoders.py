# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions lie where a model's own text features lie, beside its images; other encoders are mean-pooled."""

import numpy as np
import pytest
import torch
from testing_utils import save_tiny_clip
from transformers import CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection

from trainers.embedders.text_encoders import MeanPooledEmbedder, TextFeatureEmbedder, load_text_encoder
from trainers.grpo.rewards import IdentificationReward


CAPTIONS = ["the cat is a", "the cat is number 7 .", "z", "the b is c d e f g", "number 0"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> tuple[str, CLIPModel]:
    folder = tmp_path_factory.mktemp("clip")
    return str(folder), save_tiny_clip(folder)


@pytest.fixture
def expected(clip) -> np.ndarray:
    """Word ids by hand, one caption at a time, through the tower and the projection."""
    folder, model = clip
    ids = MeanPooledEmbedder.from_pretrained(folder).tokenizer.get_vocab()
    vectors = []
    for caption in CAPTIONS:
        tokens = torch.tensor([[1, *(ids[word] for word in caption.split()), 3]])
        states = model.text_model(input_ids=tokens).last_hidden_state[0, -1]
        vectors.append((model.text_projection.weight @ states).detach().numpy())
    return np.array([vector / np.linalg.norm(vector) for vector in vectors])


class TestTextFeatures:
    @pytest.mark.parametrize("batch_size", [2, 64])
    def test_are_those_of_the_model(self, clip, expected, batch_size):
        embed = load_text_encoder(clip[0])
        assert isinstance(embed, TextFeatureEmbedder)
        embed.batch_size = batch_size
        np.testing.assert_allclose(embed(CAPTIONS), expected, atol=1e-5)

    def test_a_tower_with_its_projection(self, clip, expected, tmp_path):
        folder, model = clip
        settings = {**model.config.text_config.to_dict(), "projection_dim": 16}
        tower = CLIPTextModelWithProjection(CLIPTextConfig(**settings))
        tower.load_state_dict(model.state_dict(), strict=False)
        tower.save_pretrained(tmp_path)
        load_text_encoder(folder).tokenizer.save_pretrained(tmp_path)
        np.testing.assert_allclose(load_text_encoder(str(tmp_path))(CAPTIONS), expected, atol=1e-5)

    def test_without_a_mask_texts_have_one_length(self, clip):
        """A caption must not lie elsewhere for its neighbours in the batch."""
        embed = load_text_encoder(clip[0])
        embed.tokenizer.model_input_names = ["input_ids"]
        np.testing.assert_allclose(embed(CAPTIONS)[:1], embed(CAPTIONS[:1]), atol=1e-6)

    def test_other_encoders_are_pooled(self, text_model):
        embed = load_text_encoder(str(text_model))
        assert isinstance(embed, MeanPooledEmbedder)
        texts = ["the cat is red ."]
        np.testing.assert_array_equal(embed(texts), MeanPooledEmbedder.from_pretrained(str(text_model))(texts))

    def test_captions_identify_images_of_their_space(self, clip):
        """Images that lie at their captions are found, images that lie anywhere are not."""
        embed = load_text_encoder(clip[0])
        groups = [f"image/{n}" for n in range(len(CAPTIONS))]
        noise = np.random.default_rng(0).standard_normal((len(CAPTIONS), 16))
        earned = []
        for images in (embed(CAPTIONS), noise):
            reward = IdentificationReward(embed, "image", form="log_odds", temperature=0.01)
            earned.append(reward(CAPTIONS, group=groups, image_embedding=images.tolist()))
        assert min(earned[0]) > 0
        assert min(earned[1]) < 0
