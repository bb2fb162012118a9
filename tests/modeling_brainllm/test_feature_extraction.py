# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The feature extractor on real containers: shapes, statistics against NumPy, geometry, every refusal, round trips."""

import json

import h5py
import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoFeatureExtractor

from modeling_brainllm import BrainLlamaConfig, BrainLlamaFeatureExtractor, FrameEncoderConfig, VoxelEncoderConfig
from modeling_brainllm.checksums import CHECKSUMS_FILE


FEATURES = 6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def frames():
    return BrainLlamaFeatureExtractor(num_features=FEATURES, num_frames=4)


@pytest.fixture
def voxels(rng):
    extractor = BrainLlamaFeatureExtractor(input_kind="voxels", num_features=None, region_sizes=[7, 3])
    for subject, count in (("sub-01", 5), ("sub-02", 8)):
        regions = np.stack([rng.integers(-1, 8, count), rng.integers(-1, 4, count)], axis=1)
        extractor.add_subject(subject, rng.uniform(-80, 80, (count, 3)), regions)
    return extractor


class TestFrames:
    def test_pads_on_the_right_and_says_what_is_real(self, frames, rng):
        samples = [rng.normal(size=(n, FEATURES)) for n in (2, 4, 1)]
        batch = frames(samples)
        assert batch["brain_values"].shape == (3, 4, FEATURES)
        assert batch["brain_values"].dtype == torch.float32
        assert batch["brain_attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
        assert batch["brain_index"].tolist() == [0, 1, 2]
        assert set(batch) == set(frames.model_input_names)
        for row, sample in zip(batch["brain_values"], samples, strict=True):
            np.testing.assert_array_equal(row[: len(sample)], sample.astype(np.float32))
            assert not row[len(sample) :].any()

    def test_one_frame_one_sample_and_a_stack(self, frames, rng):
        stack = rng.normal(size=(3, 2, FEATURES))
        assert frames(stack[0, 0])["brain_values"].shape == (1, 1, FEATURES)
        assert frames(stack[0])["brain_values"].shape == (1, 2, FEATURES)
        assert frames([stack[0, 0], stack[1, 0]])["brain_values"].shape == (2, 1, FEATURES)
        torch.testing.assert_close(frames(stack)["brain_values"], frames(list(stack))["brain_values"])

    def test_numpy_output(self, frames, rng):
        batch = frames(rng.normal(size=(2, FEATURES)), return_tensors="np")
        assert all(isinstance(value, np.ndarray) for value in batch.values())

    def test_the_callers_array_is_left_alone(self, frames, rng):
        sample = rng.normal(size=(2, FEATURES)).astype(np.float32)
        before = sample.copy()
        frames.fit(rng.normal(size=(9, FEATURES)), "s")
        frames(sample, subject="s")["brain_values"].zero_()
        np.testing.assert_array_equal(sample, before)


class TestContainers:
    """Every container holds the same numbers, so every batch must be the same."""

    @pytest.fixture
    def sample(self, rng):
        return rng.normal(size=(3, FEATURES)).astype(np.float32)

    @pytest.fixture
    def expected(self, frames, sample):
        return frames(sample)["brain_values"]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_torch(self, frames, sample, dtype):
        tensor = torch.tensor(sample, dtype=dtype, requires_grad=True)
        torch.testing.assert_close(frames(tensor)["brain_values"][0], tensor.detach().float())

    def test_nested_lists(self, frames, sample, expected):
        torch.testing.assert_close(frames([sample.tolist()])["brain_values"], expected)

    def test_h5py(self, frames, sample, expected, tmp_path):
        with h5py.File(tmp_path / "brain.h5", "w") as file:
            single, stack = file.create_dataset("one", data=sample), file.create_dataset("all", data=sample[None])
            torch.testing.assert_close(frames(single)["brain_values"], expected)
            torch.testing.assert_close(frames([single])["brain_values"], expected)
            torch.testing.assert_close(frames(stack)["brain_values"], expected)

    @pytest.mark.parametrize("extra", [{}, {"onsets": np.arange(3)}])
    def test_npz(self, frames, sample, expected, tmp_path, extra):
        np.savez(tmp_path / "brain.npz", brain_values=sample, **extra)
        with np.load(tmp_path / "brain.npz") as archive:
            torch.testing.assert_close(frames(archive)["brain_values"], expected)
            torch.testing.assert_close(frames([archive])["brain_values"], expected)

    def test_npz_that_does_not_say_which_array(self, frames, sample, tmp_path):
        np.savez(tmp_path / "brain.npz", left=sample, right=sample)
        with np.load(tmp_path / "brain.npz") as archive, pytest.raises(ValueError, match=r"brain_values.*left.*right"):
            frames(archive)

    def test_nifti_frames_last_voxels_in_c_order(self, frames, sample, expected, tmp_path):
        volumes = sample.T.reshape(1, 2, 3, len(sample))
        nib.save(nib.Nifti1Image(volumes, np.eye(4)), tmp_path / "bold.nii.gz")
        image = nib.load(tmp_path / "bold.nii.gz")
        torch.testing.assert_close(frames(image)["brain_values"], expected)
        torch.testing.assert_close(frames([image])["brain_values"], expected)
        volume = nib.Nifti1Image(volumes[..., 0], np.eye(4))
        torch.testing.assert_close(frames(volume)["brain_values"], expected[:, :1])

    def test_cifti_is_frames_by_grayordinates(self, frames, sample, expected):
        series = nib.cifti2.SeriesAxis(0, 1.5, len(sample))
        surface = nib.cifti2.BrainModelAxis.from_surface(np.arange(FEATURES), FEATURES, name="CortexLeft")
        image = nib.Cifti2Image(sample, header=nib.Cifti2Header.from_axes((series, surface)))
        torch.testing.assert_close(frames(image)["brain_values"], expected)

    def test_unmasked_image_is_told_to_mask(self, frames):
        image = nib.Nifti1Image(np.zeros((4, 4, 4, 2), dtype=np.float32), np.eye(4))
        with pytest.raises(ValueError, match=r"must have 6 features.*found 64.*NiftiMasker"):
            frames(image)


class TestRefusals:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
    def test_not_finite(self, frames, bad):
        sample = np.zeros((2, FEATURES))
        sample[1, 2:4] = bad
        with pytest.raises(ValueError, match=r"Brain sample 1 of subject 'P01' holds 2 NaN or infinite values"):
            frames([np.zeros(FEATURES), sample], subject="P01")

    def test_samples_are_called_by_their_names(self, frames):
        samples, names = [np.zeros(FEATURES), np.full(FEATURES, np.nan)], ["nsd/1", "nsd/2"]
        with pytest.raises(ValueError, match=r"Brain sample 'nsd/2' of subject 'P01' holds 6 NaN"):
            frames(samples, subject="P01", names=names)
        with pytest.raises(ValueError, match=r"Brain sample 'nsd/1' has 5 frames"):
            frames([np.zeros((5, FEATURES))], subject="P01", names=names[:1])

    @pytest.mark.parametrize(
        ("sample", "message"),
        [
            (np.zeros((2, 5)), r"Brain sample 0 must have 6 features in each frame; found 5"),
            (np.zeros((5, FEATURES)), r"5 frames; at most 4"),
            (np.zeros((1, 1, 1, FEATURES)), r"found shape \[1, 1, 1, 6\]"),
            (np.zeros((0, FEATURES)), r"found shape \[0, 6\]"),
            (np.array("brain"), r"real numbers; found ndarray of dtype <U5"),
            (np.zeros(FEATURES, dtype=complex), r"real numbers.*complex"),
        ],
    )
    def test_wrong_arrays(self, frames, sample, message):
        with pytest.raises(ValueError, match=message):
            frames(sample)

    def test_ragged_rows(self, frames):
        with pytest.raises(ValueError, match=r"Brain sample 0 must be a regular array"):
            frames([[[1.0, 2.0], [1.0]]])

    def test_no_samples_or_wrong_number_of_subjects(self, frames):
        with pytest.raises(ValueError, match=r"one `subject` for each brain sample"):
            frames([])
        with pytest.raises(ValueError, match=r"got 1 for 2"):
            frames(np.zeros((2, 1, FEATURES)), subject=["a"])

    def test_unknown_kind(self):
        with pytest.raises(ValueError, match="frames.*voxels"):
            BrainLlamaFeatureExtractor(input_kind="surface")


class TestFit:
    def test_moments_equal_numpy_in_float64(self, frames, rng):
        # a large offset, where one-pass sums of squares in float32 lose every digit
        train = 3000 + rng.normal(size=(40, 4, FEATURES)) * rng.uniform(0.1, 9, FEATURES)
        rows = train.astype(np.float32).astype(np.float64).reshape(-1, FEATURES)
        for values in (train, list(train), (sample for sample in train), train.reshape(-1, FEATURES)):
            frames.fit(values, "P01")
            np.testing.assert_allclose(frames.subjects["P01"]["mean"], rows.mean(0), rtol=1e-6)
            np.testing.assert_allclose(frames.subjects["P01"]["std"], rows.std(0), rtol=1e-6)

    def test_standardises_each_subject_with_its_own_statistics(self, frames, rng):
        scans = {"a": rng.normal(5, 2, (50, FEATURES)), "b": rng.normal(-900, 70, (50, FEATURES))}
        for subject, rows in scans.items():
            frames.fit(rows, subject)
        assert frames.do_standardize
        batch = frames([scans["b"][0], scans["a"][1]], subject=["b", "a"])["brain_values"][:, 0]
        expected = [(scans[s][i] - scans[s].mean(0)) / scans[s].std(0) for s, i in (("b", 0), ("a", 1))]
        np.testing.assert_allclose(batch, np.stack(expected), rtol=1e-3, atol=1e-4)

    def test_constant_features_are_named(self, frames, rng):
        rows = rng.normal(size=(20, FEATURES))
        rows[:, [1, 4]] = 0.1
        with pytest.raises(ValueError, match=r"2 of 6 features are constant .*'P01'.*\[1, 4\]"):
            frames.fit(rows, "P01")
        assert not frames.do_standardize
        assert frames.subjects == {}

    def test_nothing_and_faulty_samples(self, frames, rng):
        with pytest.raises(ValueError, match=r"no samples for subject 'P01'"):
            frames.fit([], "P01")
        with pytest.raises(ValueError, match=r"Brain sample 1 of subject 'P01' holds 6 NaN"):
            frames.fit([rng.normal(size=FEATURES), np.full(FEATURES, np.nan)], "P01")

    def test_unknown_subject_lists_the_known(self, frames, rng):
        frames.fit(rng.normal(size=(9, FEATURES)), "M02").fit(rng.normal(size=(9, FEATURES)), "M04")
        with pytest.raises(ValueError, match=r"mean.*'P01' is unknown; known are \['M02', 'M04'\].*fit"):
            frames(np.zeros(FEATURES), subject="P01")
        with pytest.raises(ValueError, match=r"no `subject` was given; known are \['M02', 'M04'\]"):
            frames(np.zeros(FEATURES))


class TestVoxels:
    def test_groups_by_subject_and_says_where_each_sample_went(self, voxels, rng):
        subjects = ["sub-02", "sub-01", "sub-02", "sub-01", "sub-02"]
        samples = [rng.normal(size=8 if subject == "sub-02" else 5) for subject in subjects]
        batch = voxels(samples, subject=subjects)
        assert set(batch) == set(voxels.model_input_names)
        assert batch["brain_subjects"] == ["sub-02", "sub-01"]
        assert [tuple(values.shape) for values in batch["brain_values"]] == [(3, 8), (2, 5)]
        in_order = [row for values in batch["brain_values"] for row in values]
        for sample, place in zip(samples, batch["brain_index"].tolist(), strict=True):
            np.testing.assert_array_equal(in_order[place], sample.astype(np.float32))
        for name, xyz, regions in zip(
            batch["brain_subjects"], batch["voxel_coordinates"], batch["voxel_regions"], strict=True
        ):
            np.testing.assert_array_equal(xyz, voxels.subjects[name]["coordinates"])
            np.testing.assert_array_equal(regions, voxels.subjects[name]["regions"])
            assert (xyz.dtype, regions.dtype) == (torch.float32, torch.int64)

    def test_one_frame_is_voxels_too(self, voxels, rng):
        sample = rng.normal(size=5)
        one, two = (voxels([given], subject="sub-01")["brain_values"][0] for given in (sample, sample[None]))
        torch.testing.assert_close(one, two)
        with pytest.raises(ValueError, match=r"2 frames; at most 1"):
            voxels(rng.normal(size=(2, 5)), subject="sub-01")

    def test_standardises(self, voxels, rng):
        rows = rng.normal(4, 3, (30, 5))
        voxels.fit(rows, "sub-01")
        values = voxels(list(rows), subject="sub-01")["brain_values"][0].numpy()
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(0), 1, atol=1e-5)
        with pytest.raises(ValueError, match=r"'sub-02' is unknown; known are \['sub-01'\]"):
            voxels(np.zeros(8), subject="sub-02")

    def test_refusals(self, voxels):
        with pytest.raises(ValueError, match=r"must have 5 features in each frame; found 8"):
            voxels(np.zeros(8), subject="sub-01")
        with pytest.raises(ValueError, match=r"'sub-9' is unknown; known are \['sub-01', 'sub-02'\].*add_subject"):
            voxels(np.zeros(8), subject="sub-9")
        with pytest.raises(ValueError, match=r"no `subject` was given"):
            voxels(np.zeros(8))

    @pytest.mark.parametrize(
        ("coordinates", "regions", "message"),
        [
            (np.zeros((4, 2)), np.zeros((4, 2), int), r"\[voxels, 3\] in millimetres; found shape \[4, 2\]"),
            (np.full((4, 3), np.nan), np.zeros((4, 2), int), r"12 values not finite"),
            (np.zeros((4, 3)), np.zeros((4, 1), int), r"= \[4, 2\].*found int64 \[4, 1\]"),
            (np.zeros((4, 3)), np.zeros((4, 2)), r"must be integers.*found float64"),
            (np.zeros((4, 3)), np.full((4, 2), 4), r"from -1 to \[7, 3\].*from 0 to 4"),
            (np.zeros((4, 3)), np.full((4, 2), -2), r"from -2 to 0"),
        ],
    )
    def test_geometry_that_does_not_fit(self, voxels, coordinates, regions, message):
        with pytest.raises(ValueError, match=message):
            voxels.add_subject("sub-03", coordinates, regions)
        assert "sub-03" not in voxels.subjects

    def test_frames_keep_no_geometry(self, frames):
        with pytest.raises(ValueError, match="voxels"):
            frames.add_subject("a", np.zeros((4, 3)), np.zeros((4, 1), int))


