# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""NSD, from a small release that was written without any code of the reader, and from each of its possible defects."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from layouts.nsd import AFFINES, BETAS, NUM_VERTICES, NUM_VOXELS, SHAPES, TRIALS, coco_split, write_nsd
from layouts.nsd_builders import ANY, SmallNSD, listed
from safetensors.numpy import load_file

from dataset_builders import prepare_corpus
from dataset_builders.corpora.nsd.nsd2022 import NSD2022
from dataset_builders.corpora.nsd.nsd2022_facts import NSD_FACTS


SUBJECTS = tuple(SHAPES)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return write_nsd(tmp_path_factory.mktemp("release") / "nsd")


@pytest.fixture
def copy(truth, tmp_path):
    """A release to be damaged."""
    return shutil.copytree(truth.root, tmp_path / "nsd")


def trials_of(truth, subject, sessions=None):
    """(session, trial, image) of everything that a subject saw."""
    for session in sessions or range(1, truth.num_sessions[subject] + 1):
        for trial, image in enumerate(truth.shown(subject, session).tolist()):
            yield session, trial, image


def average(truth, subject, image, values):
    """Mean over the repeats of an image of values[session] [trials, voxels]."""
    return np.mean([values[session][trial] for session, trial, seen in trials_of(truth, subject) if seen == image], 0)


class TestBetas:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_volumes(self, truth, subject):
        _, recordings, _ = listed(truth.root)
        for session in range(1, truth.num_sessions[subject] + 1):
            recording = recordings[f"{subject}/session{session:02d}"]
            values = recording.read()
            assert values.dtype == np.float32
            assert values.shape == (recording.num_frames, recording.num_features)
            np.testing.assert_allclose(values, truth.percent(subject, session), rtol=1e-6)

    def test_hdf5_holds_the_same(self, truth):
        options = {"subjects": ["subj01"], "test_repeats": "single"}
        _, volumes, _ = listed(truth.root, **options)
        _, cubes, _ = listed(truth.root, file_format="hdf5", **options)
        assert sorted(cubes) == ["subj01/session01", "subj01/session02"]
        for name, recording in cubes.items():
            assert recording.sources[0].suffix == ".hdf5"
            np.testing.assert_array_equal(recording.read(), volumes[name].read())

    def test_a_session_in_either_format_is_found(self, copy, truth):
        (copy / f"nsddata_betas/ppdata/subj01/func1pt8mm/{BETAS}/betas_session02.nii.gz").unlink()
        _, recordings, _ = listed(copy)
        assert [recordings[f"subj01/session0{n}"].sources[0].suffix for n in (1, 2, 3)] == [".gz", ".hdf5", ".gz"]
        np.testing.assert_allclose(recordings["subj01/session02"].read(), truth.percent("subj01", 2), rtol=1e-6)

    def test_surfaces_are_in_percent_already(self, truth):
        _, recordings, _ = listed(truth.root, space="fsaverage")
        sides = [truth.surface["subj01", side][:, truth.regions["nsdgeneral", side] > 0] for side in ("lh", "rh")]
        np.testing.assert_array_equal(recordings["subj01/session01"].read(), np.concatenate(sides, axis=1))

    def test_whole_brain_and_other_masks(self, truth):
        options = {"subjects": ["subj02"], "test_repeats": "single"}
        _, recordings, _ = listed(truth.root, mask="brain", **options)
        cortex = truth.regions["subj02", "nsdgeneral"] >= 0
        steps = truth.betas["subj02", 3][:, cortex]
        np.testing.assert_allclose(recordings["subj02/session03"].read(), steps / 300, rtol=1e-6)
        _, recordings, _ = listed(truth.root, mask="floc-faces", **options)
        assert recordings["subj02/session03"].num_features == (truth.regions["subj02", "floc-faces"] > 0).sum()
        _, recordings, _ = listed(truth.root, mask="brain", space="fsaverage")
        assert recordings["subj01/session01"].num_features == 2 * NUM_VERTICES

    def test_another_version_is_another_folder(self, truth):
        with pytest.raises(FileNotFoundError, match="betas_fithrf:"):
            listed(truth.root, betas="b2")


