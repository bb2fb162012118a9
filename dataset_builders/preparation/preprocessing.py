# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What is done to brain values before they are written, and saved beside them.

In this order: voxels of the wanted regions are kept, useless ones and, if asked, the less reliable ones are dropped,
values are standardised, principal components are taken, numbers become float16 or float32. How it is found out is told
in [`~dataset_builders.preparation.fitting`].
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ..schema import Geometry, Recording
from .storage import replacing


_BLOCK = 32
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
        summary (`np.ndarray`, *optional*):
            float32 `[2, kept features]`: mean and deviation of the recorded values over training frames, to look at.
    """

    kept: np.ndarray
    unusable: np.ndarray
    means: dict[str, np.ndarray]
    deviations: dict[str, np.ndarray]
    dtype: str
    center: np.ndarray | None = None
    components: np.ndarray | None = None
    summary: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Features of a frame after preprocessing."""
        return len(self.kept) if self.components is None else len(self.components)

    def select(self, chosen: np.ndarray) -> "Preprocessing":
        """The same for some of the kept features, given their places among them; components are fitted afterwards."""
        return Preprocessing(
            kept=self.kept[chosen],
            unusable=self.unusable[chosen],
            means={unit: mean[chosen] for unit, mean in self.means.items()},
            deviations={unit: deviation[chosen] for unit, deviation in self.deviations.items()},
            dtype=self.dtype,
            summary=None if self.summary is None else self.summary[:, chosen],
        )

    def standardized(self, values: np.ndarray, unit: str) -> np.ndarray:
        """
        float32 `[frames, kept features]` of recorded `[frames, features]`, before components are taken; a view of them
        where nothing is done.
        """
        changed = unit in self.means or self.unusable.any()
        values = values if len(self.kept) == values.shape[1] else values[:, self.kept]
        values = np.array(values, np.float32, copy=True if changed else None)
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
        if self.components is not None:
            return self._stored((self.standardized(values, unit) - self.center) @ self.components.T)
        # In small blocks, which stay in the processor's cache on their way.
        stored = np.empty((len(values), self.width), self.dtype)
        for start in range(0, len(values), _BLOCK):
            rows = slice(start, start + _BLOCK)
            stored[rows] = self._stored(self.standardized(values[rows], unit))
        return stored

    def _stored(self, values: np.ndarray) -> np.ndarray:
        largest = max(values.max(initial=0), -values.min(initial=0))
        if largest > np.finfo(self.dtype).max:
            raise OverflowError(f"a value of {largest:g} does not fit into {self.dtype}: choose dtype='float32'")
        return np.ascontiguousarray(values, dtype=self.dtype)

    def save(self, path: Path, geometry: Geometry | None) -> None:
        """Writes statistics, components and the geometry of the kept features as one safetensors file."""
        state = {"kept": self.kept, "unusable": self.unusable}
        state |= {f"mean/{unit}": mean for unit, mean in self.means.items()}
        state |= {f"deviation/{unit}": deviation for unit, deviation in self.deviations.items()}
        if self.components is not None and self.center is not None:
            state |= {"pca/center": self.center, "pca/components": self.components}
        if self.summary is not None:
            state["summary"] = self.summary
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
        found = [state.get(name) for name in ("pca/center", "pca/components", "summary")]
        return cls(state["kept"], state["unusable"], named["mean"], named["deviation"], dtype, *found)


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


__all__ = ["METADATA", "Preprocessing", "geometry_state", "unit_of"]
