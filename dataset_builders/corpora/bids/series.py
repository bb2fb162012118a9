# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Brain series of a BIDS derivative: which there are, and which voxels of volumes are read.

The series of a run is one NIfTI file, read within a brain mask, or two GIFTI files, one for each hemisphere.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...readers.bids_names import RAW_ENTITIES, RUN_ENTITIES, BidsName, join, parse_name, parse_names, pick
from ...readers.volumes import nifti_header, read_mask
from ...schema import Geometry
from .surfaces import HEMISPHERES


_VOLUMES = (".nii.gz", ".nii")
_SURFACE = ".func.gii"
# In any spelling: of volumes, surfaces and CIFTI, compressed or not.
_EXTENSION = re.compile(r"(\.[a-z]+)?\.(nii|gii)(\.\w+)?$", re.IGNORECASE)
_OTHER_TASK = "another task was chosen"
# Affines of one grid written by different programs differ by less, in millimetres.
_SAME_PLACE = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The brain series of one run: a volume, or the left and the right hemisphere."""

    names: tuple[BidsName, ...]

    @property
    def entities(self) -> dict[str, str]:
        """Entities of the run, which raw files share: `sub`, `ses`, `task`, `acq`, `dir`, `run`."""
        return pick(self.names[0].entities)

    @property
    def raw_entities(self) -> dict[str, str]:
        """Those by which sidecars of the raw run apply: its echo and reconstruction as well."""
        return pick(self.names[0].entities, RAW_ENTITIES)

    @property
    def subject(self) -> str:
        """`"sub-01"`."""
        return join(pick(self.entities, ("sub",)))

    @property
    def run_name(self) -> str:
        """`"ses-1_task-story_run-1"`."""
        return join(pick(self.entities, RUN_ENTITIES[1:]))

    @property
    def stem(self) -> str:
        """`"sub-01_ses-1_task-story_run-1"`."""
        return join(self.entities)

    @property
    def space(self) -> str:
        """Name of the space, `""` where the file does not say."""
        return self.names[0].entities.get("space", "")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, the left hemisphere first."""
        return tuple(name.path for name in self.names)

    @property
    def is_surface(self) -> bool:
        """Whether the values lie on vertices, not in voxels."""
        return len(self.names) > 1


def find_series(
    folder: Path,
    choice: Mapping[str, str | None],
    subjects: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    suffix: str = "bold",
) -> tuple[list[Series], dict[str, list[str]]]:
    """
    The series of a derivative, by subject and run.

    Args:
        folder (`Path`):
            The derivative, with its folders `sub-*`.
        choice (`Mapping[str, str | None]`):
            Value that an entity (`space`, `res`, `desc`) must have; `""` for none, `None` for any.
        subjects, tasks (`Sequence[str]`, *optional*):
            Only these, as `"sub-01"` and `"story"`.
        suffix (`str`, *optional*, defaults to `"bold"`):
            With which suffix their names end.

    Returns:
        `tuple`: the series; and what looks like one and is not taken, files by reason.

    Raises:
        FileNotFoundError: there is no series.
        ValueError: nothing is left after the choice, several forms of a series are left, a run occurs twice, a
            hemisphere is missing, or nothing is taken of a subject.
    """
    patterns = ("sub-*/func/*", "sub-*/ses-*/func/*")
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if _looks_recorded(path, suffix)})
    reasons = {path: _unreadable(path, suffix) for path in paths}
    names = parse_names(path for path in paths if not reasons[path])
    if not names:
        raise FileNotFoundError(
            f"{folder} holds no series sub-*/[ses-*/]func/*_{suffix}.nii.gz or *_hemi-L*.func.gii (CIFTI is not "
            "read): check the folder, and that its files were fetched"
        )
    wanted = None if subjects is None else [subject.removeprefix("sub-") for subject in subjects]
    of_subjects = _only(names, "sub", wanted, folder)
    of_tasks = _only(of_subjects, "task", tasks, folder)
    runs: dict[str, list[BidsName]] = {}
    for name in _of_one_form(of_tasks, choice, folder):
        runs.setdefault(join(pick(name.entities)), []).append(name)
    for name in of_subjects:
        if join(pick(name.entities)) not in runs:
            reasons[name.path] = "its run is not there in the chosen form" if name in of_tasks else _OTHER_TASK
    places = [path for path in sorted(folder.glob("sub-*")) if wanted is None or path.name[4:] in wanted]
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for place in places:
        own = {path: reason for path, reason in reasons.items() if reason and place in path.parents}
        for path, reason in own.items():
            left_out[reason].append(str(path.relative_to(folder)))
        recorded = any(stem.partition("_")[0] == place.name for stem in runs)
        if not recorded and place.is_dir() and _OTHER_TASK not in own.values():
            listed = "; ".join(f"{path.name}: {reason}" for path, reason in list(own.items())[:3])
            raise ValueError(
                f"{place} holds no recording that can be taken ({listed or 'it has none'}): mend it, or name the "
                "other subjects in subjects="
            )
    return [_series(stem, result) for stem, result in runs.items()], dict(left_out)


