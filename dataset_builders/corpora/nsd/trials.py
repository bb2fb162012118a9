# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which trials of NSD become rows: training trials one by one, test images as the average of their repeats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...readers.coco import read_captions
from .design import Design, Stimuli, check_responses, check_stimuli


def subject_number(subject: str) -> int:
    """1 for `"subj01"`."""
    return int(subject.removeprefix("subj"))


@dataclass(eq=False)
class Trials:
    """
    The images that were shown, and what becomes of each.

    Args:
        design ([`Design`]), stimuli ([`Stimuli`]):
            The tables of the experiment.
        trials_per_session (`int`):
            Trials of a session.
        tested (`set[int]`):
            73KIDs of the test images.
        shown (`dict[str, dict[int, np.ndarray]]`):
            For each subject and session the 73KIDs of its trials, filled by [`~Trials.add`].
    """

    design: Design
    stimuli: Stimuli
    trials_per_session: int
    tested: set[int]
    shown: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)

    def add(self, subject: str, sessions: Sequence[int], responses: Path | None) -> None:
        """
        Takes up some sessions of a subject, once the tables have been found to agree on them.

        Args:
            subject (`str`):
                Such as `"subj01"`.
            sessions (`Sequence[int]`):
                Their numbers, from 1.
            responses (`Path`, *optional*):
                The subject's `responses.tsv`.

        Raises:
            FileNotFoundError, ValueError: see [`check_stimuli`] and [`check_responses`].
        """
        number, last = subject_number(subject), max(sessions)
        shown = self.design.shown(number, last * self.trials_per_session).reshape(last, -1)
        check_stimuli(self.design, self.stimuli, number, shown.size)
        if responses is not None:
            check_responses(responses, self.design, number, self.trials_per_session, last)
        self.shown[subject] = {session: shown[session - 1] for session in sessions}

    def test_images(self, subject: str) -> list[int]:
        """73KIDs of the test images that a subject saw, in order: the frames of the averages."""
        return sorted(self.tested.intersection(np.concatenate(list(self.shown[subject].values())).tolist()))

    def repeats(self, subject: str) -> list[int]:
        """How often the subject saw each of its [`~Trials.test_images`]."""
        counts = np.bincount(np.concatenate(list(self.shown[subject].values())))
        return counts[self.test_images(subject)].tolist()

    def places(self, subject: str) -> list[np.ndarray]:
        """For each session int64 `[trials]`: the frame among the averages to which a trial belongs, or -1."""
        tested, sessions = self.test_images(subject), self.shown[subject].values()
        return [np.where(np.isin(shown, tested), np.searchsorted(tested, shown), -1) for shown in sessions]

    def for_training(self, subject: str) -> list[np.ndarray]:
        """For each session bool `[trials]`: trials of images that are not shared."""
        shared = sorted(self.design.shared())
        return [~np.isin(shown, shared) for shown in self.shown[subject].values()]

    def single(self, subject: str, session: int, averaged: bool) -> Iterator[tuple[int, int]]:
        """Number in the session (from 0) and 73KID of the trials that are rows of their own."""
        left_out = self.design.shared() if averaged else self.design.shared() - self.tested
        for trial, image in enumerate(self.shown[subject][session].tolist()):
            if image not in left_out:
                yield trial, image

    def captions(self, folder: Path, subjects: set[str]) -> dict[int, tuple[str, ...]]:
        """
        All captions of the photograph behind each image that some subjects saw.

        Raises:
            FileNotFoundError: an annotation file is not in the folder.
            ValueError: it is damaged, or has no caption of an image.
        """
        sessions = [shown for subject in subjects for shown in self.shown[subject].values()]
        images = np.unique(np.concatenate(sessions)).tolist()
        splits = {image: self.stimuli.coco_splits[image - 1] for image in images}
        files = {name: folder / f"captions_{name}.json" for name in sorted(set(splits.values()))}
        known = {name: read_captions(path) for name, path in files.items()}
        coco_ids = {image: int(self.stimuli.coco_ids[image - 1]) for image in images}
        silent = [image for image in images if coco_ids[image] not in known[splits[image]]]
        if silent:
            raise ValueError(
                f"{files[splits[silent[0]]]} has no caption of {len(silent)} image(s) of {self.stimuli.path}, such as "
                f"{coco_ids[silent[0]]} (73KID {silent[0]}): download both again"
            )
        return {image: tuple(known[splits[image]][coco_ids[image]]) for image in images}


__all__ = ["Trials", "subject_number"]