class TestFromConfig:
    def test_takes_its_sizes_from_the_encoder(self):
        config = BrainLlamaConfig(encoder_config=FrameEncoderConfig(num_features=7, num_frames=3))
        extractor = BrainLlamaFeatureExtractor.from_config(config)
        assert (extractor.input_kind, extractor.num_features, extractor.num_frames) == ("frames", 7, 3)
        extractor = BrainLlamaFeatureExtractor.from_config(BrainLlamaConfig(encoder_config=VoxelEncoderConfig()))
        assert (extractor.input_kind, extractor.region_sizes) == ("voxels", [180, 25, 7, 5, 3])


class TestSaving:
    def assert_same(self, loaded, saved):
        assert loaded.to_dict() == saved.to_dict()
        assert list(loaded.subjects) == list(saved.subjects)
        for subject, known in saved.subjects.items():
            assert loaded.subjects[subject].keys() == known.keys()
            for name, array in known.items():
                np.testing.assert_array_equal(loaded.subjects[subject][name], array, strict=True)

    @pytest.mark.parametrize("load", [BrainLlamaFeatureExtractor, AutoFeatureExtractor])
    def test_round_trip_to_the_last_bit(self, voxels, rng, tmp_path, load):
        voxels.fit(rng.normal(size=(9, 8)), "sub-02")
        voxels.add_subject("a.b.mean", np.zeros((2, 3)), np.zeros((2, 2), int))
        voxels.save_pretrained(tmp_path)
        loaded = load.from_pretrained(tmp_path)
        self.assert_same(loaded, voxels)
        sample = rng.normal(size=8)
        pair = [extractor(sample, subject="sub-02")["brain_values"][0] for extractor in (loaded, voxels)]
        assert torch.equal(*pair)

    def test_arguments_override_and_the_json_holds_names_only(self, frames, rng, tmp_path):
        frames.fit(rng.normal(size=(9, FEATURES)), "P01").save_pretrained(tmp_path)
        assert json.loads((tmp_path / "preprocessor_config.json").read_text())["subjects"] == ["P01"]
        loaded = BrainLlamaFeatureExtractor.from_pretrained(tmp_path, do_standardize=False)
        assert loaded(np.ones(FEATURES))["brain_values"].eq(1).all()

    def test_saving_none_removes_stale_subjects(self, frames, rng, tmp_path):
        frames.fit(rng.normal(size=(9, FEATURES)), "P01").save_pretrained(tmp_path)
        BrainLlamaFeatureExtractor(num_features=FEATURES).save_pretrained(tmp_path)
        assert not (tmp_path / "brain_subjects.safetensors").exists()
        assert BrainLlamaFeatureExtractor.from_pretrained(tmp_path).subjects == {}

    def test_missing_damaged_and_foreign_tensors(self, frames, rng, tmp_path):
        frames.fit(rng.normal(size=(9, FEATURES)), "P01").save_pretrained(tmp_path / "one")
        frames.fit(rng.normal(size=(9, FEATURES)), "P02").save_pretrained(tmp_path / "two")
        (tmp_path / "one" / CHECKSUMS_FILE).unlink()  # as in a folder of somebody else's
        tensors = tmp_path / "one" / "brain_subjects.safetensors"
        whole = tensors.read_bytes()
        tensors.write_bytes(whole[:-8])
        with pytest.raises(ValueError, match=r"brain_subjects.safetensors is not a whole safetensors file"):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path / "one")
        tensors.write_bytes((tmp_path / "two" / "brain_subjects.safetensors").read_bytes())
        with pytest.raises(ValueError, match=r"must hold the subjects \['P01'\]; found \['P01', 'P02'\]"):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path / "one")
        tensors.unlink()
        with pytest.raises(OSError, match=r"brain_subjects.safetensors"):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path / "one")

    def test_settings_alone_do_not_pass_for_the_whole(self, frames, rng):
        frames.fit(rng.normal(size=(9, FEATURES)), "P01")
        with pytest.raises(ValueError, match=r"\['P01'\] lie in brain_subjects.safetensors"):
            BrainLlamaFeatureExtractor(**frames.to_dict())