class TestRows:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_training_keeps_single_trials(self, truth, subject):
        _, _, samples = listed(truth.root)
        rows = {(s.session, s.frames): s for s in samples if s.subject == subject and s.session != "average"}
        expected = {
            (f"session{session:02d}", (trial,)): image
            for session, trial, image in trials_of(truth, subject)
            if image not in truth.shared
        }
        assert {key: sample.group for key, sample in rows.items()} == {k: f"nsd/{i}" for k, i in expected.items()}
        assert {sample.official_split for sample in rows.values()} == {"train"}
        for key, image in expected.items():
            assert rows[key].references == tuple(truth.captions[image])

    @pytest.mark.parametrize("standardize", ["none", "session"])
    def test_test_images_are_averages(self, truth, standardize):
        _, recordings, samples = listed(truth.root, subjects=["subj02"], standardize=standardize)
        sessions = (1, 2, 3)
        values = {session: truth.percent("subj02", session) for session in sessions}
        if standardize == "session":
            for session in sessions:
                own = values[session][~np.isin(truth.shown("subj02", session), truth.shared)]
                values[session] = (values[session] - own.mean(0)) / own.std(0)
        rows = [sample for sample in samples if sample.session == "average"]
        seen = {image for _, _, image in trials_of(truth, "subj02")} & set(truth.shared)
        assert [sample.group for sample in rows] == [f"nsd/{image}" for image in sorted(seen)]
        assert {sample.official_split for sample in rows} == {"test"}
        frames = recordings["subj02/average"].read()
        assert frames.shape == (len(seen), NUM_VOXELS["subj02"])
        for sample, image in list(zip(rows, sorted(seen), strict=True))[::50]:
            expected = average(truth, "subj02", image, values)
            np.testing.assert_allclose(frames[list(sample.frames)][0], expected, rtol=1e-4, atol=1e-5)

    def test_single_test_trials(self, truth):
        _, recordings, samples = listed(truth.root, test_repeats="single")
        assert len(samples) == 7 * TRIALS
        assert not any("average" in name for name in recordings)
        tested = {sample.group for sample in samples if sample.official_split == "test"}
        assert tested == {f"nsd/{image}" for image in truth.shared}

    def test_columns(self, truth):
        _, _, samples = listed(truth.root)
        sample = next(sample for sample in samples if sample.session == "session02")
        assert sample.sample_id == f"nsd2022/subj01/session02/{sample.frames[0]}" == sample.brain_id
        assert (sample.prompt, sample.completion, sample.text) == ("", sample.references[0], sample.references[0])
        assert sample.recording == "subj01/session02"
        assert sample.stimulus == sample.group == sample.topic
        assert len({sample.sample_id for sample in samples}) == len(samples)

    def test_captions_are_those_of_the_photograph(self, truth):
        """All captions of each image, from both annotation files, without line breaks."""
        _, _, samples = listed(truth.root)
        found = {int(sample.group.removeprefix("nsd/")): list(sample.references) for sample in samples}
        assert found == {image: truth.captions[image] for image in found}
        assert {coco_split(image) for image in found} == {"train2017", "val2017"}
        assert {len(captions) for captions in found.values()} == {5, 6, 7}


