# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Headers of volumes: NIfTI-1, NIfTI-2 and MGH, parsed from their first bytes and checked field by field."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel import Nifti1Header, Nifti2Header
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.spatialimages import HeaderDataError


#: More bytes than any header of these formats has.
HEADER_BYTES = 540

# Codes of plain numbers, from the NIfTI standard (nifti1.h) and FreeSurfer. Colours, complex and 128-bit numbers are
# refused.
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_MGH_TYPES = {0: "u1", 1: "i4", 3: "f4", 4: "i2"}
# Kinds of single-file NIfTI: bytes of the header, and where which magic word stands.
_NIFTI_KINDS = ((Nifti1Header, 348, 344, b"n+1\0"), (Nifti2Header, 540, 4, b"n+2\0"))
_MGH_VERSION = b"\x00\x00\x00\x01"
_MGH_OFFSET = 284
_TIME_UNIT_BITS = 0b111000
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}
_LONGEST_TR = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class VolumeHeader:
    """
    What a file says of its values, without their being read.

    Attributes:
        shape (`tuple[int, ...]`):
            `(x, y, z)`, or `(x, y, z, frames)`.
        affine (`np.ndarray` of shape `(4, 4)`):
            From voxel indices to millimetres.
        dtype (`np.dtype`):
            Of the stored numbers, in the byte order of the file.
        tr_seconds (`float`, *optional*):
            Time from frame to frame, in seconds whatever the unit of the file. `None` for a single volume, for MGH
            files, and where the file states no time, no unit of time, or a time above 100 s (files that say 2000 s
            mean milliseconds; that is not ours to guess).
        slope, intercept (`float`):
            A value is the stored number times `slope` plus `intercept`.
        offset (`int`):
            Bytes before the first stored number, once unpacked.
        is_mgh (`bool`):
            MGH files may hold more behind their values; NIfTI files end with them.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    dtype: np.dtype
    tr_seconds: float | None
    slope: float = 1.0
    intercept: float = 0.0
    offset: int = 0
    is_mgh: bool = False

    @property
    def num_bytes(self) -> int:
        """Bytes of the file up to its last stored number, once unpacked."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def parse_header(start: bytes, path: Path) -> VolumeHeader:
    """
    The header that begins with `start`, the first [`HEADER_BYTES`] of `path` once unpacked.

    Raises:
        ValueError: it is none of the formats, or a field has a value that no valid file has.
    """
    if start.startswith(_MGH_VERSION) and len(start) >= _MGH_OFFSET:
        return _parse_mgh(start, path)
    for kind, size, place, magic in _NIFTI_KINDS:
        if start[place:].startswith(magic) and len(start) >= size:
            return _parse_nifti(kind(start[:size], check=False), size, path)
    raise ValueError(
        f"{path} is no NIfTI or MGH file, or is cut short (it starts with {start[:8]!r}): convert other formats, such "
        "as pairs of .hdr and .img, to .nii.gz, or download it again"
    )


def _parse_nifti(fields: Nifti1Header | Nifti2Header, size: int, path: Path) -> VolumeHeader:
    if int(fields["sizeof_hdr"]) != size:
        raise _damaged(path, f"a header of {int(fields['sizeof_hdr'])} bytes", f"{size}")
    shape, offset = _nifti_shape(fields, path), float(fields["vox_offset"])
    if not offset.is_integer() or offset < size:
        raise _damaged(path, f"values from byte {offset}", f"{size} or more")
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or math.isnan(slope):
        slope, intercept = 1.0, 0.0  # the standard's way of saying that values are stored as they are
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise _damaged(path, f"the scaling {slope} x + {intercept}", "finite numbers")
    return VolumeHeader(
        shape=shape,
        affine=_affine(fields, path),
        dtype=_nifti_dtype(fields, path),
        tr_seconds=_tr_seconds(fields) if len(shape) == 4 else None,
        slope=slope,
        intercept=intercept,
        offset=int(offset),
    )


def _nifti_shape(fields: Nifti1Header | Nifti2Header, path: Path) -> tuple[int, ...]:
    ndim, *sizes = (int(number) for number in fields["dim"])
    if not 3 <= ndim <= 7:
        raise _damaged(path, f"{ndim} dimensions", "3 or 4")
    shape, further = tuple(sizes[: min(ndim, 4)]), sizes[4:ndim]
    if min(shape) < 1 or any(size != 1 for size in further):
        raise ValueError(
            f"{path} has the dimensions {sizes[:ndim]} and not [x, y, z] or [x, y, z, frames], all at least 1: only "
            "volumes and series of volumes are read (no CIFTI, no vector images)"
        )
    return shape


def _nifti_dtype(fields: Nifti1Header | Nifti2Header, path: Path) -> np.dtype:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code not in _NIFTI_TYPES:
        raise ValueError(
            f"{path} has values of NIfTI type {code}, and only integers and real numbers of up to 64 bits are read: "
            "convert it"
        )
    dtype = np.dtype(_NIFTI_TYPES[code]).newbyteorder(fields.endianness)
    if bits != 8 * dtype.itemsize:
        raise _damaged(path, f"{bits} bits a value", f"{8 * dtype.itemsize} for its type {code}")
    return dtype


def _tr_seconds(fields: Nifti1Header | Nifti2Header) -> float | None:
    unit = int(fields["xyzt_units"]) & _TIME_UNIT_BITS
    interval = float(str(fields["pixdim"][4]))  # by way of text: the float32 nearest to 0.72 is 0.72 again
    seconds = interval * _SECONDS.get(unit, math.nan)
    return seconds if 0 < seconds <= _LONGEST_TR else None


def _parse_mgh(start: bytes, path: Path) -> VolumeHeader:
    fields = MGHHeader(start[:_MGH_OFFSET], check=False)
    *volume, frames = (int(size) for size in fields["dims"])
    code = int(fields["type"])
    if min(*volume, frames) < 1:
        raise _damaged(path, f"the dimensions {[*volume, frames]}", "all at least 1")
    if code not in _MGH_TYPES:
        raise _damaged(path, f"values of MGH type {code}", f"one of {sorted(_MGH_TYPES)}")
    return VolumeHeader(
        shape=(*volume, frames) if frames > 1 else tuple(volume),
        affine=_affine(fields, path),
        dtype=np.dtype(_MGH_TYPES[code]).newbyteorder(">"),
        tr_seconds=None,
        offset=_MGH_OFFSET,
        is_mgh=True,
    )


def _affine(fields: Nifti1Header | Nifti2Header | MGHHeader, path: Path) -> np.ndarray:
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow; what comes out is checked
            affine = np.asarray(fields.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise _damaged(path, f"an affine that cannot be computed ({error})", "a rotation and voxel sizes") from error
    if not np.isfinite(affine).all():
        raise _damaged(path, f"the affine {affine.tolist()}", "finite numbers")
    return affine


def _damaged(path: Path, found: str, expected: str) -> ValueError:
    return ValueError(f"{path} has a damaged header: it says {found}; expected {expected}. Download it again")


__all__ = ["HEADER_BYTES", "VolumeHeader", "parse_header"]
