# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Ways to break the brain input while everything else stays: the arms a decoder has to beat.

The first kind changes which brain a row gets and leaves the brains whole, so that the control differs from the model
in nothing but the pairing. The second kind changes the standardised values themselves. Pure numpy.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np


NO_BRAIN = -1
#: Seconds from a stimulus to the peak of the blood's answer to it (Glover 1999, NeuroImage 9:416).
HAEMODYNAMIC_DELAY = 6.0
TIME_SHIFT = "time_shift"
#: Session of rows that are means over the repeats of an image: they were measured at no one moment.
AVERAGED = "average"
# A stream of its own: data simulated from the same bare seed would otherwise be "broken" into themselves.
_STREAM = 0xB2A1


def permute_across_groups(
    groups: Sequence,
    brain_ids: Sequence,
    num_permutations: int = 1,
    seed: int = 0,
    blocks: Sequence | None = None,
) -> np.ndarray:
    """Give every sample the brain of another group, many times over.

    The distinct brains are laid out group by group, groups in random order, and rotated by a random distance that
    carries each brain out of its own group. So each brain is used exactly as often as before (a true permutation),
    rows that share a brain still share one, and neighbours mostly stay neighbours: the serial structure of a scanner
    run is kept. When one group holds more than half of the brains no such permutation exists; each group then draws
    from the other groups' brains, as evenly as possible.

    Args:
        groups (`Sequence` of length samples):
            Leak-proof group (passage, story) of each sample.
        brain_ids (`Sequence` of length samples):
            Distinct brain sample of each sample.
        num_permutations (`int`, *optional*, defaults to 1):
            Independent permutations.
        seed (`int`, *optional*, defaults to 0):
            Seed; equal arguments give equal permutations.
        blocks (`Sequence` of length samples, *optional*):
            What brain and control brain must share, such as subject and number of frames; anything hashable.

    Returns:
        `np.ndarray` of shape `(permutations, samples)`: The brain id each sample gets.

    Raises:
        ValueError: If a block holds only one group, or one brain belongs to two groups.
    """
    ids, labels = np.asarray(brain_ids), np.asarray(groups)
    block_of_each = [None] * len(labels) if blocks is None else list(blocks)
    generator = np.random.default_rng((_STREAM, seed))
    control_brains = np.empty((num_permutations, len(labels)), ids.dtype)
    for block in dict.fromkeys(block_of_each):
        inside = np.array([other == block for other in block_of_each])
        control_brains[:, inside] = _permute_block(labels[inside], ids[inside], num_permutations, generator)
    return control_brains


def within_sessions(blocks: Sequence, sessions: Sequence, groups: Sequence) -> list:
    """Divide blocks by scanning session, so that a permuted brain does not give its session away.

    A brain tells its session almost surely; if sessions saw different texts, a permutation across them breaks that
    link too, and the control loses more than what the brain says of the words.

    Args:
        blocks (`Sequence` of length samples):
            What brain and control brain share so far; anything hashable.
        sessions (`Sequence` of length samples):
            Session of each sample; `None` and `""` are unknown.
        groups (`Sequence` of length samples):
            Leak-proof group of each sample.

    Returns:
        `list` of length samples: Pairs of block and session. The session is `None` throughout a block in which a
        session is unknown, or holds a group with more than half of its samples: there is no permutation within it.
    """
    members: dict[object, dict[object, Counter]] = {}
    for block, session, group in zip(blocks, sessions, groups, strict=True):
        members.setdefault(block, {}).setdefault(session, Counter())[group] += 1
    divided = {
        block: all(name and 2 * max(found.values()) <= found.total() for name, found in parts.items())
        for block, parts in members.items()
    }
    return [(block, session if divided[block] else None) for block, session in zip(blocks, sessions, strict=True)]


def _permute_block(
    groups: np.ndarray, brain_ids: np.ndarray, num_permutations: int, generator: np.random.Generator
) -> np.ndarray:
    _, first, rows = np.unique(brain_ids, return_index=True, return_inverse=True)
    # Brains in order of appearance: neighbours in the recording are neighbours here.
    order = np.argsort(first)
    rows, brains = np.argsort(order)[rows], brain_ids[first[order]]
    names, row_labels = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"`groups` holds only {names.tolist()}, so no sample can get a brain of another group. Evaluate on "
            "samples of two groups (passages, stories) or more of each subject."
        )
    labels = np.zeros(len(brains), int)
    labels[rows] = row_labels
    if (labels[rows] != row_labels).any():
        shared = brain_ids[labels[rows] != row_labels][0]
        raise ValueError(f"`brain_ids`: brain {shared!r} belongs to two groups. A group must hold a brain as a whole.")
    draw = _rotate_groups if 2 * np.bincount(labels).max() <= len(brains) else _draw_from_others
    return np.stack([brains[draw(labels, generator)][rows] for _ in range(num_permutations)])


