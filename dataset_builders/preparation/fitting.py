# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Statistics of preprocessing, fitted on frames of training samples alone.

Means, deviations, the choice of voxels and components come from frames that belong to training samples. A run that has
none (a held-out story) is standardised within itself, as is usual for runs of fMRI; nothing else ever looks at a frame
that is not for training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..schema import Recording
from .preprocessing import Preprocessing, unit_of
from .recording_statistics import Moments, RecordingStatistics
from .storage import checked_values
from .voxel_selection import most_reliable, num_stimuli


# Most that rounding to float16 may change values by, as a share of their standard deviation.
_MOST_ROUNDING = 0.01
# Larger values do not fit into float16 at all, which is found out when they are stored.
_LARGEST_ROUNDED = 65_000


def fit_preprocessing(
    recordings: Sequence[Recording],
    recording_statistics: Sequence[RecordingStatistics],
    training: Mapping[str, np.ndarray],
    *,
    standardize: str,
    bad_voxels: str,
    dtype: str,
    wanted: np.ndarray | None = None,
    num_components: int | None = None,
    num_reliable_voxels: int | None = None,
    repeats: Mapping[str, np.ndarray] | None = None,
) -> Preprocessing:
    """
    Fits what is done to one subject's values.

    Args:
        recordings (`Sequence[Recording]`), recording_statistics (`Sequence[RecordingStatistics]`):
            All recordings of the subject, and what was found in them.
        training (`Mapping[str, np.ndarray]`):
            For each `recording_id`, the numbers of its frames that statistics are fitted on.
        standardize, bad_voxels, dtype (`str`):
            One of [`STANDARDIZE`], [`BAD_VOXELS`] and [`DTYPES`].
        wanted (`np.ndarray`, *optional*):
            bool `[features]`: features of the wanted regions.
        num_components (`int`, *optional*):
            Principal components to take.
        num_reliable_voxels (`int`, *optional*), repeats (`Mapping[str, np.ndarray]`, *optional*):
            How many of the most reliable voxels to keep, and by which frames they are known; see
            [`~dataset_builders.preparation.voxel_selection`].

    Raises:
        ValueError: voxels cannot be used and `bad_voxels="error"`, nothing is left of them, or there are fewer voxels,
            repeats or training frames than asked for.
    """
    fitted = _fit_statistics(recordings, recording_statistics, standardize, bad_voxels, dtype, wanted)
    if num_reliable_voxels is not None:
        fitted = _with_reliable_voxels(fitted, recordings, repeats or {}, standardize, num_reliable_voxels)
    if dtype == "float16" and standardize == "none" and num_components is None:
        _check_rounding(recordings[0].subject, recording_statistics, fitted)
    if num_components is not None:
        fitted = _with_components(fitted, recordings, training, standardize, num_components)
    return fitted


def _fit_statistics(
    recordings: Sequence[Recording],
    recording_statistics: Sequence[RecordingStatistics],
    standardize: str,
    bad_voxels: str,
    dtype: str,
    wanted: np.ndarray | None,
) -> Preprocessing:
    """Which voxels can be used, and their means and deviations."""
    subject = recordings[0].subject
    pooled = _moments_by_unit(["all"] * len(recording_statistics), recording_statistics)["all"]
    units = {}
    if standardize != "none":
        units = _moments_by_unit([unit_of(recording, standardize) for recording in recordings], recording_statistics)
    unusable = np.any([recording_statistics.not_finite for recording_statistics in recording_statistics], axis=0) | (
        pooled.squares == 0
    )
    for moments in units.values():
        unusable |= moments.squares == 0
    wanted = np.ones(len(unusable), bool) if wanted is None else wanted
    if bad_voxels == "error" and (unusable & wanted).any():
        raise ValueError(
            f"{subject}: {int((unusable & wanted).sum())} of {int(wanted.sum())} voxels hold NaN or never vary: "
            "choose bad_voxels='drop' to leave them out, or 'zero'"
        )
    kept = np.flatnonzero(wanted & ~unusable if bad_voxels == "drop" else wanted)
    if not len(kept):
        raise ValueError(f"{subject}: no voxel is left of {len(unusable)}; check the files and the regions asked for")
    return Preprocessing(
        kept=kept,
        unusable=unusable[kept],
        means={unit: moments.mean[kept] for unit, moments in units.items()},
        deviations={unit: moments.deviation[kept] for unit, moments in units.items()},
        dtype=dtype,
        summary=np.stack([pooled.mean, pooled.deviation]).astype(np.float32)[:, kept],
    )


