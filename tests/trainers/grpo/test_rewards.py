# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rewards as TRL calls them: what they measure, that groups of any size get the same, and what they refuse."""

import logging
import pickle

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from trainers.embedders.cache import CachedEncoder
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.grpo.rewards import BertScoreReward, CiderReward, IdentificationReward, TextSimilarityReward
from trainers.metrics import Cider, DocumentFrequencies, EmbeddedTokens


THINGS = ("cat", "dog", "bird", "horse")
CORPUS = [[f"a {thing} on the mat", f"the {thing} is red and small", f"one small {thing}"] for thing in THINGS]
FREQUENCIES = DocumentFrequencies.fit(CORPUS)


class WordVectors:
    """An encoder with an answer that can be told by hand: the sum of one random vector per word; counts its texts."""

    def __init__(self, width: int = 16):
        self.width = width
        self.texts: list[str] = []

    def __call__(self, texts):
        self.texts += texts
        return np.stack([sum(self.word(word) for word in text.split()) for text in texts])

    def word(self, word: str) -> np.ndarray:
        seed = int.from_bytes(word.encode(), "little") % 2**32
        return np.random.default_rng(seed).standard_normal(self.width)

    def unit(self, text: str) -> np.ndarray:
        vector = sum(self.word(word) for word in text.split())
        return vector / np.linalg.norm(vector)


def rows(images: list[int], **columns) -> dict:
    """Columns of completions of these images, one brain per image, beside what TRL adds."""
    size = len(images)
    return {
        "prompts": [""] * size,
        "completion_ids": [[0]] * size,
        "trainer_state": None,
        "sample_id": [f"S1/{image}" for image in images],
        "group": [f"nsd/{image}" for image in images],
        "brain_id": [f"brain {image}" for image in images],
        "references": [CORPUS[image] for image in images],
        **columns,
    }


def embed_images(images: list[int]) -> list[list[float]]:
    """Brain or image embeddings that point to the thing that was seen."""
    return [WordVectors().unit(THINGS[image]).tolist() for image in images]


@pytest.fixture
def every_reward():
    encoder = CachedEncoder(WordVectors())
    return [
        CiderReward(FREQUENCIES),
        TextSimilarityReward(encoder),
        BertScoreReward(embed_tokens),
        *(IdentificationReward(encoder, target) for target in ("image", "brain", "reference_text")),
        IdentificationReward(encoder, "brain", form="log_odds"),
    ]


def both_embeddings(images: list[int]) -> dict:
    return {"brain_embedding": embed_images(images), "image_embedding": embed_images(images)}


class TestAllRewards:
    def test_names_for_the_log(self, every_reward):
        assert [reward.__name__ for reward in every_reward] == [
            "cider",
            "text_similarity",
            "bert_score",
            "identification_image",
            "identification_brain",
            "identification_reference_text",
            "identification_brain",
        ]

    def test_a_number_for_every_completion_and_the_better_caption_earns_more(self, every_reward):
        images = [0, 0, 0, 1, 2]
        completions = ["a cat on the mat", "one horse", "", "a dog", "bird"]
        for reward in every_reward:
            values = reward(completions=completions, **rows(images, **both_embeddings(images)))
            assert all(type(value) is float for value in values)
            assert len(values) == 5
            assert values[0] > values[1]

    def test_copies_survive_a_pickle(self, every_reward):
        images = [0, 1, 3]
        columns = rows(images, **both_embeddings(images))
        for reward in every_reward:
            copy = pickle.loads(pickle.dumps(reward))
            assert copy.__name__ == reward.__name__
            completions = ["a cat", "one dog", "the mat"]
            assert copy(completions=completions, **columns) == reward(completions=completions, **columns)

    def test_order_does_not_matter(self, every_reward):
        images = [0, 1, 1, 3, 2]
        completions = ["a cat", "one dog", "the mat", "a horse", ""]
        order = [3, 0, 4, 2, 1]
        turned = [images[i] for i in order]
        for reward in every_reward:
            values = reward(completions=completions, **rows(images, **both_embeddings(images)))
            again = reward(completions=[completions[i] for i in order], **rows(turned, **both_embeddings(turned)))
            np.testing.assert_allclose(again, [values[i] for i in order], atol=1e-6)

    def test_rows_without_captions(self):
        for reward in (
            CiderReward(FREQUENCIES),
            TextSimilarityReward(WordVectors()),
            BertScoreReward(embed_tokens),
            IdentificationReward(WordVectors(), "reference_text"),
        ):
            name = reward.__name__
            with pytest.raises(ValueError, match=f"'{name}' finds no 'references' in sample 'S1/1'"):
                reward(completions=["a", "b"], **rows([0, 1], references=[["a"], []]))
            with pytest.raises(ValueError, match=rf"'{name}' needs a list of .* found \['a', ' '\] in sample 'S1/0'"):
                reward(completions=["a"], **rows([0], references=[["a", " "]]))
            columns = rows([0])
            del columns["references"]
            with pytest.raises(ValueError, match=f"'{name}' reads the column 'references', rows have"):
                reward(completions=["a"], **columns)

    def test_not_a_number(self):
        class Broken(WordVectors):
            def __call__(self, texts):
                return super().__call__(texts) * np.array([[np.nan if "dog" in text else 1.0] for text in texts])

        reward = TextSimilarityReward(Broken())
        with pytest.raises(ValueError, match=r"'text_similarity' is nan for sample 'S1/2' \(1 of 2 completions\)"):
            reward(completions=["a cat", "a dog"], **rows([0, 2], references=[["a"], ["b"]]))


