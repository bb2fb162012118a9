# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The rows of a saved corpus: which splits, subjects, groups and brains are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets, load_dataset, load_from_disk

from modeling_brainllm.checksums import verify_checksums

from ..arguments import DataArguments
from ..statistics.permutations import permute_across_groups
from .brain_format import recording_files, with_brain_arrays
from .collator import REQUIRED_COLUMNS


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def require_rows(dataset: "DatasetDict", split: str) -> None:
    """Raises `ValueError` if there is no such split or it is empty."""
    if split not in dataset or not len(dataset[split]):
        sizes = {name: len(rows) for name, rows in dataset.items()}
        raise ValueError(f"`split={split!r}` has no rows; the data hold {sizes}. Name a split that has.")


def load_corpus_splits(args: DataArguments) -> DatasetDict:
    """
    Loads the splits of a prepared corpus; nothing is ever split again here.

    Args:
        args ([`DataArguments`]):
            Which corpus, and which of its subjects.

    Returns:
        [`~datasets.DatasetDict`]: splits `train`, `validation` and `test`, `brain_values` as NumPy arrays.

    Raises:
        ValueError: a split, a column or a subject is missing, there is no row to train on, or a file of the folder is
            not what was written.
    """
    is_folder = Path(args.dataset).is_dir()
    verify_checksums(args.dataset)
    splits = load_from_disk(args.dataset) if is_folder else load_dataset(args.dataset, args.dataset_config)
    if not isinstance(splits, DatasetDict) or not {"train", "validation"} <= set(splits):
        found = sorted(splits) if isinstance(splits, DatasetDict) else "a dataset without splits"
        raise ValueError(
            f"'{args.dataset}' must hold the splits 'train' and 'validation'; found {found}. Prepare it with "
            "`examples/prepare_dataset.py`, which splits by passage or story: a validation taken from the test, or "
            "from training passages, would decide nothing."
        )
    missing = [name for name in REQUIRED_COLUMNS if name not in splits["train"].column_names]
    if missing:
        raise ValueError(
            f"'{args.dataset}' lacks the columns {', '.join(missing)}; found {splits['train'].column_names}."
        )
    splits = choose_rows(splits, args)
    refers = isinstance(splits["train"].features["brain_values"], dict)
    return with_brain_arrays(splits, recording_files(args.dataset) if refers else None)


def choose_rows(splits: DatasetDict, args: DataArguments) -> DatasetDict:
    """
    Splits cut to the subjects, and the train split to the groups, that the arguments name.

    Args:
        splits ([`~datasets.DatasetDict`]):
            Splits of a corpus.
        args ([`DataArguments`]):
            `subjects`, and `max_train_groups` of their groups.

    Raises:
        ValueError: the corpus lacks a subject, or has not so many groups, or there is no row to train on.
    """
    if args.subjects is not None:
        splits = keep_subjects(splits, args.subjects)
    if not len(splits["train"]):
        whose = "" if args.subjects is None else f" of {', '.join(args.subjects)}"
        raise ValueError(
            f"The train split of '{args.dataset}' has no rows{whose}. To adapt to a subject that is held out, prepare "
            "the corpus with `num_adaptation_groups`, which sets images of that subject aside for it."
        )
    if args.max_train_groups is not None:
        splits = DatasetDict({**splits, "train": keep_groups(splits["train"], args.max_train_groups)})
    return splits


def keep_subjects(splits: DatasetDict, subjects: Sequence[str]) -> DatasetDict:
    """Rows of some subjects; a `ValueError` names those that no split has (a held-out one has no training rows)."""
    known = sorted({subject for rows in splits.values() for subject in rows["subject"]})
    unknown = sorted(set(subjects) - set(known))
    if unknown:
        raise ValueError(f"The corpus has no subject {', '.join(unknown)}; it has {', '.join(known)}.")
    return DatasetDict(
        {
            name: rows.select([i for i, subject in enumerate(rows["subject"]) if subject in subjects])
            for name, rows in splits.items()
        }
    )


def keep_groups(rows: Dataset, num_groups: int) -> Dataset:
    """
    Rows of some groups, always the same ones; those of fewer groups are among those of more.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a split.
        num_groups (`int`):
            Groups to keep.

    Raises:
        ValueError: there are not so many groups.
    """
    groups = list(rows["group"])
    names = sorted(set(groups))
    if not 1 <= num_groups <= len(names):
        raise ValueError(
            f"`max_train_groups={num_groups}` must lie between 1 and the {len(names)} groups of the split."
        )
    order = np.random.default_rng(0).permutation(len(names))
    kept = {names[i] for i in order[:num_groups]}
    return rows.select([i for i, group in enumerate(groups) if group in kept])


def shuffle_brains(rows: Dataset, seed: int) -> Dataset:
    """
    Rows whose brain values are those of another group (passage, story, image), within subject and number of frames.

    Samples of one brain get the same one. Trained on such rows, a model is the brain-deaf twin of one that was trained
    on the rows themselves: it has seen the same texts, the same brains, the same steps.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of one split.
        seed (`int`):
            Seed of the shuffle.

    Raises:
        ValueError: all rows of a subject belong to one group.
    """
    brain_ids = list(rows["brain_id"])
    place = {brain_id: row for row, brain_id in enumerate(brain_ids)}
    (drawn,) = permute_across_groups(list(rows["group"]), brain_ids, 1, seed, subjects_and_frames(rows))
    stored = rows.with_format(None)
    values = stored.select_columns("brain_values").select([place[brain_id] for brain_id in drawn])
    parts = [stored.remove_columns("brain_values").flatten_indices(), values.flatten_indices()]
    shuffled = concatenate_datasets(parts, axis=1).select_columns(rows.column_names)
    return shuffled.with_format(rows.format["type"], **rows.format["format_kwargs"])


def subjects_and_frames(rows: Dataset) -> list[tuple[str, int]]:
    """Subject and number of frames of each row: brains of one block can stand in for each other."""
    if "brain_values" not in rows.column_names:
        return [(subject, 1) for subject in rows["subject"]]
    return [(row["subject"], len(row["brain_values"])) for row in rows.select_columns(["subject", "brain_values"])]


def rows_of_distinct_brains(rows: Dataset) -> dict[str, list[int]]:
    """For each subject, the first row of each of its brain samples."""
    first: dict[str, dict[str, int]] = {}
    for i, (subject, brain_id) in enumerate(zip(rows["subject"], rows["brain_id"], strict=True)):
        first.setdefault(subject, {}).setdefault(brain_id, i)
    return {subject: list(brains.values()) for subject, brains in first.items()}


__all__ = [
    "choose_rows",
    "keep_groups",
    "keep_subjects",
    "load_corpus_splits",
    "require_rows",
    "rows_of_distinct_brains",
    "shuffle_brains",
    "subjects_and_frames",
]
