# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Sentences and words that sixteen people read, one image of the brain for each (Pereira et al. 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...schema import Geometry, Recording, Sample
from ..base import BrainCorpusBuilder, BrainCorpusConfig
from ..cutting import cut_sentence
from .pereira2018_facts import CONCEPTS, EXPERIMENTS, expected_facts
from .pereira2018_files import (
    Stimuli,
    Voxels,
    atlases,
    common_columns,
    image_shape,
    read_concepts,
    read_images,
    read_sentences,
    read_voxels,
)


EXAMPLES, DATA = "examples", "data"

# The volumes hold voxels of 2 mm. The files say neither that nor where the origin lies.
_VOXEL_MM = 2.0


@dataclass
class Pereira2018Config(BrainCorpusConfig):
    """
    Choices for Pereira et al. (2018); see [`BrainCorpusConfig`] for those that all corpora share.

    Args:
        experiments (`list[str]`, *optional*, defaults to `["384sentences", "243sentences"]`):
            Names of [`EXPERIMENTS`]. Of a subject that took part in several, those voxels are kept that all of them
            have.
        images (`str`, *optional*, defaults to `"examples"`):
            Which of the two published versions of the images is read, by the beginning of its file names:
            `"examples"`, with the atlases AAL and Gordon; or `"data"`, with fifteen atlases, among them the parcels of
            the language network.
        num_parts (`int`, *optional*, defaults to 3):
            Parts into which a sentence is cut at blanks, as equal as may be. Each but the first is the completion of a
            row, and those before it are the prompt. Three is what BrainLLM (Ye et al. 2025) does.
    """

    standardize: str = "session"
    experiments: list[str] = field(default_factory=lambda: ["384sentences", "243sentences"])
    images: str = EXAMPLES
    num_parts: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.experiments if name not in EXPERIMENTS]
        if unknown or len(set(self.experiments)) != len(self.experiments) or not self.experiments:
            raise ValueError(f"experiments={self.experiments}: choose some of {', '.join(EXPERIMENTS)}, each once")
        if self.images not in (EXAMPLES, DATA):
            raise ValueError(f"images={self.images!r} is unknown: choose {EXAMPLES} or {DATA}")
        self.require_at_least(num_parts=2)  # a prompt and a completion


