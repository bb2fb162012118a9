# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Images with captions and simulated brains, in the layout of NSD: nothing to download, and a known answer."""

import json
import shutil
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

from ...readers.coco import read_captions
from ...readers.sources import check_source
from ..nsd.nsd2022 import NSD2022, NSD2022Config
from ..nsd.nsd2022_facts import NSDFacts
from .nsd_files import RELEASE_FILE, Dials, write_synthetic_nsd


@dataclass
class SyntheticImagesConfig(NSD2022Config, Dials):
    """
    Choices for the synthetic images; see [`Dials`] for those of the simulation, [`NSD2022Config`] for those of NSD,
    and [`BrainCorpusConfig`] for those that all corpora share.

    A folder written by [`write_synthetic_nsd`], which can be given as `data_dir`, has its own dials.

    Args:
        captions_file (`str`, *optional*):
            An annotation file of COCO, such as `captions_val2017.json`, whose images are described. Defaults to scenes
            of a small grammar.
    """

    captions_file: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check()
        turned = [field.name for field in fields(Dials) if getattr(self, field.name) != field.default]
        turned += [] if self.captions_file is None else ["captions_file"]
        if self.data_dir is not None and set(turned) - {"file_format"}:
            raise ValueError(
                f"{', '.join(turned)} with data_dir={self.data_dir!r}: a folder that is already written has its own "
                "dials. Leave one of them out"
            )

    @property
    def dials(self) -> Dials:
        """The choices of the simulation."""
        return Dials(**{field.name: getattr(self, field.name) for field in fields(Dials)})


class SyntheticImages(NSD2022):
    """
    Simulated people look at pictures; each voxel's response is a linear map of what the captions mean, plus noise.

    It is written as NSD would publish it and read by the reader of NSD. By default eight subjects see 120 images three
    times each, of which 24 are seen by all and are the test set. Images are scenes of a small grammar with five
    captions, and test images combine colours and things that training never combines; or they are images of a COCO
    annotation file. Subjects differ in size, position and number of voxels of their brains. What a voxel is tuned to
    depends smoothly on its place; as far as `alignment` says, it does so in all brains alike, and a decoder can be
    carried over to another subject by coordinates alone.

    `signal_to_noise` is the variance of the signal over that of the noise in a single trial; the noise ceiling shows
    it again. At 0 the brains are noise: whatever is decoded then is an error of the decoder or of its evaluation.
    Scores on this corpus show that code works, and say nothing about brains.
    """

    config: SyntheticImagesConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = SyntheticImagesConfig
    LICENCE = "Apache 2.0"
    CITATION: ClassVar[str] = ""
    HOMEPAGE: ClassVar[str] = ""
    REDISTRIBUTION = (
        "Free: nothing in it was recorded. Captions from a file of COCO stay under CC BY 4.0; name their source."
    )
    MAY_REDISTRIBUTE = True
    CONSENT = ""
    KNOWN_DEFECTS = ("The brains are simulated: linear, without a response in time, with independent noise.",)

    def __init__(self, cache_dir: str | None = None, *, data_dir: str | Path | None = None, **kwargs: Any):
        if kwargs.get("captions_file") is not None:
            state = check_source(kwargs["captions_file"]).stat()
            kwargs["source_fingerprint"] = f"{state.st_size}-{state.st_mtime_ns}"
        super().__init__(cache_dir, data_dir=data_dir, **kwargs)

    @property
    def corpus_name(self) -> str:
        return "synthetic_images"

    @cached_property
    def facts(self) -> NSDFacts:
        path = check_source(self._root / RELEASE_FILE)
        try:
            release = json.loads(path.read_bytes())
            dials, subjects = Dials(**release["dials"]), release["subjects"]
            return NSDFacts(
                sessions=dict.fromkeys(subjects, dials.num_sessions),
                trials_per_session=dials.trials_per_session,
                num_images=dials.num_images,
                num_subjects=dials.num_subjects,
                images_per_subject=dials.images_per_subject,
                num_shared=dials.num_shared,
                voxels={subject: found["voxels"] for subject, found in subjects.items()},
                shapes={subject: tuple(found["shape"]) for subject, found in subjects.items()},
                seen={dials.num_sessions: (dials.images_per_subject, dials.num_shared)},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not as write_synthetic_nsd wrote it ({error!r}): write the folder again"
            ) from error

    @property
    def _root(self) -> Path:
        """The folder in the layout of NSD, written now if it was not given."""
        if self.config.data_dir is not None:
            return super()._root
        if not self._written.is_dir():
            partial = self._written.with_suffix(".incomplete")
            shutil.rmtree(partial, ignore_errors=True)
            captions = None if self.config.captions_file is None else read_captions(self.config.captions_file)
            write_synthetic_nsd(partial, self.config.dials, captions)
            partial.rename(self._written)
        return self._written

    @property
    def _written(self) -> Path:
        state = repr((asdict(self.config.dials), self.config.captions_file, self.config.source_fingerprint))
        name = blake2b(state.encode(), digest_size=8).hexdigest()
        return Path(self._cache_dir_root) / "synthetic_images_sources" / name

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **kwargs: Any) -> None:
        super()._download_and_prepare(dl_manager, verification_mode, **kwargs)
        if self.config.data_dir is None:
            shutil.rmtree(self._written)  # prepared now, and quickly written again


__all__ = ["Dials", "SyntheticImages", "SyntheticImagesConfig", "write_synthetic_nsd"]