class TestCiderReward:
    @pytest.mark.parametrize("size", [1, 2, 8, 64])
    def test_an_exact_match_earns_the_most_whatever_the_group(self, size):
        references = [["a red horse on the mat"]] * size
        completions = ["a red horse on the mat"] + [f"a {THINGS[i % 4]} number {i}" for i in range(size - 1)]
        values = CiderReward(FREQUENCIES)(completions=completions, **rows([3] * size, references=references))
        assert values[0] == pytest.approx(10)
        assert max(values) == values[0]

    def test_it_is_the_metric_times_the_scale(self):
        completions = ["a cat on a mat", "a small horse"]
        values = CiderReward(FREQUENCIES, scale=0.1)(completions=completions, **rows([0, 3]))
        np.testing.assert_allclose(values, 0.1 * Cider(FREQUENCIES)(completions, [CORPUS[0], CORPUS[3]]))


class TestTextSimilarity:
    @pytest.mark.parametrize(("over", "pool"), [("mean", np.mean), ("max", np.max)])
    def test_equation(self, over, pool):
        vectors = WordVectors()
        completions, images = ["a small cat", "the horse"], [0, 2]
        values = TextSimilarityReward(vectors, over)(completions=completions, **rows(images))
        expected = [
            pool([vectors.unit(text) @ vectors.unit(other) for other in CORPUS[image]])
            for text, image in zip(completions, images, strict=True)
        ]
        np.testing.assert_allclose(values, expected, atol=1e-6)

    def test_a_caption_of_the_image_earns_the_most_over_the_best_reference(self):
        values = TextSimilarityReward(WordVectors(), "max")(completions=[CORPUS[0][1], ""], **rows([0, 0]))
        np.testing.assert_allclose(values, [1, 0], atol=1e-6)

    def test_references_are_embedded_in_the_first_epoch_only(self):
        vectors = WordVectors()
        reward = TextSimilarityReward(vectors)
        for epoch in range(3):
            vectors.texts.clear()
            for image in range(4):
                reward(completions=[f"caption {epoch} {i}" for i in range(2)], **rows([image, image]))
            references = [text for text in vectors.texts if not text.startswith("caption")]
            assert sorted(references) == (sorted(text for texts in CORPUS for text in texts) if epoch == 0 else [])

    def test_rewards_that_share_an_encoder_embed_each_completion_once(self):
        vectors = WordVectors()
        encoder = CachedEncoder(vectors)
        rewards = [TextSimilarityReward(encoder), IdentificationReward(encoder, "reference_text")]
        for reward in rewards:
            reward(completions=["a new cat", "a new cat", "a dog"], **rows([0, 0, 1]))
        assert sorted(vectors.texts) == sorted({"a new cat", "a dog", *CORPUS[0], *CORPUS[1]})

    def test_it_takes_the_embedder_of_the_house(self):
        torch.manual_seed(0)
        words = sorted({word for texts in CORPUS for text in texts for word in text.split()})
        vocabulary = {word: i for i, word in enumerate(["<pad>", *words])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        config = LlamaConfig(
            vocab_size=len(vocabulary), hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        )
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
        embed = MeanPooledEmbedder(LlamaModel(config), fast)
        values = TextSimilarityReward(embed)(completions=["a cat", ""], **rows([0, 1]))
        np.testing.assert_allclose(values, [(embed(["a cat"]) @ embed(CORPUS[0]).T).mean(), 0], atol=1e-6)

    def test_another_pool(self):
        with pytest.raises(ValueError, match="'mean' or 'max', found 'min'"):
            TextSimilarityReward(WordVectors(), "min")


def embed_tokens(texts):
    """Each word a vector of its own between two special tokens."""
    tokens = [["[CLS]", *text.split(), "[SEP]"] for text in texts]
    return [
        EmbeddedTokens(
            own, np.array([7 * WordVectors().word(t) for t in own]), np.array([t.startswith("[") for t in own])
        )
        for own in tokens
    ]


class TestBertScore:
    def f1(self, one: str, other: str) -> float:
        """Pair by pair in plain loops; special tokens may be matched, but do not count."""
        left, right = ([f"[{side}]", *text.split(), "[SEP]"] for side, text in (("CLS", one), ("CLS", other)))
        vectors = WordVectors()
        best = [[max(vectors.unit(a) @ vectors.unit(b) for b in to) for a in of[1:-1]] for of, to in
                ((left, right), (right, left))]  # fmt: skip
        precision, recall = np.mean(best[0]), np.mean(best[1])
        return 2 * precision * recall / (precision + recall)

    @pytest.mark.parametrize(("over", "pool"), [("mean", np.mean), ("max", np.max)])
    def test_equation(self, over, pool):
        completions, images = ["a small cat", "the horse", "", " "], [0, 2, 1, 1]
        values = BertScoreReward(embed_tokens, over)(completions=completions, **rows(images))
        expected = [
            pool([self.f1(text, other) for other in CORPUS[image]])
            for text, image in zip(completions[:2], images[:2], strict=True)
        ]
        np.testing.assert_allclose(values, [*expected, 0, 0], atol=2e-3)

    def test_a_reference_earns_the_most(self):
        values = BertScoreReward(embed_tokens, "max")(completions=[CORPUS[0][1], "one bird"], **rows([0, 0]))
        assert values[0] == pytest.approx(1, abs=2e-3)
        assert values[1] < 0.8

    def test_references_are_embedded_in_the_first_epoch_only(self):
        seen = []
        reward = BertScoreReward(lambda texts: seen.extend(texts) or embed_tokens(texts))
        for epoch in range(3):
            seen.clear()
            for image in range(4):
                reward(completions=[f"caption {epoch} {i}" for i in range(2)], **rows([image, image]))
            references = [text for text in seen if not text.startswith("caption")]
            assert sorted(references) == (sorted(text for texts in CORPUS for text in texts) if epoch == 0 else [])
            assert len(seen) == len(set(seen))

    def test_another_pool(self):
        with pytest.raises(ValueError, match="'mean' or 'max', found 'min'"):
            BertScoreReward(embed_tokens, "min")


class TestIdentification:
    @pytest.mark.parametrize("target", ["image", "brain"])
    def test_cosine(self, target):
        vectors, images = WordVectors(), [0, 2]
        reward = IdentificationReward(vectors, target, form="cosine")
        values = reward(completions=["a cat", "a horse"], **rows(images, **both_embeddings(images)))
        expected = [vectors.unit("a cat") @ vectors.unit("cat"), vectors.unit("a horse") @ vectors.unit("bird")]
        np.testing.assert_allclose(values, expected, atol=1e-6)

    def test_reference_text(self):
        vectors = WordVectors()
        mean = np.mean([vectors.unit(text) for text in CORPUS[1]], axis=0)
        values = IdentificationReward(vectors, "reference_text")(completions=["a dog"], **rows([1]))
        assert values[0] == pytest.approx(vectors.unit("a dog") @ mean / np.linalg.norm(mean), abs=1e-6)

    def contrast(self, form: str, completions: list[str], images: list[int], **kwargs) -> list[float]:
        reward = IdentificationReward(WordVectors(), "brain", form=form, temperature=0.5, **kwargs)
        return reward(completions=completions, **rows(images, brain_embedding=embed_images(images)))

    def test_contrast_equations(self):
        """Over distinct brains: how often one occurs in the batch counts for nothing."""
        vectors = WordVectors()
        own, *rivals = (vectors.unit("a cat") @ vectors.unit(THINGS[image]) / 0.5 for image in (0, 1, 3))
        completions = ["a cat", "a dog", "a dog", "a dog", "mat"]
        probability = self.contrast("probability", completions, [0, 1, 1, 1, 3])[0]
        assert probability == pytest.approx(np.exp(own) / np.exp([own, *rivals]).sum(), abs=1e-6)
        log_odds = self.contrast("log_odds", completions, [0, 1, 1, 1, 3])[0]
        assert log_odds == pytest.approx(own - np.log(np.mean(np.exp(rivals))), abs=1e-5)

    @pytest.mark.parametrize("form", ["probability", "log_odds"])
    @pytest.mark.parametrize("size", [1, 2, 8, 64])
    def test_finding_the_own_brain_pays_in_groups_of_any_size(self, form, size):
        """`size` completions each of two images; only the first of each names what was seen."""
        images = [0] * size + [1] * size
        completions = ["cat", *["the mat"] * (size - 1), "dog", *["the mat"] * (size - 1)]
        values = self.contrast(form, completions, images)
        assert max(values[:size]) == values[0]
        assert max(values[size:]) == values[size]
        # Group size is no part of the equation.
        np.testing.assert_allclose([values[0], values[size]], self.contrast(form, ["cat", "dog"], [0, 1]), atol=1e-6)

    def test_a_caption_that_suits_all_images_earns_chance(self):
        images = [0, 1, 2, 3]
        np.testing.assert_allclose(self.contrast("probability", [""] * 4, images), [0.25] * 4)
        np.testing.assert_allclose(self.contrast("log_odds", [""] * 4, images), [0.0] * 4, atol=1e-12)
        general = " ".join(THINGS)
        assert max(self.contrast("log_odds", [general] * 4, images)) < min(
            self.contrast("log_odds", list(THINGS), images)
        )

    def test_brains_without_the_stimulus_reward_chance_on_average(self):
        """A null: embeddings that know nothing of the image."""
        generator = np.random.default_rng(0)
        images = [i % 4 for i in range(400)]
        columns = rows(images, brain_embedding=generator.standard_normal((400, 16)).tolist())
        columns["brain_id"] = [f"brain {i}" for i in range(400)]
        reward = IdentificationReward(WordVectors(), "brain", form="log_odds", temperature=1.0)
        values = np.array(reward(completions=[THINGS[image] for image in images], **columns))
        assert abs(values.mean()) < 3 * values.std() / 20

    def test_other_brains_of_the_same_image_are_no_rivals(self):
        images = [0, 0, 1]
        columns = rows(images, brain_embedding=embed_images(images))
        columns["brain_id"] = ["S1 saw it", "S2 saw it", "another"]
        reward = IdentificationReward(WordVectors(), "brain", form="log_odds")
        values = reward(completions=["cat", "cat", "dog"], **columns)
        alone = reward(completions=["cat", "dog"], **rows([0, 1], brain_embedding=embed_images([0, 1])))
        np.testing.assert_allclose([values[0], values[1]], [alone[0]] * 2, atol=1e-6)

    @pytest.mark.parametrize(("form", "value"), [("probability", 1.0), ("log_odds", 0.0)])
    def test_a_batch_of_one_image_says_so_once(self, form, value, caplog):
        reward = IdentificationReward(WordVectors(), "brain", form=form)
        with caplog.at_level(logging.WARNING, logger="trainers.grpo.rewards"):
            for _ in range(2):
                columns = rows([2] * 3, brain_embedding=embed_images([2] * 3))
                assert reward(completions=["bird", "cat", ""], **columns) == pytest.approx([value] * 3)
        (record,) = caplog.records
        assert record.getMessage().startswith("The reward 'identification_brain' met a batch with one image only")
        assert "Give it a `gallery`" in record.getMessage()

    def test_a_gallery_tells_captions_apart_even_there(self, caplog):
        gallery = ([f"nsd/{image}" for image in range(4)], np.array(embed_images([0, 1, 2, 3])))
        values = self.contrast("probability", ["bird", "cat"], [2, 2], gallery=gallery)
        assert values[0] > 0.5 > values[1]
        # The own image in the gallery is no rival, and a batch without others gets what a batch with them gets.
        together = self.contrast("probability", ["bird", "bird"], [2, 2], gallery=gallery)
        assert together == pytest.approx([values[0]] * 2)
        assert not caplog.records

    @pytest.mark.parametrize("form", ["probability", "log_odds"])
    def test_with_a_gallery_the_batch_counts_for_nothing(self, form):
        """Whether brains of the gallery, or brains it lacks, are in the batch: rewards are those of one alone."""
        gallery = ([f"nsd/{image}" for image in range(3)], np.array(embed_images([0, 1, 2])))
        alone = self.contrast(form, ["a cat"], [0], gallery=gallery)
        for images in ([0, 1], [0, 1, 2], [0, 1, 1, 3], [0, 3]):
            others = [THINGS[image] for image in images[1:]]
            assert self.contrast(form, ["a cat", *others], images, gallery=gallery)[:1] == pytest.approx(alone)
        vectors = WordVectors()
        own, *rivals = (vectors.unit("a cat") @ vectors.unit(THINGS[image]) / 0.5 for image in (0, 1, 2))
        expected = {
            "probability": np.exp(own) / np.exp([own, *rivals]).sum(),
            "log_odds": own - np.log(np.mean(np.exp(rivals))),
        }
        assert alone == pytest.approx([expected[form]], abs=1e-5)

    def test_a_gallery_that_holds_an_image_twice(self):
        gallery = (["nsd/1", "nsd/2", "nsd/1"], np.array(embed_images([1, 2, 1])))
        with pytest.raises(ValueError, match="`gallery` holds the image 'nsd/1' more than once"):
            IdentificationReward(WordVectors(), "image", form="log_odds", gallery=gallery)
        IdentificationReward(WordVectors(), "brain", gallery=gallery)  # two brains that saw the same

    def test_missing_embeddings(self):
        reward = IdentificationReward(WordVectors(), "image")
        with pytest.raises(
            ValueError, match="'identification_image' finds no 'image_embedding' in sample 'S1/3'. Embed"
        ):
            reward(completions=["a", "b"], **rows([0, 3], image_embedding=[*embed_images([0]), None]))
        with pytest.raises(ValueError, match="'identification_brain' reads the column 'brain_embedding'"):
            IdentificationReward(WordVectors(), "brain")(completions=["a"], **rows([0]))

    def test_embeddings_of_another_space(self):
        reward = IdentificationReward(WordVectors(width=8), "image")
        with pytest.raises(ValueError, match="captions of width 8 with 'image_embedding' of width 16"):
            reward(completions=["a"], **rows([0], image_embedding=embed_images([0])))

    def test_an_embedding_that_is_not_a_number(self):
        reward = IdentificationReward(WordVectors(), "brain")
        broken = [*embed_images([0]), [float("nan")] * 16]
        with pytest.raises(ValueError, match="'identification_brain' is nan for sample 'S1/1'"):
            reward(completions=["a", "b"], **rows([0, 1], brain_embedding=broken))

    @pytest.mark.parametrize("options", [{"target": "voxels"}, {"form": "softmax"}, {"temperature": 0.0}])
    def test_bad_options(self, options):
        with pytest.raises(ValueError, match=f"found .*{next(iter(options.values()))}"):
            IdentificationReward(WordVectors(), **options)
