# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Spoken stories, up to fifteen hours of them for one listener (LeBel et al. 2023, OpenNeuro ds003020)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...readers.sources import check_source, md5_of
from ...schema import Geometry, Recording, Sample
from ...splitting.policies import OFFICIAL
from ..base import BrainCorpusBuilder
from .lebel2023_facts import PUBLISHED, TEST_STORY, Lebel2023Facts, SourceFile
from .lebel2023_files import (
    MEAN,
    SINGLE,
    ceiling_of_repeats,
    derivative_folder,
    find_responses,
    find_sessions,
    list_runs,
    voxel_places,
)
from .stories import HuthStoryConfig, Run, check_trimmed_length, check_widths, read_scan_lengths, story_samples


@dataclass
class Lebel2023Config(HuthStoryConfig):
    """
    Choices for ds003020; see [`HuthStoryConfig`] for stories and windows.

    The values come standardised within each story, so `standardize` stays `"none"` unless asked for. The mean of
    repeats varies less than a single story does; `standardize="recording"` brings both to one scale.

    Args:
        test_repeats (`str`, *optional*, defaults to `"mean"`):
            `"mean"`: the test story is one recording, the mean of its repeats, as decoders are tested on.
            `"single"`: each repeat is a recording.
    """

    split: str = OFFICIAL
    bad_voxels: str = "zero"
    test_repeats: str = MEAN

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_repeats not in (MEAN, SINGLE):
            raise ValueError(f"test_repeats={self.test_repeats!r} is unknown: choose one of {MEAN}, {SINGLE}")


