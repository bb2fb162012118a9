# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.spatialimages import SpatialImage
from nibabel.testing import data_path

from dataset_builders.readers.volumes import nifti_header, read_mask, read_nifti


BUNDLED = Path(str(data_path))  # files of other programs, which come with nibabel
SHAPE = (3, 4, 2, 5)  # all different, so that swapped axes cannot go unseen
AFFINE = np.array([[-1.8, 0.1, 0, 70], [0, 1.8, 0.2, -90], [0, 0, 1.8, -45.5], [0, 0, 0, 1]])
TRUTH = np.random.default_rng(3).normal(0, 100, SHAPE).astype(np.float32)
COUNTS = np.random.default_rng(4).integers(-30_000, 30_000, SHAPE).astype(np.int16)
MASK = np.random.default_rng(5).random(SHAPE[:3]) < 0.4

bundled = pytest.mark.skipif(not BUNDLED.is_dir(), reason="nibabel was installed without its test files")


def save(path, values=TRUTH, kind=nibabel.Nifti1Image, tr=1.5, unit="sec"):
    image = kind(values, AFFINE)
    if values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    image.header.set_xyzt_units("mm", unit)
    image.to_filename(path)
    return path


def raw_nifti(values, *, order="<", slope=0.0, intercept=0.0, code=4, dim=None, offset=352.0, bits=None):
    """A NIfTI-1 file field by field, by the byte positions of the standard."""
    dim = dim or (values.ndim, *values.shape, *[1] * (7 - values.ndim))
    header = bytearray(348)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, *dim)
    struct.pack_into(f"{order}2h", header, 70, code, bits or 8 * values.dtype.itemsize)
    struct.pack_into(f"{order}8f", header, 76, 1, 2, 3, 4, 1.5, 0, 0, 0)
    struct.pack_into(f"{order}3f", header, 108, offset, slope, intercept)
    header[123] = 10  # millimetres and seconds
    header[344:] = b"n+1\0"
    return bytes(header) + bytes(4) + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")


def write(path, content):
    path.write_bytes(content)
    return path


# -------------------------------------------------------------------------------------------------- values and masks
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_equals_the_truth(tmp_path, kind, suffix):
    path = save(tmp_path / f"bold{suffix}", kind=kind)
    header = nifti_header(path)
    assert (header.shape, header.dtype, header.tr_seconds) == (SHAPE, np.float32, 1.5)
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-5)
    values = read_nifti(path)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, TRUTH)
    np.testing.assert_array_equal(read_nifti(path, MASK), TRUTH[MASK].T)


def test_voxels_come_in_c_order_of_the_mask(tmp_path):
    x, y, z, frame = np.indices(SHAPE)
    path = save(tmp_path / "places.nii", (1000 * x + 100 * y + 10 * z + frame).astype(np.float32))
    mask = np.zeros(SHAPE[:3], bool)
    mask[2, 0, 1] = mask[0, 3, 0] = mask[0, 3, 1] = mask[0, 1, 1] = True
    values = read_nifti(path, mask, slice(1, 3))
    np.testing.assert_array_equal(values, [[111, 301, 311, 2011], [112, 302, 312, 2012]])
    assert values.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("frames", [slice(2), slice(1, 4), slice(-2, None), slice(None, None, 2), slice(3, 99)])
def test_frames(tmp_path, suffix, frames):
    path = save(tmp_path / f"bold{suffix}")
    np.testing.assert_array_equal(read_nifti(path, frames=frames), TRUTH[..., frames])
    np.testing.assert_array_equal(read_nifti(path, MASK, frames), TRUTH[MASK][:, frames].T)


@pytest.mark.parametrize("frames", [slice(5, None), slice(2, 2), slice(None, None, -1)])
def test_frames_that_are_none_or_backwards(tmp_path, frames):
    with pytest.raises(ValueError, match=r"frames=slice\(.*bold\.nii"):
        read_nifti(save(tmp_path / "bold.nii"), frames=frames)


def test_single_volume(tmp_path):
    path = save(tmp_path / "brain.nii.gz", TRUTH[..., 0])
    assert (nifti_header(path).shape, nifti_header(path).tr_seconds) == (SHAPE[:3], None)
    np.testing.assert_array_equal(read_nifti(path), TRUTH[..., 0])


