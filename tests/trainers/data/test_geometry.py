# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Geometry of a prepared corpus → feature extractor and voxel encoder: what is read, refused, built."""

import json

import numpy as np
import pytest
import torch
from datasets import load_from_disk
from safetensors.numpy import load_file, save_file
from voxel_corpus import ATLASES, VOXELS, write_voxel_corpus

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    VoxelEncoderConfig,
)
from trainers.arguments import DataArguments, EncoderArguments, ModelArguments, TargetArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.geometry import add_geometries, check_voxel_counts, read_geometries, region_sizes
from trainers.loading import load_contrastive_model, load_model_and_processor


SMALL = {
    "num_queries": 12,
    "key_size": 8,
    "num_tokens": 2,
    "hidden_size": 8,
    "token_code_size": 4,
    "num_frequencies": 8,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=6)


def rewrite(path, change):
    """Rewrites a subject's file after `change(state, words)`."""
    from safetensors import safe_open

    state = load_file(path)
    with safe_open(path, "numpy") as file:
        words = json.loads(file.metadata()["brainllm"])
    change(state, words)
    save_file(state, path, {"brainllm": json.dumps(words)})


class TestReading:
    def test_arrays_are_those_of_the_files(self, corpus):
        geometries = read_geometries(str(corpus))
        assert {name: geometry.num_voxels for name, geometry in geometries.items()} == VOXELS
        for subject, geometry in geometries.items():
            state = load_file(corpus / "subjects" / f"{subject}.safetensors")
            np.testing.assert_array_equal(geometry.coordinates, state["geometry/coordinates"])
            for atlas in ATLASES:
                np.testing.assert_array_equal(geometry.regions[atlas], state[f"geometry/roi/{atlas}"])
            assert (geometry.space, geometry.num_regions) == ("common", {"streams": 2, "areas": 3})

    def test_what_a_builder_writes_is_read(self, tmp_path):
        """The two rooms share no code: their one contract is the file."""
        from planted_corpus import NUM_VOXELS, PlantedCorpus, write_planted

        from dataset_builders import save_corpus

        write_planted(tmp_path / "source")
        builder = PlantedCorpus(cache_dir=str(tmp_path / "cache"), data_dir=str(tmp_path / "source"))
        builder.download_and_prepare()
        save_corpus(builder, tmp_path / "corpus")
        geometries = read_geometries(str(tmp_path / "corpus"))
        for subject, geometry in geometries.items():
            truth = builder.geometry(subject)
            assert geometry.num_voxels == NUM_VOXELS + (3 if subject == "s2" else 0)
            np.testing.assert_array_equal(geometry.coordinates, truth.coordinates)
            np.testing.assert_array_equal(geometry.regions["atlas"], truth.roi_labels["atlas"])
        assert region_sizes(geometries, ["atlas"]) == [2]

    def test_deeper_negative_labels_are_not_cortex(self, tmp_path):
        folder = write_voxel_corpus(tmp_path / "corpus", images=4, subjects=("s1",))
        rewrite(folder / "subjects/s1.safetensors", lambda state, words: state["geometry/roi/areas"].__isub__(5))
        assert set(read_geometries(str(folder))["s1"].regions["areas"]) == {-1}

    def test_from_a_hub(self, corpus, tmp_path, local_hub, run_python):
        environment = local_hub.environment(tmp_path / "user")
        push = "import sys; from huggingface_hub import HfApi; api = HfApi(); api.create_repo('lab/voxels', "
        push += "repo_type='dataset'); api.upload_folder(repo_id='lab/voxels', repo_type='dataset', "
        push += "folder_path=sys.argv[1], allow_patterns='subjects/*')"
        run_python(push, str(corpus), env=environment)
        pull = "from trainers.data.geometry import read_geometries; "
        pull += "print({name: g.num_voxels for name, g in read_geometries('lab/voxels').items()})"
        assert run_python(pull, env=environment).strip().splitlines()[-1] == str(VOXELS)

    def test_no_files_of_subjects(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"has no subjects/\*.safetensors"):
            read_geometries(str(tmp_path))

    def test_truncated_file(self, tmp_path):
        folder = write_voxel_corpus(tmp_path / "corpus", images=4, subjects=("s1",))
        file = folder / "subjects/s1.safetensors"
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(ValueError, match="s1.safetensors is not as a corpus builder wrote it"):
            read_geometries(str(folder))


