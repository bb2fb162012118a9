# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Text scores against hand-worked vectors, brute force, and the tokenizer they imitate."""

import random
from functools import lru_cache

import numpy as np
import pytest

from trainers.metrics import (
    brainllm_scores,
    corpus_bleu,
    corpus_bleu_from_statistics,
    corpus_bleu_statistics,
    corpus_word_error_rate,
    detokenize,
    rouge_f1,
    sentence_bleu,
    text_scores,
    word_error_rate,
    word_tokenize,
)


# truth, prediction, BLEU-1, ROUGE-1 recall, ROUGE-L recall, WER: printed by the released BrainLLM evaluation.
HAND_VECTORS = [
    ("It's the end.", "it's the end.", 0.8, 0.6667, 0.6667, 0.2),
    (
        "they don't sting, because they're gentle.",
        "they don't sting because they are",
        0.5584,
        0.3333,
        0.3333,
        0.4,
    ),
    ("a b c d", "a b c d e f", 1, 1, 1, 0),
    ("the the cat", "the cat the", 1, 1, 1, 0.6667),
    ("of local habitats.", "local", 0.0498, 0.3333, 0.3333, 0.75),
    ("on the table.", "on.the table", 1, 1, 1, 0.5),
]
SENTENCES = [
    "They said, \"don't go!\", but the dog's owner couldn't've known (he was asleep).",
    "I'm gonna pay $3.88 for 3,000 apples -- cannot wait...",
    "We'd met at 5:30; she'll say 'hello' to the boys' team.",
    "Mr. Smith lives in the U.S. near a well-known and/or old e-mail office.",
    "An axe has a wooden handle.",
]