class TestOptions:
    def test_the_first_release_lacks_three_sessions(self, truth):
        _, recordings, _ = listed(truth.root, SmallNSD, subjects=["subj01"], sessions="first_release")
        assert sorted(recordings) == ["subj01/average", "subj01/session01"]

    def test_shared982(self, truth):
        """Shared images that nobody had seen before the withheld sessions are neither trained nor tested on."""
        builder, _, samples = listed(truth.root, SmallNSD, test_images="shared982")
        before = set(truth.shown("subj01", 1).tolist()) & set(truth.shared)
        tested = {s.group for s in samples if s.official_split == "test"}
        assert tested == {f"nsd/{image}" for image in before}
        rest = {s.group for s in samples if s.official_split == "train"}
        assert not rest & {f"nsd/{image}" for image in truth.shared}
        assert builder.notes["shared images outside the test set, left out"] == len(truth.shared) - len(before)

    def test_nothing_is_left_of_a_subject(self, truth):
        with pytest.raises(FileNotFoundError, match="none of the sessions 1 to 0"):
            listed(truth.root, SmallNSD, subjects=["subj02"], sessions="first_release")

    @pytest.mark.parametrize(
        "option",
        [
            {"betas": "b4"},
            {"space": "func1mm"},
            {"file_format": "mgh"},
            {"coordinates": "scanner"},
            {"sessions": "some"},
            {"test_images": "shared515"},
            {"test_repeats": "first"},
        ],
    )
    def test_unknown_choices(self, truth, option):
        ((name, value),) = option.items()
        with pytest.raises(ValueError, match=f"{name}='{value}' is unknown: choose one of"):
            listed(truth.root, **option)

    def test_surfaces_have_one_format(self, truth):
        with pytest.raises(ValueError, match=r"\.mgh files"):
            listed(truth.root, space="fsaverage", file_format="hdf5")

    def test_a_mask_that_is_not_there(self, truth):
        with pytest.raises(FileNotFoundError, match="choose a mask of HCP_MMP1, .*floc-faces, .*brain"):
            listed(truth.root, mask="V1")
        with pytest.raises(FileNotFoundError, match="choose a mask of nsdgeneral, prf-visualrois, brain"):
            listed(truth.root, mask="V1", space="fsaverage")


class TestGeometry:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_places_and_regions(self, truth, subject):
        builder, _, _ = listed(truth.root, coordinates="native")
        geometry, mask = builder.geometry(subject), truth.regions[subject, "nsdgeneral"] > 0
        places = [place for place in np.ndindex(*mask.shape) if mask[place]]
        expected = [AFFINES[subject] @ [*place, 1] for place in places]
        np.testing.assert_allclose(geometry.coordinates, np.array(expected)[:, :3], rtol=1e-5)
        assert geometry.space == "func1pt8mm"
        assert geometry.grid_shape == SHAPES[subject]
        np.testing.assert_allclose(geometry.affine, AFFINES[subject], rtol=1e-5)
        volume = np.zeros(SHAPES[subject])
        volume.flat[geometry.grid_index] = 1
        np.testing.assert_array_equal(volume > 0, mask)
        atlases = {"HCP_MMP1", "Kastner2015", "floc-places"}
        assert set(geometry.roi_labels) == {"nsdgeneral", "prf-visualrois", "floc-faces"} | atlases
        for name, labels in geometry.roi_labels.items():
            found = [max(truth.regions[subject, name][place], 0) for place in places]
            assert labels.dtype == np.int16
            np.testing.assert_array_equal(labels, found)

    def test_names_of_regions(self, truth):
        geometry = listed(truth.root)[0].geometry("subj01")
        largest = geometry.roi_labels["prf-visualrois"].max()
        assert geometry.roi_names["prf-visualrois"] == ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"][:largest]
        assert geometry.roi_names["nsdgeneral"] == ["nsdgeneral"]
        assert geometry.roi_names["floc-faces"] == ["1", "2"], "numbers, where no table names them"
        assert geometry.roi_names["HCP_MMP1"][:3] == ["area1", "area2", "area3"]

    def test_labels_of_the_whole_brain(self, truth):
        """Cortex without a label is 0, and -1, which lies outside of cortex, never reaches the corpus."""
        geometry = listed(truth.root, mask="brain", coordinates="native")[0].geometry("subj01")
        cortex = truth.regions["subj01", "nsdgeneral"] >= 0
        for name in ("HCP_MMP1", "Kastner2015", "floc-places", "nsdgeneral"):
            np.testing.assert_array_equal(geometry.roi_labels[name], truth.regions["subj01", name][cortex])
            assert truth.regions["subj01", name].min() == -1
            assert geometry.roi_labels[name].min() >= 0

    def test_noise_ceiling_of_averages_and_of_single_trials(self, truth):
        mask = truth.regions["subj02", "nsdgeneral"] > 0
        ratio = truth.ncsnr["subj02"][mask].astype(float)
        seen = [image for _, _, image in trials_of(truth, "subj02") if image in set(truth.shared)]
        noise = np.mean([1 / seen.count(image) for image in set(seen)])
        geometry = listed(truth.root)[0].geometry("subj02")
        np.testing.assert_allclose(geometry.noise_ceiling, 100 * ratio**2 / (ratio**2 + noise), rtol=1e-4)
        assert geometry.noise_ceiling_unit == "percent"
        single = listed(truth.root, test_repeats="single")[0].geometry("subj02")
        np.testing.assert_allclose(single.noise_ceiling, 100 * ratio**2 / (ratio**2 + 1), rtol=1e-4)

    def test_surface(self, truth):
        geometry = listed(truth.root, space="fsaverage")[0].geometry("subj01")
        masks = [truth.regions["nsdgeneral", side] > 0 for side in ("lh", "rh")]
        visual = [truth.regions["prf-visualrois", side][m] for side, m in zip(("lh", "rh"), masks, strict=True)]
        np.testing.assert_array_equal(geometry.roi_labels["prf-visualrois"], np.concatenate(visual))
        np.testing.assert_array_equal(geometry.grid_index, np.flatnonzero(np.concatenate(masks)))
        assert geometry.grid_shape == (2 * NUM_VERTICES,)
        assert geometry.coordinates is None
        assert geometry.noise_ceiling.shape == (6,)

    def test_without_noise_ceiling(self, copy):
        (copy / f"nsddata_betas/ppdata/subj01/func1pt8mm/{BETAS}/ncsnr.nii.gz").unlink()
        assert listed(copy)[0].geometry("subj01").noise_ceiling is None

    def test_a_region_of_another_shape(self, copy):
        path = copy / "nsddata/ppdata/subj01/func1pt8mm/roi/floc-faces.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.int32), np.eye(4)), path)
        with pytest.raises(ValueError, match=r"floc-faces.nii.gz has the shape \(5, 5, 5\) and the mask \(4, 3, 2\)"):
            listed(copy)[0].geometry("subj01")

    def test_a_region_that_is_no_label(self, copy):
        path = copy / "nsddata/ppdata/subj01/func1pt8mm/roi/floc-faces.nii.gz"
        nib.save(nib.Nifti1Image(np.full(SHAPES["subj01"], 0.5, np.float32), np.eye(4)), path)
        with pytest.raises(ValueError, match="floc-faces.nii.gz: labels of regions must be whole numbers"):
            listed(copy)[0].geometry("subj01")


