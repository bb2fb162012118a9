# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Where the voxels of a prepared corpus lie: geometry of each subject, as the voxel encoder wants it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from modeling_brainllm import BrainLlamaFeatureExtractor


SUBJECT_FILES = "subjects/*.safetensors"
# Names that corpora give to what is in these files; see `dataset_builders.preparation.preprocessing`.
_METADATA, _COORDINATES, _REGIONS = "brainllm", "geometry/coordinates", "geometry/roi/"


@dataclass(frozen=True)
class SubjectGeometry:
    """
    Where the voxels of one subject lie, in the order of its `brain_values`.

    Args:
        num_voxels (`int`):
            Voxels of a brain sample.
        coordinates (`np.ndarray`, *optional*):
            float32 `[voxels, 3]`, millimetres in `space`; `None` where the corpus knows none.
        space (`str`, *optional*):
            Name of the space.
        regions (`dict[str, np.ndarray]`, *optional*):
            For each atlas int64 `[voxels]`: -1 not cortex, 0 unlabelled, then labels from 1.
        num_regions (`dict[str, int]`, *optional*):
            Labels of each atlas.
        region_names (`dict[str, list[str]]`, *optional*):
            For each atlas the names of labels 1, 2, ...
        noise_ceiling (`np.ndarray`, *optional*):
            float32 `[voxels]`, in `noise_ceiling_unit`.
        noise_ceiling_unit (`str`, *optional*):
            Such as `"percent of the variance of a single repeat"`; empty where the corpus does not say.
        grid_shape (`tuple[int, ...]`), grid_index (`np.ndarray`), affine (`np.ndarray`), *optional*:
            The subject's own image: its shape (three axes for a volume, fewer for vertices of both hemispheres), int64
            `[voxels]` places in it (C order), and float64 `[4, 4]` of a volume. Maps are written with it; see
            [`~trainers.maps.images`].
    """

    num_voxels: int
    coordinates: np.ndarray | None = None
    space: str = ""
    regions: dict[str, np.ndarray] = field(default_factory=dict)
    num_regions: dict[str, int] = field(default_factory=dict)
    region_names: dict[str, list[str]] = field(default_factory=dict)
    noise_ceiling: np.ndarray | None = None
    noise_ceiling_unit: str = ""
    grid_shape: tuple[int, ...] = ()
    grid_index: np.ndarray | None = None
    affine: np.ndarray | None = None


def find_subject_files(dataset: str) -> list[Path]:
    """
    The files of the subjects of a prepared corpus, which is downloaded if it is on the Hub; none where it has none.

    Args:
        dataset (`str`):
            Folder written by `examples/prepare_dataset.py`, or Hub id of a corpus that was pushed from there.
    """
    folder = Path(dataset)
    if not folder.is_dir():
        folder = Path(snapshot_download(dataset, repo_type="dataset", allow_patterns=SUBJECT_FILES))
    return sorted(folder.glob(SUBJECT_FILES))


def read_geometries(dataset: str) -> dict[str, SubjectGeometry]:
    """
    Reads the geometry of every subject of a prepared corpus.

    Args:
        dataset (`str`):
            See [`find_subject_files`].

    Returns:
        `dict[str, SubjectGeometry]`: by name of the subject; without coordinates where a file has none.

    Raises:
        FileNotFoundError: the corpus has no files of subjects.
        ValueError: a file is cut short, or was not written by the builder.
    """
    files = find_subject_files(dataset)
    if not files:
        raise FileNotFoundError(
            f"'{dataset}' has no {SUBJECT_FILES}, so nobody knows where its voxels lie. Prepare it with "
            "`examples/prepare_dataset.py`, which writes them."
        )
    return {file.stem: _read_geometry(file) for file in files}


def _read_geometry(file: Path) -> SubjectGeometry:
    try:
        with safe_open(file, "numpy") as handle:
            state = {name: handle.get_tensor(name) for name in handle.keys() if name.startswith(("geo", "kept"))}  # noqa: SIM118
            words = json.loads((handle.metadata() or {})[_METADATA])
        labels = {name.removeprefix(_REGIONS): value for name, value in state.items() if name.startswith(_REGIONS)}
        return SubjectGeometry(
            num_voxels=len(state["kept"]),
            coordinates=state.get(_COORDINATES),
            space=words.get("space", ""),
            regions={name: np.maximum(values.astype(np.int64), -1) for name, values in labels.items()},
            num_regions={
                name: max(len(words["roi_names"].get(name, ())), int(values.max(initial=0)))
                for name, values in labels.items()
            },
            region_names=words["roi_names"] if labels else {},
            noise_ceiling=state.get("geometry/noise_ceiling"),
            noise_ceiling_unit=words.get("noise_ceiling_unit", ""),
            grid_shape=tuple(words.get("grid_shape", ())),
            grid_index=state.get("geometry/grid_index"),
            affine=state.get("geometry/affine"),
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{file} is not as a corpus builder wrote it ({error!r}). Prepare the corpus again."
        ) from error


