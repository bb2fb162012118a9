# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Where the files of one subject of NSD lie: betas, mask, regions and noise ceiling, in the volume or on a surface."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ...preparation.noise_ceiling import noise_ceiling
from ...readers.sources import check_source
from ...readers.volumes import nifti_header, read_mgh, read_nifti
from ...schema import Geometry
from .betas import check_surface_betas, check_volume_betas, read_surface_betas, read_volume_betas
from .mni_coordinates import MNI152, mni_file, read_mni_places


FUNC1PT8MM, FSAVERAGE = "func1pt8mm", "fsaverage"
SPACES = (FUNC1PT8MM, FSAVERAGE)
NIFTI, HDF5 = "nii.gz", "hdf5"
FILE_FORMATS = (NIFTI, HDF5)
#: Name of the mask that keeps all of the brain, or all of the surface.
WHOLE_BRAIN = "brain"
_HEMISPHERES = ("lh", "rh")


@dataclass(frozen=True, eq=False)
class VolumeSubject:
    """
    A subject in voxels of 1.8 mm.

    Args:
        root (`Path`):
            Folder of the release.
        subject (`str`):
            Such as `"subj01"`.
        betas (`str`):
            Folder of the version of betas, such as `"betas_fithrf"`.
        mask_name (`str`):
            A file of the folder `roi`, without ending, or [`WHOLE_BRAIN`].
        file_formats (`tuple[str, ...]`):
            Some of [`FILE_FORMATS`]; where a session has several, the first is read.
        in_mni (`bool`):
            Whether coordinates are those of MNI152, by [`read_mni_places`], or those of the subject's own volume.
    """

    root: Path
    subject: str
    betas: str
    mask_name: str
    file_formats: tuple[str, ...] = FILE_FORMATS
    in_mni: bool = False

    @property
    def betas_dir(self) -> Path:
        """Folder of the betas."""
        return self.root / "nsddata_betas/ppdata" / self.subject / FUNC1PT8MM / self.betas

    @property
    def _ppdata(self) -> Path:
        return self.root / "nsddata/ppdata" / self.subject / FUNC1PT8MM

    @cached_property
    def sessions(self) -> dict[int, tuple[Path, ...]]:
        """The file of each session that is there."""
        found = {}
        for file_format in self.file_formats[::-1]:
            found |= _numbered(self.betas_dir, f"betas_session??.{file_format}")
        return {number: (path,) for number, path in sorted(found.items())}

    @cached_property
    def _mask_path(self) -> Path:
        if self.mask_name == WHOLE_BRAIN:
            return check_source(self._ppdata / "brainmask.nii.gz")
        path = self._ppdata / "roi" / f"{self.mask_name}.nii.gz"
        return check_source(path) if self.mask_name in self._regions else _no_mask(path, self._regions)

    @cached_property
    def _regions(self) -> dict[str, Path]:
        # Files of one hemisphere repeat those of both.
        paths = sorted((self._ppdata / "roi").glob("*.nii.gz"))
        return {path.name[:-7]: path for path in paths if not path.name.startswith(("lh.", "rh."))}

    @cached_property
    def mask(self) -> np.ndarray:
        """Mask, bool `[x, y, z]`; -1 is outside of cortex, 0 inside and not in the region."""
        mask = read_nifti(self._mask_path) > 0
        if mask.ndim != 3 or not mask.any():
            raise ValueError(
                f"{self._mask_path}: expected a volume with voxels above 0, found {mask.shape}, {mask.sum()}"
            )
        return mask

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume."""
        return self.mask.shape

    @property
    def num_features(self) -> int:
        """Voxels in the mask."""
        return int(self.mask.sum())

    def check(self, session: int, num_trials: int) -> None:
        """Checks the file of a session without reading its values; see [`check_volume_betas`]."""
        (path,) = self.sessions[session]
        check_volume_betas(check_source(path), self.shape, num_trials)

    def reader(self, session: int) -> Callable[[], np.ndarray]:
        """What reads a session: float32 `[trials, voxels]` in percent."""
        return partial(read_volume_betas, self.sessions[session][0], self.mask)

    def geometry(self, repeats: int | list[int]) -> Geometry:
        """
        Where the voxels lie, their regions, and their noise ceiling for averages of so many repeats.

        Raises:
            FileNotFoundError: the map to MNI152 is asked for and is not there.
            ValueError: a file has another shape than the mask, or a region is no whole number.
        """
        affine = np.asarray(nifti_header(self._mask_path).affine, dtype=np.float64)
        if self.in_mni:
            places = read_mni_places(mni_file(self.root, self.subject), self.mask)
        else:
            places = (np.argwhere(self.mask) @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32)
        labels = {name: _labels(self._in_mask(path), path) for name, path in self._regions.items()}
        tables = (self.root / "nsddata/freesurfer" / self.subject / "label", self.root / "nsddata/templates")
        ncsnr = self.betas_dir / "ncsnr.nii.gz"
        return Geometry(
            coordinates=places,
            space=MNI152 if self.in_mni else FUNC1PT8MM,
            roi_labels=labels,
            roi_names={name: _names(name, tables, int(values.max())) for name, values in labels.items()},
            grid_shape=self.shape,
            grid_index=np.flatnonzero(self.mask),
            affine=affine,
            **(_ceiling(self._in_mask(ncsnr), repeats) if ncsnr.is_file() else {}),
        )

    def _in_mask(self, path: Path) -> np.ndarray:
        volume = read_nifti(check_source(path))
        if volume.shape != self.shape:
            raise ValueError(f"{path} has the shape {volume.shape} and the mask {self.shape}: download it again")
        return volume[self.mask]


@dataclass(frozen=True, eq=False)
class SurfaceSubject:
    """
    A subject on the surface `fsaverage`, left hemisphere first. Arguments are those of [`VolumeSubject`].

    NSD gives regions on this surface once for all subjects, and no coordinates.
    """

    root: Path
    subject: str
    betas: str
    mask_name: str

    @property
    def betas_dir(self) -> Path:
        """Folder of the betas."""
        return self.root / "nsddata_betas/ppdata" / self.subject / FSAVERAGE / self.betas

    @property
    def _label_dir(self) -> Path:
        return self.root / "nsddata/freesurfer" / FSAVERAGE / "label"

    @cached_property
    def sessions(self) -> dict[int, tuple[Path, ...]]:
        """The files of each session that is there, left and right."""
        left, right = (_numbered(self.betas_dir, f"{side}.betas_session??.mgh") for side in _HEMISPHERES)
        if left.keys() != right.keys():
            raise FileNotFoundError(
                f"{self.betas_dir}: session(s) {sorted(left.keys() ^ right.keys())} have only one hemisphere; "
                "download the other"
            )
        return {number: (left[number], right[number]) for number in sorted(left)}

    @cached_property
    def _regions(self) -> dict[str, tuple[Path, Path]]:
        found = (path.name[3:-4] for path in sorted(self._label_dir.glob("lh.*.mgz")))
        pairs = {name: (self._label_dir / f"lh.{name}.mgz", self._label_dir / f"rh.{name}.mgz") for name in found}
        return {name: pair for name, pair in pairs.items() if pair[1].exists()}

    @cached_property
    def masks(self) -> tuple[np.ndarray, ...]:
        """Mask, bool `[vertices]` of each hemisphere."""
        if self.mask_name == WHOLE_BRAIN:
            first = next(iter(self.sessions.values()))
            return tuple(np.ones(nifti_header(check_source(path)).shape[0], bool) for path in first)
        if self.mask_name not in self._regions:
            _no_mask(self._label_dir / f"{{lh,rh}}.{self.mask_name}.mgz", self._regions)
        masks = tuple(_vertices(path) > 0 for path in self._regions[self.mask_name])
        if not any(mask.any() for mask in masks):
            raise ValueError(f"{self._regions[self.mask_name][0]}: no vertex lies in the mask; download it again")
        return masks

    @property
    def shape(self) -> tuple[int, ...]:
        """Vertices of each hemisphere."""
        return tuple(len(mask) for mask in self.masks)

    @property
    def num_features(self) -> int:
        """Vertices in the mask."""
        return int(sum(mask.sum() for mask in self.masks))

    def check(self, session: int, num_trials: int) -> None:
        """Checks the files of a session without reading their values; see [`check_surface_betas`]."""
        for path, mask in zip(self.sessions[session], self.masks, strict=True):
            check_surface_betas(check_source(path), len(mask), num_trials)

    def reader(self, session: int) -> Callable[[], np.ndarray]:
        """What reads a session: float32 `[trials, vertices]` in percent."""
        return partial(read_surface_betas, self.sessions[session], self.masks)

    def geometry(self, repeats: int | list[int]) -> Geometry:
        """Regions of the vertices and their noise ceiling for averages of so many repeats. Errors as above."""
        labels = {name: _labels(self._in_masks(paths), paths[0]) for name, paths in self._regions.items()}
        ncsnr = tuple(self.betas_dir / f"{side}.ncsnr.mgh" for side in _HEMISPHERES)
        return Geometry(
            space=FSAVERAGE,
            roi_labels=labels,
            roi_names={name: _names(name, (self._label_dir,), int(v.max())) for name, v in labels.items()},
            grid_shape=(sum(self.shape),),
            grid_index=np.flatnonzero(np.concatenate(self.masks)),
            **(_ceiling(self._in_masks(ncsnr), repeats) if all(path.is_file() for path in ncsnr) else {}),
        )

    def _in_masks(self, paths: tuple[Path, ...]) -> np.ndarray:
        values = [_vertices(path) for path in paths]
        shape = tuple(len(side) for side in values)
        if shape != self.shape:
            raise ValueError(f"{paths[0]} and its other side have {shape} vertices, the mask {self.shape}")
        return np.concatenate(values)[np.concatenate(self.masks)]


NSDSubject = VolumeSubject | SurfaceSubject


def _vertices(path: Path) -> np.ndarray:
    return np.ravel(read_mgh(check_source(path)))


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Files by the two digits where the pattern has `??`."""
    place = pattern.index("??")
    found = {path.name[place : place + 2]: path for path in folder.glob(pattern)}
    return {int(digits): path for digits, path in found.items() if digits.isdecimal()}