class TestCommonBrain:
    """Places in MNI152, by which what is learnt from some brains can be carried to another."""

    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_places(self, truth, subject):
        geometry = listed(truth.root)[0].geometry(subject)
        mask = truth.regions[subject, "nsdgeneral"] > 0
        np.testing.assert_allclose(geometry.coordinates, truth.places[subject][mask], atol=1e-4)
        assert geometry.coordinates.dtype == np.float32
        assert geometry.space == "MNI152"
        # Maps are written back into the subject's own volume all the same.
        assert geometry.grid_shape == SHAPES[subject]
        np.testing.assert_allclose(geometry.affine, AFFINES[subject], rtol=1e-5)

    def test_voxels_outside_of_the_map_are_left_out(self, truth, tmp_path):
        options = {**ANY, "mask": "brain", "bad_voxels": "zero", "subjects": ["subj02"]}
        builder = prepare_corpus("nsd2022", truth.root, tmp_path / "a", **options)
        cortex = truth.regions["subj02", "nsdgeneral"] >= 0
        places = truth.places["subj02"][cortex]
        assert np.isnan(places).any(axis=1).sum() == 1
        state = load_file(builder.prepared_dir / "subjects/subj02.safetensors")
        np.testing.assert_array_equal(state["kept"], np.flatnonzero(np.isfinite(places).all(axis=1)))
        np.testing.assert_allclose(state["geometry/coordinates"], places[state["kept"]], atol=1e-4)
        info = builder.corpus_info
        assert info.facts["notes"]["voxels of subj02 outside of the map to MNI152, left out"] == 1
        assert info.preprocessing["spaces"] == {"subj02": "MNI152"}
        assert info.preprocessing["features"] == {"subj02": cortex.sum() - 1}
        native = prepare_corpus("nsd2022", truth.root, tmp_path / "b", coordinates="native", **options).corpus_info
        assert native.preprocessing["spaces"] == {"subj02": "func1pt8mm"}
        assert native.preprocessing["features"] == {"subj02": cortex.sum()}

    def test_without_maps_places_are_native(self, copy):
        for subject in SUBJECTS:
            shutil.rmtree(copy / "nsddata/ppdata" / subject / "transforms")
        assert listed(copy)[0].geometry("subj01").space == "func1pt8mm"
        with pytest.raises(FileNotFoundError, match="MNI-to-func1pt8.nii.gz is missing, so 2 of 2 subjects"):
            listed(copy, coordinates="mni")

    def test_places_of_two_kinds_are_refused(self, copy):
        shutil.rmtree(copy / "nsddata/ppdata/subj02/transforms")
        with pytest.raises(FileNotFoundError, match="subj02/transforms.*1 of 2 subjects.*coordinates='native'"):
            listed(copy)
        assert listed(copy, subjects=["subj01"])[0].geometry("subj01").space == "MNI152"
        assert listed(copy, coordinates="native")[0].geometry("subj01").space == "func1pt8mm"

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros((182, 218, 182, 3), np.uint8), r"has the shape \(182, 218, 182, 3\) and not \(4, 3, 2, 3\)"),
            (np.full((4, 3, 2, 3), 9999, np.float32), "sends none of 9 voxels into the template"),
        ],
    )
    def test_maps_that_do_not_fit(self, copy, values, message):
        path = copy / "nsddata/ppdata/subj01/transforms/MNI-to-func1pt8.nii.gz"
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        with pytest.raises(ValueError, match=f"MNI-to-func1pt8.nii.gz {message}"):
            listed(copy)[0].geometry("subj01")

    def test_vertices_have_no_coordinates(self, truth):
        with pytest.raises(ValueError, match="coordinates='mni' with space='fsaverage'"):
            listed(truth.root, space="fsaverage", coordinates="mni")


