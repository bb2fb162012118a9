# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""BLEU, ROUGE-L and CIDEr of captions: against recorded scores of pycocoevalcap, plain equations, and identities."""

import json
import math
import pickle
import random
from collections import Counter

import numpy as np
import pytest
from testing_utils import shared_path

from trainers.metrics import (
    Cider,
    DocumentFrequencies,
    bleu_from_statistics,
    bleu_statistics,
    caption_bleu,
    caption_rouge_1,
    caption_rouge_l,
    caption_scores,
)


WORDS = ["a", "man", "cat", "on", "the", "red", "mat", "sits", "with", "dog", "and", "two"]


def draw_captions(num_images: int, seed: int = 0, most: int = 12) -> tuple[list[str], list[list[str]]]:
    """Captions of few words, so that n-grams recur within and between them; some empty, references of any number."""
    generator = random.Random(seed)

    def caption(least: int) -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(least, most)))

    references = [[caption(1) for _ in range(generator.randint(1, 5))] for _ in range(num_images)]
    return [caption(0) for _ in range(num_images)], references


# ------------------------------------------------------------------------------------- the equations, written plainly


def grams(text: str, order: int) -> Counter:
    words = text.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def plain_cider(prediction: str, references: list[str], corpus: list[list[str]], variant: str) -> float:
    total = 0.0
    for order in range(1, 5):
        documents = [set().union(*(grams(text, order) for text in texts)) for texts in corpus]

        def weights(text, order=order, documents=documents):
            idf = {g: math.log(len(corpus) / max(1, sum(g in d for d in documents))) for g in grams(text, order)}
            return {g: count * idf[g] for g, count in grams(text, order).items()}

        own = weights(prediction)
        for reference in references:
            other = weights(reference)
            cut = min if variant == "cider_d" else lambda mine, theirs: mine
            product = sum(cut(own[g], other[g]) * other[g] for g in own.keys() & other.keys())
            norms = math.hypot(*own.values()) * math.hypot(*other.values())
            # The program that is matched takes the number of bigrams for the length.
            gap = max(len(prediction.split()) - 1, 0) - max(len(reference.split()) - 1, 0)
            penalty = math.exp(-(gap**2) / 72) if variant == "cider_d" else 1.0
            total += penalty * product / norms / len(references) if norms else 0.0
    return 10 * total / 4


def plain_bleu(predictions: list[str], references: list[list[str]], order: int) -> float:
    score = 1.0
    lengths = [len(text.split()) for text in predictions]
    closest = [
        min((abs(len(text.split()) - length), len(text.split())) for text in texts)[1]
        for length, texts in zip(lengths, references, strict=True)
    ]
    for n in range(1, order + 1):
        matched = sum(
            min(count, max(grams(text, n)[g] for text in texts))
            for prediction, texts in zip(predictions, references, strict=True)
            for g, count in grams(prediction, n).items()
        )
        score *= (matched + 1e-15) / (sum(grams(text, n).total() for text in predictions) + 1e-9)
    ratio = (sum(lengths) + 1e-15) / (sum(closest) + 1e-9)
    return score ** (1 / order) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1.0)