def edit_distance(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """By its definition, independent of jiwer."""

    @lru_cache(None)
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        change = distance(i - 1, j - 1) + (left[i - 1] != right[j - 1])
        return min(change, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(left), len(right))


def random_text(generator: random.Random, longest: int = 8) -> str:
    return " ".join(generator.choices(["a", "b", "c", "the", "cat"], k=generator.randint(1, longest)))


class TestWordTokenize:
    @pytest.mark.parametrize("sentence", SENTENCES)
    def test_agrees_with_nltk_within_a_sentence(self, sentence):
        nltk = pytest.importorskip("nltk.tokenize")
        assert word_tokenize(sentence) == nltk.NLTKWordTokenizer().tokenize(sentence)

    def test_splits_the_period_of_every_sentence(self):
        assert word_tokenize("He left. She stayed. Why?") == ["He", "left", ".", "She", "stayed", ".", "Why", "?"]
        assert word_tokenize("Dr. Who met J. R. Oppenheimer.")[:2] == ["Dr.", "Who"]

    def test_detokenize_glues_punctuation_but_not_negations(self):
        assert (
            detokenize(["they", "do", "n't", "sting", ",", "it", "'s", "true", "."]) == "they do n't sting, it's true."
        )


class TestBrainLLMScores:
    @pytest.mark.parametrize(("truth", "prediction", "bleu", "rouge_1", "rouge_l", "wer"), HAND_VECTORS)
    def test_hand_vectors(self, truth, prediction, bleu, rouge_1, rouge_l, wer):
        scores = {name: round(values[0], 4) for name, values in brainllm_scores([prediction], [truth]).items()}
        assert scores["brainllm_bleu_1"] == bleu
        assert scores["brainllm_rouge_1"] == rouge_1
        assert scores["brainllm_rouge_l"] == rouge_l
        assert scores["brainllm_wer"] == wer

    def test_bleu_orders_by_hand(self):
        # 4 of 4 words, 2 of 3 pairs, 1 of 2 triples match; no brevity penalty at equal length.
        scores = brainllm_scores(["a b c x"], ["a b c d"])
        assert scores["brainllm_bleu_2"][0] == pytest.approx((3 / 4 * 2 / 3) ** (1 / 2))
        assert scores["brainllm_bleu_3"][0] == pytest.approx((3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
        assert scores["brainllm_bleu_4"][0] == 0

    def test_word_error_rate_is_the_edit_distance_after_the_cut(self):
        generator = random.Random(0)
        for _ in range(200):
            truth, prediction = random_text(generator), random_text(generator)
            words = tuple(truth.split())
            expected = edit_distance(tuple(prediction.split())[: len(words)], words) / len(words)
            assert brainllm_scores([prediction], [truth])["brainllm_wer"][0] == pytest.approx(expected)

    def test_rouge_l_heeds_order_within_a_sentence_only(self):
        scores = brainllm_scores(["cat. a dog", "dog a"], ["a dog. cat cat", "a dog"])
        assert scores["brainllm_rouge_1"] == [1.0, 1.0]
        assert scores["brainllm_rouge_l"] == [1.0, 0.5]

    def test_words_beyond_the_truth_change_nothing(self):
        assert brainllm_scores(["a b c d"], ["a b"]) == brainllm_scores(["a b"], ["a b"])

    def test_lowercase_applies_to_the_prediction_only(self):
        assert brainllm_scores(["The Cat"], ["the cat"], lowercase=True)["brainllm_wer"] == [0.0]
        assert brainllm_scores(["the cat"], ["The Cat"], lowercase=True)["brainllm_wer"] == [1.0]

    def test_special_tokens_are_stripped(self):
        assert brainllm_scores(["<s>a b</s>"], ["a b"])["brainllm_bleu_1"] == [1.0]


class TestFieldScores:
    def test_perfect_and_hopeless_predictions(self):
        truths = ["the cat sat on the mat .", "a dog ran far away today ."]
        perfect, hopeless = text_scores(truths, truths), text_scores(["x y", "z"], truths)
        for name, values in perfect.items():
            assert values == pytest.approx([0.0 if "wer" in name else 1.0] * 2), name
        assert hopeless["rouge_1"] == [0.0, 0.0]
        assert hopeless["brainllm_bleu_1"] == [0.0, 0.0]

    def test_empty_predictions_keep_their_place(self):
        scores = text_scores(["", "a b"], ["a b", "a b"])
        assert scores["brainllm_bleu_1"] == [0.0, 1.0]
        assert scores["brainllm_wer"] == [1.0, 0.0]
        assert scores["wer"] == [1.0, 0.0]

    def test_word_error_rate_equals_the_definition(self):
        generator = random.Random(1)
        pairs = [(random_text(generator), random_text(generator)) for _ in range(100)]
        edits = [edit_distance(tuple(p.split()), tuple(r.split())) for p, r in pairs]
        lengths = [len(r.split()) for _, r in pairs]
        predictions, references = map(list, zip(*pairs, strict=True))
        assert word_error_rate(predictions, references) == pytest.approx(np.divide(edits, lengths))
        assert corpus_word_error_rate(predictions, references) == pytest.approx(sum(edits) / sum(lengths))

    @pytest.mark.parametrize("words", ["ab", "abcdefgh"])
    def test_corpus_bleu_from_sums_is_that_of_the_corpus(self, words):
        """Also where orders have no match, and where all texts are shorter than an order."""
        generator = random.Random(0)
        for size, longest in ((1, 3), (2, 6), (5, 6), (12, 9)):
            for _ in range(10):
                texts = [
                    [" ".join(generator.choices(words, k=generator.randint(1, longest))) for _ in range(size)]
                    for _ in range(2)
                ]
                found = corpus_bleu_from_statistics(corpus_bleu_statistics(*texts).sum(axis=0))
                assert found == pytest.approx(corpus_bleu(*texts), abs=1e-12)

    def test_corpus_bleu_pools_matches_before_dividing(self):
        # 2 + 1 of 3 + 3 words match and lengths are equal, so BLEU-1 is 3/6.
        assert corpus_bleu(["a b x", "a y z"], ["a b c", "a d e"], max_order=1) == pytest.approx(0.5)
        assert sentence_bleu(["a b x", "a y z"], ["a b c", "a d e"], max_order=1) == pytest.approx([2 / 3, 1 / 3])

    def test_rouge_l_is_the_longest_common_subsequence(self):
        scores = rouge_f1(["a c b d"], ["a b c d e"])
        precision, recall = 3 / 4, 3 / 5
        assert scores["rouge_l"] == pytest.approx([2 * precision * recall / (precision + recall)])
        assert scores["rouge_1"] == pytest.approx([2 * 1 * (4 / 5) / (1 + 4 / 5)])

    @pytest.mark.parametrize(("predictions", "references"), [(["a"], []), (["a"], ["a", "b"]), (["a"], [" "])])
    def test_unpaired_or_empty_references_are_refused(self, predictions, references):
        for score in (brainllm_scores, corpus_bleu, rouge_f1, word_error_rate):
            with pytest.raises(ValueError, match="references"):
                score(predictions, references)
