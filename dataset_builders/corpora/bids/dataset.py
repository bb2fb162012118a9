# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is the same for any BIDS dataset, whatever its events hold: its name, its masks and its clocks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...preparation.alignment import Clock
from ...readers.bids_names import read_metadata, sidecars
from ...readers.volumes import nifti_header
from ...schema import Recording
from .clocks import run_clock
from .derivative import BidsDerivativeBuilder, BidsDerivativeConfig
from .series import Series, num_raw_frames


@dataclass
class BidsDatasetConfig(BidsDerivativeConfig):
    """
    Choices for any BIDS dataset; see [`~dataset_builders.corpora.bids.derivative.BidsDerivativeConfig`] for the
    others.

    Args:
        mask (`str`, *optional*):
            File of the voxels to read, below `data_dir`, for all runs. Defaults to the brain mask beside each series.
        tr (`float`, *optional*):
            Seconds from frame to frame. Defaults to what the files say, and overrules them.
        dataset (`str`, *optional*):
            Name of the dataset, by which its rows and brains are told from those of others. Defaults to `Name` of
            `dataset_description.json`, or the name of the folder.
    """

    mask: str | None = None
    tr: float | None = None
    dataset: str | None = None


class BidsDatasetBuilder(BidsDerivativeBuilder):
    """Base of the builders for any BIDS dataset. Subclasses say what its events hold."""

    config: BidsDatasetConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BidsDatasetConfig
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "*.tsv",
        "*.json",
        "sub-*/**/*.tsv",
        "sub-*/**/*.json",
        "sub-*/**/*_bold.*",
        "derivatives/*/*.json",
        "derivatives/*/tpl-*/**/*",
        "derivatives/*/sub-*/**/*.json",
        "derivatives/*/sub-*/**/func/*",
    )
    SOURCE_OPTIONS: ClassVar[tuple[str, ...]] = ("mask",)
    #: What the names of corpora begin with.
    NAME_PREFIX: ClassVar[str] = "bids"
    LICENCE = "unknown: that of the dataset"
    CITATION: ClassVar[str] = ""
    HOMEPAGE = "https://bids.neuroimaging.io"
    REDISTRIBUTION = "Ask the dataset's license, and that of its stimuli: this package does not know them."

    @property
    def corpus_name(self) -> str:
        """[`NAME_PREFIX`], and the name of the dataset in letters, digits and single `-`."""
        name = self.config.dataset
        description = self.data_dir / "dataset_description.json"
        if name is None and description.is_file():
            name = str(read_metadata([description]).get("Name") or "")
        plain = re.sub(r"[^a-z0-9]+", "-", (name or self.data_dir.resolve().name).lower()).strip("-")
        if not plain:
            raise ValueError(f"dataset={name!r}: expected a name with letters or digits")
        return f"{self.NAME_PREFIX}-{plain}"

    def find_mask(self, series: Series) -> Path:
        return super().find_mask(series) if self.config.mask is None else self.data_dir / self.config.mask

    def clock(self, recording: Recording) -> Clock:
        """When the frames of a run were measured, in seconds of its events."""
        series = self.series[recording.recording_id]
        path, name = series.paths[0], series.names[0]
        return run_clock(
            path,
            recording.num_frames,
            raw=read_metadata(sidecars(self.data_dir, series.raw_entities, "bold", ".json")),
            derived=read_metadata(sidecars(self.derivative_dir, name.entities, name.suffix, ".json")),
            header_tr=None if series.is_surface else nifti_header(path).tr_seconds,
            chosen_tr=self.config.tr,
            num_raw_frames=num_raw_frames(self.data_dir, series),
        )


__all__ = ["BidsDatasetBuilder", "BidsDatasetConfig"]
