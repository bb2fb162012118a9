# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A corpus of stories with a planted brain, for demonstrations, documentation and tests: no download, no license."""

import tempfile
from dataclasses import dataclass
from typing import ClassVar

from ...schema import Recording
from ..facts import ANY_SUBJECT
from ..huth.lebel2023 import Lebel2023, Lebel2023Config
from ..huth.lebel2023_facts import Lebel2023Facts
from .lebel_files import StoryTruth, write_synthetic_lebel


@dataclass
class SyntheticStoriesConfig(Lebel2023Config):
    """
    Choices for synthetic stories; see [`Lebel2023Config`] for those of the layout.

    Args:
        signal_to_noise (`float`, *optional*, defaults to 1.0):
            As in [`~dataset_builders.corpora.synthetic.lebel_files.write_synthetic_lebel`]. 0 plants nothing.
        num_stories (`int`, *optional*, defaults to 8):
            Stories beside the test story.
        story_frames (`int`, *optional*, defaults to 150):
            Frames of the responses to a story, give or take a fifth.
        num_voxels (`int`, *optional*, defaults to 128):
            Voxels of each subject.
        num_repeats (`int`, *optional*, defaults to 5):
            How often the test story is heard.
        num_subjects (`int`, *optional*, defaults to 1):
            Subjects who hear the same stories, each with a map of their own.
        corpus_seed (`int`, *optional*, defaults to 0):
            Seed of stories, maps and noise. The division has its own, `seed`.
    """

    validation_fraction: float = 0.25  # two stories of eight: controls need another story's brains
    signal_to_noise: float = 1.0
    num_stories: int = 8
    story_frames: int = 150
    num_voxels: int = 128
    num_repeats: int = 5
    num_subjects: int = 1
    corpus_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least(
            signal_to_noise=0, num_stories=2, story_frames=20, num_voxels=2, num_repeats=2, num_subjects=1
        )


class SyntheticStories(Lebel2023):
    """
    Stories of a small grammar with a planted brain, in the files of LeBel et al. (2023).

    Each story is about three people in three places, lower-case and without punctuation; no sentence is told twice.
    84 content words each call up a pattern of their own over voxels, through the haemodynamic response. The test story
    is heard several times. Half of the voxels have less than the mean signal-to-noise ratio, and the last has none.
    The brain is simulated: scores on this corpus show that code works, and say nothing about brains.

    Without `data_dir` the files are written as they are needed, and removed afterwards; `data_dir` may name a folder
    that [`~dataset_builders.corpora.synthetic.lebel_files.write_synthetic_lebel`] has written.
    """

    config: SyntheticStoriesConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = SyntheticStoriesConfig
    LICENCE = "Apache 2.0"
    CITATION: ClassVar[str] = ""
    HOMEPAGE: ClassVar[str] = ""
    REDISTRIBUTION = "Free: nothing in it was recorded."
    KNOWN_DEFECTS = ()
    #: Nothing was published.
    FACTS: ClassVar[Lebel2023Facts] = Lebel2023Facts({}, {}, {}, {}, {}, {}, {}, {}, {})
    _files: tempfile.TemporaryDirectory[str] | None = None

    @property
    def corpus_name(self) -> str:
        return "synthetic_stories"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        config = self.config
        if self._files is None or config.stories:
            return {}
        return {ANY_SUBJECT: {"features": config.num_voxels, "stories": config.num_stories + 1}}

    def list_recordings(self) -> list[Recording]:
        if self.config.data_dir is None:
            # Held by the builder, so that the files live as long as it may read them.
            self._files = tempfile.TemporaryDirectory(prefix="brainllm-")
            self._write(self._files.name)
            self.config.data_dir = self._files.name
        return super().list_recordings()

    def truth(self) -> StoryTruth:
        """What is planted in the corpus of this configuration (not in that of `data_dir`)."""
        with tempfile.TemporaryDirectory(prefix="brainllm-") as folder:
            return self._write(folder)

    def _write(self, folder: str) -> StoryTruth:
        config = self.config
        return write_synthetic_lebel(
            folder,
            subjects=[f"SYN{number:02d}" for number in range(1, config.num_subjects + 1)],
            num_stories=config.num_stories,
            num_frames=config.story_frames,
            num_voxels=config.num_voxels,
            num_repeats=config.num_repeats,
            signal_to_noise=config.signal_to_noise,
            seed=config.corpus_seed,
        )


__all__ = ["StoryTruth", "SyntheticStories", "SyntheticStoriesConfig", "write_synthetic_lebel"]
