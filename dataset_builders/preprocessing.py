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
"""
What is done to brain values before they are written, fitted on training frames alone and saved beside them.

In this order: voxels of the wanted regions are kept, useless ones are dropped, values are standardised, principal
components are taken, numbers become float16 or float32. Means, deviations and components come from frames that belong
to training samples. A run that has none (a held-out story) is standardised within itself, as is usual for runs of
fMRI; nothing else ever looks at a frame that is not for training.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from .recordings import checked_values, replacing
from .schema import Geometry, Recording
from .survey import Moments, Survey


#: Frames over which mean and deviation are taken: none (values stay as they are), each recording, all recordings of a
#: session, or all of a subject.
STANDARDIZE = ("none", "recording", "session", "train")
#: What becomes of voxels with NaN, or that never vary: left out, set to zero, or an error.
BAD_VOXELS = ("drop", "zero", "error")
DTYPES = ("float16", "float32")
#: Entry of a subject's file that holds, as JSON, what is not an array.
METADATA = "brainllm"


@dataclass(frozen=True)
class Preprocessing:
    """
    What is done to the values of one subject.

    Args:
        kept (`np.ndarray`):
            int64 `[kept features]`: features of the recording that are kept.
        unusable (`np.ndarray`):
            bool `[kept features]`: those of them that are set to zero.
        means, deviations (`dict[str, np.ndarray]`):
            float64 `[kept features]` for each unit of standardisation.
        dtype (`str`):
            Type of the result.
        center (`np.ndarray`), components (`np.ndarray`), *optional*:
            Mean `[kept features]` and principal components `[components, kept features]`.
    """

    kept: np.ndarray
    unusable: np.ndarray
    means: dict[str, np.ndarray]
    deviations: dict[str, np.ndarray]
    dtype: str
    center: np.ndarray | None = None
    components: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Features of a frame after preprocessing."""
        return len(self.kept) if self.components is None else len(self.components)

    def standardized(self, values: np.ndarray, unit: str) -> np.ndarray:
        """float32 `[frames, kept features]` of recorded `[frames, features]`, before components are taken."""
        everything = len(self.kept) == values.shape[1]
        values = np.array(values if everything else values[:, self.kept], np.float32)
        if unit in self.means:
            values -= self.means[unit].astype(np.float32)
            values /= np.where(self.unusable, 1, self.deviations[unit]).astype(np.float32)
        if self.unusable.any():
            values[:, self.unusable] = 0
        return values

    def __call__(self, values: np.ndarray, unit: str) -> np.ndarray:
        """
        Values `[frames, width]` to be written.

        Args:
            values (`np.ndarray`):
                Recorded `[frames, features]`.
            unit (`str`):
                Unit of standardisation of their recording, by [`unit_of`].

        Raises:
            OverflowError: a value does not fit into float16.
        """
        values = self.standardized(values, unit)
        if self.components is not None:
            values = (values - self.center) @ self.components.T
        largest = float(np.abs(values).max(initial=0))
        if largest > float(np.finfo(self.dtype).max):
            raise OverflowError(f"a value of {largest:g} does not fit into {self.dtype}: choose dtype='float32'")
        return np.ascontiguousarray(values, dtype=self.dtype)

    def save(self, path: Path, geometry: Geometry | None) -> None:
        """Writes statistics, components and the geometry of the kept features as one safetensors file."""
        state = {"kept": self.kept, "unusable": self.unusable}
        state |= {f"mean/{unit}": mean for unit, mean in self.means.items()}
        state |= {f"deviation/{unit}": deviation for unit, deviation in self.deviations.items()}
        if self.components is not None and self.center is not None:
            state |= {"pca/center": self.center, "pca/components": self.components}
        metadata: dict[str, Any] = {"dtype": self.dtype}
        if geometry is not None:
            arrays, words = geometry_state(geometry.select(self.kept))
            state, metadata = state | arrays, metadata | words
        with replacing(path) as partial:
            # One entry, because several are written in an order that changes from run to run.
            words = {METADATA: json.dumps(metadata, sort_keys=True)}
            save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, partial, words)

    @classmethod
    def load(cls, path: Path) -> "Preprocessing":
        """The inverse of [`~Preprocessing.save`], less the geometry."""
        state = load_file(path)
        with safe_open(path, "numpy") as file:
            dtype = json.loads(file.metadata()[METADATA])["dtype"]
        named = {
            kind: {name.removeprefix(f"{kind}/"): value for name, value in state.items() if name.startswith(kind)}
            for kind in ("mean", "deviation")
        }
        center, components = state.get("pca/center"), state.get("pca/components")
        return cls(state["kept"], state["unusable"], named["mean"], named["deviation"], dtype, center, components)