def test_series_of_one_frame_stays_a_series(tmp_path):
    path = save(tmp_path / "bold.nii", TRUTH[..., :1])
    np.testing.assert_array_equal(read_nifti(path), TRUTH[..., :1])
    np.testing.assert_array_equal(read_nifti(path, MASK), TRUTH[..., :1][MASK].T)


@pytest.mark.parametrize("wish", [{"mask": MASK}, {"frames": slice(2)}])
def test_volume_where_a_series_is_expected(tmp_path, wish):
    path = save(tmp_path / "bold.nii.gz", TRUTH[..., 0])
    with pytest.raises(ValueError, match=r"bold\.nii\.gz is a single volume \(3, 4, 2\) where a series"):
        read_nifti(path, **wish)


@pytest.mark.parametrize("mask", [np.ones((4, 3, 2), bool), np.ones(SHAPE, bool), np.ones(SHAPE[:3], int)])
def test_mask_that_does_not_fit(tmp_path, mask):
    with pytest.raises(ValueError, match=r"bold\.nii has volumes of shape \(3, 4, 2\) and the mask is"):
        read_nifti(save(tmp_path / "bold.nii"), mask)


def test_nan_and_infinity_are_kept(tmp_path):
    values = TRUTH.copy()
    values[0, 0, 0], values[1, 1, 1] = np.nan, np.inf
    np.testing.assert_array_equal(read_nifti(save(tmp_path / "bold.nii.gz", values)), values)


# ------------------------------------------------------------------------------------------- stored numbers, scaling
@pytest.mark.parametrize("slope", [0.0, 1.0, np.nan])
def test_integers_without_scaling(tmp_path, slope):
    path = write(tmp_path / "betas.nii", raw_nifti(COUNTS, slope=slope))
    assert (nifti_header(path).slope, nifti_header(path).intercept) == (1, 0)
    np.testing.assert_array_equal(read_nifti(path), COUNTS.astype(np.float32))


def test_intercept_counts_only_with_a_slope(tmp_path):
    without = write(tmp_path / "a.nii", raw_nifti(COUNTS, slope=0, intercept=7))
    with_one = write(tmp_path / "b.nii", raw_nifti(COUNTS, slope=1, intercept=7))
    np.testing.assert_array_equal(read_nifti(without), COUNTS)
    np.testing.assert_array_equal(read_nifti(with_one), COUNTS + np.float32(7))


@pytest.mark.parametrize("order", ["<", ">"])
def test_scaled_and_stored_integers(tmp_path, order):
    path = write(tmp_path / "bold.nii", raw_nifti(COUNTS, order=order, slope=0.25, intercept=-2))
    np.testing.assert_array_equal(read_nifti(path), COUNTS * np.float32(0.25) - 2)
    np.testing.assert_array_equal(read_nifti(path, MASK), (COUNTS * np.float32(0.25) - 2)[MASK].T)
    stored = read_nifti(path, MASK, scaled=False)
    assert stored.dtype == np.int16
    assert stored.dtype.isnative
    np.testing.assert_array_equal(stored, COUNTS[MASK].T)
    assert nifti_header(path).tr_seconds == 1.5


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u4", "f4", "f8"])
def test_types(tmp_path, dtype):
    values = np.abs(COUNTS // 256).astype(dtype)
    path = save(tmp_path / "bold.nii", values)
    assert nifti_header(path).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read_nifti(path), values.astype(np.float32))
    assert read_nifti(path, scaled=False).dtype == np.dtype(dtype)


def test_values_beyond_float32_become_infinite_silently(tmp_path):
    path = write(tmp_path / "bold.nii", raw_nifti(np.full((2, 2, 2, 1), 1e300), code=64, slope=1e30))
    assert np.isposinf(read_nifti(path)).all()


@pytest.mark.parametrize(
    ("dtype", "code"), [("c8", 32), ("c16", 1792), ("V3", 128), ("V4", 2304), ("V16", 1536), ("i2", 0), ("i2", 3)]
)
def test_types_that_are_no_plain_numbers(tmp_path, dtype, code):
    content = raw_nifti(np.zeros((2, 2, 2, 2), "u1"), code=code, bits=8 * np.dtype(dtype).itemsize)
    with pytest.raises(ValueError, match=rf"bold\.nii has values of NIfTI type {code}"):
        nifti_header(write(tmp_path / "bold.nii", content + bytes(1000)))


