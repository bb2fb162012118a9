# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Simulated brains have a common brain: places, regions and tunings in it are found again."""

import numpy as np
import pytest
from layouts.synthetic_builders import SMALL, listed
from safetensors.numpy import load_file

from dataset_builders import prepare_corpus
from dataset_builders.corpora.synthetic.images import Dials, write_synthetic_nsd
from dataset_builders.corpora.synthetic.scenes import hash_embedding


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    dials = Dials(num_subjects=4, num_sessions=2, trials_per_session=300, num_shared=50, num_voxels=120, alignment=1)
    return write_synthetic_nsd(tmp_path_factory.mktemp("release") / "synthetic", dials)


def encoding_weights(folder, subject):
    """Ridge weights [voxels, width] from what captions mean to betas, from training images; and places [voxels, 3]."""
    builder, recordings, samples = listed(folder, subjects=[subject])
    rows = [sample for sample in samples if sample.official_split == "train"]
    meanings = np.stack([hash_embedding(sample.references).mean(0) for sample in rows])
    betas = {}
    for name, recording in recordings.items():
        values = recording.read()
        betas[name] = (values - values.mean(0)) / values.std(0)
    values = np.stack([betas[sample.recording][sample.frames[0]] for sample in rows])
    meanings = meanings - meanings.mean(0)
    gram = meanings.T @ meanings + 5 * np.eye(meanings.shape[1])
    places = builder.geometry(subject).coordinates
    return np.linalg.solve(gram, meanings.T @ values).T, (places - places.mean(0)) / places.std(0)


def identification_of_a_new_subject(folder, subjects, new):
    """Share of pairs of test images that are told apart in a subject whose brain was never trained on."""
    known = [encoding_weights(folder, subject) for subject in subjects]
    builder, recordings, samples = listed(folder, subjects=[new])
    places = builder.geometry(new).coordinates
    places = (places - places.mean(0)) / places.std(0)
    nearest = [
        weights[((places[:, None] - there[None]) ** 2).sum(-1).argsort(axis=1)[:, :4]].mean(1)
        for weights, there in known
    ]
    tested = [sample for sample in samples if sample.official_split == "test"]
    meanings = np.stack([hash_embedding(sample.references).mean(0) for sample in tested])
    measured = recordings[f"{new}/average"].read()
    predicted = (meanings - meanings.mean(0)) @ np.mean(nearest, axis=0).T
    similarity = np.corrcoef(predicted, measured - measured.mean(0))[: len(tested), len(tested) :]
    other = ~np.eye(len(tested), dtype=bool)
    return (np.diag(similarity)[:, None] > similarity)[other].mean()


class TestAlignment:
    def test_a_new_subject_is_read_by_coordinates_alone(self, release):
        assert identification_of_a_new_subject(release, ["subj01", "subj02", "subj03"], "subj04") > 0.85

    def test_brains_that_share_nothing_teach_nothing(self, tmp_path):
        scores = []
        for seed in range(3):
            dials = Dials(**SMALL | {"num_shared": 30, "num_sessions": 4}, alignment=0, corpus_seed=seed)
            folder = write_synthetic_nsd(tmp_path / str(seed), dials)
            scores.append(identification_of_a_new_subject(folder, ["subj01"], "subj02"))
        assert abs(np.mean(scores) - 0.5) < 0.15

    @pytest.mark.parametrize("alignment", [0, 0.5, 1])
    def test_tunings_at_one_place_correlate_as_the_dial_says(self, tmp_path, alignment):
        """Each voxel against the one at nearly the same place of another brain, of the truth that is written."""
        dials = Dials(**SMALL | {"num_voxels": 1500, "num_sessions": 1, "num_subjects": 4}, alignment=alignment)
        truth = load_file(write_synthetic_nsd(tmp_path / "release", dials) / "planted_truth.safetensors")
        found = []
        for other in ("subj02", "subj03", "subj04"):
            gaps = ((truth["subj01/places"][:, None] - truth[f"{other}/places"][None]) ** 2).sum(-1)
            close = gaps.min(1) < 0.05**2
            pairs = zip(truth["subj01/tuning"][close], truth[f"{other}/tuning"][gaps.argmin(1)[close]], strict=True)
            found += [np.corrcoef(a, b)[0, 1] for a, b in pairs]
        assert np.mean(found) == pytest.approx(alignment, abs=0.06)

    def test_neighbours_are_tuned_alike(self, release):
        truth = load_file(release / "planted_truth.safetensors")
        gaps = np.linalg.norm(truth["subj01/places"][:, None] - truth["subj01/places"][None], axis=-1)
        alike = np.corrcoef(truth["subj01/tuning"])
        near, far = (gaps > 0) & (gaps < 0.3), gaps > 1.2
        assert alike[near].mean() > 0.6
        assert abs(alike[far].mean()) < 0.15


class TestCommonBrain:
    def test_planted_places_are_found_in_the_prepared_corpus(self, release, tmp_path):
        builder = prepare_corpus("synthetic_images", release, tmp_path)
        truth = load_file(release / "planted_truth.safetensors")
        for subject in ("subj01", "subj02", "subj03", "subj04"):
            state = load_file(builder.prepared_dir / "subjects" / f"{subject}.safetensors")
            planted = 70 * truth[f"{subject}/places"][state["kept"]]
            np.testing.assert_allclose(state["geometry/coordinates"], planted, atol=1e-4)
        assert set(builder.corpus_info.preprocessing["spaces"].values()) == {"MNI152"}

    def test_the_whole_brain_has_places(self, release):
        geometry = listed(release, mask="brain")[0].geometry("subj01")
        assert np.isfinite(geometry.coordinates).all()
        assert np.linalg.norm(geometry.coordinates, axis=1).max() <= 70.001

    def test_regions_lie_at_one_place_in_all_brains(self, tmp_path):
        """The nearest voxel of another brain has the same label, but for borders."""
        dials = Dials(**SMALL | {"num_voxels": 2000, "num_sessions": 1})
        builder, _, _ = listed(write_synthetic_nsd(tmp_path / "release", dials))
        first, other = builder.geometry("subj01"), builder.geometry("subj02")
        gaps = np.linalg.norm(first.coordinates[:, None] - other.coordinates[None], axis=-1)
        nearest, close = gaps.argmin(1), gaps.min(1) < 3
        for name in ("streams", "prf-visualrois", "floc-faces", "floc-places", "Kastner2015"):
            labels = first.roi_labels[name][close], other.roi_labels[name][nearest][close]
            assert (labels[0] == labels[1]).mean() > 0.7, name
            assert len(np.unique(labels[0])) > 1
        assert len(np.unique(first.roi_labels["HCP_MMP1"])) > 20
        assert first.roi_labels["HCP_MMP1"].min() > 0
        assert first.roi_names["Kastner2015"][17] == "IPS0"