def region_sizes(geometries: Mapping[str, SubjectGeometry], atlases: Sequence[str]) -> list[int]:
    """
    Labels of each atlas, for [`VoxelEncoderConfig`].

    Args:
        geometries (`Mapping[str, SubjectGeometry]`):
            By name of the subject.
        atlases (`Sequence[str]`):
            Names of the atlases.

    Raises:
        ValueError: a subject lacks an atlas; names both.
    """
    for subject, geometry in geometries.items():
        missing = [name for name in atlases if name not in geometry.regions]
        if missing:
            raise ValueError(
                f"Subject '{subject}' has no atlas {', '.join(missing)}; it has {sorted(geometry.regions)}. Choose "
                "`atlases` that all subjects have, or leave the subject out."
            )
    return [max(1, *(geometry.num_regions[name] for geometry in geometries.values())) for name in atlases]


def add_geometries(
    extractor: BrainLlamaFeatureExtractor, geometries: Mapping[str, SubjectGeometry], atlases: Sequence[str]
) -> None:
    """
    Tells a feature extractor where the voxels of each subject lie; what it knew of these subjects is replaced.

    Args:
        extractor ([`BrainLlamaFeatureExtractor`]):
            For voxels; changed in place.
        geometries (`Mapping[str, SubjectGeometry]`):
            By name of the subject.
        atlases (`Sequence[str]`):
            Names of the atlases, in the order of the encoder's `region_sizes`.

    Raises:
        ValueError: a subject has no coordinates, lacks an atlas, or lies in another space than the others.
    """
    region_sizes(geometries, atlases)  # names the subject that lacks one
    spaces = {subject: geometry.space for subject, geometry in geometries.items()}
    if len(set(spaces.values())) > 1:
        raise ValueError(
            f"Subjects lie in different spaces: {spaces}. A position means the same in all brains only in one common "
            "space; prepare the corpus again with common coordinates for all subjects."
        )
    for subject, geometry in geometries.items():
        if geometry.coordinates is None:
            raise ValueError(
                f"Subject '{subject}' has no geometry: its file in `subjects/` holds no coordinates. Prepare the "
                "corpus with a builder that knows where voxels lie (and without `num_components`), or leave the "
                "subject out."
            )
        labels = [geometry.regions[name] for name in atlases]
        regions = np.stack(labels, axis=1) if labels else np.empty((geometry.num_voxels, 0), np.int64)
        extractor.add_subject(subject, geometry.coordinates, regions)


def check_voxel_counts(rows: Any, geometries: Mapping[str, SubjectGeometry]) -> None:
    """
    Compares the first row of each subject with its geometry; the feature extractor checks every row when it comes.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a corpus.
        geometries (`Mapping[str, SubjectGeometry]`):
            By name of the subject.

    Raises:
        ValueError: a subject has no geometry, or a brain of it has another number of voxels; names row and numbers.
    """
    subjects = list(rows["subject"])
    for subject in dict.fromkeys(subjects):
        row = rows[subjects.index(subject)]
        if subject not in geometries:
            raise ValueError(
                f"Subject '{subject}' of row '{row['sample_id']}' has no geometry; known are {sorted(geometries)}. "
                "Prepare the corpus again, or leave the subject out."
            )
        expected, found = [1, geometries[subject].num_voxels], list(np.shape(row["brain_values"]))
        if found != expected:
            raise ValueError(
                f"Row '{row['sample_id']}' must hold one frame of {expected[1]} voxels, as the geometry of subject "
                f"'{subject}' says; found shape {found}. Rows and `subjects/` are of different preparations: prepare "
                "the corpus again."
            )


__all__ = [
    "SubjectGeometry",
    "add_geometries",
    "check_voxel_counts",
    "find_subject_files",
    "read_geometries",
    "region_sizes",
]
