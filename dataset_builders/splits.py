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
"""
Who is tested on what: the one place where rows are divided into train, validation and test.

- `passage` (default): whole passages or stories are held out. The folds are those of scikit-learn's
  `GroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)` on the sorted group keys.
- `topic`: the same with all passages of one topic kept together.
- `paper`: the division of the published BrainLLM code, reproduced sample by sample. It leaks (see
  [`~dataset_builders.leaks.find_leaks`]) and exists only to compare with published numbers.

In every policy the validation split is a share of the *groups* that are left after the test split has been taken. The
published code selects its checkpoint on the test split; that is not reproduced.
"""

import random
from collections.abc import Sequence

import numpy as np

from .schema import TEST, TRAIN, VALIDATION, Sample


PASSAGE, TOPIC, PAPER = "passage", "topic", "paper"
SPLIT_POLICIES = (PASSAGE, TOPIC, PAPER)
#: Policies that are known to leak: findings are recorded and do not stop the build.
LEAKY_POLICIES = (PAPER,)

#: When the published code draws a random number (`paper` only): for every sample; for every target text not seen
#: before; or for every sample, of which the first draw of a target text counts.
DRAW_UNITS = ("sample", "new_target", "first_of_target")

DEFAULT_SEED = 2021
PAPER_NUM_FOLDS = 5


def _folds(keys: np.ndarray, num_folds: int, seed: int) -> list[np.ndarray]:
    """Row indices of each fold's test split, whole keys together."""
    from sklearn.model_selection import GroupKFold  # a second of import that reading the schema need not pay

    found = len(np.unique(keys))
    if found < num_folds:
        raise ValueError(f"num_folds={num_folds} needs as many groups and the corpus has {found}: lower num_folds")
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


def assign_splits(
    samples: Sequence[Sample],
    policy: str = PASSAGE,
    *,
    fold: int = 0,
    num_folds: int = 5,
    seed: int = DEFAULT_SEED,
    validation_fraction: float = 0.1,
    draw_unit: str = "sample",
) -> np.ndarray:
    """
    Gives every sample its split.

    Args:
        samples (`Sequence[Sample]`):
            All samples of the corpus in the order of its files, empty ones included.
        policy (`str`, *optional*, defaults to `"passage"`):
            One of [`SPLIT_POLICIES`].
        fold (`int`, *optional*, defaults to 0):
            The fold that becomes the test split.
        num_folds (`int`, *optional*, defaults to 5):
            Number of folds; the `paper` policy has five.
        seed (`int`, *optional*, defaults to 2021):
            Seed of the folds, of the published draws and of the choice of validation groups.
        validation_fraction (`float`, *optional*, defaults to 0.1):
            Share of the groups outside the test split that is set aside; 0 for no validation split.
        draw_unit (`str`, *optional*, defaults to `"sample"`):
            One of [`DRAW_UNITS`], for the `paper` policy.

    Returns:
        `np.ndarray`: `[samples]` of `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: there are fewer groups than the folds and the validation split need.
    """
    keys = np.array([sample.topic if policy == TOPIC else sample.group for sample in samples])
    test = _paper_test_rows(samples, fold, seed, draw_unit) if policy == PAPER else _folds(keys, num_folds, seed)[fold]
    splits = np.full(len(samples), TRAIN, dtype=object)
    splits[test] = TEST
    if validation_fraction:
        rest = np.flatnonzero(splits == TRAIN)
        splits[rest[_validation_rows(keys[rest], validation_fraction, seed)]] = VALIDATION
    return splits


__all__ = [
    "DEFAULT_SEED",
    "DRAW_UNITS",
    "LEAKY_POLICIES",
    "PAPER",
    "PAPER_NUM_FOLDS",
    "PASSAGE",
    "SPLIT_POLICIES",
    "TOPIC",
    "assign_splits",
    "paper_draws",
]
