# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Files of maps: voxel i of the map is voxel i of the mask; and pictures, which need nothing from outside."""

import socket
import sys

import nibabel as nib
import numpy as np
import pytest

from dataset_builders import prepare_corpus, save_corpus
from dataset_builders.corpora.synthetic.nsd_files import Dials, write_synthetic_nsd
from trainers.data.geometry import SubjectGeometry, read_geometries
from trainers.maps.images import fill_image, write_brain_image
from trainers.maps.plots import glass_brain, projections, surface


SHAPE = (4, 5, 6)


def surfaces(num_vertices: int = 20) -> SubjectGeometry:
    kept = np.flatnonzero(np.arange(2 * num_vertices) % 3 > 0)
    return SubjectGeometry(len(kept), space="fsaverage5", grid_shape=(2 * num_vertices,), grid_index=kept)


class TestFiles:
    def test_volume_of_a_prepared_corpus(self, tmp_path):
        """Against the mask file of the release, which the geometry was read from by other code."""
        dials = Dials(num_subjects=2, num_sessions=1, trials_per_session=24, num_shared=2, num_voxels=40)
        release = write_synthetic_nsd(tmp_path / "release", dials)
        builder = prepare_corpus("synthetic_images", release, cache_dir=tmp_path / "cache")
        save_corpus(builder, tmp_path / "rows")
        geometry = read_geometries(str(tmp_path / "rows"))["subj02"]
        mask = nib.load(release / "nsddata/ppdata/subj02/func1pt8mm/roi/nsdgeneral.nii.gz")
        inside = np.asarray(mask.dataobj) > 0
        values = np.random.default_rng(0).standard_normal(geometry.num_voxels).astype(np.float32)
        (path,) = write_brain_image(tmp_path / "maps" / "score", values, geometry)
        image = nib.load(path)
        found = np.asarray(image.dataobj)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found[inside], values)
        assert np.isnan(found[~inside]).all()
        np.testing.assert_array_equal(image.affine, mask.affine)
        assert image.shape == mask.shape

    def test_surfaces(self, tmp_path):
        geometry = surfaces()
        values = np.random.default_rng(1).standard_normal(geometry.num_voxels).astype(np.float32)
        paths = write_brain_image(tmp_path / "score", values, geometry)
        assert [path.name for path in paths] == ["score_hemi-L.func.gii", "score_hemi-R.func.gii"]
        images = [nib.load(path) for path in paths]
        whole = np.concatenate([image.darrays[0].data for image in images])
        np.testing.assert_array_equal(whole[geometry.grid_index], values)
        assert np.isnan(np.delete(whole, geometry.grid_index)).all()
        assert [image.meta["AnatomicalStructurePrimary"] for image in images] == ["CortexLeft", "CortexRight"]
        two_axes = SubjectGeometry(len(values), grid_shape=(2, 20), grid_index=geometry.grid_index)
        np.testing.assert_array_equal(fill_image(values, two_axes), fill_image(values, geometry))

    def test_a_subject_without_a_grid(self, tmp_path):
        with pytest.raises(ValueError, match="does not say where in an image its voxels lie"):
            write_brain_image(tmp_path / "score", np.ones(3), SubjectGeometry(3))
        with pytest.raises(ValueError, match="does not say where in an image its voxels lie"):
            fill_image(np.ones(2), SubjectGeometry(2, grid_shape=SHAPE, grid_index=np.arange(2)))

    def test_features_in_place_of_voxels(self):
        geometry = SubjectGeometry(9, grid_shape=SHAPE, grid_index=np.arange(9), affine=np.eye(4))
        with pytest.raises(ValueError, match=r"the 9 voxels of the subject's mask; found shape \[4\]"):
            fill_image(np.ones(4), geometry)


class TestPictures:
    PLACES = np.random.default_rng(2).uniform(-60, 60, (50, 3))
    SCORES = np.random.default_rng(3).standard_normal(50)

    def test_projections(self):
        svg = projections(self.PLACES, self.SCORES, "subj01, $gradient$", "nats")
        assert svg == projections(self.PLACES, self.SCORES, "subj01, $gradient$", "nats")
        assert svg.startswith("<svg")
        assert all(word in svg for word in ("subj01, $gradient$", "nats", "from above", "from the right", "y / mm"))
        assert projections(self.PLACES, 0 * self.SCORES, "subj01, $gradient$", "nats") != svg

    @pytest.fixture
    def no_network(self, monkeypatch):
        def refuse(*arguments):
            raise OSError("a picture wants to download something")

        monkeypatch.setattr(socket.socket, "connect", refuse)

    @pytest.mark.slow
    def test_glass_brain_and_surface_without_a_network(self, no_network):
        pytest.importorskip("nilearn", reason="SKIPPED FOR WANT OF NILEARN: it comes with the extra `maps`")
        coarse = np.random.default_rng(4).standard_normal((2, 10_242))
        fine = np.pad(coarse, ((0, 0), (0, 40_962 - 10_242)), constant_values=np.nan)
        pictures = [
            surface(coarse, "scores"),
            surface(fine, "scores"),
            glass_brain(self.PLACES, self.SCORES, "scores"),
        ]
        assert all(picture.startswith(b"\x89PNG") for picture in pictures)
        assert pictures[0] == pictures[1]  # finer surfaces begin with the vertices of the coarse one

    def test_without_nilearn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "nilearn", None)
        with pytest.raises(ImportError, match=r'not installed: `pip install "brainllm\[maps\]"`'):
            glass_brain(self.PLACES, self.SCORES, "scores")

    def test_another_surface(self):
        with pytest.raises(ValueError, match="`values` have 20 vertices a hemisphere"):
            surface(np.ones((2, 20)), "scores")