def geometry_state(geometry: Geometry) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and words of a geometry, for a safetensors file."""
    arrays = {
        "geometry/coordinates": geometry.coordinates,
        "geometry/noise_ceiling": geometry.noise_ceiling,
        "geometry/grid_index": geometry.grid_index,
        "geometry/affine": geometry.affine,
        **{f"geometry/roi/{name}": labels for name, labels in geometry.roi_labels.items()},
    }
    words = {
        "space": geometry.space,
        "noise_ceiling_unit": geometry.noise_ceiling_unit,
        "grid_shape": list(geometry.grid_shape),
        "roi_names": geometry.roi_names,
    }
    return {name: value for name, value in arrays.items() if value is not None}, words


def unit_of(recording: Recording, standardize: str) -> str:
    """The unit of standardisation to which a recording belongs; `""` if its values are to be left as they are."""
    if recording.standardized:
        return ""
    if standardize == "session" and not recording.session:
        raise ValueError(
            f"standardize='session': the session of {recording.recording_id} is not known; choose 'recording' or "
            "'train'"
        )
    return {
        "none": "",
        "recording": recording.recording_id,
        "session": f"{recording.subject}/{recording.session}",
        "train": recording.subject,
    }[standardize]


def fit_preprocessing(
    recordings: Sequence[Recording],
    surveys: Sequence[Survey],
    training: Mapping[str, np.ndarray],
    *,
    standardize: str,
    bad_voxels: str,
    dtype: str,
    wanted: np.ndarray | None = None,
    num_components: int | None = None,
) -> Preprocessing:
    """
    Fits what is done to one subject's values.

    Args:
        recordings (`Sequence[Recording]`), surveys (`Sequence[Survey]`):
            All recordings of the subject, and what was found in them.
        training (`Mapping[str, np.ndarray]`):
            For each `recording_id`, the numbers of its frames that belong to training samples.
        standardize, bad_voxels, dtype (`str`):
            One of [`STANDARDIZE`], [`BAD_VOXELS`] and [`DTYPES`].
        wanted (`np.ndarray`, *optional*):
            bool `[features]`: features of the wanted regions.
        num_components (`int`, *optional*):
            Principal components to take.

    Raises:
        ValueError: voxels cannot be used and `bad_voxels="error"`, nothing is left of them, or there are fewer
            training frames than components.
    """
    subject = recordings[0].subject
    pooled = _moments_by_unit(["all"] * len(surveys), surveys)["all"]
    units = {}
    if standardize != "none":
        units = _moments_by_unit([unit_of(recording, standardize) for recording in recordings], surveys)
    unusable = np.any([survey.not_finite for survey in surveys], axis=0) | (pooled.squares == 0)
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
    plain = Preprocessing(
        kept=kept,
        unusable=unusable[kept],
        means={unit: moments.mean[kept] for unit, moments in units.items()},
        deviations={unit: moments.deviation[kept] for unit, moments in units.items()},
        dtype=dtype,
    )
    if num_components is None:
        return plain
    return _with_components(plain, recordings, training, standardize, num_components)


def _moments_by_unit(units: Sequence[str], surveys: Sequence[Survey]) -> dict[str, Moments]:
    """Moments of each unit: of its training frames if it has any, else of all its frames."""
    moments: dict[str, Moments] = {}
    pairs = [pair for pair in zip(units, surveys, strict=True) if pair[0]]
    trained = {unit for unit, survey in pairs if survey.for_training}
    for unit, survey in pairs:
        if survey.for_training or unit not in trained:
            moments[unit] = moments[unit] + survey.moments if unit in moments else survey.moments
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

    num_frames = sum(len(frames) for frames in training.values())
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
    return Preprocessing(plain.kept, plain.unusable, plain.means, plain.deviations, plain.dtype, center, components)


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


__all__ = [
    "BAD_VOXELS",
    "DTYPES",
    "STANDARDIZE",
    "Preprocessing",
    "fit_preprocessing",
    "unit_of",
]
