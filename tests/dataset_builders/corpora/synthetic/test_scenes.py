# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scenes that have captions but were never photographed, and what their words mean."""

import numpy as np

from dataset_builders.corpora.synthetic.scenes import NOT_THERE, draw_scenes, hash_embedding


class TestScenes:
    def test_test_scenes_combine_what_training_never_combines(self):
        generator = np.random.default_rng(0)
        train, test = (
            [scene.captions() for scene in draw_scenes(600, generator, testing=testing)] for testing in (False, True)
        )
        words = {word for captions in train for text in captions for word in text.lower().strip(".").split()}
        assert {word for captions in test for text in captions for word in text.lower().strip(".").split()} <= words
        # The second caption is "there are two red dogs beside a blue bicycle."
        pairs = [{tuple(captions[1].split()[3:5]) for captions in scenes} for scenes in (train, test)]
        pairs = [{(colour, thing.removesuffix("s")) for colour, thing in found} for found in pairs]
        assert not pairs[0] & pairs[1]
        assert not {text for captions in train for text in captions} & {t for captions in test for t in captions}

    def test_five_captions_a_scene_and_no_scene_twice(self):
        scenes = [scene.captions() for scene in draw_scenes(500, np.random.default_rng(1), testing=False)]
        assert {len(captions) for captions in scenes} == {5}
        assert len({captions[0] for captions in scenes}) == 500
        assert all(len(set(captions)) == 5 for captions in scenes)

    def test_questions_are_answered_by_the_captions(self):
        """The first caption is "Two small red dogs next to a blue bicycle in the park."; it is read here anew."""
        kinds, premises, so = [], 0, 0
        for scene in draw_scenes(600, np.random.default_rng(2), testing=False):
            words = scene.captions()[1].lower().strip(".").split()  # there are two red dogs beside a blue bicycle
            count, colour, thing = words[2], words[3], words[4].removesuffix("s") if words[2] != "one" else words[4]
            thing = "sheep" if words[4] == "sheep" else thing
            place = scene.captions()[0].strip(".").split()[-1]
            asked = {kind: (text, answers) for kind, text, answers in scene.questions()}
            assert all(len(answers) == 10 for _, answers in asked.values())
            said = {kind: max(set(answers), key=answers.count) for kind, (_, answers) in asked.items()}
            assert (said["how many"], said["what is"], said["where"]) == (count, thing, place)
            about = asked["what color"][0].removeprefix("What color is the ").removesuffix("?")
            assert said["what color"] == (colour if about == thing else NOT_THERE)
            assert about == thing or about not in scene.captions()[1]
            premises += about != thing
            assert said["is the"] == ("yes" if asked["is the"][0].endswith(f" {colour}?") else "no")
            so += said["is the"] == "yes"
            assert said["is there"] == ("yes" if asked["is there"][0].endswith(f" {thing}?") else "no")
            kinds.append(tuple(asked))
        assert len(set(kinds)) == 1
        assert abs(premises - 200) < 60
        assert abs(so - 300) < 60

    def test_what_words_mean(self):
        vectors = hash_embedding(["Two red dogs.", "red dog, two", "a blue car", ""])
        np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-6)
        assert abs(vectors[0] @ vectors[2]) < 0.4
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0], rtol=1e-6)
        # The same on every machine: directions are drawn by a hash of the word.
        assert np.sign(hash_embedding(["red"], width=8)).tolist() == [[-1, -1, 1, 1, 1, 1, -1, -1]]
