# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Diagnoses of an encoder: identities, independent computations, planted and absent signals, every kind of model."""

import numpy as np
import pytest
import torch
from testing_utils import save_tiny_text_model, tiny_encoder_config
from voxel_corpus import VOXELS, WIDTH, write_voxel_corpus

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaModel,
    VoxelEncoderConfig,
)
from trainers.arguments import DataArguments
from trainers.contrastive.encoder_diagnostics import diagnose_encoder, effective_voxels, rank_in_gallery
from trainers.data.corpora import load_corpus_splits
from trainers.data.geometry import add_geometries, read_geometries


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=12, repeats=2)


@pytest.fixture(scope="module")
def rows(corpus):
    return load_corpus_splits(DataArguments(dataset=str(corpus)))["train"]


@pytest.fixture
def make(corpus):
    def make(**switches):
        torch.manual_seed(0)
        sizes = {"num_queries": 64, "num_tokens": 2, "hidden_size": 32, "token_code_size": 16, "num_frequencies": 16}
        config = VoxelEncoderConfig.published if switches.pop("published", False) else VoxelEncoderConfig
        encoder = config(**{"region_sizes": [2], **sizes, **switches})
        model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": WIDTH}))
        extractor = BrainLlamaFeatureExtractor.from_config(model.config)
        add_geometries(extractor, read_geometries(str(corpus)), ["streams"])
        return model, extractor

    return make


class TestRanks:
    def test_by_hand(self):
        scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.1], [0.3, 0.2, 0.1], [0.4, 0.4, 0.4]])
        found = rank_in_gallery(scores, np.array([0, 1, 2, 1]))
        assert found.ranks.tolist() == [1, 1.5, 3, 2]
        assert found.num_candidates.tolist() == [3] * 4
        assert found.summary()["recall_at_1"] == 0.25

    def test_order_of_the_gallery_does_not_matter(self):
        rng = np.random.default_rng(0)
        scores, right, order = rng.standard_normal((20, 7)), rng.integers(0, 7, 20), rng.permutation(7)
        moved = rank_in_gallery(scores[:, order], np.argsort(order)[right])
        np.testing.assert_array_equal(moved.ranks, rank_in_gallery(scores, right).ranks)

    def test_not_a_number(self):
        with pytest.raises(ValueError, match="`scores` hold NaN or infinite"):
            rank_in_gallery(np.array([[np.nan, 1.0]]), np.array([0]))


class TestEffectiveVoxels:
    def test_uniform_and_single(self):
        attention = torch.zeros(3, 50)
        attention[0], attention[1, 7], attention[2, :5] = 0.02, 1.0, 3.0
        torch.testing.assert_close(effective_voxels(attention), torch.tensor([50.0, 1.0, 5.0], dtype=torch.double))

    def test_scale_of_a_row_does_not_matter(self):
        attention = torch.rand(4, 30)
        torch.testing.assert_close(effective_voxels(attention), effective_voxels(7 * attention))


