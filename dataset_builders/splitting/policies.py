# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Who is tested on what: the one place where rows are divided into train, validation and test.

- `passage` (default): whole passages, stories or images are held out. The folds are those of scikit-learn's
  `GroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)` on the sorted group keys.
- `topic`: the same with all passages of one topic kept together.
- `official`: the corpus's own test set, such as LeBel's repeated story or NSD's 1,000 shared images. With
  `test_subjects`, their part of it; training is on the other subjects, on stimuli outside of the test set, and on
  `num_adaptation_groups` such stimuli of the test subjects, if a decoder is to be adapted to them by few examples.
- `subject`: whole subjects are held out, and tested on stimuli that no training subject has perceived. The subjects
  are `test_subjects`, or one at a time: number `fold` of the sorted subjects. A stimulus that only one side perceived
  stays there. Of those that both sides perceived one fold goes to the test split and the rest to training; rows of
  such a stimulus on the other side are dropped, for otherwise a model could recite what it learnt from another brain.
- `time`: within each story the last `1 / num_folds` is the test split, and the validation split lies before it. Rows
  that lie across a border, with their frames or with their prompt, are dropped.
- `paper`: the division of the published BrainLLM code, reproduced sample by sample. It leaks (see
  [`~dataset_builders.splitting.leaks.find_leaks`]) and exists only to compare with published numbers.

The validation split is a share of the *groups* that are left after the test split has been taken (`time`: of what is
left of each story). The published code selects its checkpoint on the test split; that is not reproduced.

A brain frame shows what was perceived seconds before. So where one recording is divided, `gap_frames` drops rows of
the earlier split (train before validation before test) whose frames lie so close to frames of a later one.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..schema import SPLITS, TEST, TRAIN, VALIDATION, Sample
from .fingerprints import FrameTable, distances


PASSAGE, TOPIC, OFFICIAL, SUBJECT, TIME, PAPER = "passage", "topic", "official", "subject", "time", "paper"
SPLIT_POLICIES = (PASSAGE, TOPIC, OFFICIAL, SUBJECT, TIME, PAPER)
#: Policies that are known to leak: findings are recorded and do not stop the build.
LEAKY_POLICIES = (PAPER,)
#: Policies that divide a corpus in one way only.
SINGLE_FOLD_POLICIES = (OFFICIAL, TIME)
#: The split of a row that belongs to none.
DROPPED = ""

#: When the published code draws a random number (`paper` only): for every sample; for every target text not seen
#: before; or for every sample, of which the first draw of a target text counts.
DRAW_UNITS = ("sample", "new_target", "first_of_target")

DEFAULT_SEED = 2021
PAPER_NUM_FOLDS = 5


def _folds(keys: np.ndarray, num_folds: int, seed: int, owner: str = "the corpus has") -> list[np.ndarray]:
    """Row indices of each fold's test split, whole keys together."""
    from sklearn.model_selection import GroupKFold  # a second of import that reading the schema need not pay

    found = len(np.unique(keys))
    if found < num_folds:
        raise ValueError(f"num_folds={num_folds} needs as many groups and {owner} {found}: lower num_folds")
    folds = GroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    return [test for _, test in folds.split(keys, groups=keys)]


