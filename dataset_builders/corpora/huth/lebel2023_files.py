# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Where ds003020 (LeBel et al. 2023) keeps what: responses, sessions, repeats of the test story, places of voxels."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...preparation.alignment import LEBEL_CLOCK
from ...preparation.noise_ceiling import noise_ceiling, signal_to_noise
from ...readers.bids_names import parse_names, read_metadata
from ...readers.volumes import nifti_header, read_nifti
from ...schema import TEST, TRAIN, Geometry, Recording
from .lebel2023_facts import PUBLISHED, TEST_STORY, Lebel2023Facts
from .stories import Run, choose, read_response, response_shape


MEAN, SINGLE = "mean", "single"
_REPEATS = "individual_repeats"
_REPEATS_AXES = "[repeats, frames, voxels]"


def derivative_folder(data_dir: str | None) -> Path:
    """
    The folder `derivative` of a copy of ds003020.

    Raises:
        FileNotFoundError: it has no responses.
    """
    folder = Path(data_dir or "") / "derivative"
    if data_dir is None or not (folder / "preprocessed_data").is_dir():
        raise FileNotFoundError(
            f"data_dir={data_dir!r} holds no folder derivative/preprocessed_data: name the folder of ds003020, and "
            "get the responses with `datalad get derivative/preprocessed_data`"
        )
    return folder


def find_responses(
    derivative: Path, subjects: list[str] | None = None, stories: list[str] | None = None
) -> dict[str, dict[str, Path]]:
    """
    The files of responses, `found[subject][story]`, whether or not their content is there.

    Args:
        derivative (`Path`):
            The folder of that name.
        subjects, stories (`list[str]`, *optional*):
            Only these.

    Raises:
        ValueError: no file belongs to a subject, or none to a story, that was asked for.
    """
    folder = derivative / "preprocessed_data"
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*.hf5")):
        found.setdefault(path.parent.name, {})[path.stem] = path
    chosen = choose(found, subjects, "subjects", folder)
    wanted = choose({story for paths in found.values() for story in paths}, stories, "stories", folder)
    return {
        subject: {story: found[subject][story] for story in wanted if story in found[subject]} for subject in chosen
    }


def find_sessions(folder: Path, subject: str, facts: Lebel2023Facts = PUBLISHED) -> dict[tuple[str, str], str]:
    """
    The session of each story of a subject and of each repeat: `sessions[story, "1"]`, `sessions[story, "2"]`, ...

    They are read from the names of the raw files (`sub-UTS01/ses-2/func/...`), or known from `facts`, or left out.
    """
    names = parse_names((folder / f"sub-{subject}").glob("ses-*/func/*_bold.*"))
    found = {
        (name.entities["task"], name.entities.get("run", "1")): name.entities["ses"]
        for name in names
        if {"task", "ses"} <= name.entities.keys()
    }
    if found:
        return found
    known = {(story, "1"): session for story, session in facts.sessions.get(subject, {}).items()}
    repeats = facts.repeat_sessions.get(subject, ())
    return known | {(TEST_STORY, str(number)): session for number, session in enumerate(repeats, 1)}


def list_runs(
    derivative: Path, subject: str, path: Path, sessions: Mapping[tuple[str, str], str], test_repeats: str = MEAN
) -> list[Run]:
    """
    The recordings in one file of responses: one, or as many as there are repeats of the test story.

    Args:
        derivative, path (`Path`):
            The folder of that name, and the file.
        subject (`str`):
            Whose responses they are.
        sessions (`Mapping[tuple[str, str], str]`):
            By [`find_sessions`].
        test_repeats (`str`, *optional*, defaults to `"mean"`):
            See [`Lebel2023Config`].

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.corpora.huth.stories.response_shape`] does.
        ValueError: repeats and their mean differ in shape.
    """
    story = path.stem
    num_frames, num_voxels = response_shape(path)
    num_repeats = _num_repeats(path, (num_frames, num_voxels)) if story == TEST_STORY else 1
    of_repeats = [sessions.get((story, str(number)), "") for number in range(1, num_repeats + 1)]
    make = partial(Recording, subject=subject, num_frames=num_frames, num_features=num_voxels, sources=(path,))
    if story == TEST_STORY and test_repeats == SINGLE:
        recordings = [
            make(
                f"{subject}/{story}.repeat-{number:02d}",
                read=partial(read_response, path, _REPEATS, number - 1),
                session=session,
            )
            for number, session in enumerate(of_repeats, 1)
        ]
    else:
        # The mean of repeats belongs to all of their sessions.
        session = "+".join(dict.fromkeys(of_repeats)) if all(of_repeats) else ""
        recordings = [make(f"{subject}/{story}", read=partial(read_response, path), session=session)]
    return [
        Run(
            recording=recording,
            story=story,
            group=story,
            transcript=derivative / "TextGrids" / f"{story}.TextGrid",
            clock=LEBEL_CLOCK,
            official_split=TEST if story == TEST_STORY else TRAIN,
        )
        for recording in recordings
    ]