# ------------------------------------------------------------------------------------------------ time between frames
@pytest.mark.parametrize(
    ("tr", "unit", "seconds"),
    [
        (0.72, "sec", 0.72), (2000, "msec", 2.0), (1490, "msec", 1.49), (720_000, "usec", 0.72),
        (2000, "sec", None), (2, "unknown", None), (0, "sec", None), (1.5, "hz", None),
    ],
)  # fmt: skip
def test_repetition_time_is_in_seconds(tmp_path, tr, unit, seconds):
    assert nifti_header(save(tmp_path / "bold.nii", tr=tr, unit=unit)).tr_seconds == pytest.approx(seconds, abs=1e-9)


# -------------------------------------------------------------------------------------- headers that cannot be true
@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"dim": (2, 3, 4, 1, 1, 1, 1, 1)}, "damaged header: it says 2 dimensions"),
        ({"dim": (4, 3, 0, 2, 5, 1, 1, 1)}, r"has the dimensions \[3, 0, 2, 5\]"),
        ({"dim": (4, 3, -4, 2, 5, 1, 1, 1)}, r"has the dimensions \[3, -4, 2, 5\]"),
        ({"dim": (5, 3, 4, 2, 1, 5, 1, 1)}, r"has the dimensions \[3, 4, 2, 1, 5\]"),
        ({"offset": 0.0}, "values from byte 0"), ({"offset": -352.0}, "values from byte -352"),
        ({"offset": 352.5}, "values from byte 352.5"), ({"offset": np.nan}, "values from byte nan"),
        ({"slope": np.inf}, "the scaling inf"), ({"slope": 1.0, "intercept": np.nan}, "the scaling 1.0 x . nan"),
        ({"bits": 32}, "32 bits a value; expected 16"),
    ],
)  # fmt: skip
def test_damaged_header(tmp_path, fields, complaint):
    path = write(tmp_path / "bold.nii", raw_nifti(COUNTS, **fields))
    with pytest.raises(ValueError, match=rf"bold\.nii .*{complaint}"):
        nifti_header(path)


def test_affine_that_is_not_finite(tmp_path):
    header = nibabel.Nifti1Image(TRUTH, AFFINE).header
    header["srow_x"][1], header["vox_offset"] = np.nan, 352
    path = write(tmp_path / "bold.nii", header.binaryblock + bytes(4) + TRUTH.tobytes(order="F"))
    with pytest.raises(ValueError, match=r"bold\.nii has a damaged header: it says the affine .*nan"):
        nifti_header(path)


def test_size_of_the_header_disagrees(tmp_path):
    content = bytearray(raw_nifti(COUNTS))
    content[0] ^= 1
    with pytest.raises(ValueError, match=r"bold\.nii has a damaged header: it says a header of 349 bytes"):
        nifti_header(write(tmp_path / "bold.nii", content))


@pytest.mark.parametrize("content", [b"SIMPLE  =", bytes(1000), raw_nifti(COUNTS)[:347], b"\x89HDF\r\n\x1a\n" * 90])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_content(tmp_path, content, pack):
    with pytest.raises(ValueError, match=r"bold\.nii\.gz is no NIfTI or MGH file, or is cut short"):
        nifti_header(write(tmp_path / "bold.nii.gz", pack(content)))


def test_header_of_a_pair_of_files(tmp_path):
    nibabel.Nifti1Pair(TRUTH, AFFINE).to_filename(tmp_path / "bold.hdr")
    with pytest.raises(ValueError, match=r"pairs of \.hdr and \.img, to \.nii\.gz"):
        nifti_header(tmp_path / "bold.hdr")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_header_declares_more_than_the_file_can_hold(tmp_path, pack):
    content = raw_nifti(COUNTS, dim=(4, 32767, 32767, 32767, 32767, 1, 1, 1))
    with pytest.raises(ValueError, match=r"bold\.nii\.gz is too short for its header"):
        read_nifti(write(tmp_path / "bold.nii.gz", pack(content)))


