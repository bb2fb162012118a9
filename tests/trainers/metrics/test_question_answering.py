# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of answers against its definition, written out; and what a decoder scores that hears no brain."""

from itertools import product

import numpy as np
import pytest

from trainers.metrics import (
    best_constant_answers,
    by_question_type,
    exact_match,
    normalize_answer,
    vqa_accuracy,
)


def leave_one_out(prediction, answers):
    """Each person is left out in turn, and three of the others must agree."""
    return np.mean(
        [min((answers[:left] + answers[left + 1 :]).count(prediction) / 3, 1) for left in range(len(answers))]
    )


class TestAccuracy:
    @pytest.mark.parametrize("given", range(11))
    def test_ten_people_left_out_in_turn(self, given):
        answers = ["red"] * given + ["blue"] * (10 - given)
        np.testing.assert_allclose(vqa_accuracy(["Red."], [answers]), leave_one_out("red", answers))

    def test_values_that_the_paper_gives(self):
        """0, 0.3, 0.6, 0.9 and 1 for none, one, two, three and four of ten."""
        answers = [["red"] * given + ["blue"] * (10 - given) for given in range(5)]
        np.testing.assert_allclose(vqa_accuracy(["red"] * 5, answers), [0, 0.3, 0.6, 0.9, 1])

    def test_fewer_people(self):
        assert vqa_accuracy(["a dog"], [["dog"]]).tolist() == [1]
        assert vqa_accuracy(["cat"], [["dog"]]).tolist() == [0]
        assert vqa_accuracy(["dog"], [["dog", "dog"]]).tolist() == [1]
        assert vqa_accuracy(["dog"], [["dog", "cat"]]).tolist() == [0.5]

    def test_lies_between_none_and_all(self):
        generator = np.random.default_rng(0)
        for words in product("abc", repeat=2):
            answers = generator.choice(["a", "b", "c", *words], 10).tolist()
            total = sum(vqa_accuracy([word], [answers])[0] for word in set(answers))
            assert 0 < total <= len(set(answers))

    def test_exact_match_is_with_the_most_frequent_answer(self):
        answers = [["two", "2", "three", "three", "3"]] * 3
        assert exact_match(["three", "2", "four"], answers).tolist() == [1, 0, 0]
        assert exact_match(["yes", "no"], [["yes", "no"]] * 2).tolist() == [1, 1]

    @pytest.mark.parametrize("answers", [[["yes"]], [["yes"], []]])
    def test_a_question_without_answers(self, answers):
        with pytest.raises(ValueError, match="Expected answers to each of 2 questions, got"):
            vqa_accuracy(["yes", "no"], answers)

    def test_means_by_type(self):
        assert by_question_type(["a", "b", "a"], np.array([1.0, 0.5, 0.0])) == {"a": 0.5, "b": 0.5}


class TestNormalizing:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("A Dog.", "dog"),
            ("two", "2"),
            ("the  third\none", "third 1"),
            ("1,000", "1000"),
            ("3.5", "3.5"),
            ("10:30", "10:30"),
            ("don't", "don't"),
            ("they were", "they were"),
            ("black/white", "black white"),
            ("Yes, sir", "yes sir"),
            ("", ""),
        ],
    )
    def test_form(self, text, expected):
        assert normalize_answer(text) == expected
        assert normalize_answer(expected) == expected

    @pytest.mark.parametrize("word", ["don't", "they're", "that's", "i'm", "you've", "wouldn't"])
    def test_apostrophes_are_put_in(self, word):
        assert normalize_answer(f"And {word.replace(chr(39), '')} it!") == f"and {word} it"


class TestGuess:
    def test_scores_best_on_what_it_was_made_from(self):
        generator = np.random.default_rng(1)
        kinds = generator.choice(["color", "number"], 60).tolist()
        answers = [
            generator.choice(["red", "blue", "2", "two", "3"], 10, p=[0.3, 0.1, 0.1, 0.2, 0.3]).tolist() for _ in kinds
        ]
        best = best_constant_answers(kinds, answers)
        for kind in ("color", "number"):
            own = [said for one, said in zip(kinds, answers, strict=True) if one == kind]
            scores = {text: vqa_accuracy([text] * len(own), own).mean() for text in ("red", "blue", "2", "3")}
            assert scores[best[kind]] == max(scores.values())
