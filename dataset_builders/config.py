# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about any corpus."""

from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from datasets import BuilderConfig, Version

from .schema import BAD_VOXELS, DTYPES, IN_RECORDINGS, IN_ROWS, STANDARDIZE
from .splitting.policies import DEFAULT_SEED, PAPER, PAPER_NUM_FOLDS, PASSAGE, SPLIT_POLICIES, SUBJECT


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type as annotated; a whole number is a number, but yes and no are none."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(_is_of(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list | tuple) and all(_is_of(item, parts[0]) for item in value)
    if kind in (int, float):
        return not isinstance(value, bool) and isinstance(value, int if kind is int else int | float)
    return isinstance(value, NoneType if kind is None else origin or kind)


@dataclass
class BrainCorpusConfig(BuilderConfig):
    """
    What can be chosen about any corpus. Each corpus adds its own fields.

    > Whom and what

    Args:
        subjects (`list[str]`, *optional*):
            Only these subjects. Defaults to all that are found.
        verify_facts (`bool`, *optional*, defaults to `True`):
            Whether a corpus that differs from what is published is an error. If not, differences are logged and
            recorded in `corpus.json`.
        accept_license (`bool`, *optional*, defaults to `False`):
            Whether you accept the terms of a corpus that asks for it.

    > Division

    Args:
        split (`str`, *optional*, defaults to `"passage"`):
            How rows are divided, one of [`~dataset_builders.splitting.policies.SPLIT_POLICIES`].
        fold (`int`, *optional*):
            Which fold is the test split. Defaults to 0, and under `split="paper"` to 1, the published default.
        num_folds (`int`, *optional*, defaults to 5):
            Number of folds. `split="paper"` has five.
        seed (`int`, *optional*, defaults to 2021):
            Seed of the division.
        validation_fraction (`float`, *optional*, defaults to 0.1):
            Share of the groups (passages, stories, topics) outside the test split that becomes the validation split;
            0 for none. Under `split="paper"` too: it is never taken from the test split.
        test_subjects (`list[str]`, *optional*):
            Subjects of the test split under `split="subject"`; by default `fold` counts the subject that is left out.
            Under `split="official"` the test split is their part of the corpus's own test set, and training is on the
            other subjects.
        num_adaptation_groups (`int`, *optional*, defaults to 0):
            Groups (images, stories) of each of these test subjects that are trained on all the same, under
            `split="official"`: how many examples of a new brain it takes. They are none of the test set, and those of
            a smaller number are among those of a larger one.
        gap_frames (`int`, *optional*, defaults to 0):
            Frames of a recording that must lie between two splits; rows within the gap are left out. `split="time"`
            needs 8 seconds of them at least.

    > Brain values; see [`~dataset_builders.preparation.preprocessing`]

    Args:
        standardize (`str`, *optional*, defaults to `"none"`):
            `"none"`, or over which frames mean and deviation are taken: each `"recording"`, `"session"`, or `"train"`.
        bad_voxels (`str`, *optional*, defaults to `"drop"`):
            What becomes of voxels with NaN, or that never vary: `"drop"`, `"zero"` or `"error"`.
        rois (`list[str]`, *optional*):
            Regions to keep, as `set:name` (`"nsdgeneral:nsdgeneral"`); `set` alone keeps all that it labels.
        num_reliable_voxels (`int`, *optional*):
            Voxels of each subject to keep: those that answer most reliably to repeated training stimuli, by their
            ratio of signal to noise. Needs stimuli that are repeated in the training split, as the images of NSD are.
        num_components (`int`, *optional*):
            Principal components, fitted on training frames, in place of voxels.
        dtype (`str`, *optional*, defaults to `"float16"`):
            `"float16"` or `"float32"`.
        store (`str`, *optional*, defaults to `"rows"`):
            `"rows"`: `brain_values` inside each row. `"recordings"`: each run once, and rows refer to its frames.
        source_fingerprint (`str`, *optional*):
            State of the source files (name, size, time of change), set by the builder: it makes the cache forget rows
            that were built from files that have changed since.
    """

    version: Version | str | None = "2.2.0"  # to be raised when the rows change, so that caches forget the old ones
    subjects: list[str] | None = None
    verify_facts: bool = True
    accept_license: bool = False
    split: str = PASSAGE
    fold: int | None = None
    num_folds: int = 5
    seed: int = DEFAULT_SEED
    validation_fraction: float = 0.1
    test_subjects: list[str] | None = None
    num_adaptation_groups: int = 0
    gap_frames: int = 0
    standardize: str = "none"
    bad_voxels: str = "drop"
    rois: list[str] | None = None
    num_reliable_voxels: int | None = None
    num_components: int | None = None
    dtype: str = "float16"
    store: str = IN_ROWS
    source_fingerprint: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        # A YAML file may give numbers where files name subjects in digits.
        for name in ("subjects", "test_subjects"):
            if isinstance(getattr(self, name), list | tuple):
                setattr(self, name, [str(subject) for subject in getattr(self, name)])
        self._check_types()
        for name, known in {
            "split": SPLIT_POLICIES,
            "standardize": STANDARDIZE,
            "bad_voxels": BAD_VOXELS,
            "dtype": DTYPES,
            "store": (IN_ROWS, IN_RECORDINGS),
        }.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(known)}")
        if self.split == PAPER and self.num_folds != PAPER_NUM_FOLDS:
            raise ValueError(f"num_folds={self.num_folds} with split='paper': the published split has 5 folds")
        self.require_at_least(num_folds=2, num_components=1, num_reliable_voxels=1, num_adaptation_groups=0)
        leaves_one_out = self.split == SUBJECT and self.test_subjects is None  # then folds are subjects
        if not leaves_one_out and not 0 <= self.test_fold < self.num_folds:
            raise ValueError(f"fold={self.fold}: choose from 0 to {self.num_folds - 1}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction}: choose from 0 up to, not including, 1")

    def _check_types(self) -> None:
        """Raises if an option is not of its kind: a number in quotes, one name where a list of names is meant."""
        kinds = get_type_hints(type(self))
        for name in {field.name for field in fields(self)} - {field.name for field in fields(BuilderConfig)}:
            value = getattr(self, name)
            if not _is_of(value, kinds[name]):
                remedy = f"; write [{value}]" if isinstance(value, str) and _is_of([value], kinds[name]) else ""
                kind = str(kinds[name]) if get_origin(kinds[name]) else kinds[name].__name__
                raise ValueError(f"{name}={value!r} is of the wrong kind: expected {kind}{remedy}")

    def require_at_least(self, **least: float) -> None:
        """Raises `ValueError` if a field is given and less than this."""
        for name, number in least.items():
            value = getattr(self, name)
            if value is not None and value < number:
                raise ValueError(f"{name}={value}: at least {number} is needed")

    @property
    def test_fold(self) -> int:
        """`fold`, or the default of the policy."""
        if self.fold is not None:
            return self.fold
        return 1 if self.split == PAPER else 0


__all__ = ["BrainCorpusConfig"]
