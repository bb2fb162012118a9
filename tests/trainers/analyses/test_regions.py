# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Cortical regions: removed voxels are exactly 0, and the region that carries the text is the one that is found."""

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from voxel_corpus import ATLASES, write_voxel_corpus

from modeling_brainllm import BrainLlamaFeatureExtractor
from trainers.analyses import ablate_voxels, atlas_regions, compare_regions, feature_regions, regions_section
from trainers.data.collator import BrainDataCollator
from trainers.data.geometry import add_geometries, read_geometries
from trainers.evaluation.evaluate import evaluate as evaluate_model


NUM_FEATURES = 24
PLANTED = [3, 7, 8, 20]
ELSEWHERE = [0, 1, 2, 5, 11, 12]
COLOURS = ("red", "blue", "green", "gold")


def make_planted_rows(num_brains: int, seed: int) -> Dataset:
    """Each brain says one colour, by four of its features alone; the others are noise."""
    rng = np.random.default_rng(seed)
    codes = np.random.default_rng(99).standard_normal((len(COLOURS), len(PLANTED)))
    rows = []
    for brain in range(num_brains):
        colour = rng.integers(len(COLOURS))
        values = rng.standard_normal((1, NUM_FEATURES))
        values[0, PLANTED] = 2 * codes[colour]
        rows.append(
            {
                "sample_id": f"tiny/{brain}", "corpus": "tiny", "subject": "s1", "stimulus": f"{brain}",
                "group": f"{brain // 4}", "topic": "t", "brain_id": f"tiny/{brain}", "prompt": "the cat is",
                "completion": f"{COLOURS[colour]} .", "text": f"the cat is {COLOURS[colour]} .",
                "brain_values": values.astype(np.float32).tolist(),
            }
        )  # fmt: skip
    return Dataset.from_list(rows)


@pytest.fixture
def taught(make_model, make_processor):
    """A model that hears the planted features, its processor, and rows to test it on."""
    model = make_model(num_features=NUM_FEATURES, hidden_size=8, num_hidden_layers=0)
    processor, rows = make_processor(model), make_planted_rows(96, seed=1)
    processor.feature_extractor.fit([np.array(row["brain_values"]) for row in rows], "s1")
    batch = BrainDataCollator(processor)(list(rows))
    inputs = {name: value for name, value in batch.items() if name not in ("sample_id", "group", "subject")}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model.token_losses(**inputs)[0].mean().backward()
        optimizer.step()
    return model, processor, make_planted_rows(40, seed=2)


def evaluator(model, rows):
    options = {"tasks": ["continuation"], "num_permutations": 4, "generate": False, "value_controls": ()}
    data = DatasetDict(test=rows)
    return lambda processor: evaluate_model(model, processor, data, **options, progress=False).samples


@pytest.mark.slow
class TestPlantedRegion:
    def test_is_the_one_whose_removal_hurts_and_which_suffices(self, taught):
        model, processor, rows = taught
        regions = feature_regions({"planted": PLANTED, "elsewhere": ELSEWHERE}, NUM_FEATURES, ["s1"])
        found = compare_regions(evaluator(model, rows), processor, regions, num_matched=1, task="continuation")
        whole, *others = found
        by_name = {(row["region"], row["mode"]): row for row in others}
        assert whole["accuracy_low"] > 0.6
        for mode in ("kept", "removed"):
            planted, elsewhere = by_name["planted", mode], by_name["elsewhere", mode]
            assert planted["q"] < 0.05
            assert planted["difference_low"] > 0
            assert elsewhere["q"] > 0.05 or elsewhere["difference"] < 0
        assert by_name["planted", "kept"]["accuracy"] > 0.9 * whole["accuracy"]
        assert by_name["planted", "removed"]["accuracy"] < 0.6
        assert by_name["elsewhere", "kept"]["accuracy"] < 0.6
        assert (whole["num_features"], by_name["planted", "kept"]["num_features"]) == (NUM_FEATURES, 4)
        section = regions_section(found)
        assert "hold more when kept alone: planted (+" in section.text
        assert "whose removal costs more: planted (+" in section.text
        assert "elsewhere" in section.figure


