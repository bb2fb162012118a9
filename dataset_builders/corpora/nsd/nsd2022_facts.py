# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the Natural Scenes Dataset is known to hold: the table that a copy of it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field


#: How many sessions of each subject the first release, of 2021, held back until August 2023.
WITHHELD_SESSIONS = 3


@dataclass(frozen=True)
class NSDFacts:
    """
    Counts of a release in the layout of NSD. What is not known of a release is left empty and not compared.

    Args:
        sessions (`Mapping[str, int]`):
            Scanning sessions of each subject.
        trials_per_session (`int`):
            Images shown in a session; a file of betas has one frame for each.
        num_images, num_subjects, images_per_subject, num_shared (`int`):
            Images of the experiment, subjects of the design, images in the list of each of them, and how many of
            these are in the lists of all.
        voxels (`Mapping[str, int]`):
            Voxels of the mask `nsdgeneral` of each subject.
        shapes (`Mapping[str, tuple[int, int, int]]`):
            Volume of each subject, in voxels.
        num_vertices (`int`):
            Vertices of a hemisphere of the surface `fsaverage`.
        seen (`Mapping[int, tuple[int, int]]`):
            After so many sessions, how many different images and how many different shared images a subject has seen.
            Every subject follows the same order of trials, so it depends on nothing else.
    """

    sessions: Mapping[str, int]
    trials_per_session: int
    num_images: int
    num_subjects: int
    images_per_subject: int
    num_shared: int
    voxels: Mapping[str, int]
    shapes: Mapping[str, tuple[int, int, int]]
    num_vertices: int = 163_842
    seen: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def last_session(self, subject: str, first_release: bool) -> int:
        """Number of the last session of a subject, in the first release or today."""
        return self.sessions[subject] - (WITHHELD_SESSIONS if first_release else 0)

    @property
    def trials_before_withheld(self) -> int:
        """Trials of a complete subject in the first release."""
        return (max(self.sessions.values()) - WITHHELD_SESSIONS) * self.trials_per_session

    @property
    def num_shared_before_withheld(self) -> int | None:
        """Shared images that were shown in the first release, if it is known how many: 982 in NSD."""
        seen = self.seen.get(max(self.sessions.values()) - WITHHELD_SESSIONS)
        return None if seen is None else seen[1]

    def expected(self, subject: str, *, first_release: bool, shared982: bool, average: bool) -> dict[str, int]:
        """What a subject holds under the options of [`~dataset_builders.corpora.nsd.nsd2022.NSD2022Config`]."""
        last = self.last_session(subject, first_release)
        found = {"recordings": last + average}
        if last in self.seen:
            images, shared = self.seen[last]
            tested = min(shared, self.num_shared_before_withheld or shared) if shared982 else shared
            found["stories"] = images - shared + tested
            found["frames"] = last * self.trials_per_session + average * tested
        return found


_SUBJECTS = tuple(f"subj{number:02d}" for number in range(1, 9))


def _by_subject(*values):
    return dict(zip(_SUBJECTS, values, strict=True))


#: Allen et al. (2022) and the NSD data manual, but for two rows. The voxels of `nsdgeneral` are the widths of the
#: matrices of published decoders. What is seen after 37 sessions is the 982 test images, and the 8,859 others, of
#: studies that used the first release (Scotti et al. 2023, arXiv:2305.18274).
NSD_FACTS = NSDFacts(
    sessions=_by_subject(40, 40, 32, 30, 40, 32, 40, 30),
    trials_per_session=750,
    num_images=73_000,
    num_subjects=8,
    images_per_subject=10_000,
    num_shared=1_000,
    voxels=_by_subject(15_724, 14_278, 15_226, 13_153, 13_039, 17_907, 12_682, 14_386),
    shapes=_by_subject(
        (81, 104, 83),
        (82, 106, 84),
        (81, 106, 82),
        (85, 99, 80),
        (79, 97, 78),
        (85, 113, 83),
        (78, 95, 81),
        (80, 103, 78),
    ),
    seen={40: (10_000, 1_000), 37: (9_841, 982), 32: (9_411, 930), 30: (9_209, 907)},
)

__all__ = ["NSD_FACTS", "WITHHELD_SESSIONS", "NSDFacts"]