def _check_rounding(subject: str, recording_statistics: Sequence[RecordingStatistics], fitted: Preprocessing) -> None:
    """Raises if float16 would lose too much of most voxels: raw values far from zero that vary little."""
    kept = fitted.kept[~fitted.unusable]
    moments = _moments_by_unit(["all"] * len(recording_statistics), recording_statistics)["all"]
    deviation = moments.deviation[kept]
    largest = np.minimum(np.abs(moments.mean[kept]) + deviation, _LARGEST_ROUNDED)
    lost = np.spacing(largest.astype(np.float16)).astype(np.float64) / np.sqrt(12)
    share = float(np.median(lost / deviation)) if len(kept) else 0.0
    if share > _MOST_ROUNDING:
        raise ValueError(
            f"{subject}: rounding to float16 changes values by {np.median(lost):.2g} (root mean square), "
            f"{share:.1%} of what they vary by: choose dtype='float32', or standardize='recording'"
        )


def _with_reliable_voxels(
    plain: Preprocessing,
    recordings: Sequence[Recording],
    repeats: Mapping[str, np.ndarray],
    standardize: str,
    count: int,
) -> Preprocessing:
    """Keeps the voxels that answer most reliably to repeated training stimuli."""
    subject, known = recordings[0].subject, num_stimuli(repeats, [recording.recording_id for recording in recordings])
    if count > len(plain.kept):
        raise ValueError(f"num_reliable_voxels={count}, and {subject} has {len(plain.kept)} usable voxels; lower it")
    if known < 2:
        raise ValueError(
            f"num_reliable_voxels={count} for {subject}: it perceived {known} training stimuli more than once, and "
            "reliability shows in repeats. Leave it out, or choose a split with repeats in training"
        )
    frames = {recording_id: table[:, 0] for recording_id, table in repeats.items()}
    used = [recording for recording in recordings if recording.recording_id in repeats]
    values = _training_values(plain, used, frames, standardize)
    trials = zip(values, (repeats[recording.recording_id][:, 1] for recording in used), strict=True)
    return plain.select(most_reliable(trials, known, count))


def _moments_by_unit(units: Sequence[str], statistics: Sequence[RecordingStatistics]) -> dict[str, Moments]:
    """Moments of each unit: of its training frames if it has any, else of all its frames."""
    moments: dict[str, Moments] = {}
    pairs = [pair for pair in zip(units, statistics, strict=True) if pair[0]]
    trained = {unit for unit, of_run in pairs if of_run.for_training}
    for unit, of_run in pairs:
        if of_run.for_training or unit not in trained:
            moments[unit] = moments[unit] + of_run.moments if unit in moments else of_run.moments
    return moments


def _with_components(
    plain: Preprocessing,
    recordings: Sequence[Recording],
    training: Mapping[str, np.ndarray],
    standardize: str,
    num_components: int,
) -> Preprocessing:
    """Adds principal components of the training frames, fitted a batch at a time."""
    from sklearn.decomposition import IncrementalPCA

    num_frames = sum(len(training.get(recording.recording_id, ())) for recording in recordings)
    most = min(num_frames - 1, len(plain.kept))
    if num_components > most:
        raise ValueError(
            f"num_components={num_components} for {recordings[0].subject}: {num_frames} training frames of "
            f"{len(plain.kept)} features give at most {most}; lower it"
        )
    pca = IncrementalPCA(num_components)
    for batch in _batches(_training_values(plain, recordings, training, standardize), num_components):
        pca.partial_fit(batch)
    center, components = np.asarray(pca.mean_, np.float32), np.asarray(pca.components_, np.float32)
    return replace(plain, center=center, components=components)


def _training_values(
    plain: Preprocessing, recordings: Sequence[Recording], training: Mapping[str, np.ndarray], standardize: str
) -> Iterator[np.ndarray]:
    for recording in recordings:
        frames = training.get(recording.recording_id, np.empty(0, int))
        if len(frames):
            yield plain.standardized(checked_values(recording)[frames], unit_of(recording, standardize))


def _batches(blocks: Iterator[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Blocks joined so that each, the last included, has at least `least` frames; all of them if there are fewer."""
    held: list[np.ndarray] = []
    for block in blocks:
        if sum(map(len, held)) >= 2 * least:
            joined = np.concatenate(held)
            yield joined[:-least]
            held = [joined[-least:]]
        held.append(block)
    yield np.concatenate(held)


__all__ = ["fit_preprocessing"]