class TestFacts:
    def test_a_small_copy_is_refused(self, truth, tmp_path):
        with pytest.raises(ValueError, match="images of the experiment: expected 73000, found 1400"):
            prepare_corpus("nsd2022", truth.root, tmp_path, accept_license=True)

    def test_a_small_release_agrees_with_its_own_table(self, truth):
        builder, recordings, _ = listed(truth.root, SmallNSD, verify_facts=True)
        assert not builder.notes
        builder.download_and_prepare()
        assert not builder.corpus_info.facts["differences"]
        assert builder.expected_facts["subj02"] == {"recordings": 4, "features": NUM_VOXELS["subj02"]}
        assert min(recordings) == "subj01/average"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"num_images": 1399}, "images of the experiment: expected 1399, found 1400"),
            ({"num_shared": 599}, "shared images: expected 599, found 600"),
            ({"images_per_subject": 999}, r"images of each: expected \(2, 999\), found \(2, 1000\)"),
            ({"shapes": {"subj02": (2, 4, 4)}}, r"volume of subj02: expected \(2, 4, 4\), found \(2, 4, 3\)"),
            ({"sessions": {"subj01": 4, "subj02": 2}}, r"sessions of subj02: expected \[1, 2\], found \[1, 2, 3\]"),
        ],
    )
    def test_every_difference_has_its_message(self, truth, change, message):
        class OtherNSD(SmallNSD):
            facts = replace(SmallNSD.facts.func(None), **change)

        with pytest.raises(ValueError, match=message):
            listed(truth.root, OtherNSD, verify_facts=True)

    def test_the_table(self):
        """Numbers of Allen et al. and of published decoders, written a second time."""
        facts = NSD_FACTS
        assert sum(facts.sessions.values()) * facts.trials_per_session == 213_000
        assert [facts.voxels[f"subj0{n}"] for n in (1, 2, 5, 7)] == [15724, 14278, 13039, 12682]
        assert facts.num_shared + 8 * (facts.images_per_subject - facts.num_shared) == facts.num_images == 73_000
        assert sum(facts.seen[n][0] - facts.seen[n][1] for n in facts.sessions.values()) + 1000 == 70_566
        assert facts.num_shared_before_withheld == 982

    @pytest.mark.parametrize(
        ("options", "subject", "expected"),
        [
            ({}, "subj01", {"recordings": 41, "stories": 10_000, "frames": 31_000}),
            ({"test_repeats": "single"}, "subj01", {"recordings": 40, "stories": 10_000, "frames": 30_000}),
            ({}, "subj08", {"recordings": 31, "stories": 9_209, "frames": 22_500 + 907}),
            ({"test_images": "shared982"}, "subj01", {"recordings": 41, "stories": 9_982, "frames": 30_982}),
            ({"test_images": "shared982"}, "subj08", {"recordings": 31, "stories": 9_209, "frames": 23_407}),
            ({"sessions": "first_release"}, "subj01", {"recordings": 38, "stories": 9_841, "frames": 27_750 + 982}),
            ({"sessions": "first_release"}, "subj08", {"recordings": 28}),
        ],
    )
    def test_what_is_expected_under_the_options(self, options, subject, expected):
        found = NSD2022(data_dir=".", **options).expected_facts[subject]
        assert found == expected | {"features": NSD_FACTS.voxels[subject]}

    def test_voxels_are_expected_of_nsdgeneral_in_the_volume_only(self):
        assert "features" not in NSD2022(data_dir=".", mask="brain").expected_facts["subj01"]
        assert "features" not in NSD2022(data_dir=".", space="fsaverage").expected_facts["subj01"]

    def test_consent_is_asked_for(self, truth, tmp_path):
        with pytest.raises(
            ValueError, match="Terms and Conditions of the Natural Scenes Dataset.*accept_license=True"
        ):
            prepare_corpus("nsd2022", truth.root, tmp_path, verify_facts=False)
        assert not NSD2022.MAY_REDISTRIBUTE


