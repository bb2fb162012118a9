# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is prepared for rewards: one prompt, brain embeddings of stage 1, frequencies of the training split, terms."""

import numpy as np
import pytest
from datasets import concatenate_datasets
from voxel_corpus import write_voxel_corpus

from modeling_brainllm import BrainContrastiveModel
from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.target_embeddings import add_text_embeddings
from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.reward_setup import (
    check_text_space,
    fit_document_frequencies,
    make_rewards,
    with_brain_embeddings,
    with_prompt,
)
from trainers.grpo.rewards import IdentificationReward
from trainers.loading import load_contrastive_model
from trainers.metrics import DocumentFrequencies, EmbeddedTokens, bert_score, sentence_similarity


VOXELS = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return str(write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=5))


@pytest.fixture
def rows(corpus):
    return load_corpus_splits(DataArguments(dataset=corpus))["train"]


def config(tmp_path, **options):
    return BrainGRPOConfig(output_dir=str(tmp_path), use_cpu=True, report_to=[], **options)


def embed(texts):
    """Vectors of letter counts, as wide as the corpus' embeddings."""
    return np.array([[1 + text.count(letter) for letter in "abcdef"] for text in texts], np.float32)


def test_all_rows_get_the_prompt_and_keep_their_brains(rows):
    prompted = with_prompt(rows, "<|brain|>What is seen?")
    assert set(prompted["prompt"]) == {"<|brain|>What is seen?"}
    assert prompted.format["type"] == rows.format["type"]
    for row, other in zip(rows, prompted, strict=True):
        assert np.array_equal(row["brain_values"], other["brain_values"])
        assert row["references"] == other["references"]


class TestBrainEmbeddings:
    @pytest.fixture
    def aligned(self, rows, corpus):
        encoder = EncoderArguments(encoder_type="voxels", voxel_encoder=VOXELS)
        return load_contrastive_model(encoder, TargetArguments(), rows, False, corpus)

    def test_are_those_of_each_row(self, rows, aligned):
        model, extractor = aligned
        embedded = with_brain_embeddings(rows, model, extractor, batch_size=4)
        for row in embedded:
            inputs = extractor([np.asarray(row["brain_values"], np.float32)], [row["subject"]])
            expected = model.eval().embed(**inputs)["text"][0].detach().numpy()
            np.testing.assert_allclose(row["brain_embedding"], expected, atol=1e-4)
            assert np.linalg.norm(row["brain_embedding"]) == pytest.approx(1, abs=1e-5)

    def test_of_a_space_that_the_model_does_not_know(self, rows, aligned):
        with pytest.raises(ValueError, match=r"knows the spaces \['text'\], not 'image'"):
            with_brain_embeddings(rows, *aligned, space="image")


class TestTextSpace:
    def align(self, rows, corpus, **options):
        encoder = EncoderArguments(encoder_type="voxels", voxel_encoder=VOXELS, **options)
        return load_contrastive_model(encoder, TargetArguments(), rows, False, corpus)

    def test_is_kept_from_stage_one_to_rewards(self, corpus, tmp_path):
        """Two encoders of one width: only that of the alignment may embed captions."""
        splits = load_corpus_splits(DataArguments(dataset=corpus))
        for part in self.align(add_text_embeddings(splits, embed)["train"], corpus):
            part.save_pretrained(tmp_path)
        config = BrainContrastiveModel.from_pretrained(tmp_path).config
        check_text_space(config, embed, "runs/aligned")
        check_text_space(config, lambda texts: embed(texts) * 1.02, "runs/aligned")
        with pytest.raises(
            ValueError, match="runs/aligned was aligned with captions in the space of another text enc"
        ):
            check_text_space(config, lambda texts: embed(texts)[:, ::-1], "runs/aligned")

    def test_nobody_knows(self, rows, corpus):
        model, _ = self.align(rows, corpus)
        assert model.config.text_space is None
        with pytest.raises(ValueError, match="runs/aligned does not say with which text encoder"):
            check_text_space(model.config, embed, "runs/aligned")

    def test_going_on_with_another(self, corpus, tmp_path):
        splits = load_corpus_splits(DataArguments(dataset=corpus))
        for part in self.align(add_text_embeddings(splits, embed)["train"], corpus):
            part.save_pretrained(tmp_path)
        same, other = add_text_embeddings(splits, embed), add_text_embeddings(splits, lambda texts: embed(texts) ** 3)
        self.align(same["train"], corpus, encoder_name_or_path=str(tmp_path))
        with pytest.raises(ValueError, match="was aligned with captions in the space of another text encoder"):
            self.align(other["train"], corpus, encoder_name_or_path=str(tmp_path))