class TestDiagnosis:
    def test_cosines_of_an_independent_computation(self, make, rows):
        model, extractor = make()
        found = diagnose_encoder(model, extractor, rows, batch_size=7)
        inputs = extractor([row["brain_values"] for row in rows], rows["subject"])
        zero = {**inputs, "brain_values": [torch.zeros_like(values) for values in inputs["brain_values"]]}
        with torch.no_grad():
            real, nothing = model.eval()(**inputs).tokens.flatten(1), model(**zero).tokens.flatten(1)
        cosines = torch.nn.functional.cosine_similarity(real[:, None], real[None], dim=-1)
        between = cosines[~torch.eye(len(real), dtype=torch.bool)].mean().item()
        to_zero = torch.nn.functional.cosine_similarity(real, nothing)
        assert found["cos_real_real"] == pytest.approx(between, abs=1e-5)
        assert found["cos_real_zero"] == pytest.approx(to_zero.mean().item(), abs=1e-5)
        assert found["cos_real_zero_std"] == pytest.approx(to_zero.std(unbiased=False).item(), abs=1e-5)

    def test_ours_hears_its_brain_and_the_published_one_does_not(self, make, rows):
        """At the start; a bias stands for what the layer norms add to nothing (after training they do)."""
        found = {}
        for published in (False, True):
            model, extractor = make(published=published)
            with torch.no_grad():
                model.brain_encoder.input_norm.bias.normal_(generator=torch.Generator().manual_seed(0))
            found[published] = diagnose_encoder(model, extractor, rows)
        assert found[True]["cos_real_zero"] > 0.95
        assert found[True]["cos_real_real"] > 0.95
        assert found[False]["cos_real_real"] < 0.8

    def test_attention_of_a_published_encoder_starts_uniform(self, make, rows):
        model, extractor = make(published=True)
        found = diagnose_encoder(model, extractor, rows)
        assert found["num_voxels"] == np.mean(list(VOXELS.values()))
        assert found["effective_voxels"] == pytest.approx(found["num_voxels"], rel=0.01)
        model, extractor = make(logit_scale=8.0)
        assert diagnose_encoder(model, extractor, rows)["effective_voxels"] < 0.5 * found["num_voxels"]

    def test_counts_and_chance(self, make, rows):
        """72 rows look for 12 images; an untrained encoder is at chance, and ties of zero voxels share their ranks."""
        model, extractor = make()
        found = diagnose_encoder(model, extractor, rows)
        assert (found["num_queries"], found["text_gallery_size"]) == (72, 12)
        assert found["text_zero_median_rank"] == 6.5
        assert found["text_zero_recall_at_5"] == 0
        assert 3 < found["text_median_rank"] < 10
        assert found["recall_at_10"] == found["text_recall_at_10"]
        assert found["text_zero_mean_reciprocal_rank"] == pytest.approx(1 / 6.5)

    def test_a_perfect_encoder_is_found_out(self, make, rows):
        """Heads that are solved by least squares for these very rows: real brains first, broken ones not."""
        model, extractor = make(num_residual_layers=0)
        inputs = extractor([row["brain_values"] for row in rows], rows["subject"])
        with torch.no_grad():
            pooled = model.eval()(**inputs).tokens.flatten(1)
            solved = torch.linalg.lstsq(pooled, torch.tensor(np.array(rows["text_embedding"], np.float32))).solution
            model.heads["text"].weight.copy_(solved.T)
        found = diagnose_encoder(model, extractor, rows)
        assert found["text_recall_at_1"] > 0.8
        assert found["text_median_rank"] == 1
        assert found["text_shuffled_median_rank"] > 3
        assert found["text_zero_median_rank"] > 3

    def test_batches_change_nothing_and_the_model_is_left_as_it_was(self, make, rows):
        model, extractor = make()
        whole, parts = (diagnose_encoder(model.train(), extractor, rows, batch_size=size) for size in (72, 5))
        assert model.training
        for name, value in whole.items():
            if "shuffled" not in name:
                assert parts[name] == pytest.approx(value, abs=1e-5), name

    def test_broken_weights(self, make, rows):
        model, extractor = make()
        with torch.no_grad():
            model.brain_encoder.head.weight.fill_(torch.nan)
        with pytest.raises(ValueError, match="NaN or infinite"):
            diagnose_encoder(model, extractor, rows)

    def test_rows_without_embeddings(self, make, rows):
        with pytest.raises(ValueError, match="no column 'text_embedding'"):
            diagnose_encoder(*make(), rows.remove_columns("text_embedding"))

    def test_an_image_without_an_embedding_is_named(self, make, rows):
        vectors = [None, *rows.with_format(None)["text_embedding"][1:]]
        broken = rows.remove_columns("text_embedding").add_column("text_embedding", vectors)
        with pytest.raises(ValueError, match="`text_embedding` of row 'tiny/s1/train/0/0' .* is null"):
            diagnose_encoder(*make(), broken)

    def test_no_rows(self, make, rows):
        with pytest.raises(ValueError, match="`rows` are none"):
            diagnose_encoder(*make(), rows.select([]))


class TestOtherModels:
    def test_language_model_that_reads_brains(self, make, rows, tmp_path):
        """The same cosines and attention as the alignment model whose encoder it took over; nothing of retrieval."""
        aligned, extractor = make()
        text_model = save_tiny_text_model(tmp_path)
        for kind in (BrainLlamaForCausalLM, BrainLlamaModel):
            reader = kind.from_text_model(text_model, aligned.config.encoder_config)
            aligned.copy_encoder(reader)
            found, expected = (diagnose_encoder(model, extractor, rows) for model in (reader, aligned))
            names = {"num_queries", "num_voxels", "effective_voxels"}
            names |= {"cos_real_zero", "cos_real_zero_std", "cos_real_real"}
            assert set(found) == names
            assert all(found[name] == pytest.approx(expected[name], abs=1e-6) for name in names)

    def test_frames_of_different_lengths(self):
        """Absent frames have no part, and there is no attention to speak of."""
        from datasets import Dataset

        from trainers.data.brain_format import with_brain_arrays

        config = BrainContrastiveConfig(encoder_config=tiny_encoder_config("frames"), target_sizes={"text": 2})
        generator = np.random.default_rng(0)
        rows = [
            {"sample_id": str(i), "subject": "s", "group": str(i), "text_embedding": [1.0, i + 1.0],
             "brain_values": generator.standard_normal((1 + i % 3, 6)).tolist()}
            for i in range(9)
        ]  # fmt: skip
        model, rows = BrainContrastiveModel(config), with_brain_arrays(Dataset.from_list(rows))
        extractor = BrainLlamaFeatureExtractor.from_config(config)
        whole, single = (diagnose_encoder(model, extractor, rows, batch_size=size) for size in (9, 1))
        assert "effective_voxels" not in whole
        assert whole["cos_real_real"] == pytest.approx(single["cos_real_real"], abs=1e-6)
        assert whole["text_median_rank"] == single["text_median_rank"]