class Pereira2018(BrainCorpusBuilder):
    """
    Images of the brains of sixteen people who read sentences of encyclopaedic passages, or words in three guises.

    A sentence was shown for 4 s and followed by 4 s of fixation. The responses to its three presentations are one
    image of GLM betas: one brain frame, without a time axis. `384sentences` has 96 passages of 24 topics (8 subjects),
    `243sentences` 72 passages of 24 other topics (6 subjects), each passage of 3 or 4 sentences. Rows are cuts of a
    sentence: `completion` is a part of it, `prompt` what comes before, `text` the whole, and all rows of a sentence
    share its frame. The experiments `180concepts_*` have one image for each of 180 words, presented within sentences,
    with pictures, or in clouds of related words; there `completion` is the word, and its three guises are a `group`.

    Values are standardised within each experiment by the training frames. Splits hold out whole passages, or whole
    topics with `split="topic"`. The latter is the harder test: passages of one topic share words.

    Unpack the archives of the participants into one folder, so that it holds

        P01/examples_384sentences.mat, P01/examples_243sentences.mat, P01/examples_180concepts_sentences.mat, ...
        P01/data_384sentences.mat, ... (for `images="data"`)

    Participants have files of the experiments that they took part in, mostly not of all.
    """

    config: Pereira2018Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = Pereira2018Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = ("*/examples_*.mat", "*/data_*.mat")
    LICENCE = "unknown"
    HOMEPAGE = "https://osf.io/crwz7/"
    REDISTRIBUTION = (
        "No license is known, so rows made from these data may not be passed on. Others can get the files where you "
        "got them."
    )
    KNOWN_DEFECTS = (
        "The order of presentation is not published, so effects of time and of scanner runs cannot be removed; in the "
        "principal components of one participant the nearest other frame lies in the same passage 94 times in 100.",
        "The images of P01 miss voxels (NaN); voxels with NaN in any chosen experiment are left out by default.",
        "Voxels differ between the experiments of a participant; `corpus.json` counts those that are lost by pooling.",
        "The position of the volume in a standard space is not published: coordinates are millimetres from a corner.",
        "The image of a passage in files `data_*` is no mean of its sentences but a model of its own; it is not read.",
    )
    CITATION = """@article{pereira2018toward,
  title = {Toward a universal decoder of linguistic meaning from brain activation},
  author = {Pereira, Francisco and Lou, Bin and Pritchett, Brianna and Ritter, Samuel and Gershman, Samuel J.
            and Kanwisher, Nancy and Botvinick, Matthew and Fedorenko, Evelina},
  journal = {Nature Communications},
  volume = {9},
  pages = {963},
  year = {2018},
  doi = {10.1038/s41467-018-03068-4}
}"""

    @property
    def corpus_name(self) -> str:
        return "pereira2018"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        return expected_facts(self.config.experiments, self.config.num_parts)

    def list_recordings(self) -> list[Recording]:
        return [recording for subject in self._subjects() for recording in self._recordings(subject)]

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        shown: dict[str, tuple[Path, Stimuli]] = {}
        samples: list[Sample] = []
        for recording in recordings:
            path, is_concepts = recording.sources[0], recording.session.startswith(CONCEPTS)
            stimuli = read_concepts(path) if is_concepts else read_sentences(path)
            self._check_stimuli(recording, stimuli)
            other_path, other = shown.setdefault(recording.session, (path, stimuli))
            if stimuli != other:
                raise ValueError(
                    f"{path} and {other_path} show different stimuli for {recording.session}, so that passages cannot "
                    "be held out for all subjects: compare the files with the publisher's, or choose other subjects"
                )
            if is_concepts:
                samples += concept_rows(recording, stimuli)
            else:
                samples += sentence_rows(recording, stimuli, self.config.num_parts)
        return samples

    def geometry(self, subject: str) -> Geometry:
        """Places of the voxels from a corner of the volume, and the atlases of the subject's first experiment."""
        files = self._files(subject)
        voxel_sets = self._voxel_sets(files)
        first, kept = voxel_sets[0], common_columns(voxel_sets)[0]
        sets = atlases(next(iter(files.values())), first)
        return Geometry(
            coordinates=(first.coordinates[kept] * _VOXEL_MM).astype(np.float32),
            space="volume of the experiment, from its corner",
            roi_labels={name: labels[kept] for name, (labels, _) in sets.items()},
            roi_names={name: regions for name, (_, regions) in sets.items()},
            grid_shape=first.grid_shape,
            grid_index=first.grid_index[kept],
            affine=np.diag([_VOXEL_MM, _VOXEL_MM, _VOXEL_MM, 1.0]),
        )

    def _subjects(self) -> list[str]:
        """The wanted folders that hold a wanted experiment."""
        folder = Path(str(self.config.data_dir))
        if self.config.data_dir is None or not folder.is_dir():
            raise FileNotFoundError(
                f"data_dir={self.config.data_dir!r} is no folder: name that of the files of {self.HOMEPAGE}"
            )
        found = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and self._files(path.name)]
        if not found:
            raise FileNotFoundError(
                f"{folder} holds no file <subject>/{self.config.images}_<experiment>.mat with an experiment of "
                f"{self.config.experiments}. The files are at {self.HOMEPAGE}"
            )
        absent = [subject for subject in self.config.subjects or () if subject not in found]
        if absent:
            raise ValueError(f"subjects={absent} have no such experiment in {folder}: choose from {', '.join(found)}")
        return [subject for subject in found if self.config.subjects is None or subject in self.config.subjects]

    def _files(self, subject: str) -> dict[str, Path]:
        """The subject's file of each chosen experiment. A link without content counts: reading it says what to do."""
        folder = Path(str(self.config.data_dir)) / subject
        paths = {name: folder / f"{self.config.images}_{name}.mat" for name in self.config.experiments}
        return {name: path for name, path in paths.items() if path.is_file() or path.is_symlink()}

    def _variable(self, experiment: str) -> str:
        """Name of the images; those of files `data_*` stand beside images of whole passages."""
        is_data = self.config.images == DATA and not experiment.startswith(CONCEPTS)
        return "examples_passagesentences" if is_data else "examples"

    def _voxel_sets(self, files: dict[str, Path]) -> list[Voxels]:
        return [read_voxels(path, image_shape(path, self._variable(name))[1]) for name, path in files.items()]

    def _recordings(self, subject: str) -> Iterator[Recording]:
        files = self._files(subject)
        voxel_sets = self._voxel_sets(files)
        try:
            kept = common_columns(voxel_sets)
        except ValueError as error:
            raise ValueError(f"{', '.join(map(str, files.values()))}: {error}") from None
        for (experiment, path), voxels, columns in zip(files.items(), voxel_sets, kept, strict=True):
            num_images = image_shape(path, self._variable(experiment))[0]
            self.compare(f"{path.parent.name}/{path.name}, images", EXPERIMENTS[experiment].images, num_images)
            lost = len(voxels.coordinates) - len(columns)
            if lost:
                self.notes[f"voxels of {subject}/{experiment} that another experiment lacks"] += lost
            yield Recording(
                recording_id=f"{subject}/{experiment}",
                subject=subject,
                num_frames=num_images,
                num_features=len(columns),
                read=partial(read_images, path, self._variable(experiment), columns),
                session=experiment,
                sources=(path,),
            )

    def _check_stimuli(self, recording: Recording, stimuli: Stimuli) -> None:
        path, experiment = recording.sources[0], EXPERIMENTS[recording.session]
        if len(stimuli.texts) != recording.num_frames:
            raise ValueError(
                f"{path} has {recording.num_frames} images and {len(stimuli.texts)} labels of sentences or words; "
                "each image needs one. Compare the file with the publisher's"
            )
        self.compare(f"{path.parent.name}/{path.name}, passages", experiment.passages, len(set(stimuli.passages)))
        self.compare(f"{path.parent.name}/{path.name}, topics", experiment.topics, len(set(stimuli.topics)))


