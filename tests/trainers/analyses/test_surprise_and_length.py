# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Surprise and prompt length: a planted dependence is found, a flat one is not, and lengths are what they are."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from trainers.analyses import (
    count_windows,
    count_words,
    prompt_length_curve,
    prompt_length_section,
    surprise_curve,
    surprise_section,
    token_counter,
)


def growing(surprise: np.ndarray) -> np.ndarray:
    return 0.1 * (surprise - 3)


class TestSurprise:
    def test_a_gain_that_grows_with_surprise_is_found(self, make_samples):
        curve = surprise_curve(make_samples(growing), num_bins=6)
        assert curve.trends["gain"]["ci_low"] < 0.1 < curve.trends["gain"]["ci_high"]
        assert all(trend["q"] < 0.01 for trend in curve.trends.values())
        accuracies = [row["accuracy"] for row in curve.rows]
        assert accuracies[-1] > accuracies[0] + 0.2
        text = surprise_section(curve).text
        assert "Pairwise accuracy grows: +" in text
        assert f"{accuracies[0]:.3f} of pairs where it is surprised least" in text

    @pytest.mark.parametrize("gain", [0.0, 0.15])
    def test_a_gain_that_is_everywhere_the_same_is_no_trend(self, make_samples, gain):
        curve = surprise_curve(make_samples(lambda surprise: np.full_like(surprise, gain)), num_bins=6)
        assert all(trend["q"] > 0.05 and trend["ci_low"] < 0 < trend["ci_high"] for trend in curve.trends.values())
        assert "shows no trend" in surprise_section(curve).text

    def test_bins_say_how_long_their_texts_are(self, make_samples):
        samples = make_samples(growing)
        for sample in samples:
            sample["num_tokens"] = 2 if sample["losses"]["no_brain"] > 4.5 else 7
        curve = surprise_curve(samples, num_bins=4)
        assert (curve.rows[0]["num_tokens"], curve.rows[-1]["num_tokens"]) == (7, 2)
        assert "mean length 7.0 tokens in the first bin, 2.0 in the last" in surprise_section(curve).text

    def test_is_reproducible(self, make_samples):
        assert surprise_curve(make_samples(growing)) == surprise_curve(make_samples(growing))


class TestPromptLength:
    def test_a_gain_that_falls_with_the_prompt_is_found(self, make_samples):
        samples = make_samples()
        for sample in samples:
            sample["losses"]["brain"] -= 0.4 / len(sample["prompt"].split())
        curve = prompt_length_curve(samples)
        assert [row["x"] for row in curve.rows] == [1, 2, 3]
        assert curve.trends["accuracy"]["q"] < 0.01
        assert "falls: -" in prompt_length_section(curve).text
        assert "shows no trend" in prompt_length_section(prompt_length_curve(make_samples())).text

    def test_whole_sentences_are_shown_but_are_no_part_of_the_trend(self, make_samples):
        samples = make_samples()
        sentences = make_samples(lambda surprise: 1.0, seed=1)
        for sample in sentences:
            sample |= {"task": "sentence", "prompt": ""}
        curve = prompt_length_curve([*samples, *sentences])
        assert [row["x"] for row in curve.rows] == [0, 1, 2, 3]
        assert curve.trends == prompt_length_curve(samples).trends
        assert "At length 0 the whole sentence is read" in prompt_length_section(curve).text

    def test_rare_lengths_are_left_out(self, make_samples):
        samples = make_samples()
        for sample in samples[:49]:
            sample["prompt"] = "one two three four five"
        assert [row["x"] for row in prompt_length_curve(samples).rows] == [1, 2, 3]
        with pytest.raises(ValueError, match=r"Fewer than two lengths have `min_samples=240`.*found 1: .* 5: 49"):
            prompt_length_curve(samples, min_samples=240)

    def test_windows_are_counted_along_a_sentence(self):
        sentences = (("a b", "c", "d e", "f"), ("a b", "x", "y"), ("a", "b", "q"))
        samples = [
            {"subject": "s1", "group": f"{number}", "prompt": " ".join(cut[:k]), "references": [f" {cut[k]}"]}
            for number, cut in enumerate(sentences)
            for k in range(len(cut))
        ]
        assert count_windows(samples).tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]
        assert count_words(samples).tolist() == [0, 2, 3, 5, 0, 2, 3, 0, 1, 2]

    def test_tokens_are_those_of_the_tokenizer_without_special_ones(self, text_model):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(text_model)
        samples = [{"prompt": prompt} for prompt in ("", "the cat is", "the cat is very red.")]
        assert token_counter(tokenizer)(samples).tolist() == [0, 3, 6]