def _no_mask(path: Path, regions: dict) -> Path:
    raise FileNotFoundError(
        f"{path} is missing: download it, or choose a mask of {', '.join(regions) or 'none'}, {WHOLE_BRAIN}"
    )


def _labels(values: np.ndarray, path: Path) -> np.ndarray:
    """Labels int16 `[features]`; -1, outside of cortex, counts as unlabelled."""
    if not np.array_equal(values, np.trunc(values)) or values.max(initial=0) > np.iinfo(np.int16).max:
        raise ValueError(f"{path}: labels of regions must be whole numbers below 32768; download it again")
    return np.maximum(values, 0).astype(np.int16)


def _names(region_set: str, folders: tuple[Path, ...], largest: int) -> list[str]:
    """Names of the labels 1 to `largest` from a FreeSurfer colour table; their numbers, where there is none."""
    names = [str(label) for label in range(1, largest + 1)]
    if region_set == "nsdgeneral":
        return ["nsdgeneral"] * min(largest, 1)  # its one label needs no table
    paths = [folder / f"{region_set}{ending}" for folder in folders for ending in (".mgz.ctab", ".ctab")]
    table = next((path for path in paths if path.is_file()), None)
    for line in table.read_text(encoding="utf-8", errors="replace").splitlines() if table else ():
        label, _, rest = line.strip().partition(" ")
        if label.isdecimal() and rest.split() and 1 <= int(label) <= largest:
            names[int(label) - 1] = rest.split()[0]
    return names


def _ceiling(ncsnr: np.ndarray, repeats: int | list[int]) -> dict:
    return {"noise_ceiling": noise_ceiling(ncsnr, repeats), "noise_ceiling_unit": "percent"}


__all__ = [
    "FILE_FORMATS",
    "FSAVERAGE",
    "FUNC1PT8MM",
    "SPACES",
    "WHOLE_BRAIN",
    "NSDSubject",
    "SurfaceSubject",
    "VolumeSubject",
]