class TestStatisticsThatAreNone:
    @pytest.mark.parametrize(
        ("field", "value"), [("std", 0), ("std", -1), ("std", np.nan), ("std", np.inf), ("mean", np.nan)]
    )
    def test_refused_where_they_are_loaded(self, frames, rng, tmp_path, field, value):
        frames.fit(rng.normal(size=(9, FEATURES)), "S1").save_pretrained(tmp_path)
        (tmp_path / CHECKSUMS_FILE).unlink()  # as in a folder of somebody else's
        arrays = load_file(tmp_path / "brain_subjects.safetensors")
        arrays[f"S1.{field}"][2] = value
        save_file(arrays, tmp_path / "brain_subjects.safetensors")
        with pytest.raises(
            ValueError, match=rf"statistics of subject 'S1'.*brain_subjects\.safetensors.*`{field}`.* 1 val"
        ):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path)

    @pytest.mark.parametrize("broken", ["lost", "short"])
    def test_halves_that_do_not_agree(self, frames, rng, tmp_path, broken):
        frames.fit(rng.normal(size=(9, FEATURES)), "S1").save_pretrained(tmp_path)
        (tmp_path / CHECKSUMS_FILE).unlink()  # as in a folder of somebody else's
        arrays = load_file(tmp_path / "brain_subjects.safetensors")
        kept = {"S1.mean": arrays["S1.mean"]} if broken == "lost" else {**arrays, "S1.std": arrays["S1.std"][:-1]}
        save_file(kept, tmp_path / "brain_subjects.safetensors")
        with pytest.raises(ValueError, match=r"`mean` and positive `std` of one shape"):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path)

    def test_geometry_that_is_none(self, voxels, tmp_path):
        voxels.save_pretrained(tmp_path)
        (tmp_path / CHECKSUMS_FILE).unlink()  # as in a folder of somebody else's
        arrays = load_file(tmp_path / "brain_subjects.safetensors")
        arrays["sub-01.coordinates"][0, 0] = np.nan
        save_file(arrays, tmp_path / "brain_subjects.safetensors")
        with pytest.raises(ValueError, match=r"`coordinates` of subject 'sub-01' must be finite"):
            BrainLlamaFeatureExtractor.from_pretrained(tmp_path)

    def test_values_that_overflow_by_standardising(self, frames, rng):
        frames.fit(1e-20 * rng.normal(size=(9, FEATURES)), "S1")
        with pytest.raises(
            ValueError, match=r"Brain sample 0 of subject 'S1' is finite, but not once it is standardised"
        ):
            frames(np.full((1, FEATURES), 1e30), subject="S1")

    def test_masked_values(self, frames):
        sample = np.ma.masked_array(np.ones((2, FEATURES)), mask=np.eye(2, FEATURES))
        for given in (sample, [sample]):
            with pytest.raises(ValueError, match="masked array of which 2 values are masked"):
                frames(given)
        assert frames(np.ma.masked_array(np.ones((2, FEATURES))))["brain_values"].sum() == 2 * FEATURES
