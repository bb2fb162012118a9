# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The table of samples of an evaluation, whatever its task; every number of a report is a function of it.

On disk it is one Arrow table with a row for each sample, arm and draw: `task`, `sample_id`, `subject`, `group`,
`brain_id`, `prompt`, `references`, `num_tokens`, `arm`, `draw`, `control_brain`, `text`, `loss`, a column `scores.X`
for each score of single samples, `counts.X` for what a sample adds to the score X of a corpus, `identification.X`
(rank and number of candidates) and `expected.X`. In memory the rows of a sample are one `dict` with the same names and

- `losses`: arm → mean cross-entropy of the reference's tokens in nats; a list where an arm has several draws;
- `control_brains`: arm → `brain_id` of the brain that the model was given; likewise;
- `texts`: arm or baseline → text; likewise;
- `scores`: arm or baseline → score → value; likewise;
- `counts`: arm or baseline → score of a corpus → what the sample adds to it, a vector; likewise;
- `identification`: arm → score → `[rank, candidates]` of the right text;
- `expected`: arm → score → share of the competitors that this text beats under brains of other groups.

Arms for which a sample has no control brain are absent from it. `permuted` is always a list. So reports of folds are
pooled by joining tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa


Sample = Mapping[str, Any]
_Row = TypeVar("_Row", bound=Sample)

#: One set of arms for all tasks.
BRAIN, PERMUTED, NO_BRAIN = "brain", "permuted", "no_brain"
CONSTANT, SHUFFLED, RETRIEVAL, RIDGE, STRUCTURE, HUMAN = (
    "constant", "shuffled", "retrieval", "ridge", "structure", "human"
)  # fmt: skip
#: What scores without decoding a brain; `human` is a ceiling.
BASELINES = (CONSTANT, SHUFFLED, RETRIEVAL, RIDGE, STRUCTURE)
_FIXED = ("task", "sample_id", "subject", "group", "brain_id", "prompt", "references", "num_tokens")
# Arm → value, and arm → score → value, by key of a sample and column of the table.
_PLAIN = {"texts": "text", "losses": "loss", "control_brains": "control_brain"}
_NESTED = ("scores", "counts", "identification", "expected")


def is_baseline(arm: str) -> bool:
    """Whether an arm is a baseline; `shuffled:NAME` is that of the system NAME."""
    return arm.partition(":")[0] in BASELINES


def by_task(samples: Sequence[_Row]) -> list[tuple[str, list[_Row]]]:
    """Each task and its samples, in the table's order."""
    ordered = sorted(samples, key=lambda sample: sample["task"])
    return [(task, list(rows)) for task, rows in groupby(ordered, key=lambda sample: sample["task"])]


def having(rows: Sequence[_Row], key: str, *arms: str) -> list[_Row]:
    """The samples that have some arms."""
    return [row for row in rows if all(arm in row.get(key, ()) for arm in arms)]


def arms_of(rows: Sequence[Sample], *keys: str) -> list[str]:
    """Arms that any sample has, in the order of their appearance."""
    return list(dict.fromkeys(arm for key in keys for row in rows for arm in row.get(key, ())))


def losses_of(rows: Sequence[Sample], arm: str) -> np.ndarray:
    """Losses `(draws, samples)` of an arm that all samples have; one draw where there are no several."""
    return np.atleast_2d(np.array([row["losses"][arm] for row in rows], float).T)


def scores_of(rows: Sequence[Sample], arm: str, metric: str) -> np.ndarray:
    """Scores `(draws, samples)` of an arm that all samples have."""
    return np.atleast_2d(np.array([row["scores"][arm][metric] for row in rows], float).T)


def counts_of(rows: Sequence[Sample], arm: str, metric: str) -> np.ndarray:
    """What the samples add to a score of the corpus `(samples, draws, counts)`."""
    counts = np.array([row["counts"][arm][metric] for row in rows], float)
    return counts.reshape(len(rows), -1, counts.shape[-1])


