# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about NSD."""

from dataclasses import dataclass

from ...config import BrainCorpusConfig
from ...splitting.policies import OFFICIAL
from .betas import BETAS
from .questions import CAPTIONS, QUESTIONS, TARGETS
from .subjects import FILE_FORMATS, FSAVERAGE, FUNC1PT8MM, SPACES


ALL, FIRST_RELEASE = "all", "first_release"
MNI, NATIVE = "mni", "native"
SHARED1000, SHARED982 = "shared1000", "shared982"
AVERAGE, SINGLE = "average", "single"
NSDGENERAL = "nsdgeneral"


@dataclass
class NSD2022Config(BrainCorpusConfig):
    """
    Choices for NSD; see [`BrainCorpusConfig`] for those that all corpora share.

    The defaults are those of most decoders of images: version b3, `nsdgeneral`, every voxel standardised within its
    session by the mean and deviation of training trials, the shared images as test set.

    Args:
        betas (`str`, *optional*, defaults to `"b3"`):
            `"b1"` (`betas_assumehrf`: one response function for all), `"b2"` (`betas_fithrf`: one for each voxel) or
            `"b3"` (`betas_fithrf_GLMdenoise_RR`: with denoising and ridge regression).
        space (`str`, *optional*, defaults to `"func1pt8mm"`):
            `"func1pt8mm"`, voxels of 1.8 mm, or `"fsaverage"`, vertices of a surface.
        file_format (`str`, *optional*):
            `"nii.gz"` or `"hdf5"`, for voxels. Defaults to either, and to NIfTI, which is read faster, where a session
            has both.
        mask (`str`, *optional*, defaults to `"nsdgeneral"`):
            The region to read, by the name of its file; `"brain"` for everything.
        coordinates (`str`, *optional*):
            `"mni"`: voxels lie in the brain that all subjects have in common (MNI152), by the release's maps
            `transforms/MNI-to-func1pt8.nii.gz`; voxels outside of the map are left out. `"native"`: in the subject's
            own volume. Defaults to the first where the maps are there. `corpus.json` says which it is.
        sessions (`str`, *optional*, defaults to `"all"`):
            `"all"`, or `"first_release"`: without the last three of each subject, which were withheld until 2023.
        test_images (`str`, *optional*, defaults to `"shared1000"`):
            `"shared1000"`, or `"shared982"`: those that were shown before the withheld sessions, as in studies of the
            first release. The other 18 are then left out altogether.
        test_repeats (`str`, *optional*, defaults to `"average"`):
            `"average"`: a test image is one row, the mean of its repeats (up to three). With `standardize="session"`
            repeats are standardised first, by the training trials of their session. `"single"`: each repeat is a
            row, as in training. The test images are those of the official division; they have one row each under any
            `split`.
        target (`str`, *optional*, defaults to `"captions"`):
            `"captions"`: a row is a trial. `"questions"`: a row is a question about the image of a trial, from the
            files of VQA v2 in `annotations` or from `question_table`. `"dialogues"`: from those of VisDial. Trials
            whose image has none are left out. As a brain then belongs to several rows, `store="recordings"` saves
            much space.
        question_table (`str`, *optional*):
            A table of questions, below `data_dir`; see
            [`~dataset_builders.readers.questions.read_question_table`].
    """

    split: str = OFFICIAL
    standardize: str = "session"
    betas: str = "b3"
    space: str = FUNC1PT8MM
    file_format: str | None = None
    mask: str = NSDGENERAL
    coordinates: str | None = None
    sessions: str = ALL
    test_images: str = SHARED1000
    test_repeats: str = AVERAGE
    target: str = CAPTIONS
    question_table: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in {
            "betas": tuple(BETAS),
            "space": SPACES,
            "file_format": (None, *FILE_FORMATS),
            "coordinates": (None, MNI, NATIVE),
            "sessions": (ALL, FIRST_RELEASE),
            "test_images": (SHARED1000, SHARED982),
            "test_repeats": (AVERAGE, SINGLE),
            "target": TARGETS,
        }.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(map(str, known))}"
                )
        if self.question_table is not None and self.target != QUESTIONS:
            raise ValueError(f"question_table={self.question_table!r} needs target='questions', not {self.target!r}")
        if self.space == FSAVERAGE and self.file_format is not None:
            raise ValueError(
                f"file_format={self.file_format!r} with space='fsaverage': betas on surfaces are .mgh files"
            )
        if self.space == FSAVERAGE and self.coordinates is not None:
            raise ValueError(
                f"coordinates={self.coordinates!r} with space='fsaverage': NSD gives no coordinates of vertices"
            )


__all__ = [
    "ALL",
    "AVERAGE",
    "FIRST_RELEASE",
    "MNI",
    "NATIVE",
    "NSDGENERAL",
    "SHARED982",
    "SHARED1000",
    "SINGLE",
    "NSD2022Config",
]
