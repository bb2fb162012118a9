# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
From recordings to prepared values: recording statistics, fit, write, each in parallel and each taken up after an
interruption.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..config import BrainCorpusConfig
from ..schema import Geometry, Recording, Sample
from .averages import joined_from_parts, keep_parts, parts_by_source, sources_beside
from .confounds import without_nuisance
from .fitting import fit_preprocessing
from .preprocessing import Preprocessing, unit_of
from .recording_statistics import RecordingStatistics, compute_recording_statistics
from .storage import (
    RECORDINGS_DIR,
    RecordingFolder,
    checked_values,
    recording_file,
    run_over,
    take_frames,
    write_dataset_files,
    write_recording,
)
from .voxel_selection import repeated_frames


#: Recordings that a stream holds at a time.
_STREAM_HOLDS = 2

Values = Callable[[Sample], np.ndarray]


def frames_of(samples: Iterable[Sample]) -> dict[str, np.ndarray]:
    """For each `recording_id`, the sorted numbers of its frames that belong to some samples."""
    frames: dict[str, set[int]] = {}
    for sample in samples:
        frames.setdefault(sample.recording, set()).update(sample.frames)
    return {recording_id: np.array(sorted(found)) for recording_id, found in frames.items()}


class Preparation:
    """
    The values of a corpus on their way from source files to Arrow.

    Args:
        recordings (`Sequence[Recording]`):
            All recordings that samples refer to.
        fitting (`Sequence[Sample]`):
            Those that statistics are fitted on.
        geometries (`Mapping[str, Geometry | None]`):
            Of each subject.
        config ([`BrainCorpusConfig`]):
            The options of preprocessing.
        folder (`Path`):
            Where everything is written.
        num_proc (`int`, *optional*):
            Processes that read and write recordings.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        fitting: Sequence[Sample],
        geometries: Mapping[str, Geometry | None],
        config: BrainCorpusConfig,
        folder: Path,
        num_proc: int | None = None,
    ):
        self.geometries, self.config, self.folder, self.num_proc = geometries, config, folder, num_proc
        self.training = frames_of(fitting)
        recordings = [without_nuisance(one, self.training.get(one.recording_id)) for one in recordings]
        self.repeats = {} if config.num_reliable_voxels is None else repeated_frames(fitting)
        self._statistics_dir, averages = (
            folder / "recording_statistics",
            [r for r in recordings if r.made_of is not None],
        )
        self._parts, self._beside = parts_by_source(averages, self._statistics_dir), sources_beside(recordings)
        self._averages = {average.recording_id for average in averages}
        #: Composites are read from parts, which the recording statistics of their sources leaves behind.
        self.recordings = [joined_from_parts(r, self._statistics_dir) if r.made_of else r for r in recordings]
        for subject in geometries:
            widths = {recording.num_features for recording in recordings if recording.subject == subject}
            if len(widths) > 1:
                found = sorted(widths)
                raise ValueError(f"recordings of {subject} differ in features ({found}); all must have the same")

    @cached_property
    def recording_statistics(self) -> list[RecordingStatistics]:
        """What one pass over each recording has found."""
        needed = [self._parts[source.recording_id] for source in self._beside]
        run_over(keep_parts, self.num_proc, "Reading parts of recordings", self._beside, needed)
        average = [recording.recording_id in self._averages for recording in self.recordings]
        found: dict[str, RecordingStatistics] = {}
        for last in (False, True):  # averages are read from what the recording statistics of the others has kept
            chosen = [r for r, is_average in zip(self.recordings, average, strict=True) if is_average == last]
            found |= self._recording_statistics_of(chosen)
        return [found[recording.recording_id] for recording in self.recordings]

    def _recording_statistics_of(self, recordings: Sequence[Recording]) -> dict[str, RecordingStatistics]:
        names = [recording.recording_id for recording in recordings]
        frames = [self.training.get(name, np.empty(0, np.int64)) for name in names]
        parts = [self._parts.get(name, []) for name in names]
        recording_statistics = partial(compute_recording_statistics, folder=self._statistics_dir)
        recording_statistics = run_over(
            recording_statistics, self.num_proc, "Surveying recordings", recordings, frames, parts
        )
        return dict(zip(names, recording_statistics, strict=True))

    @property
    def digests(self) -> dict[str, np.ndarray]:
        """For each `recording_id` the hashes of its frames."""
        pairs = zip(self.recordings, self.recording_statistics, strict=True)
        return {recording.recording_id: recording_statistics.digests for recording, recording_statistics in pairs}

    @cached_property
    def preprocessings(self) -> dict[str, Preprocessing]:
        """What is done to the values of each subject, fitted, or found from an earlier, interrupted run."""
        return {subject: self._preprocessing(subject) for subject in self.geometries}

    def _file(self, subject: str) -> Path:
        return self.folder / "subjects" / f"{subject}.safetensors"

    def _preprocessing(self, subject: str) -> Preprocessing:
        path, recording_statistics = (
            self._file(subject),
            self.recording_statistics,
        )  # the recording statistics also leaves behind what averages are read from
        if path.is_file():
            return Preprocessing.load(path)
        own = [i for i, recording in enumerate(self.recordings) if recording.subject == subject]
        recordings = [self.recordings[i] for i in own]
        fitted = fit_preprocessing(
            recordings,
            [recording_statistics[i] for i in own],
            self.training,
            standardize=self.config.standardize,
            bad_voxels=self.config.bad_voxels,
            dtype=self.config.dtype,
            wanted=wanted_features(self.geometries[subject], self.config.rois, subject, recordings[0].num_features),
            num_components=self.config.num_components,
            num_reliable_voxels=self.config.num_reliable_voxels,
            repeats=self.repeats,
        )
        fitted.save(path, self.geometries[subject])
        return fitted

    @property
    def fitted_on(self) -> dict[str, dict[str, np.ndarray]]:
        """For each statistic that is applied to other recordings, the frames it comes from."""
        used = {
            "mean and deviation": self.training if self.config.standardize != "none" else {},
            "choice of voxels": {name: table[:, 0] for name, table in self.repeats.items()},
            "components": self.training if self.config.num_components else {},
        }
        return {name: dict(frames) for name, frames in used.items() if frames}

    @property
    def common_width(self) -> int | None:
        """Features of a prepared frame, if all subjects have the same number."""
        widths = {preprocessing.width for preprocessing in self.preprocessings.values()}
        return widths.pop() if len(widths) == 1 else None

    @property
    def description(self) -> dict[str, Any]:
        """What is done, for `corpus.json`."""
        config = self.config
        names = ("standardize", "bad_voxels", "rois", "num_reliable_voxels", "num_components", "dtype")
        unusable = {
            subject: int(np.any([s.not_finite for s in self._statistics_of(subject)], axis=0).sum())
            for subject in self.geometries
        }
        widths = {subject: found.width for subject, found in self.preprocessings.items()}
        spaces = {subject: found.space for subject, found in self.geometries.items() if found is not None}
        regressed = {"confounds": getattr(config, "confounds", None) or []}
        found = regressed | {"features": widths, "spaces": spaces, "voxels_with_nan": unusable}
        return {name: getattr(config, name) for name in names} | found

    def _statistics_of(self, subject: str) -> list[RecordingStatistics]:
        pairs = zip(self.recordings, self.recording_statistics, strict=True)
        return [recording_statistics for recording, recording_statistics in pairs if recording.subject == subject]

    def write(self) -> Values:
        """Writes every recording and returns the values of a sample."""
        folder = self.folder / RECORDINGS_DIR
        # The files' names and not what they hold, which may be large, go to every process with every recording.
        files = {subject: self._file(subject) for subject in self.preprocessings}
        write = partial(_write, folder=folder, files=files, standardize=self.config.standardize)
        run_over(write, self.num_proc, "Writing recordings", self.recordings)
        write_dataset_files(folder, self.recordings, self.config.dtype)
        return RecordingFolder(folder).values

    def stream(self) -> Values:
        """Returns the values of a sample, read when they are needed; nothing is written."""
        by_id = {recording.recording_id: recording for recording in self.recordings}
        held: OrderedDict[str, np.ndarray] = OrderedDict()

        def values(sample: Sample) -> np.ndarray:
            if sample.recording not in held:
                recording = by_id[sample.recording]
                fitted = self.preprocessings[recording.subject]
                held[sample.recording] = _prepared(recording, fitted, self.config.standardize)
                if len(held) > _STREAM_HOLDS:
                    held.popitem(last=False)
            return take_frames(held[sample.recording], sample.frames)

        return values


def wanted_features(
    geometry: Geometry | None, rois: Sequence[str] | None, subject: str, num_features: int
) -> np.ndarray:
    """
    Features of the wanted regions, or all, as a mask `[features]`; without those that have no place where others do.

    Raises:
        ValueError: the subject has no such region, or no regions at all.
    """
    geometry = geometry or Geometry()
    wanted = np.full(num_features, rois is None)
    for roi in rois or ():
        name, _, region = roi.partition(":")
        names = geometry.roi_names.get(name, [])
        if name not in geometry.roi_labels or (region and region not in names):
            known = [name if not regions else f"{name}:{{{','.join(regions)}}}" for name, regions in _sets(geometry)]
            raise ValueError(f"rois={roi!r} is no region of {subject}; its regions are {', '.join(known) or 'none'}")
        labels = geometry.roi_labels[name]
        wanted |= labels > 0 if not region else labels == names.index(region) + 1
    if geometry.coordinates is not None:
        wanted &= np.isfinite(geometry.coordinates).all(axis=1)
    return wanted


def _sets(geometry: Geometry) -> list[tuple[str, list[str]]]:
    return [(name, geometry.roi_names.get(name, [])) for name in geometry.roi_labels]


def _prepared(recording: Recording, fitted: Preprocessing, standardize: str) -> np.ndarray:
    try:
        return fitted(checked_values(recording), unit_of(recording, standardize))
    except OverflowError as error:
        raise ValueError(f"{recording.recording_id}: {error}") from error


@lru_cache(maxsize=1)
def _saved(path: Path, changed: int) -> Preprocessing:
    """Of the subject at hand: recordings come subject by subject. A file at the same place is known by its time."""
    return Preprocessing.load(path)


def _write(recording: Recording, folder: Path, files: Mapping[str, Path], standardize: str) -> None:
    path, saved = recording_file(folder, recording.recording_id), files[recording.subject]
    if not path.is_file():
        fitted = _saved(saved, saved.stat().st_mtime_ns)
        write_recording(path, recording.recording_id, _prepared(recording, fitted, standardize))


__all__ = ["Preparation", "wanted_features"]
