# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Windows and nulls on hand-made stories, against plain loops."""

import numpy as np
import pytest

from trainers.metrics import EmbeddedTokens, bert_score
from trainers.story.evaluation import StoryScore, WindowGrid, score_alone, score_story
from trainers.story.window_metrics import bert_recall
from trainers.story.windows import TimedWord


def words(text: str, first: float = 0.0, apart: float = 10.0) -> list[TimedWord]:
    return [TimedWord(word, first + apart * i) for i, word in enumerate(text.split())]


class TestWindows:
    def test_grids(self):
        second_by_second = WindowGrid.over(0, 25, step=1)
        assert second_by_second.starts.tolist() == [0, 1, 2, 3, 4, 5]
        assert (second_by_second.length, second_by_second.windows_apart) == (20, 20)
        end_to_end = WindowGrid.over(3, 563, step=20)
        assert len(end_to_end.starts) == 28  # the form of Ye et al. for the 560 s of the test story
        assert end_to_end.windows_apart == 1
        assert WindowGrid.over(0, 100, step=8).windows_apart == 3

    def test_a_word_belongs_to_windows_it_begins_in(self):
        grid = WindowGrid.over(0, 50, step=10)
        assert grid.texts(words("a b c d e")) == ["a b", "b c", "c d", "d e"]
        assert grid.texts([TimedWord("late", 20.0), TimedWord("early", 19.999)]) == ["early", "early late", "late", ""]

    def test_refusal(self):
        for start, end, step in ((0, 19, 1), (0, 30, 0)):
            with pytest.raises(ValueError, match="one window must fit"):
                WindowGrid.over(start, end, step)


