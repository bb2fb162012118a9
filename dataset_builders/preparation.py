# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""From recordings to prepared values: survey, fit, write, each in parallel and each taken up after an interruption."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from .corpus_config import BrainCorpusConfig
from .preprocessing import Preprocessing, fit_preprocessing, unit_of
from .recordings import (
    RECORDINGS_DIR,
    RecordingFolder,
    checked_values,
    recording_file,
    run_over,
    take_frames,
    write_dataset_files,
    write_recording,
)
from .schema import TRAIN, Geometry, Recording, Sample
from .survey import Survey, survey_recording


#: Recordings that a stream holds at a time.
_STREAM_HOLDS = 2

Values = Callable[[Sample], np.ndarray]


def training_frames(samples: Sequence[Sample], splits: np.ndarray) -> dict[str, np.ndarray]:
    """For each `recording_id`, the sorted numbers of its frames that belong to training samples."""
    frames: dict[str, set[int]] = {}
    for sample, split in zip(samples, splits, strict=True):
        if split == TRAIN:
            frames.setdefault(sample.recording, set()).update(sample.frames)
    return {recording_id: np.array(sorted(found)) for recording_id, found in frames.items()}


class Preparation:
    """
    The values of a corpus on their way from source files to Arrow.

    Args:
        recordings (`Sequence[Recording]`):
            All recordings that samples refer to.
        training (`Mapping[str, np.ndarray]`):
            By [`training_frames`].
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
        training: Mapping[str, np.ndarray],
        geometries: Mapping[str, Geometry | None],
        config: BrainCorpusConfig,
        folder: Path,
        num_proc: int | None = None,
    ):
        self.recordings, self.training, self.geometries = recordings, training, geometries
        self.config, self.folder, self.num_proc = config, folder, num_proc
        for subject in geometries:
            widths = {recording.num_features for recording in recordings if recording.subject == subject}
            if len(widths) > 1:
                found = sorted(widths)
                raise ValueError(f"recordings of {subject} differ in features ({found}); all must have the same")

    @cached_property
    def surveys(self) -> list[Survey]:
        """What one pass over each recording has found."""
        survey = partial(survey_recording, folder=self.folder / "surveys", training=self.training)
        return run_over(survey, self.recordings, self.num_proc, "Surveying recordings")

    @property
    def digests(self) -> dict[str, np.ndarray]:
        """For each `recording_id` the hashes of its frames."""
        pairs = zip(self.recordings, self.surveys, strict=True)
        return {recording.recording_id: survey.digests for recording, survey in pairs}

    @cached_property
    def preprocessings(self) -> dict[str, Preprocessing]:
        """What is done to the values of each subject, fitted, or found from an earlier, interrupted run."""
        return {subject: self._preprocessing(subject) for subject in self.geometries}

    def _preprocessing(self, subject: str) -> Preprocessing:
        path = self.folder / "subjects" / f"{subject}.safetensors"
        if path.is_file():
            return Preprocessing.load(path)
        own = [i for i, recording in enumerate(self.recordings) if recording.subject == subject]
        recordings = [self.recordings[i] for i in own]
        fitted = fit_preprocessing(
            recordings,
            [self.surveys[i] for i in own],
            self.training,
            standardize=self.config.standardize,
            bad_voxels=self.config.bad_voxels,
            dtype=self.config.dtype,
            wanted=wanted_features(self.geometries[subject], self.config.rois, subject, recordings[0].num_features),
            num_components=self.config.num_components,
        )
        fitted.save(path, self.geometries[subject])
        return fitted

    @property
    def fitted_on(self) -> dict[str, dict[str, np.ndarray]]:
        """For each statistic that is applied to other recordings, the frames it comes from."""
        used = {
            "mean and deviation": self.config.standardize != "none",
            "components": bool(self.config.num_components),
        }
        return {name: dict(self.training) for name, wanted in used.items() if wanted}

    @property
    def common_width(self) -> int | None:
        """Features of a prepared frame, if all subjects have the same number."""
        widths = {preprocessing.width for preprocessing in self.preprocessings.values()}
        return widths.pop() if len(widths) == 1 else None

    @property
    def description(self) -> dict[str, Any]:
        """What is done, for `corpus.json`."""
        config = self.config
        names = ("standardize", "bad_voxels", "rois", "num_components", "dtype")
        unusable = {
            subject: int(np.any([s.not_finite for s in self._surveys_of(subject)], axis=0).sum())
            for subject in self.geometries
        }
        widths = {subject: found.width for subject, found in self.preprocessings.items()}
        return {name: getattr(config, name) for name in names} | {"features": widths, "voxels_with_nan": unusable}

    def _surveys_of(self, subject: str) -> list[Survey]:
        pairs = zip(self.recordings, self.surveys, strict=True)
        return [survey for recording, survey in pairs if recording.subject == subject]

    def write(self) -> Values:
        """Writes every recording and returns the values of a sample."""
        folder = self.folder / RECORDINGS_DIR
        write = partial(_write, folder=folder, preprocessings=self.preprocessings, standardize=self.config.standardize)
        run_over(write, self.recordings, self.num_proc, "Writing recordings")
        write_dataset_files(folder, self.recordings, self.config.dtype)
        return RecordingFolder(folder).values

    def stream(self) -> Values:
        """Returns the values of a sample, read when they are needed; nothing is written."""
        by_id = {recording.recording_id: recording for recording in self.recordings}
        held: OrderedDict[str, np.ndarray] = OrderedDict()

        def values(sample: Sample) -> np.ndarray:
            if sample.recording not in held:
                held[sample.recording] = _prepared(
                    by_id[sample.recording], self.preprocessings, self.config.standardize
                )
                if len(held) > _STREAM_HOLDS:
                    held.popitem(last=False)
            return take_frames(held[sample.recording], sample.frames)

        return values


def wanted_features(
    geometry: Geometry | None, rois: Sequence[str] | None, subject: str, num_features: int
) -> np.ndarray | None:
    """
    Features `[features]` of the wanted regions as a mask, or `None` for all.

    Raises:
        ValueError: the subject has no such region, or no regions at all.
    """
    if rois is None:
        return None
    labels = {} if geometry is None else geometry.roi_labels
    wanted = np.zeros(num_features, bool)
    for roi in rois:
        name, _, region = roi.partition(":")
        names = geometry.roi_names.get(name, []) if geometry is not None else []
        if name not in labels or (region and region not in names):
            known = [name if not regions else f"{name}:{{{','.join(regions)}}}" for name, regions in _sets(geometry)]
            raise ValueError(f"rois={roi!r} is no region of {subject}; its regions are {', '.join(known) or 'none'}")
        wanted |= labels[name] > 0 if not region else labels[name] == names.index(region) + 1
    return wanted


def _sets(geometry: Geometry | None) -> list[tuple[str, list[str]]]:
    return [] if geometry is None else [(name, geometry.roi_names.get(name, [])) for name in geometry.roi_labels]


def _prepared(recording: Recording, preprocessings: Mapping[str, Preprocessing], standardize: str) -> np.ndarray:
    try:
        return preprocessings[recording.subject](checked_values(recording), unit_of(recording, standardize))
    except OverflowError as error:
        raise ValueError(f"{recording.recording_id}: {error}") from error


def _write(recording: Recording, folder: Path, preprocessings: Mapping[str, Preprocessing], standardize: str) -> None:
    path = recording_file(folder, recording.recording_id)
    if not path.is_file():
        write_recording(path, recording.recording_id, _prepared(recording, preprocessings, standardize))


__all__ = ["Preparation", "training_frames", "wanted_features"]