class TestPrepared:
    def test_official_division(self, truth, tmp_path):
        options = {**ANY, "dtype": "float32", "standardize": "none", "bad_voxels": "zero"}
        builder = prepare_corpus("nsd2022", truth.root, tmp_path, **options)
        dataset = builder.as_dataset_dict()
        shared = {f"nsd/{image}" for image in truth.shared}
        assert set(dataset["test"]["group"]) == shared
        assert not shared & set(dataset["train"]["group"])
        assert not set(dataset["train"]["group"]) & set(dataset["validation"]["group"])
        for row in dataset["train"].with_format("numpy").select(range(0, len(dataset["train"]), 200)):
            session, trial = int(row["session"][-2:]), int(row["sample_id"].rsplit("/", 1)[1])
            values = truth.percent(row["subject"], session)[trial]
            np.testing.assert_allclose(np.asarray(row["brain_values"])[0], values, rtol=1e-5)
        assert builder.corpus_info.facts["subjects"]["subj01"]["features"] == NUM_VOXELS["subj01"]
        assert any("sessions of subj01" in line for line in builder.corpus_info.facts["differences"])

    def test_sessions_are_standardised_by_training_trials(self, truth, tmp_path):
        options = {**ANY, "dtype": "float32", "validation_fraction": 0}
        dataset = prepare_corpus("nsd2022", truth.root, tmp_path, **options).as_dataset_dict()
        train = dataset["train"]
        places = list(zip(train["subject"], train["session"], strict=True))
        for subject, session in (("subj01", "session03"), ("subj02", "session01")):
            own = [row for row, place in enumerate(places) if place == (subject, session)]
            rows = np.concatenate([np.asarray(frames) for frames in train.select(own)["brain_values"]])
            np.testing.assert_allclose(np.mean(rows, axis=0), 0, atol=1e-4)
            np.testing.assert_allclose(np.std(rows, axis=0), 1, atol=1e-4)

    def test_a_subject_is_held_out(self, truth, tmp_path):
        options = {**ANY, "split": "subject", "test_subjects": ["subj02"]}
        dataset = prepare_corpus("nsd2022", truth.root, tmp_path, **options).as_dataset_dict()
        assert set(dataset["test"]["subject"]) == {"subj02"}
        assert set(dataset["train"]["subject"]) == {"subj01"}
        assert not set(dataset["test"]["group"]) & set(dataset["train"]["group"])
