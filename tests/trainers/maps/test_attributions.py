# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Maps of voxels: what is planted is found, what is not is not, and effects are what their equations say."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from voxel_corpus import VOXELS, WIDTH, write_voxel_corpus

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    FrameEncoderConfig,
    VoxelEncoderConfig,
)
from trainers.arguments import DataArguments
from trainers.data.corpora import keep_subjects, load_corpus_splits
from trainers.data.geometry import add_geometries, read_geometries
from trainers.data.prompts import Renderer, caption_prompt
from trainers.maps.attributions import attention_effects, exchange_effects, gradient_effects, occlusion_effects
from trainers.maps.groups import neighbour_groups, random_groups, region_groups
from trainers.maps.losses import AlignmentLosses, LikelihoodLosses, pair_groups
from trainers.maps.statistics import VoxelMap, recovery


PLANTED, NOISE = 30, 30
TRUTH = np.arange(PLANTED + NOISE) < PLANTED


def planted_rows(count: int, signal: float = 1.0, seed: int = 0) -> Dataset:
    """Brains whose first voxels respond to a text and whose others do not."""
    generator, tuning = np.random.default_rng(seed), np.random.default_rng(5).standard_normal((WIDTH, PLANTED))
    texts = generator.standard_normal((count, WIDTH))
    values = generator.standard_normal((count, PLANTED + NOISE))
    values[:, :PLANTED] += signal * texts @ tuning
    return Dataset.from_list(
        [
            {"sample_id": f"{i}", "subject": "s1", "group": f"{i}", "brain_id": f"{i}",
             "brain_values": [values[i].tolist()], "text_embedding": texts[i].tolist()}
            for i in range(count)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> tuple[BrainContrastiveModel, BrainLlamaFeatureExtractor]:
    """A linear decoder of all voxels, as least squares finds it in rows of its own: nobody told it which count."""
    rows = planted_rows(400, seed=1)
    brains, texts = np.array(rows["brain_values"])[:, 0], np.array(rows["text_embedding"])
    encoder = FrameEncoderConfig(
        num_features=PLANTED + NOISE, num_frames=1, hidden_size=WIDTH, num_hidden_layers=0, use_frame_positions=False
    )
    model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": WIDTH}))
    with torch.no_grad():
        model.brain_encoder.readout.weight.copy_(torch.tensor(np.linalg.lstsq(brains, texts)[0].T))
        model.brain_encoder.readout.bias.zero_()
        model.heads["text"].weight.copy_(torch.eye(WIDTH))
    return model, BrainLlamaFeatureExtractor.from_config(model.config)


@pytest.fixture(scope="module")
def planted(decoder) -> AlignmentLosses:
    return AlignmentLosses(*decoder, planted_rows(81), batch_size=50)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=12)


@pytest.fixture(scope="module")
def voxels(corpus) -> AlignmentLosses:
    """Rows of one person under an untrained encoder that attends to voxels."""
    torch.manual_seed(0)
    sizes = {"num_queries": 16, "num_tokens": 2, "hidden_size": 8, "token_code_size": 4, "num_frequencies": 8}
    encoder = VoxelEncoderConfig(region_sizes=[2], **sizes)
    model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": WIDTH}))
    extractor = BrainLlamaFeatureExtractor.from_config(model.config)
    add_geometries(extractor, read_geometries(str(corpus)), ["streams"])
    rows = keep_subjects(load_corpus_splits(DataArguments(dataset=str(corpus))), ["s2"])["train"]
    return AlignmentLosses(model, extractor, rows, batch_size=5)


def added(losses) -> np.ndarray:
    """What the own brain adds, `(rows,)`."""
    with torch.no_grad():
        parts = [
            losses(losses.values[losses.control_brains[rows]], batch) - losses(losses.values[rows], batch)
            for batch, rows in enumerate(losses.batches)
        ]
    return torch.cat(parts).numpy()


def methods(losses) -> dict[str, np.ndarray]:
    groups = random_groups(losses.values.shape[-1], 3, repeats=3)
    found = {"gradient": gradient_effects(losses, progress=False)}
    found |= {"occlusion": occlusion_effects(losses, groups, progress=False)}
    return found | {"exchange": exchange_effects(losses, groups, progress=False)}


def make_map(effects, losses, **options) -> VoxelMap:
    return VoxelMap.from_effects(effects, losses.pairs, subject="s1", method="gradient", unit="nats", **options)


class TestPlanted:
    @pytest.mark.parametrize("method", ["gradient", "occlusion", "exchange"])
    def test_found(self, planted, method):
        effects = methods(planted)[method]
        assert recovery(effects, planted.pairs, TRUTH, 199).auc > {"gradient": 0.95}.get(method, 0.8)
        assert recovery(effects, planted.pairs, TRUTH, 199).p < 0.02

    def test_single_voxels(self, planted):
        found = make_map(gradient_effects(planted, progress=False), planted)
        assert (found.q[TRUTH] < 0.05).mean() > 0.5
        assert (found.q[~TRUTH] < 0.05).mean() < 0.1
        assert (found.p[~TRUTH] < 0.05).sum() == 0
        assert (found.p[TRUTH] < 0.05).any()
        assert found.num_rows == 80  # the last image finds no partner
        assert found.num_pairs == 40

    def test_nothing_planted(self, decoder):
        losses = AlignmentLosses(*decoder, planted_rows(80, signal=0.0, seed=3))
        for method, effects in methods(losses).items():
            found = make_map(effects, losses)
            assert found.p.min() > 0.05, method
            assert found.q.min() > 0.05, method
            assert recovery(effects, losses.pairs, TRUTH, 199).p > 0.05, method


class TestEquations:
    @pytest.mark.parametrize("explain", [gradient_effects, attention_effects])
    def test_shares_add_up_to_what_the_brain_adds(self, voxels, explain):
        effects = explain(voxels, steps=32, progress=False)
        np.testing.assert_allclose(effects.sum(axis=1), added(voxels), atol=2e-2)

    def test_a_frame_encoder_too(self, planted):
        effects = gradient_effects(planted, steps=64, progress=False)
        np.testing.assert_allclose(effects.sum(axis=1), added(planted), atol=2e-2)

    def test_own_and_donor_swapped_change_the_sign(self, voxels):
        groups = random_groups(VOXELS["s2"], 5, repeats=2)
        before = [gradient_effects(voxels, progress=False), attention_effects(voxels, progress=False)]
        before += [occlusion_effects(voxels, groups, False), exchange_effects(voxels, groups, False)]
        values = voxels.values
        try:
            voxels.values = values[voxels.control_brains]
            after = [gradient_effects(voxels, progress=False), attention_effects(voxels, progress=False)]
            after += [occlusion_effects(voxels, groups, False), exchange_effects(voxels, groups, False)]
        finally:
            voxels.values = values
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(one, -other, atol=1e-5)
            assert np.abs(one).max() > 1e-3

    @torch.no_grad()
    def test_groups_by_hand(self, voxels):
        groups = random_groups(VOXELS["s2"], 10, repeats=2)
        occluded = occlusion_effects(voxels, groups, progress=False)
        exchanged = exchange_effects(voxels, groups, progress=False)
        rows = voxels.batches[1]
        own, control_brain = voxels.values[rows], voxels.values[voxels.control_brains[rows]]
        expected = torch.zeros(2, len(rows))
        for repeat in range(2):
            inside = torch.tensor(groups[repeat] == groups[repeat, 7])
            for kind, (mine, theirs) in enumerate(((0 * own, 0 * control_brain), (control_brain, own))):
                rise = voxels(torch.where(inside, mine, own), 1) - voxels(own, 1)
                expected[kind] += rise - (
                    voxels(torch.where(inside, theirs, control_brain), 1) - voxels(control_brain, 1)
                )
        np.testing.assert_allclose(occluded[rows, 7], expected[0] / 2, atol=1e-5)
        np.testing.assert_allclose(exchanged[rows, 7], expected[1] / 2, atol=1e-5)

    def test_a_single_query_shares_by_its_attention(self, voxels):
        """Effects of attention are constant over voxels but for the shares: one query, one profile."""
        places = voxels.brain_inputs(voxels.values)
        with torch.no_grad():
            attention = voxels.encoder.attention_weights(
                places["voxel_coordinates"][0], places["voxel_regions"][0]
            ).numpy()
        shares = attention / attention.sum(axis=1, keepdims=True)
        effects = attention_effects(voxels, progress=False)
        parts = np.linalg.lstsq(shares.T, effects.T)[0]
        np.testing.assert_allclose(parts.T @ shares, effects, atol=1e-4)

    def test_encoders_without_attention(self, planted):
        with pytest.raises(ValueError, match="FrameEncoder has no queries that attend to voxels"):
            attention_effects(planted, progress=False)

    def test_groups_of_another_brain(self, planted):
        with pytest.raises(ValueError, match=r"with the 60 voxels of 's1'; found shape \[10, 61\]"):
            occlusion_effects(planted, random_groups(61, 10))


class TestLosses:
    def test_alignment_is_the_softmax_of_cosines(self, decoder, planted):
        model, extractor = decoder
        brains = extractor([row["brain_values"] for row in planted.rows])["brain_values"]
        texts = torch.tensor([row["text_embedding"] for row in planted.rows])
        with torch.no_grad():
            found = torch.cat([planted(planted.values[rows], batch) for batch, rows in enumerate(planted.batches)])
            embedded = model.eval()(brain_values=brains).embeddings["text"]
        cosines = torch.nn.functional.cosine_similarity(embedded[:, None], texts[None], dim=-1)
        expected = -(cosines / model.config.initial_temperature).log_softmax(dim=1).diagonal()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)

    def test_likelihood_of_continuations(self, make_model, make_processor, make_rows):
        model = make_model(hidden_act="gelu")
        processor, rows = make_processor(model), make_rows(num_brains=8)
        losses = LikelihoodLosses(model, processor, rows, batch_size=3)
        with torch.no_grad():
            found = torch.cat([losses(losses.values[rows], batch) for batch, rows in enumerate(losses.batches)])
            expected = [_loss_of(model, processor, row, row["prompt"], f" {row['completion']}") for row in losses.rows]
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-4)
        effects = gradient_effects(losses, steps=16, progress=False)
        np.testing.assert_allclose(effects.sum(axis=1), added(losses), atol=5e-3)

    @pytest.mark.parametrize("max_answers", [1, 3])
    def test_likelihood_of_captions(self, make_model, make_processor, make_images, max_answers):
        model = make_model()
        processor, rows = make_processor(model), make_images(num_images=4)
        losses = LikelihoodLosses(model, processor, rows, max_answers=max_answers)
        with torch.no_grad():
            found = losses(losses.values, 0)
        prompt, renderer = caption_prompt(processor).replace(processor.brain_token, ""), Renderer(processor)
        for row, loss in zip(losses.rows, found.tolist(), strict=True):
            answers = [renderer.answer(text) for text in row["references"][:max_answers]]
            sizes = [len(processor.tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in answers]
            single = [_loss_of(model, processor, row, prompt, answer) for answer in answers]
            assert loss == pytest.approx(np.average(single, weights=sizes), abs=1e-3)

    def test_rows_of_two_people(self, make_model, make_processor, make_rows):
        model = make_model()
        rows = make_rows(num_brains=8)
        names = ["s1", "s2"] * (len(rows) // 2)
        with pytest.raises(ValueError, match="A map is of one subject; the rows are of s1, s2"):
            LikelihoodLosses(model, make_processor(model), rows.remove_columns("subject").add_column("subject", names))

    def test_brains_of_several_lengths(self, make_model, make_processor, make_rows):
        model = make_model(num_frames=2)
        values = [row[: 1 + (i > 8)] for i, row in enumerate(make_rows(num_brains=8, num_frames=2)["brain_values"])]
        rows = make_rows(num_brains=8).remove_columns("brain_values").add_column("brain_values", values)
        with pytest.raises(ValueError, match=r"The rows of 's1' have \[1, 2\] frames"):
            LikelihoodLosses(model, make_processor(model), rows)

    def test_a_space_that_the_model_lacks(self, decoder):
        with pytest.raises(ValueError, match="The space 'image' needs a head of the model, which has text"):
            AlignmentLosses(*decoder, planted_rows(8), space="image")


def _loss_of(model, processor, row, prompt: str, answer: str) -> float:
    """Mean cross-entropy of an answer's tokens, from the logits of the plain forward pass."""
    marker = processor.brain_token
    inputs = processor(text=f"{marker}{prompt}{answer}", brain=[row["brain_values"]])
    start = processor(text=f"{marker}{prompt}", brain=[row["brain_values"]])["input_ids"].shape[1]
    scores = model.eval()(**inputs).logits[0, start - 1 : -1].log_softmax(dim=-1)
    return -scores.gather(1, inputs["input_ids"][0, start:, None]).mean().item()


class TestPairs:
    def test_partners_lend_each_other_their_brains(self):
        groups = ["a", "a", "b", "b", "c", "d", "d", "e"]
        control_brains, pairs = pair_groups(groups, seed=2)
        kept = np.flatnonzero(pairs >= 0)
        assert len({groups[i] for i in range(8)} - {groups[i] for i in kept}) == 1
        for i in kept:
            assert groups[control_brains[i]] != groups[i]
            assert pairs[control_brains[i]] == pairs[i]
        names = [{groups[i] for i in kept if pairs[i] == pair} for pair in range(2)]
        assert [len(pair) for pair in names] == [2, 2]

    def test_too_few(self):
        with pytest.raises(ValueError, match="The rows are about 3 stimuli"):
            pair_groups(["a", "b", "c"])


class TestGroups:
    def test_neighbours_lie_together(self):
        places = np.random.default_rng(0).uniform(0, 100, (400, 3))
        near, anywhere = neighbour_groups(places, 20, repeats=4), random_groups(400, 20, repeats=4)
        for groups in (near, anywhere):
            assert groups.shape == (4, 400)
            assert all(np.unique(division).tolist() == list(range(20)) for division in groups)
        assert (near[0] != near[1]).any()
        assert np.bincount(anywhere[0]).tolist() == [20] * 20

        def spread(groups):
            return np.mean([places[groups[0] == group].std(axis=0).mean() for group in range(20)])

        assert spread(near) < spread(anywhere) / 2

    def test_regions(self):
        assert region_groups(np.array([-1, 0, 5, 2, 5])).tolist() == [[0, 0, 2, 1, 2]]

    def test_too_large(self):
        with pytest.raises(ValueError, match="Choose a group size of at most 15"):
            random_groups(30, 25)


def test_tiny_frame_encoder_of_several_frames():
    """Effects of features are summed over frames."""
    torch.manual_seed(0)
    encoder = FrameEncoderConfig(num_features=6, num_frames=3, hidden_size=8, hidden_act="gelu", initializer_range=0.5)
    config = BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": WIDTH})
    model, generator = BrainContrastiveModel(config), np.random.default_rng(0)
    rows = planted_rows(6).remove_columns("brain_values")
    rows = rows.add_column("brain_values", generator.standard_normal((6, 3, 6)).tolist())
    losses = AlignmentLosses(model, BrainLlamaFeatureExtractor.from_config(config), rows)
    effects = gradient_effects(losses, steps=64, progress=False)
    assert effects.shape == (6, 6)
    np.testing.assert_allclose(effects.sum(axis=1), added(losses), atol=1e-2)
    occluded = occlusion_effects(losses, region_groups(np.arange(6)), progress=False)
    assert occluded.shape == (6, 6)
