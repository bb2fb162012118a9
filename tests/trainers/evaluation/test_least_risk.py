# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The text of least risk: against a loop over pairs, on an agreement that is planted, and through an evaluation."""

from collections import Counter

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from trainers.evaluation.arms import Batches
from trainers.evaluation.evaluate import evaluate
from trainers.evaluation.least_risk import choose_least_risk, token_overlap


WORDS = ("a", "bird", "cat", "dog", "green", "house", "is", "red", "The", "the")


def draw_texts(seed: int, number: int = 12) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 8))) for _ in range(number)]


@pytest.mark.parametrize("seed", range(5))
def test_overlap_is_that_of_a_loop_over_pairs(seed):
    texts = draw_texts(seed)
    for i, row in enumerate(token_overlap(texts)):
        for j, found in enumerate(row):
            one, two = (Counter(texts[k].lower().split()) for k in (i, j))
            shared, lengths = (one & two).total(), one.total() + two.total()
            assert found == pytest.approx(2 * shared / lengths if lengths else 0)


def test_the_text_that_the_others_agree_on():
    texts = ["a green house", "the cat is red", "the cat is", "the dog is red", "a bird"]
    assert choose_least_risk(texts) == "the cat is red"
    assert choose_least_risk(["a bird"]) == "a bird"
    assert choose_least_risk(["", "a bird", "a bird"]) == "a bird"


def test_embeddings_tip_the_scales():
    texts = ["the cat is red", "the cat is", "a bird", "a bird green"]
    vectors = {"the cat is red": [1, 0], "the cat is": [0, 1], "a bird": [0, 0], "a bird green": [3, 0.1]}
    without = choose_least_risk(texts)
    assert without == "the cat is red"
    vectors["the cat is red"], vectors["the cat is"] = [0, 0], [2, 0]
    assert choose_least_risk(texts, lambda found: np.array([vectors[text] for text in found])) == "the cat is"


def test_a_brain_decides_which_text_is_chosen(make_model, make_processor, make_rows):
    """Each text is one of those drawn under its brain; the same seed draws the same, another brain others."""
    model = make_model(initializer_range=2.0)
    processor, rows = make_processor(model), make_rows(6)
    batches = Batches(model.eval(), processor, rows, 4, seed=0)
    one = {"max_new_tokens": 4, "do_sample": True, "temperature": 0.7, "top_k": 0}
    with torch.inference_mode():
        chosen = batches.generate(batches.own, one | {"num_candidates": 5}, lambda: None)
        assert chosen == batches.generate(batches.own, one | {"num_candidates": 5}, lambda: None)
        drawn = batches.generate(batches.own, one | {"num_candidates": 1}, lambda: None)
        assert drawn == batches.generate(batches.own, one, lambda: None)
        others = batches.generate((batches.own + 1) % 6, one | {"num_candidates": 5}, lambda: None)
    assert chosen != drawn
    assert chosen != others


def test_every_arm_answers_with_the_text_of_least_risk(make_model, make_processor, make_rows):
    model = make_model()
    splits = DatasetDict(train=make_rows(4, seed=1), test=make_rows(8))
    options = {"num_permutations": 2, "num_text_permutations": 1, "value_controls": (), "progress": False}
    generation = {"num_candidates": 3, "max_new_tokens": 3}
    report = evaluate(model, make_processor(model), splits, generation=generation, **options)
    assert report.settings["tasks"]["sentence"]["generation"] == generation
    assert report.find("sentence", "deaf_twin", "brainllm_bleu_1_gain") is not None