class Lebel2023(BrainCorpusBuilder):
    """
    fMRI of nine people (the paper describes eight of them) who listened to autobiographical stories in English.

    Three subjects heard 84 stories (15.6 hours of frames), the others 26, 27 or 54. A frame takes 2 seconds. Values
    are those that the authors preprocessed: registered across sessions, detrended, without the first and the last ten
    frames, standardised within each story and voxel. Voxels are those of a thick cortical mask in the subject's own
    functional space, 81,126 to 109,469 of them.

    A row decodes the words that began within one frame's two seconds from the four frames that follow, given up to 32
    words before them. Words come from forced alignments and are lower-cased. The test set of the official division is
    the story `wheretheressmoke`, which was heard five or ten times. The noise ceiling is estimated from those repeats:
    to choose voxels by it is to choose on the test set.

    `data_dir` is the folder of the dataset. It needs `derivative/preprocessed_data`, `derivative/TextGrids` and
    `derivative/respdict.json`; with `derivative/pycortex-db` voxels have places, and with the names of the raw files
    recordings have sessions. Without those names, sessions are known for subject UTS03 alone.
    """

    config: Lebel2023Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = Lebel2023Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "derivative/*.json",
        "sub-*/ses-*/func/*_bold.*",
        "derivative/TextGrids/*.TextGrid",
        "derivative/preprocessed_data/*/*.hf5",
        "derivative/pycortex-db/*/transforms/*/mask_thick.nii.gz",
    )
    LICENCE = "CC0"
    HOMEPAGE = "https://doi.org/10.18112/openneuro.ds003020.v3.1.0"
    REDISTRIBUTION = "Free (CC0); please cite the dataset and the paper."
    MAY_REDISTRIBUTE = True
    KNOWN_DEFECTS = (
        "No file has punctuation or letter case.",
        "The last ten seconds of each story have no frames of their own, because responses were trimmed.",
        "UTS04 did not hear `life`, nor UTS09 `fromboyhoodtofatherhood`; UTS05 has low visual acuity.",
        "UTS02 was scanned at another site; UTS04, UTS07, UTS08 and UTS09 come without the mask that places voxels.",
        "Some voxels are NaN throughout.",
    )
    CITATION = """@article{lebel2023natural,
  title = {A natural language {fMRI} dataset for voxelwise encoding models},
  author = {LeBel, Amanda and Wagner, Lauren and Jain, Shailee and Adhikari-Desai, Aneesh and Gupta, Bhavin
            and Morgenthal, Allyson and Tang, Jerry and Xu, Lixiang and Huth, Alexander G.},
  journal = {Scientific Data},
  volume = {10},
  pages = {555},
  year = {2023},
  doi = {10.1038/s41597-023-02437-z}
}"""
    #: What a copy is compared with.
    FACTS: ClassVar[Lebel2023Facts] = PUBLISHED

    @property
    def corpus_name(self) -> str:
        return "lebel2023"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        return {subject: self._expected(subject) for subject in self.FACTS.voxels}

    def _expected(self, subject: str) -> dict[str, int]:
        expected, facts = {"features": self.FACTS.voxels[subject]}, self.FACTS
        if subject not in facts.stories:
            return expected | ({} if self.config.stories else {"stories": facts.num_stories[subject]})
        heard = facts.stories[subject] & set(self.config.stories or facts.stories[subject])
        lengths = [facts.num_frames(story) for story in heard]
        if self.config.test_repeats == SINGLE and TEST_STORY in heard:
            lengths += [facts.num_frames(TEST_STORY)] * (facts.repeats[subject] - 1)
        return expected | {"stories": len(heard), "recordings": len(lengths), "frames": sum(lengths)}

    def list_recordings(self) -> list[Recording]:
        folder, config = derivative_folder(self.config.data_dir), self.config
        runs = []
        for subject, paths in find_responses(folder, config.subjects, config.stories).items():
            sessions = find_sessions(folder.parent, subject, self.FACTS)
            for story, path in paths.items():
                self._compare_file(path, self.FACTS.response_file(subject, story))
                runs += list_runs(folder, subject, path, sessions, config.test_repeats)
        self._check_lengths(folder, runs)
        check_widths(run.recording for run in runs)
        self._runs = {run.recording.recording_id: run for run in runs}
        return [run.recording for run in runs]

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        runs = [self._runs[recording.recording_id] for recording in recordings]
        for path in dict.fromkeys(run.transcript for run in runs):
            self._compare_file(path, self.FACTS.files.get(f"TextGrids/{path.name}", SourceFile()))
        return story_samples(runs, self.corpus_name, self.config, self.notes)

    def geometry(self, subject: str) -> Geometry | None:
        folder = derivative_folder(self.config.data_dir)
        runs = [run for run in self._runs.values() if run.recording.subject == subject]
        geometry = voxel_places(folder, subject, runs[0].recording.num_features)
        if geometry is None:
            self.notes["subjects whose voxels have no places"] += 1
        repeated = [run.recording.sources[0] for run in runs if run.story == TEST_STORY]
        if not repeated:
            return geometry
        geometry = geometry or Geometry()
        geometry.noise_ceiling, geometry.noise_ceiling_unit = ceiling_of_repeats(repeated[0], self.config.test_repeats)
        return geometry

    def _compare_file(self, path: Path, known: SourceFile) -> None:
        """Refuses a file that is not the published one, or lists how it differs, if that is meant."""
        if self.config.verify_facts:
            check_source(path, size=known.size, md5=known.md5)
            return
        size, name = check_source(path).stat().st_size, path.relative_to(str(self.config.data_dir))
        if known.size not in (None, size):
            self.compare(f"{name}, bytes", known.size, size)
        elif known.md5 is not None:  # another size is another file: no need to read it
            self.compare(f"{name}, MD5", known.md5, md5_of(path))

    def _check_lengths(self, folder: Path, runs: list[Run]) -> None:
        path = folder / "respdict.json"
        lengths, source = dict(self.FACTS.scan_lengths), "the published respdict.json"
        if path.exists() or path.is_symlink():
            lengths, source = read_scan_lengths(path), str(path)
        for run in runs:
            recording = run.recording
            check_trimmed_length(recording.sources[0], recording.num_frames, run.story, lengths, source)


__all__ = ["Lebel2023", "Lebel2023Config"]
