# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Nuisance regression: what head motion and drift explain of a series is taken out by least squares.

With the same columns the result is that of `nilearn.signal.clean` without filter and scaling.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from ..readers.bids_names import join, parse_names
from ..readers.text_files import read_tsv
from ..schema import Recording


#: fMRIPrep's name of the table, since version 20.2 and before.
CONFOUND_SUFFIXES = ("timeseries", "regressors")


def find_confounds(folder: Path, entities: Mapping[str, str]) -> Path:
    """
    The table of confounds of a run.

    Args:
        folder (`Path`):
            Where the series lies.
        entities (`Mapping[str, str]`):
            Of the run.

    Raises:
        FileNotFoundError: there is none.
    """
    wanted = {**entities, "desc": "confounds"}
    for name in parse_names(folder.glob("*_desc-confounds_*.tsv")):
        if name.entities == wanted and name.suffix in CONFOUND_SUFFIXES:
            return name.path
    raise FileNotFoundError(
        f"{folder} holds no {join(entities)}_desc-confounds_timeseries.tsv (nor _regressors.tsv): fetch it, or leave "
        "confounds out"
    )


def read_confounds(path: Path, columns: Sequence[str]) -> np.ndarray:
    """
    Columns of a table of confounds.

    Args:
        path (`Path`):
            Tab-separated, with a header and one line a frame.
        columns (`Sequence[str]`):
            Names, in which `*` stands for anything: `["trans_*", "rot_*", "a_comp_cor_0[0-4]"]`.

    Returns:
        `np.ndarray`: float64 `[frames, columns]`. A column whose first frame is `n/a`, as temporal derivatives
        have it, begins with its second value.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.text_files.read_tsv`] does.
        ValueError: no column has a name asked for, or a value other than the first is not a number.
    """
    rows = read_tsv(path)
    header = list(rows[0]) if rows else []
    unknown = [pattern for pattern in columns if not any(fnmatchcase(name, pattern) for name in header)]
    if unknown:
        raise ValueError(f"{path} has no column {', '.join(unknown)}: choose from {', '.join(header)}")
    chosen = [name for name in header if any(fnmatchcase(name, pattern) for pattern in columns)]
    table = np.array([[_number(row[name], name, path, line) for name in chosen] for line, row in enumerate(rows, 2)])
    if len(table) > 1:
        table[0] = np.where(np.isnan(table[0]), table[1], table[0])
    for row, column in np.argwhere(~np.isfinite(table))[:1]:
        raise ValueError(f"{path}, line {row + 2}: {chosen[column]} has no finite value; leave the column out")
    return table


def _number(text: str, name: str, path: Path, line: int) -> float:
    try:
        return np.nan if text == "n/a" else float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {name} is {text!r}, expected a number; download it again") from None


def regress_out(
    values: np.ndarray,
    confounds: np.ndarray | None = None,
    detrend: bool = False,
    fitted_on: np.ndarray | None = None,
) -> np.ndarray:
    """
    Residuals of a least-squares fit; the mean over frames stays.

    Args:
        values (`np.ndarray`):
            float32 `[frames, features]`; a feature with NaN stays NaN.
        confounds (`np.ndarray`, *optional*):
            `[frames, confounds]`; they may be linearly dependent.
        detrend (`bool`, *optional*, defaults to `False`):
            Whether a straight line is taken out as well.
        fitted_on (`np.ndarray`, *optional*):
            Frames on which weights and means are fitted; all by default.

    Raises:
        ValueError: values and confounds differ in frames.
    """
    frames = len(values)
    columns = [] if confounds is None else [confounds]
    if detrend:
        columns.append(np.arange(frames, dtype=float)[:, None])
    if not columns:
        return values
    if any(len(part) != frames for part in columns):
        raise ValueError(
            f"the series has {frames} frames and the confounds have {len(columns[0])}: files do not match"
        )
    design, fitted = np.hstack(columns), slice(None) if fitted_on is None else fitted_on
    design -= design[fitted].mean(axis=0)
    scale = np.linalg.norm(design[fitted], axis=0)
    design /= np.where(scale > 0, scale, 1)
    _, sizes, axes = np.linalg.svd(design[fitted], full_matrices=False)
    kept = sizes > sizes.max(initial=0) * frames * np.finfo(float).eps
    basis = (design @ (axes[kept].T / sizes[kept])).astype(np.float32)  # orthonormal on the fitted frames
    mean = values[fitted].mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = values - mean
    return centred - basis @ (basis[fitted].T @ centred[fitted]) + mean


def without_nuisance(recording: Recording, training: np.ndarray | None) -> Recording:
    """
    A recording whose `nuisance` is regressed out when it is read.

    Args:
        recording ([`~dataset_builders.schema.Recording`]):
            Returned as it is if it has none.
        training (`np.ndarray`, *optional*):
            Numbers of its training frames, on which weights are fitted; of a recording that has none, such as that of
            a person who is held out, all frames are used.
    """
    if recording.nuisance is None:
        return recording
    read = partial(_read_residuals, recording.read, recording.nuisance, training)
    return replace(recording, read=read, nuisance=None)


def _read_residuals(read: Callable[[], np.ndarray], nuisance: np.ndarray, fitted_on: np.ndarray | None) -> np.ndarray:
    return regress_out(read(), nuisance, fitted_on=fitted_on)


def read_cleaned(
    read: Callable[[], np.ndarray], path: Path | None, columns: Sequence[str], detrend: bool
) -> np.ndarray:
    """Values `[frames, features]` of a run, with confounds of its table and a straight line taken out."""
    values = read()
    try:
        return regress_out(values, read_confounds(path, columns) if path else None, detrend)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


__all__ = ["CONFOUND_SUFFIXES", "find_confounds", "read_cleaned", "read_confounds", "regress_out", "without_nuisance"]
