# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Simulated brains in the layout of NSD: the files, the planted truth found again, and the scenes behind them."""

import csv
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from layouts.nsd import write_nsd
from layouts.synthetic_builders import SMALL, listed
from safetensors.numpy import load_file
from scipy.io import loadmat

from dataset_builders import prepare_corpus
from dataset_builders.corpora.synthetic.images import Dials, SyntheticImages, write_synthetic_nsd
from dataset_builders.preparation.noise_ceiling import signal_to_noise
from dataset_builders.publishing.card import dataset_card


def standardized_trials(folder, subject):
    """Standardised betas [trials, voxels], and the image of each trial, of a subject."""
    _, recordings, samples = listed(folder, subjects=[subject], test_repeats="single")
    values, images = [], []
    for name, recording in recordings.items():
        betas = recording.read()
        values.append((betas - betas.mean(0)) / betas.std(0))
        images += [int(sample.group.removeprefix("nsd/")) for sample in samples if sample.recording == name]
    return np.concatenate(values), np.array(images)


def repeats_of(folder, subject):
    """Repeats [3, images, voxels] of every image of a subject."""
    values, images = standardized_trials(folder, subject)
    order = np.argsort(images, kind="stable").reshape(-1, 3)
    return values[order].transpose(1, 0, 2)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    dials = Dials(num_subjects=4, num_sessions=2, trials_per_session=300, num_shared=50, num_voxels=120, alignment=1)
    return write_synthetic_nsd(tmp_path_factory.mktemp("release") / "synthetic", dials)


class TestPlantedSignal:
    @pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
    def test_the_ratio_is_found_from_repeats(self, tmp_path, ratio):
        dials = Dials(**SMALL | {"num_subjects": 1, "trials_per_session": 300}, signal_to_noise=ratio)
        repeats = repeats_of(write_synthetic_nsd(tmp_path / "release", dials), "subj01")
        assert repeats.shape[:2] == (3, 200)
        assert np.mean(signal_to_noise(repeats) ** 2) == pytest.approx(ratio, rel=0.12)
        # An independent estimate: two repeats share the signal, so they correlate by its share of the variance.
        correlations = [np.corrcoef(repeats[0, :, v], repeats[1, :, v])[0, 1] for v in range(repeats.shape[2])]
        assert np.mean(correlations) == pytest.approx(ratio / (1 + ratio), abs=0.05)

    def test_nothing_is_found_where_nothing_was_planted(self, tmp_path):
        dials = Dials(**SMALL | {"num_subjects": 1, "trials_per_session": 300}, signal_to_noise=0)
        repeats = repeats_of(write_synthetic_nsd(tmp_path / "release", dials), "subj01")
        correlations = [np.corrcoef(repeats[0, :, v], repeats[1, :, v])[0, 1] for v in range(repeats.shape[2])]
        assert abs(np.mean(correlations)) < 4 / np.sqrt(200 * len(correlations))
        assert np.mean(signal_to_noise(repeats) ** 2) < 0.05

    def test_measured_averages_follow_the_planted_map(self, release):
        """The true map explains of the averages what the noise ceiling allows: 1 / (1 + 1/3) for three repeats."""
        truth = load_file(release / "planted_truth.safetensors")
        values, images = standardized_trials(release, "subj02")
        seen = np.unique(images)
        averages = np.stack([values[images == image].mean(0) for image in seen])
        predicted = truth["embeddings"][seen - 1] @ truth["subj02/tuning"].T
        explained = [np.corrcoef(predicted[:, v], averages[:, v])[0, 1] ** 2 for v in range(predicted.shape[1])]
        assert np.mean(explained) == pytest.approx(0.75, abs=0.03)

    def test_the_noise_ceiling_of_the_release_is_the_planted_one(self, release):
        builder, _, _ = listed(release)
        np.testing.assert_allclose(builder.geometry("subj01").noise_ceiling, 75, rtol=1e-4)

    def test_sessions_have_levels_and_gains_of_their_own(self, release):
        _, recordings, _ = listed(release, test_repeats="single")
        first, second = (recordings[f"subj01/session0{n}"].read() for n in (1, 2))
        assert np.abs(first.mean(0) - second.mean(0)).mean() > 0.3
        assert np.corrcoef(first.std(0), second.std(0))[0, 1] < 0.5

    def test_variance_does_not_betray_the_signal(self, tmp_path):
        spreads = []
        for ratio in (0.0, 4.0):
            dials = Dials(**SMALL, signal_to_noise=ratio)
            _, recordings, _ = listed(write_synthetic_nsd(tmp_path / str(ratio), dials), test_repeats="single")
            spreads.append(np.mean([recording.read().std(0).mean() for recording in recordings.values()]))
        assert spreads[0] == pytest.approx(spreads[1], rel=0.05)