class TestExtractor:
    def extractor(self, sizes=(2, 3)):
        return BrainLlamaFeatureExtractor(input_kind="voxels", num_features=None, region_sizes=list(sizes))

    def test_regions_stand_in_the_order_of_the_atlases(self, corpus):
        geometries, extractor = read_geometries(str(corpus)), self.extractor((3, 2))
        add_geometries(extractor, geometries, ["areas", "streams"])
        inputs = extractor(np.zeros((1, VOXELS["s2"])), "s2")
        expected = np.stack([geometries["s2"].regions[name] for name in ("areas", "streams")], axis=1)
        np.testing.assert_array_equal(inputs["voxel_regions"][0], expected)
        np.testing.assert_array_equal(inputs["voxel_coordinates"][0], geometries["s2"].coordinates)

    def test_subject_without_geometry(self, tmp_path):
        folder = write_voxel_corpus(tmp_path / "corpus", images=4)
        rewrite(folder / "subjects/s2.safetensors", lambda state, words: state.pop("geometry/coordinates"))
        with pytest.raises(ValueError, match="Subject 's2' has no geometry"):
            add_geometries(self.extractor(), read_geometries(str(folder)), list(ATLASES))

    def test_atlas_that_one_subject_lacks(self, tmp_path):
        folder = write_voxel_corpus(tmp_path / "corpus", images=4)
        rewrite(folder / "subjects/s3.safetensors", lambda state, words: state.pop("geometry/roi/areas"))
        with pytest.raises(ValueError, match=r"Subject 's3' has no atlas areas; it has \['streams'\]"):
            add_geometries(self.extractor(), read_geometries(str(folder)), list(ATLASES))

    def test_different_spaces(self, tmp_path):
        folder = write_voxel_corpus(tmp_path / "corpus", images=4)
        rewrite(folder / "subjects/s3.safetensors", lambda state, words: words.update(space="native"))
        with pytest.raises(ValueError, match="different spaces: .*'s3': 'native'"):
            add_geometries(self.extractor(), read_geometries(str(folder)), list(ATLASES))

    def test_voxel_counts_that_disagree(self, corpus):
        rows, geometries = load_from_disk(corpus)["train"], read_geometries(str(corpus))
        check_voxel_counts(rows, geometries)
        with pytest.raises(ValueError, match=r"Row 'tiny/s1/.* one frame of 34 voxels.*'s1'.* found shape \[1, 40\]"):
            check_voxel_counts(rows, {**geometries, "s1": geometries["s2"]})
        with pytest.raises(ValueError, match="Subject 's3' of row 'tiny/s3/.* has no geometry"):
            check_voxel_counts(rows, {name: geometries[name] for name in ("s1", "s2")})

    def test_a_constant_voxel_stays_zero(self, corpus):
        extractor = self.extractor()
        add_geometries(extractor, read_geometries(str(corpus)), list(ATLASES))
        brains = np.random.default_rng(0).normal(3, 2, (20, VOXELS["s1"])).astype(np.float32)
        brains[:, 5] = 0
        values = extractor.fit(list(brains), "s1")(list(brains), "s1")["brain_values"][0]
        assert (values[:, 5] == 0).all()
        others = np.delete(values.numpy(), 5, axis=1)
        np.testing.assert_allclose(others.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(others.std(0), 1, atol=1e-4)


@pytest.fixture
def aligned(corpus, tmp_path):
    """Folder of a checkpoint of stage 1, untrained."""
    torch.manual_seed(3)
    config = VoxelEncoderConfig(region_sizes=[2, 3], atlases=list(ATLASES), **SMALL)
    model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=config, target_sizes={"text": 6}))
    model.save_pretrained(tmp_path / "aligned")
    extractor = BrainLlamaFeatureExtractor.from_config(model.config)
    known = {name: geometry for name, geometry in read_geometries(str(corpus)).items() if name != "s3"}
    add_geometries(extractor, known, list(ATLASES))
    extractor.save_pretrained(tmp_path / "aligned")
    return tmp_path / "aligned"