def metrics_of(rows: Sequence[Sample], key: str, arm: str) -> list[str]:
    """Scores that an arm has."""
    return list(dict.fromkeys(metric for row in rows for metric in row.get(key, {}).get(arm, ())))


def texts_of(row: Sample, arm: str) -> list[str]:
    """Texts of a sample: one, or one for each draw."""
    texts = row["texts"][arm]
    return [texts] if isinstance(texts, str) else list(texts)


def permuted_control_brains(rows: Sequence[Sample]) -> tuple[list[str], list[tuple[str, ...]]] | None:
    """Own brains, and the control brains of each permutation; `None` where the table does not name them."""
    if any(PERMUTED not in row.get("control_brains", ()) for row in rows):
        return None
    control_brains = zip(*(row["control_brains"][PERMUTED] for row in rows), strict=True)
    return [row["brain_id"] for row in rows], list(control_brains)


def to_arrow(samples: Sequence[Sample]) -> pa.Table:
    """A table with a row for each sample, arm and draw."""
    rows = [row for sample in samples for row in _rows(sample)]
    names = dict.fromkeys([*_FIXED, "arm", "draw", *_PLAIN.values(), *(name for row in rows for name in row)])
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pa.table({name: values for name, values in columns.items() if any(value is not None for value in values)})


def from_arrow(table: pa.Table) -> list[dict[str, Any]]:
    """The samples that [`to_arrow`] wrote."""
    keys = {column: key for key, column in _PLAIN.items()}
    samples: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_pylist():
        cells = {name: value for name, value in row.items() if value is not None}
        fixed = {name: cells.pop(name) for name in _FIXED if name in cells}
        sample = samples.setdefault((fixed["task"], fixed["sample_id"]), fixed)
        arm, draw = cells.pop("arm"), cells.pop("draw", None)
        for column, value in cells.items():
            key, _, metric = column.partition(".")
            holder, name = (sample.setdefault(key, {}).setdefault(arm, {}), metric) if metric else (None, arm)
            holder = sample.setdefault(keys[column], {}) if holder is None else holder
            if draw is None:
                holder[name] = value
            else:
                holder.setdefault(name, []).append(value)
    return list(samples.values())


def _rows(sample: Sample) -> Iterator[dict[str, Any]]:
    fixed = {name: sample[name] for name in _FIXED if name in sample}
    cells: dict[tuple[str, int | None], dict[str, Any]] = {}
    for arm, column, value in _values(sample):
        is_vector = column.startswith(("counts.", "identification."))
        several = isinstance(value[0] if is_vector else value, list)
        for draw, one in enumerate(value) if several else [(None, value)]:
            cells.setdefault((arm, draw), {})[column] = one
    for (arm, draw), columns in cells.items():
        yield fixed | {"arm": arm, "draw": draw} | columns


def _values(sample: Sample) -> Iterator[tuple[str, str, Any]]:
    """Arm, column and value (or values of several draws) of all that a sample holds."""
    for key, column in _PLAIN.items():
        yield from ((arm, column, value) for arm, value in sample.get(key, {}).items())
    for key in _NESTED:
        for arm, scores in sample.get(key, {}).items():
            yield from ((arm, f"{key}.{metric}", value) for metric, value in scores.items())


__all__ = [
    "BASELINES",
    "BRAIN",
    "CONSTANT",
    "HUMAN",
    "NO_BRAIN",
    "PERMUTED",
    "RETRIEVAL",
    "RIDGE",
    "SHUFFLED",
    "STRUCTURE",
    "Sample",
    "arms_of",
    "by_task",
    "counts_of",
    "from_arrow",
    "having",
    "is_baseline",
    "losses_of",
    "metrics_of",
    "permuted_control_brains",
    "scores_of",
    "texts_of",
    "to_arrow",
]