class TestDocumentFrequencies:
    def test_count_each_training_image_once(self, rows):
        frequencies = fit_document_frequencies(rows)
        images = dict(zip(rows["group"], rows["references"], strict=True))
        expected = DocumentFrequencies.fit(images.values())
        assert (frequencies.num_documents, frequencies.counts) == (5, expected.counts)

    def test_rows_without_captions(self, rows):
        with pytest.raises(ValueError, match="need the column `references`"):
            fit_document_frequencies(rows.remove_columns("references"))


class TestRewards:
    @pytest.fixture
    def frequencies(self, rows):
        return fit_document_frequencies(rows)

    def test_of_weight_zero_are_left_out(self, rows, frequencies, tmp_path):
        args = config(tmp_path, cider_weight=2.0, similarity_weight=0.0, identification_weight=0.0)
        rewards, weights = make_rewards(args, frequencies, None, rows)
        assert [reward.__name__ for reward in rewards] == ["cider"]
        assert weights == [2.0]

    @pytest.mark.parametrize("target", ["brain", "image", "reference_text"])
    def test_all_terms(self, rows, frequencies, tmp_path, target):
        names = {"brain": "brain_embedding", "image": "image_embedding"}
        if target in names:
            rows = rows.rename_column("text_embedding", names[target])
        args = config(tmp_path, identification_target=target, identification_weight=0.5, identification_gallery=4)
        rewards, weights = make_rewards(args, frequencies, embed, rows)
        assert [reward.__name__ for reward in rewards] == ["cider", "text_similarity", f"identification_{target}"]
        assert weights == [1.0, 1.0, 0.5]
        columns = {name: [row[name] for row in rows] for name in rows.column_names}
        completions = [references[0] for references in columns["references"]]
        for reward in rewards:
            earned = reward(completions=completions, prompts=completions, **columns)
            assert len(earned) == len(rows)
            assert np.isfinite(earned).all()

    @pytest.mark.parametrize("target", ["brain", "image"])
    def test_the_gallery_holds_each_brain_or_image_once(self, rows, frequencies, tmp_path, target):
        """In however many rows it is: rows that stand there twice change no reward."""
        rows = rows.rename_column("text_embedding", f"{target}_embedding")
        args = config(tmp_path, cider_weight=0.0, similarity_weight=0.0, identification_target=target)
        columns = {name: rows[name] for name in rows.column_names if name != "brain_values"}
        completions = [references[0] for references in columns["references"]]
        earned = []
        for training in (rows, concatenate_datasets([rows, rows.select(range(4))])):
            (reward,), _ = make_rewards(args, frequencies, embed, training)
            reward.form = "log_odds"
            earned.append(reward(completions=completions, prompts=completions, **columns))
        assert earned[0] == pytest.approx(earned[1], rel=1e-5)

    def earned(self, rows, tmp_path, encoder=embed, completions=None, token_embedder=None, **options):
        """What the only term of weight 1 gives to other captions of the rows."""
        weights = dict.fromkeys(("cider_weight", "similarity_weight", "identification_weight"), 0.0)
        args = config(tmp_path, **{**weights, **options})
        (reward,), _ = make_rewards(args, fit_document_frequencies(rows), encoder, rows, token_embedder)
        columns = {name: rows[name] for name in rows.column_names if name != "brain_values"}
        return np.array(reward(completions=completions or self.completions(rows), prompts=[], **columns))

    def completions(self, rows):
        return [f"a cab fed {len(texts[0])} ." for texts in rows["references"]]

    def test_cider_scale(self, rows, tmp_path):
        texts = [references[0] for references in rows["references"]]
        plain = self.earned(rows, tmp_path, completions=texts, cider_weight=1.0)
        scaled = self.earned(rows, tmp_path, completions=texts, cider_weight=1.0, cider_scale=0.1)
        assert plain.min() > 0
        np.testing.assert_allclose(scaled, 0.1 * plain)

    @pytest.mark.parametrize(("over", "pool"), [("mean", np.mean), ("max", np.max)])
    def test_similarity_of_sentences_or_tokens(self, rows, tmp_path, over, pool):
        def tokens(texts):
            words = [text.split() for text in texts]
            return [EmbeddedTokens(own, embed(own) ** 2 - 2, np.zeros(len(own), bool)) for own in words]

        options = {"similarity_weight": 1.0, "similarity_over": over}
        texts, references = self.completions(rows), rows["references"]
        sentences = [
            pool([sentence_similarity([t], [[r]], embed)[0] for r in own])
            for t, own in zip(texts, references, strict=True)
        ]
        np.testing.assert_allclose(self.earned(rows, tmp_path, **options), sentences, atol=1e-5)
        scores = [
            pool([bert_score([t], [[r]], tokens)["bert_f1"][0] for r in own])
            for t, own in zip(texts, references, strict=True)
        ]
        found = self.earned(rows, tmp_path, None, token_embedder=tokens, similarity="bertscore", **options)
        np.testing.assert_allclose(found, scores, atol=1e-3)
        assert np.abs(found - sentences).max() > 0.01

    @pytest.mark.parametrize("target", ["image", "brain", "reference_text"])
    @pytest.mark.parametrize("form", ["cosine", "probability", "log_odds"])
    def test_form_and_temperature_of_identification(self, rows, tmp_path, target, form):
        names = {"brain": "brain_embedding", "image": "image_embedding", "reference_text": "unused"}
        rows = rows.rename_column("text_embedding", names[target])
        found = self.earned(
            rows, tmp_path, identification_weight=1.0, identification_target=target, identification_form=form,
            identification_temperature=0.5,
        )  # fmt: skip

        def unit(vectors):
            return np.asarray(vectors) / np.linalg.norm(vectors, axis=-1, keepdims=True)

        targets = unit([unit(embed(texts)).mean(0) for texts in rows["references"]])
        if target != "reference_text":
            targets = unit(np.array(rows[names[target]]))
        cosines, groups = unit(embed(self.completions(rows))) @ targets.T, np.array(rows["group"])
        for place, cosine in enumerate(cosines):
            others = {row["brain_id"] if target == "brain" else row["group"]: n for n, row in enumerate(rows)}
            rivals = [cosine[n] / 0.5 for n in others.values() if groups[n] != groups[place]]
            own = cosine[place] / 0.5
            expected = {
                "cosine": cosine[place],
                "probability": np.exp(own) / (np.exp(own) + np.exp(rivals).sum()),
                "log_odds": own - np.log(np.mean(np.exp(rivals))),
            }
            assert found[place] == pytest.approx(expected[form], abs=1e-4)

    def test_images_have_an_encoder_of_their_own(self, rows, tmp_path):
        rows = rows.rename_column("text_embedding", "image_embedding")
        args = config(tmp_path, cider_weight=0.0, similarity_weight=1.0, identification_target="image")
        narrow = lambda texts: embed(texts)[:, :4]  # noqa: E731
        columns = {name: rows[name] for name in rows.column_names if name != "brain_values"}
        texts = self.completions(rows)
        rewards, _ = make_rewards(args, fit_document_frequencies(rows), narrow, rows, image_encoder=embed)
        assert all(len(reward(completions=texts, **columns)) == len(rows) for reward in rewards)
        alone = IdentificationReward(embed, "image")(completions=texts, **columns)
        assert rewards[1](completions=texts, **columns) == pytest.approx(alone)

    @pytest.mark.parametrize(
        ("options", "encoder", "message"),
        [
            ({"cider_weight": 0.0, "similarity_weight": 0.0, "identification_weight": 0.0}, None, "All weights .* 0"),
            ({}, None, "give a `sentence_encoder`"),
            ({"similarity": "bertscore"}, embed, "compares tokens: give a `token_encoder`"),
            ({}, embed, "needs the column `brain_embedding`.*Give an `aligned_model`"),
            ({"identification_target": "image"}, embed, "needs the column `image_embedding`"),
        ],
    )
    def test_that_lack_something(self, rows, frequencies, tmp_path, options, encoder, message):
        with pytest.raises(ValueError, match=message):
            make_rewards(config(tmp_path, **options), frequencies, encoder, rows)