class TestSilence:
    @pytest.mark.parametrize("fitted", [True, False])
    def test_removed_features_are_0_and_the_others_as_they_were(self, make_model, make_processor, fitted):
        processor = make_processor(make_model())
        brains = np.random.default_rng(0).normal(5, 3, (7, 1, 6)).astype(np.float32)
        if fitted:
            processor.feature_extractor.fit(brains, "s1")
        mask = np.array([True, False, True, True, False, True])
        before = processor.feature_extractor(brains, "s1")["brain_values"]
        values = ablate_voxels(processor, {"s1": mask}).feature_extractor(brains, "s1")["brain_values"]
        assert (values[..., ~mask] == 0).all()
        assert torch.equal(values[..., mask], before[..., mask])
        assert torch.equal(processor.feature_extractor(brains, "s1")["brain_values"], before)

    def test_the_whole_brain_is_the_evaluation_as_it_was(self, taught):
        model, processor, rows = taught
        evaluate = evaluator(model, rows)
        assert evaluate(ablate_voxels(processor, {"s1": np.ones(NUM_FEATURES, bool)})) == evaluate(processor)

    def test_a_mask_of_another_size_is_refused(self, make_model, make_processor):
        processor = make_processor(make_model())
        processor.feature_extractor.fit(np.random.default_rng(0).normal(size=(7, 1, 6)), "s1")
        with pytest.raises(ValueError, match="`kept` has 5 voxels for subject 's1', expected 6"):
            ablate_voxels(processor, {"s1": np.ones(5, bool)})


class TestRegions:
    def test_of_an_atlas_are_its_labels_in_every_subject(self, tmp_path):
        geometries = read_geometries(str(write_voxel_corpus(tmp_path, images=4)))
        regions = atlas_regions(geometries, "areas")
        assert list(regions) == ATLASES["areas"]
        for number, masks in enumerate(regions.values(), start=1):
            for subject, mask in masks.items():
                assert (mask == (geometries[subject].regions["areas"] == number)).all()
        assert list(atlas_regions(geometries, "areas", ["two"])) == ["two"]
        with pytest.raises(ValueError, match="'areas' has no region four .* it has one, two, three"):
            atlas_regions(geometries, "areas", ["one", "four"])
        with pytest.raises(ValueError, match="'s1' has no atlas 'nowhere'; it has .'areas', 'streams'."):
            atlas_regions(geometries, "nowhere")

    def test_silence_voxels_of_every_subject_apart(self, tmp_path, make_processor, make_model):
        folder = write_voxel_corpus(tmp_path, images=4)
        geometries = read_geometries(str(folder))
        extractor = BrainLlamaFeatureExtractor("voxels", None, region_sizes=[2])
        add_geometries(extractor, geometries, ["streams"])
        processor = make_processor(make_model())
        processor.feature_extractor = extractor
        front = atlas_regions(geometries, "streams", ["front"])["front"]
        rng = np.random.default_rng(0)
        brains = {subject: rng.normal(size=geometry.num_voxels) for subject, geometry in geometries.items()}
        found = ablate_voxels(processor, front).feature_extractor(list(brains.values()), list(brains))
        for subject, values in zip(found["brain_subjects"], found["brain_values"], strict=True):
            assert values[0].numpy() == pytest.approx(np.where(front[subject], brains[subject], 0), abs=1e-6)

    @pytest.mark.parametrize("numbers", [[], [3, 24], [-1]])
    def test_features_that_there_are_not_are_refused(self, numbers):
        with pytest.raises(ValueError, match="`features` 'here' must name features from 0 to 23"):
            feature_regions({"here": numbers}, NUM_FEATURES, ["s1"])