def _looks_recorded(path: Path, wanted: str) -> bool:
    """Whether a file may be meant as a recording, by its name in any spelling."""
    extension = _EXTENSION.search(path.name)
    if extension is None:
        return False
    suffix = path.name[: extension.start()].lower().rpartition("_")[2]
    return extension[0].lower().startswith(_SURFACE) or (wanted in suffix and "ref" not in suffix)


def _unreadable(path: Path, suffix: str) -> str:
    """Why a file that looks like a recording is none that can be read; `""` if it is."""
    name, extension = parse_name(path), _EXTENSION.search(path.name)
    if name is None or extension is None or name.extension != extension[0]:
        return "its name does not follow BIDS (entities `key-value` of letters and digits, joined by `_`): rename it"
    if name.extension.lower() in (".dtseries.nii", ".ptseries.nii"):
        return "CIFTI is not read"
    if name.extension in _VOLUMES and name.suffix == suffix:
        return ""
    # fMRIPrep's surfaces have no suffix.
    if name.extension == _SURFACE and name.suffix in (suffix, "" if suffix == "bold" else suffix):
        return ""
    if name.extension.lower() in (*_VOLUMES, _SURFACE) and name.extension not in (*_VOLUMES, _SURFACE):
        return f"its extension is written {name.extension}: rename it to {name.extension.lower()}"
    return f"it ends with {name.suffix}{name.extension}, and _{suffix}.nii, _{suffix}.nii.gz and .func.gii are read"


def num_raw_frames(root: Path, series: Series) -> int | None:
    """Frames of the raw series that a run was made from, if that is there and can be read."""
    place = root / series.subject
    place = place / join(pick(series.entities, ("ses",))) if "ses" in series.entities else place
    for name in parse_names((place / "func").glob("*_bold.nii*")):
        if name.suffix == "bold" and pick(name.entities) == series.entities and name.path.exists():
            try:
                shape = nifti_header(name.path).shape
            except ValueError:  # a pointer of git-annex, say: nothing of the raw series is needed
                continue
            return shape[3] if len(shape) == 4 else 1
    return None


def _only(names: list[BidsName], key: str, wanted: Sequence[str] | None, folder: Path) -> list[BidsName]:
    """Names with one of the wanted values of an entity, each of which must occur."""
    result = sorted({name.entities.get(key, "") for name in names})
    absent = [value for value in wanted or () if value not in result]
    if absent:
        raise ValueError(f"{folder} holds no {key}-{', '.join(absent)}: choose from {', '.join(result)}")
    return [name for name in names if wanted is None or name.entities.get(key, "") in wanted]


def _form(name: BidsName) -> str:
    """What is left of a name when run and hemisphere are taken out: `space-T1w_desc-preproc_bold.nii.gz`."""
    rest = {key: value for key, value in name.entities.items() if key not in (*RUN_ENTITIES, "hemi")}
    return "_".join(filter(None, (join(rest), name.suffix))) + name.extension


