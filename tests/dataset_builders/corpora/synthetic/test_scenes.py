# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scenes that have captions but were never photographed, and what their words mean."""

import numpy as np

from dataset_builders.corpora.synthetic.scenes import describe_scenes, hash_embedding


class TestScenes:
    def test_test_scenes_combine_what_training_never_combines(self):
        generator = np.random.default_rng(0)
        train, test = (describe_scenes(600, generator, testing=testing) for testing in (False, True))
        words = {word for captions in train for text in captions for word in text.lower().strip(".").split()}
        assert {word for captions in test for text in captions for word in text.lower().strip(".").split()} <= words
        # The second caption is "there are two red dogs beside a blue bicycle."
        pairs = [{tuple(captions[1].split()[3:5]) for captions in scenes} for scenes in (train, test)]
        pairs = [{(colour, thing.removesuffix("s")) for colour, thing in found} for found in pairs]
        assert not pairs[0] & pairs[1]
        assert not {text for captions in train for text in captions} & {t for captions in test for t in captions}

    def test_five_captions_a_scene_and_no_scene_twice(self):
        scenes = describe_scenes(500, np.random.default_rng(1), testing=False)
        assert {len(captions) for captions in scenes} == {5}
        assert len({captions[0] for captions in scenes}) == 500
        assert all(len(set(captions)) == 5 for captions in scenes)

    def test_what_words_mean(self):
        vectors = hash_embedding(["Two red dogs.", "red dog, two", "a blue car", ""])
        np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-6)
        assert abs(vectors[0] @ vectors[2]) < 0.4
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0], rtol=1e-6)
        # The same on every machine: directions are drawn by a hash of the word.
        assert np.sign(hash_embedding(["red"], width=8)).tolist() == [[-1, -1, 1, 1, 1, 1, -1, -1]]
