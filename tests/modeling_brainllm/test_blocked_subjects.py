# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A participant's veto: brains of blocked subjects are refused by name; the refusal goes with the checkpoint."""

import numpy as np
import pytest
from testing_utils import brain_inputs, save_tiny_text_model, save_tiny_tokenizer, tiny_brain_model
from transformers import AutoTokenizer

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(params=["frames", "voxels"])
def blocked(request, text_model, tmp_path):
    """A saved and reloaded checkpoint that is to decode nothing of S1, and a brain."""
    model = tiny_brain_model(text_model, "prefix", request.param)
    processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
    extractor = processor.feature_extractor
    geometry, width = brain_inputs("voxels"), 6
    for place, subject in enumerate(("S1", "S2")):
        if request.param == "voxels":
            coordinates, regions = geometry["voxel_coordinates"][place], geometry["voxel_regions"][place]
            extractor.add_subject(subject, coordinates, regions)
            width = len(coordinates)
        extractor.fit(np.random.default_rng(place).standard_normal((30, width)), subject)
    extractor.block_subjects(["S1"], model.config)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = BrainLlamaForCausalLM.from_pretrained(tmp_path), BrainLlamaProcessor.from_pretrained(tmp_path)
    loaded[1].check_config(loaded[0].config)
    return (*loaded, [np.zeros(width)])


class TestBlockedSubjects:
    def test_the_processor_refuses_by_name(self, blocked):
        _, processor, brain = blocked
        with pytest.raises(PermissionError, match=r"does not decode brains of S1: `blocked_subjects`"):
            processor(text="<|brain|>word1", brain=brain, subject="S1")
        with pytest.raises(PermissionError, match="was not told whose brain this is"):
            processor(text="<|brain|>word1", brain=brain)
        assert "brain_values" in processor(text="<|brain|>word1", brain=brain, subject="S2")

    def test_what_was_known_of_them_is_forgotten(self, blocked):
        assert set(blocked[1].feature_extractor.subjects) == {"S2"}

    def test_the_model_refuses_voxels_by_name(self, blocked):
        model, processor, brain = blocked
        inputs = processor(text="<|brain|>word1", brain=brain, subject="S2")
        model(**inputs)
        model.generate(**inputs, max_new_tokens=2)
        if "voxel_coordinates" not in inputs:
            return
        for subjects, told in ((["S1"], "does not decode brains of S1"), (None, "was not told whose brain")):
            given = {**inputs, "brain_subjects": subjects}
            for run in (model, lambda **kwargs: model.generate(max_new_tokens=2, **kwargs)):
                with pytest.raises(PermissionError, match=told):
                    run(**given)

    def test_a_processor_that_does_not_know_of_it_does_not_fit(self, blocked):
        model, processor, *_ = blocked
        processor.feature_extractor.blocked_subjects = None
        with pytest.raises(ValueError, match=r"blocked_subjects: None in the .*, \['S1'\] in the model"):
            processor.check_config(model.config)
