# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What corpora made of a BIDS derivative share: options and recordings."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...config import BrainCorpusConfig
from ...preparation.confounds import find_confounds, read_cleaned
from ...readers.bids_names import sidecars
from ...readers.volumes import nifti_header, read_nifti
from ...schema import IN_RECORDINGS, Geometry, Recording
from ..base import BrainCorpusBuilder
from ..facts import ANY_SUBJECT
from .series import Grid, Series, common_grid, find_brain_mask, find_series
from .surfaces import HEMISPHERES, VERTICES, read_surfaces, surface_geometry, surface_shape


DERIVATIVES = "derivatives"


@dataclass
class BidsDerivativeConfig(BrainCorpusConfig):
    """
    Choices for corpora made of a BIDS derivative; see [`BrainCorpusConfig`] for those that all corpora share.

    Args:
        derivative (`str`, *optional*):
            Folder below `derivatives`, such as `"fmriprep"`. Defaults to the only one that holds subjects.
        space, res, desc, echo, rec (`str`, *optional*):
            Entities that the series must have; `""` for a series without the entity. Need be given only where the
            derivative holds several forms of its series.
        tasks (`list[str]`, *optional*):
            Only these tasks. Defaults to all that are found.
        confounds (`list[str]`, *optional*):
            Columns of fMRIPrep's table of confounds to regress out of every run, in which `*` stands for anything
            (`["trans_*", "rot_*", "a_comp_cor_0[0-4]"]`). Defaults to none.
        detrend (`bool`, *optional*, defaults to `False`):
            Whether a straight line is taken out of every run.
    """

    standardize: str = "recording"
    store: str = IN_RECORDINGS
    derivative: str | None = None
    space: str | None = None
    res: str | None = None
    desc: str | None = None
    echo: str | None = None
    rec: str | None = None
    tasks: list[str] | None = None
    confounds: list[str] | None = None
    detrend: bool = False


class BidsDerivativeBuilder(BrainCorpusBuilder):
    """Base of corpora whose recordings are the runs of a BIDS derivative. Subclasses say what was heard in each."""

    config: BidsDerivativeConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BidsDerivativeConfig

    @property
    def series_suffix(self) -> str:
        """With which suffix the files of series end."""
        return "bold"

    @property
    def data_dir(self) -> Path:
        """
        Folder of the raw dataset.

        Raises:
            FileNotFoundError: it was not given, or is no folder.
        """
        folder = self.config.data_dir
        if folder is None or not Path(folder).is_dir():
            raise FileNotFoundError(f"data_dir={folder!r} is not a folder: name the one of the BIDS dataset")
        return Path(folder)

    @property
    def derivative_dir(self) -> Path:
        """
        Folder of the derivative.

        Raises:
            FileNotFoundError: there is none of this name, or none at all.
            ValueError: there are several, and none was named.
        """
        parent, wanted = self.data_dir / DERIVATIVES, self.config.derivative
        found = sorted(folder.name for folder in parent.glob("*") if any(folder.glob("sub-*")))
        if wanted is None and len(found) == 1:
            wanted = found[0]
        if wanted is None and found:
            raise ValueError(f"{parent} holds {', '.join(found)}: choose one by derivative=")
        if wanted is None or not (parent / wanted).is_dir():
            names = f"it holds {', '.join(found)}" if found else "no folder there holds subjects (sub-*)"
            raise FileNotFoundError(f"{parent / (wanted or '*')} is missing: {names}")
        return parent / wanted

    def find_mask(self, series: Series) -> Path:
        """The brain mask of a volume series. Raises `FileNotFoundError` if there is none."""
        found = find_brain_mask(series)
        if found is None:
            raise FileNotFoundError(
                f"{series.paths[0]} has no file _desc-brain_mask.nii.gz beside it: fetch it, or choose a surface space"
            )
        return found

    def find_events(self, series: Series) -> Path:
        """The raw events of a run, by inheritance. Raises `FileNotFoundError` if there are none."""
        paths = sidecars(self.data_dir, series.raw_entities, "events", ".tsv")
        if not paths:
            folder = self.data_dir / series.subject
            found = sorted(path.name for path in folder.glob("**/*_events.tsv"))
            raise FileNotFoundError(
                f"{self.data_dir} holds no events of {series.stem}; those of {series.subject} are "
                f"{', '.join(found) or 'none'}"
            )
        return paths[-1]

    def wants(self, series: Series) -> bool:
        """Whether a run is part of the corpus."""
        return True

    def list_recordings(self) -> list[Recording]:
        config = self.config
        choice = {name: getattr(config, name) for name in ("space", "res", "desc", "echo", "rec")}
        found, self.not_taken = find_series(
            self.derivative_dir, choice, config.subjects, config.tasks, self.series_suffix
        )
        #: The files of each recording.
        self.series = {f"{series.subject}/{series.run_name}": series for series in found if self.wants(series)}
        self._grids: dict[str, Grid] = {}
        return [self._recording(name, series) for name, series in self.series.items()]

    def _recording(self, recording_id: str, series: Series) -> Recording:
        if series.is_surface:
            num_frames, num_features = surface_shape(series.paths)
            read = partial(read_surfaces, series.paths, self.medial_wall(series))
        else:
            mask = self._grid(series.subject).mask
            num_frames, num_features = nifti_header(series.paths[0]).shape[3], int(mask.sum())
            read = partial(read_nifti, series.paths[0], mask)
        confounds = None
        if self.config.confounds:
            confounds = find_confounds(series.paths[0].parent, series.entities)
        if confounds or self.config.detrend:
            read = partial(read_cleaned, read, confounds, self.config.confounds or (), self.config.detrend)
        return Recording(
            recording_id=recording_id,
            subject=series.subject,
            num_frames=num_frames,
            num_features=num_features,
            read=read,
            session=series.entities.get("ses", ""),
            sources=series.paths,
        )

    def medial_wall(self, series: Series) -> tuple[int, int] | None:
        """How many vertices of each hemisphere have no value, where that is known."""
        return None

    def _grid(self, subject: str) -> Grid:
        if subject not in self._grids:
            own = [series for series in self.series.values() if series.subject == subject]
            self._grids[subject] = common_grid(own, self.find_mask)
        return self._grids[subject]

    def geometry(self, subject: str) -> Geometry | None:
        series = next(series for series in self.series.values() if series.subject == subject)
        if not series.is_surface:
            return self._grid(subject).geometry(series.space)
        folder = self.derivative_dir / f"tpl-{series.space}"
        masks = [folder / f"tpl-{series.space}_hemi-{side}_desc-cortex_mask.gii" for side in HEMISPHERES]
        there = all(path.exists() or path.is_symlink() for path in masks)
        return surface_geometry(series.space, surface_shape(series.paths)[1], masks if there else None)

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        series = next(iter(self.series.values()))
        if not series.is_surface or series.space not in VERTICES:
            return {}
        return {ANY_SUBJECT: {"features": len(HEMISPHERES) * VERTICES[series.space]}}


__all__ = ["BidsDerivativeBuilder", "BidsDerivativeConfig"]
