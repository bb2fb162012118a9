# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which other brain stands in the place of each: another person's, or the same person's some seconds later."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ..statistics.permutations import AVERAGED, NO_BRAIN, TIME_SHIFT, shift_in_time, swap_subjects


SAME_STIMULUS, OTHER_STIMULUS = "other_subject_same_stimulus", "other_subject_other_stimulus"
#: Arms of lent brains, beside `permuted`.
LENT_ARMS = (SAME_STIMULUS, OTHER_STIMULUS, TIME_SHIFT)
# Seconds from one image to the next in NSD (Allen et al. 2022); blank trials and breaks come on top, so trials are
# at least so far apart.
_TRIAL_SECONDS = 4.0
MATCHED = "matched"
#: Words by which the text of a matched brain may differ.
LENGTH_TOLERANCE = 2


def draw_control_brains(
    brains: Sequence[Mapping[str, Any]], seed: int = 0
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """
    Finds a control brain for every brain, in every arm of [`LENT_ARMS`] that the data allow.

    - `other_subject_same_stimulus`: somebody else who perceived the same text of the same group;
    - `other_subject_other_stimulus`: somebody else who perceived another group;
    - `time_shift`: the same run, later ([`assign_later_trials`]).

    A control brain has as many frames as the brain it replaces, so that no sequence changes its length.

    Args:
        brains (`Sequence[Mapping]`):
            Rows of a corpus, one per distinct brain.
        seed (`int`, *optional*, defaults to 0):
            Seed of the draws.

    Returns:
        `tuple`: arm → `brain_id` → `brain_id` of the control brain, where there is one; and for each arm that is
        impossible the reason.
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
    later, absent[TIME_SHIFT] = assign_later_trials(brains, seed)
    found[TIME_SHIFT] = _named(names, later)
    found = {arm: control_brains for arm, control_brains in found.items() if control_brains}
    return found, {arm: reason for arm, reason in absent.items() if arm not in found}


def match_control_brains(brains: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, str]:
    """
    Draws for each brain one of another group that is alike in everything but the words.

    Alike are brains of the same subject, number of frames, session and position in the passage or story, whose texts
    differ by at most [`LENGTH_TOLERANCE`] words; where there is none, those of the nearest length; where no other
    brain has the position, any position.

    Args:
        brains (`Sequence[Mapping]`):
            Rows of a corpus, one per distinct brain. `session`, `position` and `num_words` are read where they exist;
            the number of words is counted where it is not given.
        seed (`int`, *optional*, defaults to 0):
            Seed of the draw.

    Returns:
        `dict`: `brain_id` → `brain_id` of the control brain; without brains whose subject saw no other group.
    """
    generator, found = np.random.default_rng(seed), {}
    lengths = np.array([brain.get("num_words") or len(brain["text"].split()) for brain in brains])
    keys = [(brain["subject"], len(brain["brain_values"]), brain.get("session")) for brain in brains]
    for i, brain in enumerate(brains):
        others = [j for j, key in enumerate(keys) if key == keys[i] and brains[j]["group"] != brain["group"]]
        placed = [j for j in others if brains[j].get("position") == brain.get("position")]
        alike = np.array(placed or others, int)
        if len(alike):
            distances = np.abs(lengths[alike] - lengths[i])
            near = alike[distances <= max(LENGTH_TOLERANCE, distances.min())]
            found[brain["brain_id"]] = brains[generator.choice(near)]["brain_id"]
    return found


def _other_subjects(brains: Sequence[Mapping[str, Any]], same_stimulus: bool, seed: int) -> np.ndarray:
    frames = np.array([len(brain["brain_values"]) for brain in brains])
    control_brains = np.full(len(brains), NO_BRAIN)
    for count in np.unique(frames):
        members = np.flatnonzero(frames == count)
        alike = [brains[i] for i in members]
        stimuli = [f"{brain['group']}\n{brain['text']}" if same_stimulus else brain["group"] for brain in alike]
        lent = swap_subjects(stimuli, [brain["subject"] for brain in alike], same_stimulus, seed)
        control_brains[members] = np.where(lent == NO_BRAIN, NO_BRAIN, members[lent])
    return control_brains


def assign_later_trials(brains: Sequence[Mapping[str, Any]], seed: int = 0) -> tuple[np.ndarray, str]:
    """
    The same run some time later in the place of each brain ([`~trainers.statistics.permutations.shift_in_time`]).

    A run of a story is that of one subject, session and number of frames, on the clock of the story (`frame_times`).
    Single trials of images are on the clock of their session, by the number of the trial, with which their `sample_id`
    ends; nobody gets a repeat of the own image. Means over repeats have no moment.

    Args:
        brains (`Sequence[Mapping]`):
            Rows of a corpus, one per distinct brain; their values are not read.
        seed (`int`, *optional*, defaults to 0):
            Seed of the draw.

    Returns:
        `tuple`: Brain numbers `(brains,)`, `NO_BRAIN` (-1) where there is none; and why nobody has one, where that is
        so.
    """
    moments = [_find_moment(brain) for brain in brains]
    timed = np.array([i for i, moment in enumerate(moments) if moment is not None], int)
    control_brains = np.full(len(brains), NO_BRAIN)
    if not len(timed):
        if any(brain.get("session") == AVERAGED for brain in brains):
            return control_brains, "each brain is the mean of repeats of several sessions"
        return control_brains, "the rows have no `frame_times`"
    runs, times = zip(*(moment for moment in moments if moment is not None), strict=True)
    lent = shift_in_time(runs, times, seed=seed)
    for own, control_brain in zip(timed, np.where(lent == NO_BRAIN, NO_BRAIN, timed[lent]), strict=True):
        is_repeat = brains[own].get("references") and brains[own]["group"] == brains[control_brain]["group"]
        control_brains[own] = NO_BRAIN if is_repeat else control_brain
    return control_brains, "no run is long enough to be shifted by twice the haemodynamic delay"


def _find_moment(brain: Mapping[str, Any]) -> tuple[Hashable, float] | None:
    """Run of a brain, and the seconds of the run's clock; `None` of what has no one moment."""
    session, times = brain.get("session"), brain.get("frame_times")
    if times:
        return (brain["subject"], session, brain["stimulus"], len(times)), times[0]
    trial = brain["sample_id"].rpartition("/")[2] if brain.get("references") else ""
    if not session or session == AVERAGED or not trial.isdecimal():
        return None
    return (brain["subject"], session), _TRIAL_SECONDS * int(trial)


def _named(names: Sequence[str], control_brains: np.ndarray) -> dict[str, str]:
    return {
        name: names[control_brain]
        for name, control_brain in zip(names, control_brains.tolist(), strict=True)
        if control_brain != NO_BRAIN
    }


__all__ = [
    "LENT_ARMS",
    "MATCHED",
    "OTHER_STIMULUS",
    "SAME_STIMULUS",
    "assign_later_trials",
    "draw_control_brains",
    "match_control_brains",
]
