# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Which other brain stands in the place of each: another person's, or the same person's some seconds later."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .controls import NO_BRAIN, shift_in_time, swap_subjects


SAME_STIMULUS, OTHER_STIMULUS = "other_subject_same_stimulus", "other_subject_other_stimulus"
TIME_SHIFT = "time_shift"
#: Arms of lent brains, beside `permuted`.
LENT_ARMS = (SAME_STIMULUS, OTHER_STIMULUS, TIME_SHIFT)


def find_donors(
    brains: Sequence[Mapping[str, Any]], seed: int = 0
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """
    Finds a donor for every brain, in every arm of [`LENT_ARMS`] that the data allow.

    - `other_subject_same_stimulus`: somebody else who perceived the same text of the same group;
    - `other_subject_other_stimulus`: somebody else who perceived another group;
    - `time_shift`: the same run, later ([`~trainers.controls.shift_in_time`]).

    A donor has as many frames as the brain it replaces, so that no sequence changes its length.

    Args:
        brains (`Sequence[Mapping]`):
            Rows of a corpus, one per distinct brain.
        seed (`int`, *optional*, defaults to 0):
            Seed of the draws.

    Returns:
        `tuple`: arm → `brain_id` → `brain_id` of the donor, where there is one; and for each arm that is impossible
        the reason.
    """
    names = [brain["brain_id"] for brain in brains]
    found: dict[str, dict[str, str]] = {}
    absent = {}
    for arm in (SAME_STIMULUS, OTHER_STIMULUS):
        found[arm] = _named(names, _other_subjects(brains, arm == SAME_STIMULUS, seed))
        absent[arm] = "nobody else perceived the same text with as many frames"
        if arm == OTHER_STIMULUS:
            absent[arm] = "nobody else perceived another group with as many frames"
        if len({brain["subject"] for brain in brains}) == 1:
            absent[arm] = "the split holds one subject"
    if all(brain.get("frame_times") for brain in brains):
        found[TIME_SHIFT] = _named(names, _shifted(brains, seed))
        absent[TIME_SHIFT] = "no run is long enough to be shifted by twice the haemodynamic delay"
    else:
        absent[TIME_SHIFT] = "the rows have no `frame_times`"
    found = {arm: donors for arm, donors in found.items() if donors}
    return found, {arm: reason for arm, reason in absent.items() if arm not in found}


def _other_subjects(brains: Sequence[Mapping[str, Any]], same_stimulus: bool, seed: int) -> np.ndarray:
    frames = np.array([len(brain["brain_values"]) for brain in brains])
    donors = np.full(len(brains), NO_BRAIN)
    for count in np.unique(frames):
        members = np.flatnonzero(frames == count)
        alike = [brains[i] for i in members]
        stimuli = [f"{brain['group']}\n{brain['text']}" if same_stimulus else brain["group"] for brain in alike]
        lent = swap_subjects(stimuli, [brain["subject"] for brain in alike], same_stimulus, seed)
        donors[members] = np.where(lent == NO_BRAIN, NO_BRAIN, members[lent])
    return donors


def _shifted(brains: Sequence[Mapping[str, Any]], seed: int) -> np.ndarray:
    runs = [(b["subject"], b.get("session"), b["story"], len(b["brain_values"])) for b in brains]
    return shift_in_time(runs, [brain["frame_times"][0] for brain in brains], seed=seed)


def _named(names: Sequence[str], donors: np.ndarray) -> dict[str, str]:
    return {name: names[donor] for name, donor in zip(names, donors.tolist(), strict=True) if donor != NO_BRAIN}


__all__ = ["LENT_ARMS", "OTHER_STIMULUS", "SAME_STIMULUS", "TIME_SHIFT", "find_donors"]
