# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
When the volumes of a BIDS run were measured, from all that its files say of it.

| what is said | where | what it means |
|---|---|---|
| `RepetitionTime` | JSON, header | seconds from volume to volume |
| `DelayTime` | JSON | at the end of each TR nothing is measured for so long |
| `VolumeTiming`, `AcquisitionDuration` | JSON | onset of each volume, and how long it is measured (sparse sampling) |
| `StartTime` | JSON of the derivative | the moment of a volume to which its slices were resampled |
| `NumberOfVolumesDiscardedByUser` | JSON of the derivative | volumes that it lacks, beyond those of the raw run |

Onsets of events.tsv count from the first volume of the raw run, dropped later or not (BIDS 1.10, "Task events"). Where
two of these disagree nothing is guessed: the run is refused.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...preparation.alignment import Clock


# No TR of fMRI is longer, and none in milliseconds is shorter.
_LONGEST_TR = 20.0
# Headers hold float32, JSON the digits that someone typed.
_SAME_TR = 1e-3
# Fields such as NumberOfVolumesDiscardedByUser. The scanner discards its own before the first volume is stored.
_DISCARDED, _BY_SCANNER = "NumberOfVolumesDiscardedBy", "NumberOfVolumesDiscardedByScanner"


def run_clock(
    path: Path,
    num_frames: int,
    raw: Mapping[str, Any],
    derived: Mapping[str, Any],
    header_tr: float | None = None,
    chosen_tr: float | None = None,
    num_raw_frames: int | None = None,
) -> Clock:
    """
    The clock of a run, in seconds from the first volume of its raw series.

    Args:
        path (`Path`):
            The series, for messages.
        num_frames (`int`):
            Of the series.
        raw, derived (`Mapping[str, Any]`):
            Fields of the JSON sidecars of the raw run, and of the series.
        header_tr (`float`, *optional*):
            What the header of the series says.
        chosen_tr (`float`, *optional*):
            What the user says; it overrules all files.
        num_raw_frames (`int`, *optional*):
            Of the raw series, where it is there.

    Raises:
        ValueError: a number is missing or out of range, two sources disagree, or volumes are not evenly spaced.
    """
    dropped = _dropped(path, num_frames, raw, derived, num_raw_frames)
    said = {**raw, **derived}
    onsets = _volume_onsets(path, said, num_frames, dropped)
    sources = {
        "the JSON of the derivative": derived.get("RepetitionTime"),
        "the JSON of the raw run": raw.get("RepetitionTime"),
        "the header": header_tr,
    }
    if onsets is None:
        tr = _agreed(path, sources, chosen_tr)
        first, acquired = dropped * tr, _acquired(path, said, tr)
    else:
        tr, first = _spacing(path, onsets, chosen_tr), float(onsets[0])
        acquired = _acquired(path, said, tr)
        if acquired == tr and "AcquisitionDuration" not in said and "StartTime" not in derived:
            raise ValueError(f"{path}: its JSON says VolumeTiming and no AcquisitionDuration: add it, in seconds")
        # The header of a sparse series may say how long a volume is measured in place of the time between two.
        sources["the header"] = None if _same(header_tr or tr, acquired) else header_tr
        _agreed(path, {**sources, "VolumeTiming": tr}, chosen_tr)
    return Clock(tr=tr, first_centre=first + _centre(path, derived.get("StartTime"), acquired))


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME_TR)


def _number(path: Path, name: str, value: Any, least: float, most: float, what: str) -> float:
    """A number within bounds, the upper one left out."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < most:
        raise ValueError(f"{path}: its JSON says {name}={value!r}; expected {what}")
    return float(value)


def _agreed(path: Path, sources: Mapping[str, Any], chosen: float | None) -> float:
    """The TR that all sources state, or the user's."""
    stated = {"the option tr": chosen} if chosen is not None else sources
    stated = {name: value for name, value in stated.items() if value is not None}
    if not stated:
        raise ValueError(f"{path}: neither a JSON sidecar (RepetitionTime) nor its header states the TR: pass tr=")
    for value in stated.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_TR:
            raise ValueError(
                f"{path}: the TR is said to be {value!r}; expected up to {_LONGEST_TR:g} seconds (not milliseconds)"
            )
    tr = float(next(iter(stated.values())))
    if not all(_same(tr, value) for value in stated.values()):
        told = ", ".join(f"{value:g} s by {name}" for name, value in stated.items())
        raise ValueError(f"{path}: the TR is {told}: mend the file that is wrong, or pass tr=, which overrules them")
    return tr