# ------------------------------------------------------------------------------------- files of another length
@pytest.mark.parametrize("cut", [1, 48, 200])
def test_plain_file_cut_short(tmp_path, cut):
    with pytest.raises(ValueError, match=r"bold\.nii is too short for its header"):
        read_nifti(write(tmp_path / "bold.nii", raw_nifti(COUNTS)[:-cut]))


@pytest.mark.parametrize("frames", [None, slice(0, 1), slice(4, 5)])
@pytest.mark.parametrize("cut", [1, 48, 100])
def test_fewer_values_in_a_compressed_file(tmp_path, cut, frames):
    path = write(tmp_path / "bold.nii.gz", gzip.compress(raw_nifti(COUNTS)[:-cut]))
    with pytest.raises(ValueError, match=r"bold\.nii\.gz ends .* its header declares \(3, 4, 2, 5\) values of int16"):
        read_nifti(path, frames=frames)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("surplus", [1, 48, 2_000_000])
def test_more_values_than_declared(tmp_path, pack, surplus):
    path = write(tmp_path / "bold.nii", pack(raw_nifti(COUNTS) + bytes(surplus)))
    with pytest.raises(ValueError, match=r"bold\.nii goes on behind byte 592"):
        read_nifti(path, frames=slice(0, 1))


@pytest.mark.parametrize("cut", [5, 100])
def test_compressed_file_cut_short(tmp_path, cut):
    path = write(tmp_path / "bold.nii.gz", gzip.compress(raw_nifti(COUNTS))[:-cut])
    with pytest.raises(ValueError, match=r"bold\.nii\.gz is compressed data cut short or damaged"):
        read_nifti(path, frames=slice(0, 1))


def test_checksum_is_read_even_for_the_first_frame(tmp_path):
    content = bytearray(gzip.compress(raw_nifti(COUNTS)))
    content[-8] ^= 1
    with pytest.raises(ValueError, match=r"bold\.nii\.gz is compressed data cut short or damaged \(CRC check failed"):
        read_nifti(write(tmp_path / "bold.nii.gz", content), MASK, slice(0, 1))


# ----------------------------------------------------------------------------------------------------------- masks
def test_mask_is_what_lies_above_zero(tmp_path):
    labels = np.where(MASK, np.int16(2), np.int16(-1))
    inside = read_mask(save(tmp_path / "roi.nii.gz", labels), save(tmp_path / "bold.nii.gz"))
    np.testing.assert_array_equal(inside, MASK)


def test_mask_of_another_shape_or_place_or_empty(tmp_path):
    series, path = save(tmp_path / "bold.nii.gz"), tmp_path / "mask.nii.gz"
    with pytest.raises(
        ValueError, match=r"mask\.nii\.gz has the shape \(2, 4, 2\) and .*bold\.nii\.gz has \(3, 4, 2\)"
    ):
        read_mask(save(path, MASK[1:].astype(np.uint8)), series)
    with pytest.raises(ValueError, match=r"mask\.nii\.gz has no voxel greater than zero"):
        read_mask(save(path, np.zeros(SHAPE[:3], np.uint8)), series)
    nibabel.Nifti1Image(MASK.astype(np.uint8), AFFINE + np.eye(4, k=3)).to_filename(path)
    with pytest.raises(ValueError, match=r"mask\.nii\.gz has the affine .* choose the mask of the same space"):
        read_mask(path, series)


# ------------------------------------------------------------------------------------------ files of other programs
@bundled
@pytest.mark.parametrize(
    ("name", "shape", "tr"),
    [
        ("example4d.nii.gz", (128, 96, 24, 2), None),  # it says 2000 s: not ours to guess
        ("example_nifti2.nii.gz", (32, 20, 12, 2), None),  # the same
        ("functional.nii", (17, 21, 3, 20), 2.0),
        ("anatomical.nii", (33, 41, 25), None),
        ("test.mgz", (3, 4, 5, 2), None),
    ],
)
def test_bundled_files(name, shape, tr):
    image, header = nibabel.load(BUNDLED / name), nifti_header(BUNDLED / name)
    assert isinstance(image, SpatialImage)
    assert (header.shape, header.tr_seconds) == (shape, tr)
    np.testing.assert_allclose(header.affine, image.affine, atol=1e-5)
    np.testing.assert_allclose(read_nifti(BUNDLED / name), image.get_fdata(dtype=np.float32), rtol=1e-6)