def _num_repeats(path: Path, expected: tuple[int, int]) -> int:
    num_repeats, *shape = response_shape(path, _REPEATS, _REPEATS_AXES)
    if tuple(shape) != expected:
        raise ValueError(
            f"{path}: the repeats have the shape {tuple(shape)} [frames, voxels] and their mean has {expected}: "
            "download the file again"
        )
    return num_repeats


def ceiling_of_repeats(path: Path, test_repeats: str) -> tuple[np.ndarray, str]:
    """
    Noise ceiling `[voxels]` of the test story as it is read, and its unit. One repeat is in memory at a time.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.corpora.huth.stories.read_response`] does.
    """
    num_repeats = response_shape(path, _REPEATS, _REPEATS_AXES)[0]
    ratio = signal_to_noise(read_response(path, _REPEATS, repeat) for repeat in range(num_repeats))
    averaged = num_repeats if test_repeats == MEAN else 1
    what = f"the mean of {num_repeats} repeats" if averaged > 1 else "a single repeat"
    return noise_ceiling(ratio, averaged), f"percent of the variance of {what}"


def voxel_places(derivative: Path, subject: str, num_voxels: int) -> Geometry | None:
    """
    Where the voxels of a subject lie, by the mask with which pycortex took them from the volume.

    pycortex holds volumes as `[z, y, x]` and takes the voxels of a mask in C order; its files are NIfTI, `[x, y, z]`.

    Args:
        derivative (`Path`):
            The folder of that name.
        subject (`str`):
            The subject.
        num_voxels (`int`):
            Voxels of the responses.

    Returns:
        [`~dataset_builders.schema.Geometry`], or `None` where the mask is not published or was not downloaded.

    Raises:
        ValueError: the mask has another number of voxels, or the table of transforms is odd.
    """
    names = derivative / "subject_xfms.json"
    transforms: dict[str, Any] = read_metadata([names]) if names.is_file() else {}
    transform = transforms.get(subject, f"{subject}_auto")
    if not (isinstance(transform, str) and re.fullmatch(r"\w+", transform)):
        raise ValueError(f"{names}: {subject} has {transform!r}; expected the name of a folder")
    path = derivative / "pycortex-db" / subject / "transforms" / transform / "mask_thick.nii.gz"
    if not path.is_file():
        return None
    mask = read_nifti(path) > 0
    if mask.ndim != 3 or np.count_nonzero(mask) != num_voxels:
        raise ValueError(
            f"{path} is a mask of {np.count_nonzero(mask)} voxels of the shape {mask.shape}, and the responses of "
            f"{subject} have {num_voxels}: get mask and responses of the same release"
        )
    affine = nifti_header(path).affine
    voxels = np.argwhere(mask.T)[:, ::-1]
    return Geometry(
        coordinates=(voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32),
        space=transform,
        grid_shape=mask.shape,
        grid_index=np.ravel_multi_index(tuple(voxels.T), mask.shape).astype(np.int64),
        affine=affine,
    )


__all__ = [
    "MEAN",
    "SINGLE",
    "ceiling_of_repeats",
    "derivative_folder",
    "find_responses",
    "find_sessions",
    "list_runs",
    "voxel_places",
]