def _acquired(path: Path, said: Mapping[str, Any], tr: float) -> float:
    """Seconds of each TR in which a volume is measured."""
    result = []
    if "DelayTime" in said:
        delay = _number(path, "DelayTime", said["DelayTime"], 0, tr, f"seconds within the TR of {tr:g} s")
        result.append(tr - delay)
    duration = said.get("AcquisitionDuration")
    # Some converters write the length of the whole series here.
    if duration is not None and ("VolumeTiming" in said or not isinstance(duration, int | float) or duration <= tr):
        what = f"seconds, more than 0 and up to the {tr:g} s from volume to volume"
        result.append(_number(path, "AcquisitionDuration", duration, 1e-6, tr * (1 + _SAME_TR), what))
    if len(result) > 1 and not _same(*result):
        raise ValueError(
            f"{path}: by DelayTime a volume is measured for {result[0]:g} s and by AcquisitionDuration for "
            f"{result[1]:g} s: mend the JSON"
        )
    return result[0] if result else tr


def _centre(path: Path, start: Any, acquired: float) -> float:
    """The moment within a volume that its values stand for."""
    if start is None:
        return acquired / 2
    return _number(path, "StartTime", start, 0, acquired, f"seconds within the {acquired:g} s that a volume takes")


def _dropped(
    path: Path, num_frames: int, raw: Mapping[str, Any], derived: Mapping[str, Any], num_raw_frames: int | None
) -> int:
    """Volumes at the beginning of the raw run that the series lacks."""
    counts = []
    for fields in (derived, raw):
        names = [name for name in fields if name.startswith(_DISCARDED) and name != _BY_SCANNER]
        whole = f"a number of volumes, of the {num_frames} that are left"
        result = [_number(path, name, fields[name], 0, math.inf, whole) for name in names]
        if any(count % 1 for count in result):
            raise ValueError(f"{path}: its JSON says {names[0]}={result[0]!r}; expected {whole}")
        counts.append(int(sum(result)))
    # A derivative hands on what the raw run says of itself; those volumes were never part of the raw series.
    dropped = max(counts[0] - counts[1], 0)
    if num_raw_frames is not None and num_raw_frames - num_frames != dropped:
        raise ValueError(
            f"{path} has {num_frames} frames and the raw series {num_raw_frames}, and by their JSON {dropped} were "
            "dropped at the beginning (NumberOfVolumesDiscardedByUser): say so in the JSON of the derivative, or get "
            "the other version of the raw series"
        )
    return dropped


def _volume_onsets(path: Path, said: Mapping[str, Any], num_frames: int, dropped: int) -> np.ndarray | None:
    """Onset of each volume of the series, in seconds from the first of the raw run."""
    timing = said.get("VolumeTiming")
    if timing is None:
        return None
    numbers = isinstance(timing, Sequence) and not isinstance(timing, str)
    if not numbers or not all(isinstance(time, int | float) and math.isfinite(time) for time in timing):
        raise ValueError(
            f"{path}: its JSON says VolumeTiming={timing!r}; expected the onset of each volume in seconds"
        )
    if len(timing) != num_frames + dropped:
        raise ValueError(
            f"{path}: VolumeTiming names {len(timing)} volumes; the series has {num_frames}, and {dropped} were "
            "dropped"
        )
    return np.array(timing[dropped:], dtype=np.float64)


def _spacing(path: Path, onsets: np.ndarray, chosen: float | None) -> float:
    """Seconds from volume to volume, all alike."""
    if len(onsets) < 2:
        return _LONGEST_TR if chosen is None else chosen
    steps = np.diff(onsets)
    tr = float(np.median(steps))
    # Half a percent of a TR on the way to the last volume is of no account.
    if tr <= 0 or np.abs(onsets - onsets[0] - tr * np.arange(len(onsets))).max() > 0.005 * tr * np.sqrt(len(onsets)):
        raise ValueError(
            f"{path}: its VolumeTiming goes on in steps of {steps.min():g} to {steps.max():g} s; only evenly spaced "
            "volumes are read, so leave the run out or resample it"
        )
    return tr


__all__ = ["run_clock"]
