# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The word rate: a planted rate is found and noise is not; tokens are counted as the model will say them."""

import numpy as np
import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from trainers.story.word_rate import WordRate, better_than_shuffled, count_tokens, fit_word_rate


def plant(signal: float, num_windows: int = 300, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Windows `[2, 5]` of which one direction says how many words were said."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, num_windows)
    direction = np.random.default_rng(99).standard_normal((2, 5))
    noise = rng.standard_normal((num_windows, 2, 5))
    return list(signal * counts[:, None, None] * direction + noise), counts


class TestWordRate:
    def test_planted_rate_is_recovered_on_new_windows(self):
        rate = WordRate.fit(*plant(1.0, seed=0))
        values, counts = plant(1.0, seed=1)
        predicted = rate.predict(values)
        assert np.corrcoef(predicted, counts)[0, 1] > 0.95
        assert np.abs(predicted - counts).mean() < 0.6
        assert better_than_shuffled(predicted, counts) > 0.85

    def test_noise_is_not(self):
        rate = WordRate.fit(*plant(0.0, seed=0))
        values, counts = plant(0.0, num_windows=1000, seed=1)
        predicted = rate.predict(values)
        assert abs(np.corrcoef(predicted, counts)[0, 1]) < 0.1
        assert better_than_shuffled(predicted, counts) == pytest.approx(0.5, abs=0.05)

    def test_equals_the_normal_equations(self):
        values, counts = plant(0.3, num_windows=40)
        design = np.stack([window.ravel() for window in values])
        design = (design - design.mean(0)) / design.std(0)
        weights = np.linalg.solve(design.T @ design + 2.5 * np.eye(10), design.T @ (counts - counts.mean()))
        found = WordRate.fit(values, counts, alpha=2.5).predict(values)
        np.testing.assert_allclose(found, design @ weights + counts.mean(), atol=1e-8)

    def test_only_the_subject_is_fitted(self):
        values, counts = plant(1.0, num_windows=60)
        rows = Dataset.from_list(
            [{"subject": f"s{i % 2}", "brain_values": window.tolist()} for i, window in enumerate(values)]
        )
        wrong = np.where(np.arange(60) % 2, 1000, counts)  # the other subject's counts are absurd
        found = fit_word_rate(rows, "s0", wrong).predict(values)
        np.testing.assert_allclose(found, WordRate.fit(values[::2], counts[::2]).predict(values), rtol=1e-6)
        with pytest.raises(ValueError, match=r"'s7' has no training rows; found \['s0', 's1'\]"):
            fit_word_rate(rows, "s7", counts)

    def test_refusal(self):
        with pytest.raises(ValueError, match="3 windows and 2 counts"):
            WordRate.fit([np.zeros((2, 2))] * 3, [1, 2])


class TestSanityScore:
    def test_by_hand(self):
        assert better_than_shuffled([1, 1, 1], [1, 2, 3]) == 0.5  # equal predictions: nothing but ties
        counts = np.arange(1000)
        # The right prediction loses to none, and ties only with itself: one in a thousand of a shuffle.
        assert better_than_shuffled(counts, counts, num_shuffles=20) == pytest.approx(0.9995, abs=0.0005)


def test_tokens_are_counted_behind_their_prompt(text_model):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(text_model)
    texts = [("the cat", "is red ."), ("", " and "), ("a", "")]
    rows = Dataset.from_list([{"prompt": prompt, "completion": completion} for prompt, completion in texts])
    assert count_tokens(rows, tokenizer).tolist() == [3, 1, 0]
