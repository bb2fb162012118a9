# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The ceiling of a corpus: how much of its voxels' variance anybody can explain, where stimuli were repeated."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..data.geometry import SubjectGeometry, find_subject_files, read_geometries
from .sections import Section


_COLUMNS = {
    "subject": "subject",
    "voxels": "voxels",
    "median": "median",
    "quarter": "upper quarter from",
    "tenth": "upper tenth from",
    "reliable": "share of voxels above 0",
    "unit": "unit",
}


def find_noise_ceiling(dataset: str, subjects: Collection[str]) -> Section | None:
    """
    The noise ceiling of the tested subjects of a prepared corpus; `None` where the corpus brings none.

    Args:
        dataset (`str`):
            See [`~trainers.data.geometry.read_geometries`]. Data without files of subjects have no ceiling either.
        subjects (`Collection[str]`):
            Who is tested.

    Raises:
        ValueError: a file of a subject is cut short, or was not written by the builder.
    """
    if not find_subject_files(dataset):
        return None
    found = read_geometries(dataset)
    return noise_ceiling_section({name: found[name] for name in sorted(subjects) if name in found})


def noise_ceiling_section(geometries: Mapping[str, SubjectGeometry]) -> Section | None:
    """
    The noise ceiling of each subject, as the corpus brings it along; `None` where it brings none.

    Args:
        geometries (`Mapping[str, SubjectGeometry]`):
            Of [`~trainers.data.geometry.read_geometries`].
    """
    known = {name: found for name, found in geometries.items() if found.noise_ceiling is not None}
    if not known:
        return None
    rows = [
        {"subject": name} | _summarise(np.asarray(found.noise_ceiling)) | {"unit": found.noise_ceiling_unit}
        for name, found in known.items()
    ]
    text = (
        "How much of a voxel's variance a perfect model of the stimulus could explain, from repeats of one stimulus "
        "(Allen et al. 2022), in the unit that the corpus states. It bounds what any decoder can read from these "
        "brains; it is no score of this decoder."
    )
    missing = sorted(set(geometries) - set(known))
    text += f" Unknown for {', '.join(missing)}." if missing else ""
    return Section("noise_ceiling", "Noise ceiling of the brains", text, _COLUMNS, rows)


def _summarise(ceiling: np.ndarray) -> dict[str, Any]:
    finite = ceiling[np.isfinite(ceiling)]
    numbers: dict[str, Any] = {"voxels": len(ceiling)}
    if not len(finite):
        return numbers
    median, quarter, tenth = np.quantile(finite, [0.5, 0.75, 0.9]).tolist()
    reliable = float((finite > 0).mean())
    return numbers | {"median": median, "quarter": quarter, "tenth": tenth, "reliable": reliable}


__all__ = ["find_noise_ceiling", "noise_ceiling_section"]
