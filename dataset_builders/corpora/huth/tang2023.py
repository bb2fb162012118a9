# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Speech, films and imagined stories to test decoders of ds003020 on (Tang et al. 2023, OpenNeuro ds004510)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...readers.sources import check_source
from ...schema import Geometry, Recording, Sample
from ..base import BrainCorpusBuilder
from .stories import HuthStoryConfig, Run, check_widths, response_shape, story_samples
from .tang2023_files import Layout, experiment_run, find_files, find_layout, region_labels, task_of, train_runs


@dataclass(frozen=True)
class Tang2023Facts:
    """
    What a copy is compared with.

    Args:
        frames (`Mapping[str, Mapping[str, int]]`):
            Of each experiment and task, the frames of its responses.
        repeats (`Mapping[str, int]`):
            How often the tasks of an experiment were recorded, where that is more than once.
        voxels (`Mapping[str, int]`):
            Of each subject.
    """

    frames: Mapping[str, Mapping[str, int]]
    repeats: Mapping[str, int]
    voxels: Mapping[str, int]


#: From the sizes in the git tree of ds004510, version 1.1.0. The responses to `sintel` have no words and do not count.
PUBLISHED = Tang2023Facts(
    frames={
        "imagined_speech": dict.fromkeys(("alpha", "bravo", "charlie", "delta", "echo"), 30),
        "perceived_movie": {"laluna": 175, "partlycloudy": 141, "presto": 127},
        "perceived_multispeaker": {"attend-F": 167, "attend-M": 167},
        "perceived_speech": {"wheretheressmoke": 291},
    },
    repeats={"imagined_speech": 2},
    voxels={"UTS01": 81126, "UTS02": 94251, "UTS03": 95556},
)


@dataclass
class Tang2023Config(HuthStoryConfig):
    """
    Choices for ds004510; see [`HuthStoryConfig`] for stories and windows.

    `split="official"` trains on the stories of `data_train` and tests on all experiments; it needs the folders of the
    semantic-decoding repository. ds004510 alone holds test recordings only, which other policies divide.
    """

    bad_voxels: str = "zero"


class Tang2023(BrainCorpusBuilder):
    """
    fMRI of three subjects of LeBel et al. (2023) in the experiments on which Tang et al. tested their decoder.

    - `perceived_speech`: the test story of ds003020, `wheretheressmoke`.
    - `perceived_multispeaker`: two stories heard at once, with attention to the female or the male speaker; the words
      are those of the attended one. Both recordings belong to one group, because both stories are in the ear.
    - `perceived_movie`: films without language; the words are those of a description for the blind, which was not
      heard in the scanner.
    - `imagined_speech`: five stories of a minute, told silently, twice each.

    A frame takes 2 seconds. Frame 0 is centred 11 seconds into the TextGrid, in imagined speech 1 second. A row
    decodes the words that began within one frame's two seconds from the four frames that follow, given up to 32 words
    before them. Words are lower-cased.

    `data_dir` is a copy of ds004510, or the folder that holds `data_test` of the semantic-decoding repository and
    perhaps `data_train`, whose stories are then read too, with the regions in `data_train/ROIs`.
    """

    config: Tang2023Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = Tang2023Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "derivative/TextGrids/*/*.TextGrid",
        "derivative/preprocessed_data/*/*/*.hf5",
        "data_test/test_stimulus/*/*.TextGrid",
        "data_test/test_response/*/*/*.hf5",
        "data_train/train_stimulus/*.TextGrid",
        "data_train/train_response/*/*.hf5",
        "data_train/*.json",
        "data_train/ROIs/*.json",
    )
    LICENCE = "CC0"
    HOMEPAGE = "https://doi.org/10.18112/openneuro.ds004510.v1.1.0"
    REDISTRIBUTION = "Free (CC0); please cite the dataset and the paper."
    MAY_REDISTRIBUTE = True
    KNOWN_DEFECTS = (
        "Words of films were not heard, and words of imagined speech were not spoken: their times are approximate.",
        "The film `sintel` has responses and no words; it is left out.",
        "No file has punctuation or letter case.",
        "Some voxels are NaN throughout.",
    )
    CITATION = """@article{tang2023semantic,
  title = {Semantic reconstruction of continuous language from non-invasive brain recordings},
  author = {Tang, Jerry and LeBel, Amanda and Jain, Shailee and Huth, Alexander G.},
  journal = {Nature Neuroscience},
  volume = {26},
  pages = {858--866},
  year = {2023},
  doi = {10.1038/s41593-023-01304-9}
}"""
    #: What a copy is compared with.
    FACTS: ClassVar[Tang2023Facts] = PUBLISHED

    @property
    def corpus_name(self) -> str:
        return "tang2023"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        facts, chosen = self.FACTS, self.config.stories
        lengths = {
            task: [frames] * facts.repeats.get(experiment, 1)
            for experiment, tasks in facts.frames.items()
            for task, frames in tasks.items()
            if chosen is None or task in chosen
        }
        counts = {
            "stories": len(lengths),
            "recordings": sum(map(len, lengths.values())),
            "frames": sum(map(sum, lengths.values())),
        }
        return {subject: counts | {"features": voxels} for subject, voxels in facts.voxels.items()}

    def list_recordings(self) -> list[Recording]:
        layout = find_layout(self.config.data_dir)
        files = find_files(layout, self.config.subjects, self.config.stories)
        runs = [run for subject, paths in files.items() for run in self._list_runs(layout, subject, paths)]
        check_widths(run.recording for run in runs)
        self._runs = {run.recording.recording_id: run for run in runs}
        return [run.recording for run in runs]

    def _list_runs(self, layout: Layout, subject: str, paths: list[Path]) -> Iterator[Run]:
        of_experiments = [path for path in paths if path.is_relative_to(layout.responses)]
        if layout.train is not None:
            stories = [path for path in paths if path not in of_experiments]
            yield from train_runs(layout.train, subject, stories, self.notes)
        for path in of_experiments:
            if self.config.verify_facts:
                self._check_size(subject, path)
            run = experiment_run(layout, subject, path)
            if run is None:
                self.notes["recordings without words"] += 1
            else:
                yield run

    def _check_size(self, subject: str, path: Path) -> None:
        """Compares a file with what is published: its bytes where the voxels are known, else its frames."""
        frames, voxels = self.FACTS.frames[path.parent.name].get(task_of(path)), self.FACTS.voxels.get(subject)
        if frames is None:
            return
        check_source(path, size=None if voxels is None else 2048 + 8 * frames * voxels)
        found = response_shape(path)[0]
        if found != frames:
            raise ValueError(f"{path} has {found} frames and {frames} are published: download it again")

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        runs = [self._runs[recording.recording_id] for recording in recordings]
        return story_samples(runs, self.corpus_name, self.config, self.notes)

    def geometry(self, subject: str) -> Geometry | None:
        layout = find_layout(self.config.data_dir)
        path = None if layout.train is None else layout.train / "ROIs" / f"{subject}.json"
        if path is None or not path.is_file():
            return None
        widths = (run.recording.num_features for run in self._runs.values() if run.recording.subject == subject)
        labels = region_labels(path, next(widths))
        return Geometry(roi_labels=labels, roi_names={name: [name] for name in labels})


__all__ = ["PUBLISHED", "Tang2023", "Tang2023Config", "Tang2023Facts"]