def _validation_rows(keys: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices into `keys` of the validation rows: a share of the distinct keys, rounded up."""
    from sklearn.model_selection import GroupShuffleSplit

    if len(np.unique(keys)) < 2:
        raise ValueError(
            "one group is left beside the test split, so none can be spared for validation: set validation_fraction=0"
        )
    split = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    return next(split.split(keys, groups=keys))[1]


def paper_draws(completions: Sequence[str], unit: str, seed: int = DEFAULT_SEED) -> np.ndarray:
    """
    The random number that the published BrainLLM code gives to each sample of one subject.

    Args:
        completions (`Sequence[str]`):
            Target texts in the order of the files, empty ones included.
        unit (`str`):
            One of [`DRAW_UNITS`]. Empty targets take part in the draw only under `"sample"`.
        seed (`int`, *optional*, defaults to 2021):
            Seed of Python's generator; the published code uses 2021.

    Returns:
        `np.ndarray`: float64 `[samples]` in [0, 1).
    """
    generator = random.Random(seed)
    if unit == "sample":
        return np.array([generator.random() for _ in completions])
    first: dict[str, float] = {}
    for completion in completions:
        if not completion.strip():
            first[completion] = 0.0  # dropped before the draw
        elif unit == "first_of_target":
            first.setdefault(completion, generator.random())
        elif completion not in first:
            first[completion] = generator.random()
    return np.array([first[completion] for completion in completions])


def _paper_test_rows(samples: Sequence[Sample], fold: int, seed: int, draw_unit: str) -> np.ndarray:
    """Rows whose draw lies in (0.2 fold, 0.2 + 0.2 fold]. The code handles one subject a run: so a stream for each."""
    low, high = 0.2 * fold, 0.2 + 0.2 * fold
    subjects = np.array([sample.subject for sample in samples])
    draws = np.empty(len(samples))
    for subject in np.unique(subjects):
        rows = np.flatnonzero(subjects == subject)
        draws[rows] = paper_draws([samples[row].completion for row in rows], draw_unit, seed)
    return np.flatnonzero((draws > low) & (draws <= high))


def _official_test_rows(samples: Sequence[Sample]) -> np.ndarray:
    rows = np.flatnonzero([sample.official_split == TEST for sample in samples])
    if not len(rows):
        raise ValueError(
            f"split={OFFICIAL!r}: no row belongs to a test set of the corpus's own. Choose another split, or read the "
            "stories, sessions or subjects that the test set is made of"
        )
    return rows


def _adaptation_rows(
    samples: Sequence[Sample], keys: np.ndarray, splits: np.ndarray, subject: str, count: int, seed: int
) -> np.ndarray:
    """Rows of `count` groups of a held-out subject that belong to no split; fewer groups are among more."""
    dropped = np.flatnonzero((splits == DROPPED) & [sample.subject == subject for sample in samples])
    free = np.setdiff1d(keys[dropped], keys[(splits == TEST) | (splits == VALIDATION)])
    if len(free) < count:
        raise ValueError(f"num_adaptation_groups={count}: {subject} has {len(free)} groups outside of the test set")
    chosen = np.random.default_rng(seed).permutation(free)[:count]
    return dropped[np.isin(keys[dropped], chosen)]


def unlabelled_rows(samples: Sequence[Sample], splits: np.ndarray, test_subjects: Sequence[str]) -> np.ndarray:
    """
    Rows in no split whose brain values, but not their text, may be looked at: those of test subjects outside of the
    test set. Few examples would not tell means and deviations of a new brain; its other recordings do.

    Returns:
        `np.ndarray`: bool `[samples]`.
    """
    groups = np.array([sample.group for sample in samples])
    held_out = (splits == DROPPED) & np.isin([sample.subject for sample in samples], test_subjects)
    return held_out & ~np.isin(groups, groups[(splits == TEST) | (splits == VALIDATION)])


def _held_out_subjects(subjects: np.ndarray, fold: int, test_subjects: Sequence[str] | None) -> list[str]:
    found = sorted(set(subjects.tolist()))
    if test_subjects is None:
        if fold >= len(found):
            raise ValueError(f"fold={fold} with split={SUBJECT!r}: choose from 0 to {len(found) - 1}, one a subject")
        test_subjects = [found[fold]]
    unknown = sorted(set(test_subjects) - set(found))
    if unknown or not test_subjects:
        raise ValueError(f"test_subjects={list(test_subjects)}: choose from {', '.join(found)}")
    if set(test_subjects) == set(found):
        raise ValueError(f"test_subjects={list(test_subjects)} leaves no subject to train on; the corpus has {found}")
    return list(test_subjects)


def _hold_out(samples: Sequence[Sample], splits: np.ndarray, test_subjects: Sequence[str]) -> None:
    """Drops, in place, test rows of other subjects than these, and the other rows of these."""
    subjects = np.array([sample.subject for sample in samples])
    held_out = np.isin(subjects, _held_out_subjects(subjects, 0, test_subjects))
    splits[held_out != (splits == TEST)] = DROPPED


def _subject_splits(
    samples: Sequence[Sample],
    groups: np.ndarray,
    fold: int,
    num_folds: int,
    seed: int,
    test_subjects: Sequence[str] | None,
) -> np.ndarray:
    """Held-out subjects on stimuli that the others have not perceived; see the module's docstring."""
    subjects = np.array([sample.subject for sample in samples])
    held_out = np.isin(subjects, _held_out_subjects(subjects, fold, test_subjects))
    shared = np.isin(groups, np.intersect1d(groups[held_out], groups[~held_out]))
    for_test = held_out.copy()
    if shared.any():
        rows = np.flatnonzero(shared)
        for_test[rows] = False
        folds = _folds(groups[rows], num_folds, seed, "subjects of both sides share")
        for_test[rows[folds[fold % num_folds]]] = True
    splits = np.full(len(samples), DROPPED, dtype=object)
    splits[held_out & for_test] = TEST
    splits[~held_out & ~for_test] = TRAIN
    return splits


def _word_times(samples: Sequence[Sample], starts: Sequence[float]) -> np.ndarray:
    """When each known word of one story was said, sorted; the time of its frames where words have no times."""
    if any(sample.word_onsets for sample in samples):
        return np.unique([onset for sample in samples for onset in sample.word_onsets])
    counts: dict[float, int] = defaultdict(int)
    for sample, start in zip(samples, starts, strict=True):
        counts[start] = max(counts[start], len(sample.completion.split()))
    return np.repeat(sorted(counts), [counts[start] for start in sorted(counts)])


def _time_spans(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """From when to when each row of one story reaches, its prompt included: two float64 `[samples]`."""
    frames = [sample.frame_times or sample.frames for sample in samples]
    starts = [float(min(times)) for times in frames]
    words = np.append(_word_times(samples, starts), np.inf)
    spoken = [sample.word_onsets[0] if sample.word_onsets else t for sample, t in zip(samples, starts, strict=True)]
    # The prompt is made of the words just before the completion.
    lengths = np.array([len(sample.prompt.split()) for sample in samples])
    first_word = np.maximum(np.searchsorted(words, spoken) - lengths, 0)
    ends = [max((*times, *sample.word_offsets)) for times, sample in zip(frames, samples, strict=True)]
    return np.minimum(starts, words[first_word]), np.array(ends)


def _time_splits(samples: Sequence[Sample], num_folds: int, validation_fraction: float) -> np.ndarray:
    """The last share of each story, on the clock that all its listeners have in common."""
    stories = defaultdict(list)
    for row, sample in enumerate(samples):
        stories[sample.stimulus].append(row)
    splits = np.full(len(samples), DROPPED, dtype=object)
    share = 1 - 1 / num_folds
    for rows in stories.values():
        starts, ends = _time_spans([samples[row] for row in rows])
        borders = starts.min() + (ends.max() - starts.min()) * np.array([share * (1 - validation_fraction), share])
        first, last = np.searchsorted(borders, starts, side="right"), np.searchsorted(borders, ends, side="right")
        inside = first == last
        splits[np.array(rows)[inside]] = np.array(SPLITS, dtype=object)[first[inside]]
    return splits


def _drop_close_rows(samples: Sequence[Sample], splits: np.ndarray, gap_frames: int) -> None:
    """Drops, in place, rows of an earlier split whose frames lie within the gap of a later one's."""
    table = FrameTable.of(samples)
    places = table.places
    for later, earlier in combinations(reversed(SPLITS), 2):
        sides = splits[table.rows]
        entries = np.flatnonzero(sides == earlier)
        close = distances(places[entries], places[sides == later]) <= gap_frames
        splits[table.rows[entries[close]]] = DROPPED


def _check_options(
    policy: str, fold: int, gap_frames: int, test_subjects: Sequence[str] | None, num_adaptation_groups: int
) -> None:
    if policy not in SPLIT_POLICIES:
        raise ValueError(f"split={policy!r} is unknown: choose one of {', '.join(SPLIT_POLICIES)}")
    if policy in SINGLE_FOLD_POLICIES and fold:
        raise ValueError(f"fold={fold} with split={policy!r}, which divides the corpus in one way only: set fold=0")
    if test_subjects is not None and policy not in (SUBJECT, OFFICIAL):
        raise ValueError(
            f"test_subjects={list(test_subjects)} with split={policy!r}: they need split={SUBJECT!r} or {OFFICIAL!r}"
        )
    if num_adaptation_groups and (policy != OFFICIAL or test_subjects is None):
        raise ValueError(
            f"num_adaptation_groups={num_adaptation_groups} with split={policy!r} and test_subjects={test_subjects}: "
            f"adaptation needs split={OFFICIAL!r} and the test subjects to adapt to"
        )
    if gap_frames < 0:
        raise ValueError(f"gap_frames={gap_frames}: a gap has 0 frames or more")


def assign_splits(
    samples: Sequence[Sample],
    policy: str = PASSAGE,
    *,
    fold: int = 0,
    num_folds: int = 5,
    seed: int = DEFAULT_SEED,
    validation_fraction: float = 0.1,
    draw_unit: str = "sample",
    test_subjects: Sequence[str] | None = None,
    num_adaptation_groups: int = 0,
    gap_frames: int = 0,
) -> np.ndarray:
    """
    Gives every sample its split.

    Args:
        samples (`Sequence[Sample]`):
            All samples of the corpus in the order of its files, empty ones included.
        policy (`str`, *optional*, defaults to `"passage"`):
            One of [`SPLIT_POLICIES`].
        fold (`int`, *optional*, defaults to 0):
            The fold that becomes the test split; under `subject` the number of the subject. 0 under `official` and
            `time`.
        num_folds (`int`, *optional*, defaults to 5):
            Number of folds; the `paper` policy has five.
        seed (`int`, *optional*, defaults to 2021):
            Seed of the folds, of the published draws and of the choice of validation groups.
        validation_fraction (`float`, *optional*, defaults to 0.1):
            Share of the groups outside the test split that is set aside; 0 for no validation split.
        draw_unit (`str`, *optional*, defaults to `"sample"`):
            One of [`DRAW_UNITS`], for the `paper` policy.
        test_subjects (`Sequence[str]`, *optional*):
            Subjects to hold out under `official`, or under `subject`, where `fold` then chooses among the stimuli that
            both sides perceived.
        num_adaptation_groups (`int`, *optional*, defaults to 0):
            Groups of each held-out subject, outside of the test set, to train on under `official`.
        gap_frames (`int`, *optional*, defaults to 0):
            Frames that must lie between the splits where they share a recording; 0 for no rule.

    Returns:
        `np.ndarray`: `[samples]` of `"train"`, `"validation"`, `"test"`, and [`DROPPED`] for rows that belong nowhere.

    Raises:
        ValueError: there are fewer groups than the folds and the validation split need, the corpus lacks what the
            policy asks for, an option does not go with the policy, or nothing is left to train or test on.
    """
    _check_options(policy, fold, gap_frames, test_subjects, num_adaptation_groups)
    keys = np.array([sample.topic if policy == TOPIC else sample.group for sample in samples])
    if policy == TIME:
        splits = _time_splits(samples, num_folds, validation_fraction)
    elif policy == SUBJECT:
        splits = _subject_splits(samples, keys, fold, num_folds, seed, test_subjects)
    else:
        splits = np.full(len(samples), TRAIN, dtype=object)
        if policy == OFFICIAL:
            test = _official_test_rows(samples)
        elif policy == PAPER:
            test = _paper_test_rows(samples, fold, seed, draw_unit)
        else:
            test = _folds(keys, num_folds, seed)[fold]
        splits[test] = TEST
        if test_subjects is not None:
            _hold_out(samples, splits, test_subjects)
    if validation_fraction and policy != TIME:
        rest = np.flatnonzero(splits == TRAIN)
        splits[rest[_validation_rows(keys[rest], validation_fraction, seed)]] = VALIDATION
    for subject in (test_subjects or ()) if num_adaptation_groups else ():
        splits[_adaptation_rows(samples, keys, splits, subject, num_adaptation_groups, seed)] = TRAIN
    if gap_frames:
        _drop_close_rows(samples, splits, gap_frames)
    if not (splits == TRAIN).any() or not (splits == TEST).any():
        raise ValueError(
            f"split={policy!r} with gap_frames={gap_frames} leaves {(splits == TRAIN).sum()} rows to train on and "
            f"{(splits == TEST).sum()} to test on: choose another split, or lower gap_frames"
        )
    return splits


__all__ = [
    "DEFAULT_SEED",
    "DRAW_UNITS",
    "DROPPED",
    "LEAKY_POLICIES",
    "OFFICIAL",
    "PAPER",
    "PAPER_NUM_FOLDS",
    "PASSAGE",
    "SINGLE_FOLD_POLICIES",
    "SPLIT_POLICIES",
    "SUBJECT",
    "TIME",
    "TOPIC",
    "assign_splits",
    "paper_draws",
    "unlabelled_rows",
]