def _of_one_form(names: list[BidsName], choice: Mapping[str, str | None], folder: Path) -> list[BidsName]:
    wanted = {key: value for key, value in choice.items() if value is not None}
    chosen = [name for name in names if all(name.entities.get(key, "") == value for key, value in wanted.items())]
    asked = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
    if not chosen:
        result = ", ".join(sorted({_form(name) for name in names}))
        raise ValueError(f"{folder} holds no series with {asked}: it has {result}")
    forms = sorted({_form(name) for name in chosen})
    if len(forms) > 1:
        raise ValueError(
            f"{folder} holds {len(forms)} forms of its series{' with ' if asked else ''}{asked}: {', '.join(forms)}. "
            f"Choose one by {', '.join(choice)} (an empty value stands for a form without the entity)"
        )
    return chosen


def _series(stem: str, names: list[BidsName]) -> Series:
    """The one volume, or the two hemispheres, of a run."""
    files = ", ".join(str(name.path) for name in names)
    if names[0].extension in _VOLUMES:
        if len(names) > 1:
            raise ValueError(f"{stem} has {len(names)} series ({files}): run-1 and run-01 are the same, keep one")
        return Series(tuple(names))
    by_side = {name.entities.get("hemi", ""): name for name in names}
    if sorted(by_side) != sorted(HEMISPHERES) or len(names) > len(HEMISPHERES):
        raise ValueError(
            f"{stem}: expected one file of hemi-L and one of hemi-R, found {files}; complete the download"
        )
    return Series(tuple(by_side[side] for side in HEMISPHERES))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels that are read: bool `[x, y, z]`, and the affine `[4, 4]` from voxel numbers to millimetres."""

    mask: np.ndarray
    affine: np.ndarray

    def geometry(self, space: str) -> Geometry:
        """Coordinates `[voxels, 3]` and places of the voxels, in the order in which they are read."""
        places = np.argwhere(self.mask)
        return Geometry(
            coordinates=(places @ self.affine[:3, :3].T + self.affine[:3, 3]).astype(np.float32),
            space=space,
            grid_shape=self.mask.shape,
            grid_index=np.flatnonzero(self.mask),
            affine=self.affine,
        )


def common_grid(series: Sequence[Series], find_mask: Callable[[Series], Path]) -> Grid:
    """
    Voxels that lie in the brain masks of all runs of one subject.

    Args:
        series (`Sequence[Series]`):
            The runs; volumes.
        find_mask (`Callable`):
            The mask of a run.

    Raises:
        ValueError: a file is no series, series or masks lie on different grids, or no voxel is common.
    """
    headers = {one.paths[0]: nifti_header(one.paths[0]) for one in series}
    first, grid = next(iter(headers.items()))
    for path, header in headers.items():
        if len(header.shape) != 4:
            raise ValueError(f"{path}: expected a series with 4 axes (x, y, z, time), found {header.shape}")
        same_place = np.allclose(header.affine, grid.affine, rtol=0, atol=_SAME_PLACE)
        if header.shape[:3] != grid.shape[:3] or not same_place:
            raise ValueError(
                f"{path} and {first} lie on different grids (shapes {header.shape[:3]} and {grid.shape[:3]}, affines "
                f"{header.affine.tolist()} and {grid.affine.tolist()}): choose tasks or a resolution with one grid"
            )
    masks: dict[Path, np.ndarray] = {}
    for one in series:
        path = find_mask(one)
        if path not in masks:
            masks[path] = read_mask(path, one.paths[0])
    mask = np.logical_and.reduce(list(masks.values()))
    if not mask.any():
        raise ValueError(f"no voxel lies in all of {', '.join(map(str, masks))}: check the masks")
    return Grid(mask, grid.affine)


def find_brain_mask(series: Series) -> Path | None:
    """The file `_desc-brain_mask` beside a volume, in the same space and resolution."""
    name = series.names[0]
    wanted = {**name.entities, "desc": "brain"}
    beside = parse_names(name.path.parent.glob("*_mask.nii*"))
    result = [mask.path for mask in beside if mask.entities == wanted and mask.suffix == "mask"]
    return result[0] if result else None


__all__ = ["Grid", "Series", "common_grid", "find_brain_mask", "find_series", "num_raw_frames"]