class TestLoading:
    @pytest.fixture
    def rows(self, corpus):
        return load_corpus_splits(DataArguments(dataset=str(corpus)))["train"]

    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_new_model_reads_every_subject(self, corpus, rows, text_model, interface):
        args = ModelArguments(
            text_model_id=str(text_model), encoder_type="voxels", voxel_encoder=json.dumps(SMALL),
            atlases=["areas"], interface=interface, adapter_layers=[0],
        )  # fmt: skip
        model, processor = load_model_and_processor(args, rows, standardize=False, dataset=str(corpus))
        assert (model.config.encoder_config.region_sizes, model.config.encoder_config.atlases) == ([3], ["areas"])
        some = [rows[0], rows[8], rows[-1]]
        inputs = processor(
            text=["<|brain|>the cat"] * 3,
            brain=[row["brain_values"] for row in some],
            subject=[row["subject"] for row in some],
        )
        assert inputs["brain_subjects"] == ["s1", "s2", "s3"]
        assert torch.isfinite(model(**inputs).logits).all()

    def test_standardising_again_is_a_choice(self, corpus, rows, text_model):
        args = ModelArguments(text_model_id=str(text_model), encoder_type="voxels", voxel_encoder=SMALL)
        for standardize in (False, True):
            _, processor = load_model_and_processor(args, rows, standardize=standardize, dataset=str(corpus))
            assert processor.feature_extractor.do_standardize == standardize

    def test_encoder_of_stage_one_frozen(self, corpus, rows, text_model, aligned):
        args = ModelArguments(text_model_id=str(text_model), encoder_name_or_path=str(aligned), freeze_encoder=True)
        model, processor = load_model_and_processor(args, rows, standardize=False, dataset=str(corpus))
        expected = BrainContrastiveModel.from_pretrained(aligned)
        inputs = processor.feature_extractor([row["brain_values"] for row in rows], rows["subject"])
        index = inputs.pop("brain_index")
        encoder = model.train().model.brain_encoder
        # In training mode the tokens are those of the checkpoint without dropout, each time.
        for _ in range(2):
            torch.testing.assert_close(encoder(**inputs)[index], expected(**inputs, brain_index=index).tokens)
        assert model.training
        assert not encoder.training
        assert not any(parameter.requires_grad for parameter in encoder.parameters())
        assert any(parameter.requires_grad for parameter in model.model.brain_interface.parameters())
        # s3 was unknown to the checkpoint; its geometry comes from the corpus, by the checkpoint's atlases.
        assert set(processor.feature_extractor.subjects) == set(VOXELS)

    def test_a_learning_encoder_has_its_dropout(self, corpus, rows, text_model, aligned):
        args = ModelArguments(text_model_id=str(text_model), encoder_name_or_path=str(aligned))
        model, _ = load_model_and_processor(args, rows, standardize=False, dataset=str(corpus))
        assert model.train().model.brain_encoder.input_dropout.training

    def test_stage_one_from_the_corpus_and_from_a_checkpoint(self, corpus, rows, aligned):
        new = EncoderArguments(encoder_type="voxels", voxel_encoder=SMALL, atlases=["streams"])
        model, _ = load_contrastive_model(new, TargetArguments(pooling="mean"), rows, False, str(corpus))
        assert (model.config.target_sizes, model.config.pooling) == ({"text": 6}, "mean")
        old = EncoderArguments(encoder_name_or_path=str(aligned))
        model, extractor = load_contrastive_model(old, TargetArguments(), rows, False, str(corpus))
        expected = BrainContrastiveModel.from_pretrained(aligned).state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
        assert set(extractor.subjects) == set(VOXELS)

    def test_frames_with_mixed_voxel_counts(self, corpus, rows, text_model):
        with pytest.raises(ValueError, match=r"different numbers of features: .*'s2': 34.*encoder_type: voxels"):
            load_model_and_processor(ModelArguments(text_model_id=str(text_model)), rows)

    def test_voxels_need_the_corpus(self, rows, text_model):
        args = ModelArguments(text_model_id=str(text_model), encoder_type="voxels")
        with pytest.raises(ValueError, match="needs `dataset`"):
            load_model_and_processor(args, rows)


class TestArguments:
    def test_options_of_voxels_need_voxels(self):
        with pytest.raises(ValueError, match="belong to `encoder_type: voxels`; found encoder_type 'frames'"):
            EncoderArguments(atlases=["streams"])

    @pytest.mark.parametrize("text", ["[1]", "{num_queries"])
    def test_voxel_encoder_must_be_a_mapping(self, text):
        with pytest.raises(ValueError, match="`voxel_encoder` must be a mapping"):
            EncoderArguments(encoder_type="voxels", voxel_encoder=text)

    def test_atlases_and_sizes_agree(self):
        with pytest.raises(Exception, match="one atlas for each of `region_sizes`"):
            VoxelEncoderConfig(region_sizes=[2, 3], atlases=["areas"])
