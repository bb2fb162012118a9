# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The Natural Scenes Dataset (Allen et al. 2022): eight people looked at photographs that have captions."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...schema import TEST, TRAIN, Average, Geometry, Recording, Sample
from ..base import BrainCorpusBuilder
from .betas import BETAS, average_repeats, take_repeats
from .design import read_design, read_stimuli
from .mni_coordinates import mni_file
from .nsd2022_config import AVERAGE, FIRST_RELEASE, NATIVE, NSDGENERAL, SHARED982, NSD2022Config
from .nsd2022_facts import NSD_FACTS, NSDFacts
from .questions import CAPTIONS, find_targets, target_samples
from .subjects import FILE_FORMATS, FSAVERAGE, FUNC1PT8MM, NSDSubject, SurfaceSubject, VolumeSubject
from .trials import Trials


class NSD2022(BrainCorpusBuilder):
    """
    The Natural Scenes Dataset: 7 T fMRI of eight people, each of whom saw up to 10,000 photographs three times.

    A row is a trial: its brain values are one frame of betas, the response to the image; `references` are all captions
    that people wrote for the photograph in COCO (mostly five), and `completion` is the first of them. There
    are 30 to 40 sessions of 750 trials. 1,000 images were shown to everyone; they are the test set, where the repeats
    of an image are averaged. Repeats of an image always stay on one side of a split. Subjects with fewer sessions saw
    fewer images: 3 and 6 saw 930 of the shared ones, 4 and 8 saw 907.

    Voxels are those of `nsdgeneral`, a region of visual cortex that was drawn by hand, in the subject's own space of
    1.8 mm, in percent signal change and then standardised within each session.

    Put the files below one folder as the release has them, and the annotation files of COCO in `annotations`:

        nsddata_betas/ppdata/subjAA/func1pt8mm/<betas>/{betas_sessionBB.nii.gz (or .hdf5),ncsnr.nii.gz}
        nsddata_betas/ppdata/subjAA/fsaverage/<betas>/{lh,rh}.{betas_sessionBB.mgh,ncsnr.mgh}
        nsddata/ppdata/subjAA/func1pt8mm/roi/{nsdgeneral.nii.gz,...}
        nsddata/ppdata/subjAA/transforms/MNI-to-func1pt8.nii.gz (places in a common brain)
        nsddata/ppdata/subjAA/behav/responses.tsv
        nsddata/freesurfer/subjAA/label/*.mgz.ctab (names of regions)
        nsddata/freesurfer/fsaverage/label/{*.mgz,*.mgz.ctab} (regions on the surface)
        nsddata/experiments/nsd/{nsd_expdesign.mat,nsd_stim_info_merged.csv}
        annotations/{captions_train2017.json,captions_val2017.json}
        annotations/v2_{OpenEnded_mscoco_train2014_questions,mscoco_train2014_annotations}.json (and val2014; VQA v2)
    """

    config: NSD2022Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = NSD2022Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (
        "nsddata_betas/ppdata/subj*/*/betas_*/*betas_session*",
        "nsddata_betas/ppdata/subj*/*/betas_*/*ncsnr*",
        "nsddata/ppdata/subj*/func1pt8mm/brainmask.nii.gz",
        "nsddata/ppdata/subj*/func1pt8mm/roi/*.nii.gz",
        "nsddata/ppdata/subj*/transforms/MNI-to-func1pt8.nii.gz",
        "nsddata/ppdata/subj*/behav/responses.tsv",
        "nsddata/freesurfer/*/label/*.mgz*",
        "nsddata/templates/*.ctab",
        "nsddata/experiments/nsd/nsd_*",
        "annotations/*.json",
    )
    SOURCE_OPTIONS: ClassVar[tuple[str, ...]] = ("question_table",)
    LICENCE = "NSD Terms and Conditions; captions CC BY 4.0"
    HOMEPAGE = "https://naturalscenesdataset.org"
    REDISTRIBUTION = (
        "Forbidden: the terms of NSD allow no one to pass on the data or parts of them, and prepared rows are parts."
    )
    CONSENT = (
        "the Terms and Conditions of the Natural Scenes Dataset, which you agree to with the form at "
        "https://naturalscenesdataset.org. They allow research and teaching, and forbid to pass on the data or "
        "parts of them."
    )
    KNOWN_DEFECTS = (
        "The experiment cropped photographs to a square, so a caption may name what was cut off.",
        "Voxels at the edge of the volume hold no signal in some sessions; they are left out by default.",
        "Test images are close relatives of training images; see Shirakawa et al. 2024 (arXiv:2405.10078).",
    )
    CITATION = """@article{allen2022massive,
  title = {A massive 7T fMRI dataset to bridge cognitive neuroscience and artificial intelligence},
  author = {Allen, Emily J. and St-Yves, Ghislain and Wu, Yihan and Breedlove, Jesse L. and Prince, Jacob S.
            and Dowdle, Logan T. and Nau, Matthias and Caron, Brad and Pestilli, Franco and Charest, Ian
            and Hutchinson, J. Benjamin and Naselaris, Thomas and Kay, Kendrick},
  journal = {Nature Neuroscience},
  volume = {25},
  pages = {116--126},
  year = {2022},
  doi = {10.1038/s41593-021-00962-x}
}"""

    @property
    def corpus_name(self) -> str:
        return "nsd2022"

    @property
    def facts(self) -> NSDFacts:
        """What the release is known to hold."""
        return NSD_FACTS

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        config = self.config
        expected = {
            subject: self.facts.expected(
                subject,
                first_release=config.sessions == FIRST_RELEASE,
                shared982=config.test_images == SHARED982,
                average=config.test_repeats == AVERAGE,
            )
            for subject in self.facts.sessions
        }
        if config.target != CAPTIONS:
            # How many rows there are then is up to the files of questions.
            kept = ("recordings", "frames")
            expected = {who: {name: one[name] for name in kept if name in one} for who, one in expected.items()}
        if config.mask == NSDGENERAL and config.space == FUNC1PT8MM:
            for subject, voxels in self.facts.voxels.items():
                expected[subject]["features"] = voxels
        return expected

    def list_recordings(self) -> list[Recording]:
        self._trials = self._read_tables()
        self._subjects: dict[str, NSDSubject] = {}
        recordings, names = [], self._find_subjects()
        self._in_mni = self._choose_coordinates(names)
        for name in names:
            self._subjects[name] = subject = self._subject(name)
            sessions = self._wanted_sessions(subject)
            responses: Path | None = self._root / "nsddata/ppdata" / name / "behav/responses.tsv"
            if not responses.exists() and not responses.is_symlink():
                self.notes["subjects without responses.tsv, with which trials could not be compared"] += 1
                responses = None
            self._trials.add(name, sessions, responses)
            recordings += self._recordings(subject, sessions)
        return recordings

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        captions = self._trials.captions(self._root / "annotations", {recording.subject for recording in recordings})
        samples = []
        for recording in recordings:
            rows = self._rows(recording)
            samples += [self._sample(recording, frame, image, captions[image]) for frame, image in rows]
        if self.config.target != CAPTIONS:
            samples = self._asked(samples)
        left_out = len(self._trials.design.shared() - self._trials.tested)
        if left_out:
            self.notes["shared images outside the test set, left out"] = left_out
        return samples

    def _asked(self, samples: list[Sample]) -> list[Sample]:
        """A row for each question, or dialogue, about the image of a row."""
        config, folder = self.config, self._root / "annotations"
        table = None if config.question_table is None else self._root / config.question_table
        found = find_targets(folder, config.target, table)
        ids = {
            image: int(self._trials.stimuli.coco_ids[int(image.removeprefix("nsd/")) - 1])
            for image in {sample.stimulus for sample in samples}
        }
        silent = {image for image, coco_id in ids.items() if coco_id not in found}
        if len(silent) == len(ids):
            raise ValueError(
                f"{table or folder}: none of the {len(ids)} images that were seen has {config.target}: images must be "
                "named by their COCO id"
            )
        if silent:
            self.notes[f"images without {config.target}, left out"] += len(silent)
        return list(target_samples(samples, ids, found))

    def geometry(self, subject: str) -> Geometry:
        averaged = self.config.test_repeats == AVERAGE
        geometry = self._subjects[subject].geometry(self._trials.repeats(subject) if averaged else 1)
        lost = 0 if geometry.coordinates is None else int(np.isnan(geometry.coordinates).any(axis=1).sum())
        if lost:
            self.notes[f"voxels of {subject} outside of the map to {geometry.space}, left out"] = lost
        return geometry

    def _read_tables(self) -> Trials:
        """The design, the images, and which of them are for testing."""
        folder, facts = self._root / "nsddata/experiments/nsd", self.facts
        design = read_design(folder / "nsd_expdesign.mat")
        stimuli = read_stimuli(folder / "nsd_stim_info_merged.csv", len(design.images))
        lists = (facts.num_subjects, facts.images_per_subject)
        self.compare("images of the experiment", facts.num_images, len(stimuli.coco_ids))
        self.compare("subjects of the design and images of each", lists, design.images.shape)
        self.compare("shared images", facts.num_shared, design.num_shared)
        tested = design.shared()
        if self.config.test_images == SHARED982:
            tested = design.shared(facts.trials_before_withheld)
            known = facts.num_shared_before_withheld or len(tested)
            self.compare("shared images shown before the withheld sessions", known, len(tested))
        return Trials(design, stimuli, facts.trials_per_session, tested)

    @property
    def _root(self) -> Path:
        if self.config.data_dir is None or not Path(self.config.data_dir).is_dir():
            raise FileNotFoundError(
                f"data_dir={self.config.data_dir!r} is not a folder: name the one with nsddata, nsddata_betas and "
                "annotations"
            )
        return Path(self.config.data_dir)

    def _find_subjects(self) -> list[str]:
        pattern = f"nsddata_betas/ppdata/subj??/{self.config.space}/{BETAS[self.config.betas]}"
        names = sorted(name for path in self._root.glob(pattern) if (name := path.parents[1].name)[4:].isdecimal())
        if not names:
            raise FileNotFoundError(
                f"{self._root} has no folder {pattern}: download one, or choose other betas or another space"
            )
        # If none is left, the base says which there are.
        return [name for name in names if name in (self.config.subjects or names)] or names

    def _subject(self, name: str) -> NSDSubject:
        folder, config = BETAS[self.config.betas], self.config
        if config.space == FSAVERAGE:
            return SurfaceSubject(self._root, name, folder, config.mask)
        formats = FILE_FORMATS if config.file_format is None else (config.file_format,)
        return VolumeSubject(self._root, name, folder, config.mask, formats, self._in_mni)

    def _choose_coordinates(self, subjects: Sequence[str]) -> bool:
        """Whether coordinates are those of MNI152: the same for all subjects, or they could not be compared."""
        wanted, maps = self.config.coordinates, [mni_file(self._root, name) for name in subjects]
        absent = [path for path in maps if not path.exists()]
        if wanted == NATIVE or self.config.space == FSAVERAGE or (wanted is None and len(absent) == len(maps)):
            return False
        if absent:
            raise FileNotFoundError(
                f"{absent[0]} is missing, so {len(absent)} of {len(maps)} subjects have no places in MNI152: download "
                "it, or set coordinates='native'"
            )
        return True

    def _wanted_sessions(self, subject: NSDSubject) -> list[int]:
        """The sessions to be read, each with its file checked."""
        facts, name = self.facts, subject.subject
        first_release = self.config.sessions == FIRST_RELEASE
        last = facts.last_session(name, first_release) if name in facts.sessions else max(subject.sessions, default=0)
        sessions = [number for number in subject.sessions if number <= last or not first_release]
        if not sessions:
            raise FileNotFoundError(f"{subject.betas_dir} has none of the sessions 1 to {last}: download them")
        self.compare(f"sessions of {name}", list(range(1, last + 1)), sessions)
        if name in facts.shapes and self.config.space == FUNC1PT8MM:
            self.compare(f"volume of {name}", facts.shapes[name], subject.shape)
        if self.config.space == FSAVERAGE:
            self.compare("vertices of the hemispheres", (facts.num_vertices,) * 2, subject.shape)
        for number in sessions:
            subject.check(number, facts.trials_per_session)
        return sessions

    def _recordings(self, subject: NSDSubject, sessions: Sequence[int]) -> list[Recording]:
        recordings = [
            Recording(
                recording_id=f"{subject.subject}/session{number:02d}",
                subject=subject.subject,
                num_frames=self.facts.trials_per_session,
                num_features=subject.num_features,
                read=subject.reader(number),
                session=f"session{number:02d}",
                sources=subject.sessions[number],
            )
            for number in sessions
        ]
        if self.config.test_repeats == AVERAGE and self._trials.test_images(subject.subject):
            recordings.append(self._average(recordings))
        return recordings

    def _average(self, sessions: Sequence[Recording]) -> Recording:
        """The test images of a subject as a recording: one frame each, the mean of its repeats."""
        name, trials = sessions[0].subject, self._trials
        # Sessions differ in level and scale: repeats are standardised before they are averaged, as single trials are.
        standardized = self.config.standardize == "session"
        training = trials.for_training(name) if standardized else [None] * len(sessions)
        places = trials.places(name)
        pairs = zip(places, training, strict=True)
        take = tuple(partial(take_repeats, places=place, training=trained) for place, trained in pairs)
        made_of = Average(tuple(sessions), take, partial(average_repeats, places=places))
        return Recording(
            recording_id=f"{name}/{AVERAGE}",
            subject=name,
            num_frames=len(trials.test_images(name)),
            num_features=sessions[0].num_features,
            read=made_of.read,
            session=AVERAGE,
            sources=tuple(path for session in sessions for path in session.sources),
            standardized=standardized,
            made_of=made_of,
        )

    def _rows(self, recording: Recording) -> Iterator[tuple[int, int]]:
        """Frame and 73KID of each row of a recording."""
        if recording.session == AVERAGE:
            return enumerate(self._trials.test_images(recording.subject))
        number, averaged = int(recording.session.removeprefix("session")), self.config.test_repeats == AVERAGE
        return self._trials.single(recording.subject, number, averaged)

    def _sample(self, recording: Recording, frame: int, image: int, captions: tuple[str, ...]) -> Sample:
        place, identity = f"{self.corpus_name}/{recording.recording_id}/{frame}", f"nsd/{image}"
        return Sample(
            sample_id=place,
            corpus=self.corpus_name,
            subject=recording.subject,
            stimulus=identity,
            group=identity,
            topic=identity,
            brain_id=place,
            prompt="",
            completion=captions[0],
            text=captions[0],
            recording=recording.recording_id,
            frames=(frame,),
            session=recording.session,
            references=captions,
            official_split=TEST if image in self._trials.tested else TRAIN,
        )


__all__ = ["NSD2022", "NSD2022Config"]
