# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Betas, masks and folders of NSD that are not as they should be: each defect by itself."""

import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from layouts.nsd import BETAS, SHAPES, TRIALS, write_nsd
from layouts.nsd_builders import ANY, SmallNSD, listed

from dataset_builders.corpora.nsd.nsd2022 import NSD2022


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return write_nsd(tmp_path_factory.mktemp("release") / "nsd")


@pytest.fixture
def copy(truth, tmp_path):
    """A release to be damaged."""
    return shutil.copytree(truth.root, tmp_path / "nsd")


def betas_path(root, session, subject="subj01", ending="nii.gz"):
    return root / f"nsddata_betas/ppdata/{subject}/func1pt8mm/{BETAS}/betas_session{session:02d}.{ending}"


class TestBadBetas:
    def test_floats_would_be_divided_twice(self, copy, truth):
        percent = np.moveaxis(truth.betas["subj01", 1], 0, -1).astype(np.float32) / 300
        nib.save(nib.Nifti1Image(percent, np.eye(4)), betas_path(copy, 1))
        with pytest.raises(ValueError, match=r"session01.nii.gz: expected int16 .* found float32 .* divided twice"):
            listed(copy)

    def test_scaled_integers_would_be_divided_twice(self, copy, truth):
        image = nib.Nifti1Image(np.moveaxis(truth.betas["subj01", 1], 0, -1), np.eye(4))
        image.header.set_slope_inter(1 / 300, 0)
        nib.save(image, betas_path(copy, 1))
        with pytest.raises(ValueError, match=r"slope and intercept \(0.0033.* divided twice"):
            listed(copy)

    @pytest.mark.parametrize("num_trials", [749, 751])
    def test_too_few_or_too_many_trials(self, copy, num_trials):
        nib.save(nib.Nifti1Image(np.zeros((4, 3, 2, num_trials), np.int16), np.eye(4)), betas_path(copy, 2))
        with pytest.raises(ValueError, match=rf"\(4, 3, 2, 750\) .* found \(4, 3, 2, {num_trials}\)"):
            listed(copy)

    def test_axes_of_hdf5_as_numpy_would_write_them(self, copy, truth):
        with h5py.File(betas_path(copy, 1, ending="hdf5"), "w") as file:
            file["betas"] = np.moveaxis(truth.betas["subj01", 1], 0, -1)
        with pytest.raises(
            ValueError, match=r"\(750, 2, 3, 4\) \[trials, z, y, x\].* \(4, 3, 2, 750\): .* in reverse"
        ):
            listed(copy, file_format="hdf5")

    def test_hdf5_without_betas(self, copy):
        with h5py.File(betas_path(copy, 1, ending="hdf5"), "w") as file:
            file["bold"] = np.zeros(3, np.int16)
        with pytest.raises(ValueError, match=r"no dataset '/betas', only \['/bold'\]"):
            listed(copy, file_format="hdf5")

    def test_the_volume_of_another_subject(self, copy):
        shutil.copy(betas_path(copy, 1, "subj02"), betas_path(copy, 1))
        with pytest.raises(ValueError, match=r"expected betas of shape \(4, 3, 2, 750\)"):
            listed(copy)

    def test_a_pointer_of_git_annex(self, copy):
        betas_path(copy, 3).write_text("/annex/objects/MD5E-s26000--0cc175b9c0f1b6a831c399e269772661.nii.gz\n")
        with pytest.raises(ValueError, match=r"session03.nii.gz is a git-annex pointer.*datalad get"):
            listed(copy)

    def test_a_gap_between_sessions(self, copy):
        betas_path(copy, 2).unlink()
        betas_path(copy, 2, ending="hdf5").unlink()
        with pytest.raises(ValueError, match=r"sessions of subj01: expected \[1, 2, 3, 4\], found \[1, 3, 4\]"):
            listed(copy, SmallNSD, verify_facts=True)
        builder, recordings, _ = listed(copy, SmallNSD)
        assert "subj01/session03" in recordings
        assert "sessions of subj01: expected [1, 2, 3, 4], found [1, 3, 4]" in builder.differences

    def test_an_empty_mask(self, copy):
        path = copy / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
        nib.save(nib.Nifti1Image(np.full(SHAPES["subj01"], -1, np.int32), np.eye(4)), path)
        with pytest.raises(ValueError, match=r"nsdgeneral.nii.gz: expected a volume with voxels above 0"):
            listed(copy)

    def test_one_hemisphere(self, copy):
        (copy / f"nsddata_betas/ppdata/subj01/fsaverage/{BETAS}/rh.betas_session01.mgh").unlink()
        with pytest.raises(FileNotFoundError, match=r"session\(s\) \[1\] have only one hemisphere"):
            listed(copy, space="fsaverage")

    def test_another_surface(self, copy):
        path = copy / f"nsddata_betas/ppdata/subj01/fsaverage/{BETAS}/rh.betas_session01.mgh"
        nib.save(nib.MGHImage(np.zeros((5, 1, 1, TRIALS), np.float32), np.eye(4)), path)
        with pytest.raises(ValueError, match=r"rh.betas_session01.mgh: expected betas of shape \(7, 1, 1, 750\)"):
            listed(copy, space="fsaverage")

    @pytest.mark.parametrize("data_dir", [None, "nowhere"])
    def test_no_folder(self, tmp_path, data_dir):
        with pytest.raises(FileNotFoundError, match="is not a folder: name the one with nsddata"):
            NSD2022(data_dir=data_dir, cache_dir=str(tmp_path), **ANY).list_recordings()

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "nsddata_betas").mkdir()
        with pytest.raises((FileNotFoundError, ValueError), match="nsd_expdesign.mat"):
            NSD2022(data_dir=tmp_path, cache_dir=str(tmp_path / "cache"), **ANY).list_recordings()