class TestLayout:
    def test_the_same_tables_as_the_fixtures_of_nsd(self, tmp_path):
        """Two writers that share no code: names and kinds agree."""
        ours, theirs = write_synthetic_nsd(tmp_path / "ours", Dials(**SMALL)), write_nsd(tmp_path / "theirs").root
        for name in ("nsddata/experiments/nsd/nsd_stim_info_merged.csv", "nsddata/ppdata/subj01/behav/responses.tsv"):
            headers = [next(csv.reader((root / name).open(newline=""))) for root in (ours, theirs)]
            assert headers[0] == headers[1]
        designs = [loadmat(root / "nsddata/experiments/nsd/nsd_expdesign.mat") for root in (ours, theirs)]
        for name in ("masterordering", "subjectim", "sharedix"):
            assert {design[name].dtype.kind for design in designs} == {"f"}
            assert designs[0][name].ndim == designs[1][name].ndim
        assert {design["masterordering"].min() for design in designs} == {1}
        assert {design["subjectim"].min() for design in designs} == {1}
        for name in ("betas_fithrf_GLMdenoise_RR/betas_session01.nii.gz", "betas_fithrf_GLMdenoise_RR/ncsnr.nii.gz"):
            path = f"nsddata_betas/ppdata/subj01/func1pt8mm/{name}"
            headers = [nib.load(root / path).header for root in (ours, theirs)]
            assert headers[0].get_data_dtype() == headers[1].get_data_dtype()
            assert headers[0].get_slope_inter() == headers[1].get_slope_inter() == (None, None)
        names = [{p.name for p in (root / "annotations").glob("captions_*")} for root in (ours, theirs)]
        assert names[0] == names[1]

    def test_subjects_differ(self, release):
        builder, recordings, _ = listed(release, coordinates="native")
        geometries = [builder.geometry(f"subj0{n}") for n in (1, 2, 3, 4)]
        assert len({geometry.grid_shape for geometry in geometries}) > 1
        assert len({len(geometry.coordinates) for geometry in geometries}) == 4
        centres = np.stack([geometry.coordinates.mean(0) for geometry in geometries])
        assert np.ptp(centres, axis=0).min() > 1
        for geometry in geometries:
            assert geometry.roi_names["streams"] == ["early", "ventral", "lateral", "parietal"]
            assert np.bincount(geometry.roi_labels["streams"])[1:].min() > 3
            assert (geometry.roi_labels["nsdgeneral"] == 1).all()
        labels = nib.load(release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz").get_fdata()
        assert set(np.unique(labels)) == {-1, 0, 1}
        assert recordings["subj01/session01"].num_features == len(geometries[0].coordinates)

    def test_both_formats_hold_the_same(self, tmp_path):
        values = []
        for file_format in ("nii.gz", "hdf5"):
            folder = write_synthetic_nsd(tmp_path / file_format, Dials(**SMALL, file_format=file_format))
            _, recordings, _ = listed(folder)
            values.append(recordings["subj02/average"].read())
        np.testing.assert_array_equal(values[0], values[1])


class TestPrepared:
    def test_from_nothing(self, tmp_path):
        builder = prepare_corpus("synthetic_images", cache_dir=tmp_path, **SMALL)
        dataset = builder.as_dataset_dict()
        assert len(dataset["test"]) == 2 * 10
        assert len(dataset["train"]) + len(dataset["validation"]) == 2 * 30 * 3
        assert not builder.corpus_info.facts["differences"]
        assert all(len(references) == 5 for references in dataset["test"]["references"])
        assert list((tmp_path / "synthetic_images_sources").iterdir()) == []
        assert SyntheticImages.MAY_REDISTRIBUTE
        assert not SyntheticImages.CONSENT

    def test_from_a_written_release(self, release, tmp_path):
        dataset = prepare_corpus("synthetic_images", release, tmp_path).as_dataset_dict()
        assert len(dataset["test"]) == 4 * 50
        assert (release / "synthetic_nsd.json").is_file()

    def test_new_subject_on_new_images(self, release, tmp_path):
        """Others to subj04: tested on the averages of the shared images, which nobody was trained on."""
        options = {"test_subjects": ["subj04"]}
        dataset = prepare_corpus("synthetic_images", release, tmp_path, **options).as_dataset_dict()
        shared = set(prepare_corpus("synthetic_images", release, tmp_path).as_dataset_dict()["test"]["group"])
        assert set(dataset["test"]["subject"]) == {"subj04"}
        assert set(dataset["test"]["session"]) == {"average"}
        assert set(dataset["test"]["group"]) == shared
        for name in ("train", "validation"):
            assert set(dataset[name]["subject"]) == {"subj01", "subj02", "subj03"}
            assert not set(dataset[name]["group"]) & shared
        assert not set(dataset["train"]["group"]) & set(dataset["validation"]["group"])
        assert (tmp_path / "synthetic_images_sources").exists() is False

    def test_adaptation_to_a_new_subject(self, release, tmp_path):
        """Few images of it in training; trials lie on the scale of the averages all the same."""
        options = {"test_subjects": ["subj04"], "dtype": "float32"}
        plain = prepare_corpus("synthetic_images", release, tmp_path, **options).as_dataset_dict()
        builder = prepare_corpus("synthetic_images", release, tmp_path, num_adaptation_groups=4, **options)
        dataset = builder.as_dataset_dict()
        own = [row for row in dataset["train"] if row["subject"] == "subj04"]
        assert len({row["group"] for row in own}) == 4
        assert len(own) == 12
        assert len(dataset["train"]) == len(plain["train"]) + 12
        for name in ("validation", "test"):
            assert dataset[name]["sample_id"] == plain[name]["sample_id"]
            np.testing.assert_array_equal(dataset[name][5]["brain_values"], plain[name][5]["brain_values"])
        # They are standardised by all trials of a session that are not tested, as if all had been trained on.
        options = {"subjects": ["subj04"], "validation_fraction": 0, "dtype": "float32"}
        within = prepare_corpus("synthetic_images", release, tmp_path, **options).as_dataset_dict()["train"]
        values = {row["sample_id"]: row["brain_values"] for row in within}
        for row in own:
            np.testing.assert_array_equal(row["brain_values"], values[row["sample_id"]])
        assert builder.corpus_info.split.num_adaptation_groups == 4
        assert "Tested: subj04, of each of whom 4 stimuli" in dataset_card(dataset, builder.corpus_info)

    def test_the_same_dials_give_the_same_corpus(self, tmp_path):
        prints = [
            prepare_corpus("synthetic_images", cache_dir=tmp_path / str(n), **SMALL, **more).corpus_info.fingerprint
            for n, more in enumerate(({}, {}, {"corpus_seed": 1}))
        ]
        assert prints[0] == prints[1] != prints[2]

    def test_several_processes_give_the_same_corpus(self, tmp_path):
        prints = [
            prepare_corpus("synthetic_images", None, tmp_path / str(n), num_proc=n, **SMALL).corpus_info.fingerprint
            for n in (1, 2)
        ]
        assert prints[0] == prints[1]

    def test_an_interrupted_release_is_written_again(self, tmp_path):
        builder = SyntheticImages(cache_dir=str(tmp_path), **SMALL)
        partial = builder._written.with_suffix(".incomplete")
        partial.mkdir(parents=True)
        (partial / "half").write_text("")
        builder.download_and_prepare()
        assert builder.as_dataset_dict()["test"]

    def test_images_of_a_coco_file(self, tmp_path):
        content = {
            "images": [{"id": 7 * n} for n in range(1, 81)],
            "annotations": [
                {"image_id": 7 * n, "caption": f"image {n} shows {k}"} for n in range(1, 81) for k in "abc"
            ],
        }
        path = tmp_path / "captions_val2017.json"
        path.write_text(json.dumps(content))
        dataset = prepare_corpus("synthetic_images", cache_dir=tmp_path / "c", captions_file=str(path), **SMALL)
        rows = dataset.as_dataset_dict()["train"]
        assert all(len(references) == 3 for references in rows["references"])
        assert len({text.split()[1] for text in rows["text"]}) <= 60

    def test_the_published_captions(self, tmp_path):
        shared = Path(os.environ.get("BRAINLLM_SHARED", Path(__file__).parents[5] / "shared"))
        path = shared / "data/coco_captions/captions_val2017.json"
        if not path.is_file():
            pytest.skip(
                f"THE PUBLISHED CAPTIONS ARE NOT TESTED: {path} is absent; set BRAINLLM_SHARED to the data folder"
            )
        dataset = prepare_corpus("synthetic_images", cache_dir=tmp_path, captions_file=str(path), **SMALL)
        references = dataset.as_dataset_dict()["train"]["references"]
        assert {len(captions) for captions in references} <= {5, 6, 7}


class TestEmbeddings:
    def test_vectors_of_images(self, tmp_path):
        """One row for each captioned image, in their order: image 7 * n means n."""
        captions = {7 * n: [f"image {n}", f"again {n}"] for n in range(1, 91)}
        vectors = np.stack([np.arange(1, 91), np.zeros(90)], axis=1)
        folder = write_synthetic_nsd(tmp_path / "release", Dials(**SMALL), captions, vectors)
        _, _, samples = listed(folder)
        meanings = load_file(folder / "planted_truth.safetensors")["embeddings"][:, 0]
        found = {int(s.group.removeprefix("nsd/")): int(s.text.split()[1]) for s in samples}
        numbers = np.array([found[image] for image in range(1, len(meanings) + 1)])
        np.testing.assert_allclose(meanings, numbers - numbers.mean(), atol=1e-4)

    def test_a_function_of_texts_is_averaged_over_captions(self, tmp_path):
        captions = {n: [f"{n}", f"{n + 1}"] for n in range(90)}

        def embed(texts):
            return np.array([[float(text)] for text in texts])

        folder = write_synthetic_nsd(tmp_path / "release", Dials(**SMALL), captions, embed)
        _, _, samples = listed(folder)
        meanings = load_file(folder / "planted_truth.safetensors")["embeddings"][:, 0]
        found = {int(s.group.removeprefix("nsd/")): float(s.text) + 0.5 for s in samples}
        numbers = np.array([found[image] for image in range(1, len(meanings) + 1)])
        np.testing.assert_allclose(meanings, numbers - numbers.mean(), atol=1e-3)

    @pytest.mark.parametrize(
        ("embed", "message"),
        [
            (np.zeros((7, 2)), r"embed has the shape \(7, 2\): expected 90 rows"),
            (np.full((90, 2), np.nan), "rows of finite numbers"),
            (lambda texts: np.zeros(len(texts)), r"embed has the shape \(\d+,\)"),
            (np.ones((90, 2)), "the same vector"),
        ],
    )
    def test_vectors_that_do_not_fit(self, tmp_path, embed, message):
        captions = {n: [f"image {n}"] for n in range(90)}
        with pytest.raises(ValueError, match=message):
            write_synthetic_nsd(tmp_path / "release", Dials(**SMALL), captions, embed)


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_subjects", 0),
            ("num_subjects", 100),
            ("num_sessions", 0),
            ("trials_per_session", 1),
            ("num_voxels", 3),
            ("num_shared", 0),
            ("num_shared", 40),
            ("signal_to_noise", -0.1),
            ("alignment", 1.1),
        ],
    )
    def test_dials_out_of_range(self, tmp_path, name, value):
        with pytest.raises(ValueError, match=f"{name}={value}: choose from"):
            write_synthetic_nsd(tmp_path / "release", Dials(**SMALL | {name: value}))
        with pytest.raises(ValueError, match=f"{name}={value}: choose from"):
            SyntheticImages(cache_dir=str(tmp_path), **SMALL | {name: value})

    def test_trials_that_are_no_multiple_of_three(self, tmp_path):
        with pytest.raises(ValueError, match="trials_per_session=61 cannot show every image 3 times"):
            write_synthetic_nsd(tmp_path / "release", Dials(**SMALL | {"trials_per_session": 61}))

    def test_too_few_captions(self, tmp_path):
        with pytest.raises(ValueError, match="captions are of 1 images, and these dials need 70"):
            write_synthetic_nsd(tmp_path / "release", Dials(**SMALL), {1: ["a cat"]})

    def test_a_folder_that_is_not_empty(self, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(FileExistsError, match="is not empty"):
            write_synthetic_nsd(tmp_path)

    def test_dials_for_a_written_release(self, release, tmp_path):
        with pytest.raises(ValueError, match="signal_to_noise with data_dir=.* has its own dials"):
            prepare_corpus("synthetic_images", release, tmp_path, signal_to_noise=2.0)

    def test_a_release_of_someone_else(self, tmp_path):
        root = write_nsd(tmp_path / "nsd").root
        with pytest.raises(FileNotFoundError, match="synthetic_nsd.json"):
            listed(root)
        (root / "synthetic_nsd.json").write_text("{}")
        with pytest.raises(ValueError, match="is not as write_synthetic_nsd wrote it"):
            listed(root)

    def test_too_few_sessions_for_the_options_of_nsd(self, tmp_path):
        folder = write_synthetic_nsd(tmp_path / "release", Dials(**SMALL))
        with pytest.raises(FileNotFoundError, match="none of the sessions 1 to -1"):
            listed(folder, sessions="first_release")