def sentence_rows(recording: Recording, stimuli: Stimuli, num_parts: int) -> Iterator[Sample]:
    """Rows of every sentence: part `k` is decoded, given the parts before it, from the one frame of the sentence."""
    for frame, (text, passage) in enumerate(zip(stimuli.texts, stimuli.passages, strict=True)):
        parts = cut_sentence(text, num_parts)
        story = f"{recording.session}/{passage + 1:03d}"
        brain_id = f"pereira2018/{recording.recording_id}/{frame}"
        for k in range(1, num_parts):
            yield Sample(
                sample_id=f"{brain_id}/{k}",
                corpus="pereira2018",
                subject=recording.subject,
                session=recording.session,
                stimulus=story,
                group=story,
                # Topics of the two experiments have nothing to do with each other, even if a name should recur.
                topic=f"{recording.session}/{stimuli.topics[passage]}",
                brain_id=brain_id,
                prompt=" ".join(parts[:k]).strip(),
                completion=parts[k],
                text=text,
                recording=recording.recording_id,
                frames=(frame,),
            )


def concept_rows(recording: Recording, stimuli: Stimuli) -> Iterator[Sample]:
    """A row for each word, without a prompt. Its three guises are one story."""
    for frame, word in enumerate(stimuli.texts):
        story, brain_id = f"{CONCEPTS}/{word}", f"pereira2018/{recording.recording_id}/{frame}"
        yield Sample(
            sample_id=brain_id,
            corpus="pereira2018",
            subject=recording.subject,
            session=recording.session,
            stimulus=story,
            group=story,
            topic=story,
            brain_id=brain_id,
            prompt="",
            completion=word,
            text=word,
            references=(word,),
            recording=recording.recording_id,
            frames=(frame,),
        )


__all__ = ["Pereira2018", "Pereira2018Config", "concept_rows", "sentence_rows"]