def _rotate_groups(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    largest = np.bincount(labels).max()
    order = np.argsort(generator.permutation(labels.max() + 1)[labels], kind="stable")
    control_brains = np.empty_like(order)
    control_brains[order] = np.roll(order, generator.integers(largest, len(labels) - largest + 1))
    return control_brains


def _draw_from_others(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    control_brains = np.empty_like(labels)
    for label in np.unique(labels):
        own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        control_brains[own] = np.resize(generator.permutation(others), len(own))
    return control_brains


def swap_subjects(groups: Sequence, subjects: Sequence, same_group: bool, seed: int = 0) -> np.ndarray:
    """Give every sample the brain of another subject, who perceived the same group or another one.

    With the same group it asks how much of what is decoded belongs to the person; with another group it is the
    control of a wrong person.

    Args:
        groups (`Sequence` of length samples):
            Leak-proof group (image, passage) of each sample.
        subjects (`Sequence` of length samples):
            Subject of each sample.
        same_group (`bool`):
            Whether the other subject perceived the same group.
        seed (`int`, *optional*, defaults to 0):
            Seed; equal arguments give equal control brains.

    Returns:
        `np.ndarray` of shape `(samples,)`: The sample whose brain each sample gets, drawn evenly among all that
        qualify; `NO_BRAIN` (-1) where none does.
    """
    labels, people = (np.unique(np.asarray(names), return_inverse=True)[1] for names in (groups, subjects))
    generator = np.random.default_rng((_STREAM, seed))
    control_brains = np.full(len(labels), NO_BRAIN)
    for i in range(len(labels)):
        candidates = np.flatnonzero((people != people[i]) & ((labels == labels[i]) == same_group))
        if len(candidates):
            control_brains[i] = generator.choice(candidates)
    return control_brains


def shift_in_time(
    runs: Sequence, times: Sequence[float], seconds: float = 2 * HAEMODYNAMIC_DELAY, seed: int = 0
) -> np.ndarray:
    """Give every brain the brain of the same run some time later; the end of a run is followed by its beginning.

    Person, story, scanner drift and order stay, and only the moment is wrong: what a decoder still gains over this
    control it has from the words of these very seconds. All brains of a run are shifted by the same number of places,
    drawn among those numbers that bring nobody closer to the own moment than `seconds`.

    Args:
        runs (`Sequence` of length brains):
            Run of each brain (subject, session, story); anything hashable.
        times (`Sequence[float]` of length brains):
            Seconds of the run's clock.
        seconds (`float`, *optional*, defaults to 12.0):
            Least distance in time: twice the haemodynamic delay, after which the answer to a moment has faded.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `np.ndarray` of shape `(brains,)`: The brain that each one gets; `NO_BRAIN` (-1) in runs that are too short.
    """
    clock, generator = np.asarray(times, float), np.random.default_rng((_STREAM, seed))
    members: dict[object, list[int]] = {}
    for i, run in enumerate(runs):
        members.setdefault(run, []).append(i)
    control_brains = np.full(len(clock), NO_BRAIN)
    for places in members.values():
        order = np.array(places)[np.argsort(clock[places], kind="stable")]
        shifts = [k for k in range(1, len(order)) if _least_distance(clock[order], k) >= seconds]
        if shifts:
            control_brains[order] = np.roll(order, -generator.choice(shifts))
    return control_brains


def _least_distance(clock: np.ndarray, places: int) -> float:
    return float(np.abs(np.roll(clock, -places) - clock).min())


def no_brain(brain_ids: Sequence) -> np.ndarray:
    """Take every sample's brain away: the language model alone.

    Args:
        brain_ids (`Sequence` of length samples):
            Distinct brain sample of each sample.

    Returns:
        `np.ndarray` of shape `(samples,)`: `NO_BRAIN` (-1) for each sample, as `brain_index` spells it.
    """
    return np.full(len(brain_ids), NO_BRAIN)


__all__ = [
    "AVERAGED",
    "HAEMODYNAMIC_DELAY",
    "NO_BRAIN",
    "TIME_SHIFT",
    "no_brain",
    "permute_across_groups",
    "shift_in_time",
    "swap_subjects",
]