class TestNulls:
    def test_shifts_equal_a_plain_loop(self):
        rng = np.random.default_rng(0)
        heard, told, *others = (words(" ".join(rng.choice(list("abcd"), 30)), apart=5.0) for _ in range(7))
        grid = WindowGrid.over(0, 150, step=5)

        def overlap(predictions, references):
            return [len(set(a.split()) & set(b.split())) for a, b in zip(predictions, references, strict=True)]

        found = score_story(heard, told, others[:3], others[3:], grid, {"overlap": overlap})["overlap"]
        own, truth = grid.texts(told), grid.texts(heard)
        assert found.windows.tolist() == overlap(own, truth)
        expected = [np.mean(overlap(own[shift:] + own[:shift], truth)) for shift in (4, 8, 12, 16, 20)]
        assert len(own) == 27
        assert found.shifts.tolist() == pytest.approx(expected[: len(found.shifts)])
        assert len(found.shifts) == 5
        assert found.other_brains.tolist() == [overlap(grid.texts(other), truth) for other in others[:3]]
        assert found.random_likelihoods.tolist() == [overlap(grid.texts(other), truth) for other in others[3:]]

    def test_standard_scores_on_a_perfect_and_an_empty_telling(self):
        story = words("the old dog barked at my new neighbour again", apart=10.0)
        grid = WindowGrid.over(0, 90, step=10)
        found = score_story(story, story, [[], words("x y z")], [[], []], grid)
        assert {name: score.story for name, score in found.items()} == {"wer": 1.0, "bleu_1": 1.0, "meteor": 0.9375}
        assert found["wer"].other_brains[0].tolist() == [0.0] * 8
        assert found["wer"].shift_rank == 1
        assert found["wer"].shift_p == pytest.approx(1 / (1 + len(found["wer"].shifts)))

    def test_silent_windows_are_left_out(self):
        heard = [TimedWord("a", 5.0), TimedWord("b", 65.0)]
        grid = WindowGrid.over(0, 80, step=20)
        found = score_story(heard, heard, [[], []], [[], []], grid)["wer"]
        assert found.windows.tolist() == [1.0, 1.0]

    def test_z_and_p_by_hand(self):
        score = StoryScore(
            "m", np.arange(2), np.array([3.0, 5.0]), np.array([1.0, 4.0, 2.0]), np.array([[1.0, 2.0], [3.0, 2.0]]),
            np.array([[4.0, 6.0], [3.0, 1.0], [1.0, 1.0]]),
        )  # fmt: skip
        assert score.story == 4.0
        assert score.shift_rank == 2  # a tie counts against it
        assert score.shift_p == 0.5
        assert score.window_z[0] == pytest.approx(1 / np.sqrt(2))
        assert np.isnan(score.window_z[1])
        assert score.story_z == pytest.approx((4 - 2) / np.std([1.5, 2.5], ddof=1))
        assert score.other_brains_p == pytest.approx(1 / 3)
        assert score.random_z == pytest.approx((4 - 8 / 3) / np.std([5, 2, 1], ddof=1))
        assert score.random_p == 1.0  # the mean of 5, 2, 1 and 4 is 3, and none is nearer to it than 4
        assert score.summary()["shift_rank"] == "2 of 4"
        assert not score.above_nulls

    def test_above_all_nulls_needs_all(self):
        low, high = np.linspace(0, 1, 40)[:, None], np.linspace(1, 3, 40)[:, None]

        def is_above(own: float, shift: float, others: np.ndarray, random: np.ndarray) -> bool:
            return StoryScore("m", np.zeros(1), np.array([own]), np.array([shift]), others, random).above_nulls

        assert is_above(2.0, 0.5, low, low)
        assert not is_above(2.0, 2.0, low, low)
        assert not is_above(0.6, 0.5, low, low)
        assert not is_above(2.0, 0.5, high, low)
        assert not is_above(2.0, 0.5, low, high)
        assert not is_above(-1.0, -2.0, low, low)

    def test_a_brain_that_changes_nothing_is_not_above(self):
        story = words("the old dog barked at my new neighbour again", apart=10.0)
        told = words("the old cat", apart=10.0)
        score = score_story(story, told, [told, told, told], [told, told], WindowGrid.over(0, 90, step=20))["wer"]
        assert np.isnan(score.story_z)
        assert (score.summary()["other_z"], score.summary()["random_z"]) == (None, None)
        assert not score.above_nulls

    @pytest.mark.parametrize("seed", range(5))
    def test_each_telling_in_turn_as_the_true_one_is_significant_as_often_as_its_p_says(self, seed):
        """
        Under the null any of the decoded texts is the true one with equal chance: the test must be exact, not nearly.
        """
        drawn = np.random.default_rng(seed).standard_t(3, size=(40, 21))
        drawn[0, :10] += 20  # in two heaps, whose means lie far from the mean of all
        for decoded_texts in drawn:
            found = [
                StoryScore(
                    "m", np.zeros(1), own[None], decoded_texts[1:], *2 * (np.delete(decoded_texts, place)[:, None],)
                )
                for place, own in enumerate(decoded_texts)
            ]
            values = np.array([score.other_brains_p for score in found])
            assert values.tolist() == [score.random_p for score in found]
            for count in range(1, 22):
                assert (values <= count / 21 + 1e-9).sum() <= count

    def test_refusals(self):
        story, grid = words("a b c d e f", apart=10.0), WindowGrid.over(0, 60, step=10)
        short = WindowGrid.over(0, 30, step=10)
        two: list[list[TimedWord]] = [[], []]
        for heard, others, random, window in (
            (story, two[:1], two, grid), (story, two, two[:1], grid), ([], two, two, grid), (story, two, two, short),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="two texts, one window and one shift are the least"):
                score_story(heard, story, others, random, window)


class TestBertRecall:
    def test_windows_are_weighed_by_what_was_heard_however_many_tellings_there_are(self):
        asked: list[str] = []

        def embed(texts):
            asked.extend(texts)
            vectors = {word: np.random.default_rng(ord(word)).normal(size=6) for word in "abcdef"}
            return [
                EmbeddedTokens(
                    text.split(),
                    np.array([vectors[w] for w in text.split()]).reshape(-1, 6),
                    np.zeros(len(text.split()), bool),
                )
                for text in texts
            ]

        rng = np.random.default_rng(0)
        heard, told, *others = (words(" ".join(rng.choice(list("abcdef"), 30)), apart=5.0) for _ in range(6))
        grid = WindowGrid.over(0, 150, step=20)
        references = grid.texts(heard)

        def expected(decoded_text):
            return bert_score(grid.texts(decoded_text), [[text] for text in references], embed, idf=True)[
                "bert_recall"
            ]

        truth = [expected(decoded_text) for decoded_text in (told, *others)]
        asked.clear()
        metrics = {"bert_recall": bert_recall(embed)}
        found = score_story(heard, told, others, others[:2], grid, metrics)["bert_recall"]
        np.testing.assert_allclose(found.windows, truth[0])
        np.testing.assert_allclose(found.other_brains, truth[1:])
        assert score_alone(heard, told, grid, metrics)["bert_recall"] == pytest.approx(truth[0].mean())
        assert score_story(heard, heard, others, others, grid, metrics)["bert_recall"].story == pytest.approx(1)
        assert max(asked.count(text) for text in references) == 1  # what was heard is embedded once