def plain_rouge(prediction: str, references: list[str]) -> float:
    words = prediction.split()
    precision = recall = 0.0
    for text in references:
        other = text.split()
        table = np.zeros((len(words) + 1, len(other) + 1), int)
        for i, mine in enumerate(words):
            for j, theirs in enumerate(other):
                table[i + 1, j + 1] = table[i, j] + 1 if mine == theirs else max(table[i, j + 1], table[i + 1, j])
        precision = max(precision, table[-1, -1] / max(len(words), 1))
        recall = max(recall, table[-1, -1] / len(other))
    return (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision else 0.0


class TestEquations:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("variant", ["cider", "cider_d"])
    def test_cider(self, variant, seed):
        predictions, references = draw_captions(25, seed)
        corpus = references + draw_captions(5, seed + 100)[1]
        found = Cider(DocumentFrequencies.fit(corpus), variant)(predictions, references)
        expected = [plain_cider(p, r, corpus, variant) for p, r in zip(predictions, references, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

    def test_cider_of_words_and_references_outside_the_corpus(self):
        """References that were never counted, words that nobody knows: as if each occurred in one document."""
        corpus = draw_captions(8, 5)[1]
        predictions, references = ["a zebra on the red mat", "zzz zzz yyy"], [["a zebra on a mat"], ["zzz yyy zzz"]]
        found = Cider(DocumentFrequencies.fit(corpus))(predictions, references)
        expected = [plain_cider(p, r, corpus, "cider_d") for p, r in zip(predictions, references, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("seed", range(3))
    def test_bleu(self, seed):
        predictions, references = draw_captions(30, seed)
        found = caption_bleu(predictions, references)
        assert found == pytest.approx({f"bleu_{n}": plain_bleu(predictions, references, n) for n in range(1, 5)})

    @pytest.mark.parametrize("seed", range(3))
    def test_rouge_l(self, seed):
        predictions, references = draw_captions(40, seed, most=20)
        expected = [plain_rouge(p, r) for p, r in zip(predictions, references, strict=True)]
        np.testing.assert_allclose(caption_rouge_l(predictions, references), expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def coco() -> tuple[list[str], list[list[str]]]:
    """Of each image of COCO val2017, in order of appearance, the first caption and the others."""
    captions = json.loads(shared_path("data/coco_captions/captions_val2017.json").read_text())["annotations"]
    images: dict[int, list[str]] = {}
    for caption in captions:
        images.setdefault(caption["image_id"], []).append(caption["caption"])
    return [texts[0] for texts in images.values()], [texts[1:] for texts in images.values()]


class TestPublishedProgram:
    """Scores that pycocoevalcap 1.2 gave, with its own tokenizer, for COCO's first captions against the others."""

    BLEU = (0.6344705701552054, 0.4373799065113723, 0.29412868702985323, 0.19553851792504892)
    ROUGE_L, CIDER = 0.4717583581954499, 0.886544201761606
    SAMPLES = {  # position: CIDEr, ROUGE-L
        0: (2.6885088478270576, 0.7286689419795221),
        1: (1.0818118842067435, 0.35672514619883033),
        2: (0.2793850929834001, 0.43571428571428567),
        1234: (0.813681523591975, 0.5313588850174217),
        4999: (2.3376939225647715, 0.8645669291338582),
    }

    def test_bleu(self, coco):
        assert tuple(caption_bleu(*coco).values()) == pytest.approx(self.BLEU, rel=0, abs=1e-9)

    def test_rouge_l(self, coco):
        scores = caption_rouge_l(*coco)
        assert scores.mean() == pytest.approx(self.ROUGE_L, rel=0, abs=1e-9)
        assert {i: scores[i] for i in self.SAMPLES} == pytest.approx(
            {i: rouge for i, (_, rouge) in self.SAMPLES.items()}, rel=0, abs=1e-9
        )

    def test_cider(self, coco):
        predictions, references = coco
        cider = Cider(DocumentFrequencies.fit(references))
        scores = cider(predictions, references)
        assert scores.mean() == pytest.approx(self.CIDER, rel=0, abs=1e-9)
        # A sample's score is the same alone: nothing but the frequencies ties it to the others.
        alone = {i: float(cider([predictions[i]], [references[i]])[0]) for i in self.SAMPLES}
        assert alone == pytest.approx({i: cider for i, (cider, _) in self.SAMPLES.items()}, rel=0, abs=1e-9)


@pytest.fixture(scope="module")
def cider() -> Cider:
    return Cider(DocumentFrequencies.fit(draw_captions(40, 9)[1]))


class TestCider:
    def test_an_exact_match_earns_the_most_in_groups_of_any_size(self, cider):
        generator = random.Random(3)
        reference = "two red dog sits with the cat"
        for size in range(1, 65):
            others = [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) for _ in range(size - 1)]
            place = generator.randrange(size)
            scores = cider([*others[:place], reference, *others[place:]], [[reference]] * size)
            assert scores[place] == pytest.approx(10, rel=0, abs=1e-12)
            assert scores.max() == scores[place]

    @pytest.mark.parametrize("variant", ["cider_d", "cider"])
    def test_every_caption_on_every_image(self, variant):
        captions, references = draw_captions(20, seed=3)
        scorer = Cider(DocumentFrequencies.fit(draw_captions(40, 9)[1]), variant)
        one_by_one = [scorer([caption] * len(references), references) for caption in [*captions, "zebra a a a"]]
        matrix = scorer.matrix([*captions, "zebra a a a"], references)
        np.testing.assert_allclose(matrix, np.transpose(one_by_one), atol=1e-13)

    def test_scores_do_not_depend_on_neighbours_or_order(self, cider):
        predictions, references = draw_captions(30, 4)
        together = cider(predictions, references)
        order = np.random.default_rng(0).permutation(30)
        shuffled = cider([predictions[i] for i in order], [references[i] for i in order])
        np.testing.assert_array_equal(shuffled, together[order])
        turned = cider(predictions, [texts[::-1] for texts in references])
        np.testing.assert_allclose(turned, together, rtol=0, atol=1e-12)
        alone = [cider([p], [r])[0] for p, r in zip(predictions, references, strict=True)]
        np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)

    def test_the_range(self, cider):
        scores = cider(*draw_captions(60, 6))
        assert (scores >= 0).all()
        assert (scores <= 10).all()

    def test_an_empty_caption_scores_nothing(self, cider):
        assert cider(["", "."], [["a man"], ["a man"]]).tolist() == [0.0, 0.0]

    def test_repeating_a_rare_word_pays_in_the_first_form_alone(self):
        frequencies = DocumentFrequencies.fit(draw_captions(40, 9)[1])
        reference, honest, exploit = (
            [["a man sits on the zebra"]],
            ["a man on a mat"],
            ["zebra zebra zebra zebra zebra"],
        )
        first, second = Cider(frequencies, "cider"), Cider(frequencies, "cider_d")
        assert first(exploit, reference)[0] > first(honest, reference)[0]
        assert second(exploit, reference)[0] < second(honest, reference)[0]

    def test_it_can_be_pickled(self, cider):
        predictions, references = draw_captions(10, 2)
        copy = pickle.loads(pickle.dumps(cider))
        np.testing.assert_array_equal(copy(predictions, references), cider(predictions, references))

    def test_an_unknown_variant(self):
        with pytest.raises(ValueError, match="'cider' or 'cider_d', found 'cider-d'"):
            Cider(DocumentFrequencies({}, 2), "cider-d")


class TestDocumentFrequencies:
    def test_documents_are_counted_once_and_in_any_order(self):
        corpus = [["a cat", "a cat a cat"], ["a dog"], ["the cat"]]
        frequencies = DocumentFrequencies.fit(corpus)
        assert frequencies.counts == {"a": 2, "cat": 2}  # an n-gram of one document is as one of none
        assert frequencies.num_documents == 3
        assert DocumentFrequencies.fit(reversed(corpus)).counts == frequencies.counts

    def test_save_and_load(self, tmp_path):
        predictions, references = draw_captions(20, 1)
        frequencies = DocumentFrequencies.fit(references)
        frequencies.save(tmp_path / "frequencies.json")
        loaded = DocumentFrequencies.load(tmp_path / "frequencies.json")
        assert (loaded.counts, loaded.num_documents) == (frequencies.counts, 20)
        np.testing.assert_array_equal(
            Cider(loaded)(predictions, references), Cider(frequencies)(predictions, references)
        )

    @pytest.mark.parametrize("content", ['{"counts": {}}', "[1, 2]"])
    def test_another_file(self, tmp_path, content):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ValueError, match=r"other.json holds no document frequencies"):
            DocumentFrequencies.load(tmp_path / "other.json")

    def test_a_broken_file(self, tmp_path):
        (tmp_path / "other.json").write_text('{"format": ')
        with pytest.raises(ValueError, match=r"other.json is no JSON file"):
            DocumentFrequencies.load(tmp_path / "other.json")

    @pytest.mark.parametrize("corpus", [[], [["a man"]]])
    def test_one_document_is_too_few(self, corpus):
        with pytest.raises(ValueError, match=f"two images or more, found {len(corpus)}"):
            DocumentFrequencies.fit(corpus)


class TestBleu:
    def test_statistics_of_a_resample_are_those_of_its_captions(self):
        predictions, references = draw_captions(20, 7)
        statistics = bleu_statistics(predictions, references)
        drawn = np.random.default_rng(0).integers(20, size=(5, 20))
        weights = np.stack([np.bincount(row, minlength=20) for row in drawn])
        resampled = bleu_from_statistics(weights @ statistics)
        for place, row in enumerate(drawn):
            expected = caption_bleu([predictions[i] for i in row], [references[i] for i in row])
            assert {name: values[place] for name, values in resampled.items()} == pytest.approx(expected)

    def test_perfect_captions(self):
        references = [["a man sits on a mat", "a cat"], ["two dogs with a cat and a man", "a dog"]]
        assert caption_bleu([texts[0] for texts in references], references) == pytest.approx(
            dict.fromkeys(("bleu_1", "bleu_2", "bleu_3", "bleu_4"), 1.0), abs=1e-8
        )

    def test_empty_captions_score_nothing(self):
        assert set(caption_bleu(["", "."], [["a man"], ["a cat"]]).values()) == {0.0}


class TestRouge:
    def test_recall_and_precision_may_come_from_different_references(self):
        # "a man": all of the first reference's words are found, and all of its own in the second.
        scores = caption_rouge_l(["a man sits", "a man"], [["man", "a man sits down here"], ["a man", "a cat"]])
        np.testing.assert_allclose(scores, [1.0, 1.0])


class TestRouge1:
    @pytest.mark.parametrize("seed", range(2))
    def test_the_equation(self, seed):
        predictions, references = draw_captions(30, seed)
        for found, prediction, texts in zip(
            caption_rouge_1(predictions, references), predictions, references, strict=True
        ):
            matches = [(grams(prediction, 1) & grams(text, 1)).total() for text in texts]
            lengths = [len(prediction.split()) + len(text.split()) for text in texts]
            assert found == pytest.approx(max(2 * m / n for m, n in zip(matches, lengths, strict=True)))

    def test_words_are_the_tokens_of_captions(self):
        assert caption_rouge_1(["The dog's bowl, here."], [["the dog 's bowl here"]]).tolist() == [1.0]


class TestTable:
    def test_all_scores(self):
        predictions, references = draw_captions(15, 8)
        scores = caption_scores(predictions, references)
        assert list(scores) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"]
        own = Cider(DocumentFrequencies.fit(references))(predictions, references)
        np.testing.assert_array_equal(scores["cider"], own)
        np.testing.assert_array_equal(scores["rouge_l"], caption_rouge_l(predictions, references))
        assert {name: scores[name] for name in list(scores)[:4]} == caption_bleu(predictions, references)

    @pytest.mark.parametrize(
        "score", [caption_bleu, caption_rouge_1, caption_rouge_l, caption_scores, bleu_statistics]
    )
    @pytest.mark.parametrize(
        ("predictions", "references", "message"),
        [
            (["a"], [["a"], ["b"]], "equally many and at least one, found 1 and 2"),
            ([], [], "found 0 and 0"),
            (["a", "b"], [["a"], []], r"found \[\] at position 1"),
            (["a", "b"], [["a"], ["b", " "]], r"found \['b', ' '\] at position 1"),
            (["a"], ["a"], "a list of non-empty captions for each image, found 'a' at position 0"),
        ],
    )
    def test_bad_input(self, score, predictions, references, message):
        with pytest.raises(ValueError, match=message):
            score(predictions, references)
