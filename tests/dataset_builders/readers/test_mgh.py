# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import gzip
import struct

import numpy as np
import pytest
from nibabel.freesurfer import MGHImage

from dataset_builders.readers.volumes import nifti_header, read_mgh, read_nifti


SHAPE = (3, 4, 2, 5)  # all different, so that swapped axes cannot go unseen
AFFINE = np.array([[-1.8, 0.1, 0, 70], [0, 1.8, 0.2, -90], [0, 0, 1.8, -45.5], [0, 0, 0, 1]])
TRUTH = np.random.default_rng(3).normal(0, 100, SHAPE).astype(np.float32)
MASK = np.random.default_rng(5).random(SHAPE[:3]) < 0.4


def save_mgh(path, values=TRUTH):
    MGHImage(values, AFFINE).to_filename(path)
    return path


def write(path, content):
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------------------------------ volumes
@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
def test_mgh_equals_the_truth(tmp_path, suffix):
    path = save_mgh(tmp_path / f"bold{suffix}", TRUTH)
    header = nifti_header(path)
    assert (header.shape, header.tr_seconds, header.is_mgh) == (SHAPE, None, True)
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-4)
    np.testing.assert_array_equal(read_nifti(path), TRUTH)
    np.testing.assert_array_equal(read_nifti(path, MASK), TRUTH[MASK].T)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_types(tmp_path, dtype):
    values = np.abs(TRUTH).astype(np.uint8).astype(dtype)
    path = save_mgh(tmp_path / "brain.mgz", values)
    np.testing.assert_array_equal(read_nifti(path), values.astype(np.float32))
    stored = read_nifti(path, scaled=False)
    assert stored.dtype == np.dtype(dtype)  # in the byte order of the machine; files have the other one
    np.testing.assert_array_equal(stored, values)


def test_single_volume(tmp_path):
    path = save_mgh(tmp_path / "brain.mgz", TRUTH[..., 0])
    assert nifti_header(path).shape == SHAPE[:3]
    np.testing.assert_array_equal(read_nifti(path), TRUTH[..., 0])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_mgh_may_end_with_tags(tmp_path, pack):
    content = save_mgh(tmp_path / "plain.mgh", TRUTH).read_bytes()
    path = write(tmp_path / "tags.mgh", pack(content + b"mri_convert --out x" * 9))
    np.testing.assert_array_equal(read_nifti(path), TRUTH)
    with pytest.raises(ValueError, match=r"tags\.mgh goes on behind byte 764"):
        read_nifti(write(path, pack(content + bytes(2_000_000))))
    with pytest.raises(ValueError, match=r"tags\.mgh (is too short|ends within frame 4)"):
        read_nifti(write(path, pack(content[:-30])))


@pytest.mark.parametrize(("place", "complaint"), [(4, r"dimensions \[0, 4, 2, 5\]"), (20, "values of MGH type 9")])
def test_damaged_mgh_header(tmp_path, place, complaint):
    content = bytearray(save_mgh(tmp_path / "brain.mgh", TRUTH).read_bytes())
    struct.pack_into(">i", content, place, 0 if place == 4 else 9)
    with pytest.raises(ValueError, match=rf"brain\.mgh has a damaged header: it says .*{complaint}"):
        nifti_header(write(tmp_path / "brain.mgh", content))


# ----------------------------------------------------------------------------------------------------------- surfaces
@pytest.mark.parametrize("shape", [(7, 1, 1), (7, 1, 1, 5)])
def test_surface_in_mgh(tmp_path, shape):
    truth = TRUTH.flat[: np.prod(shape)].reshape(-1, 7)
    values = read_mgh(save_mgh(tmp_path / "lh.betas.mgh", truth.T.reshape(shape)))
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, truth)


def test_volume_is_no_surface(tmp_path):
    with pytest.raises(
        ValueError, match=r"brain\.mgh has the shape \(3, 4, 2, 5\) and not \(vertices, 1, 1, frames\)"
    ):
        read_mgh(save_mgh(tmp_path / "brain.mgh"))
