# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Transfer: decoders of some people or corpora, tested on others; a matrix of saved reports.

On the diagonal a decoder is tested on whom (or what) it was trained on, with stimuli held out; beside it stands what
carries over to another person or corpus.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..reports.charts import bar_chart
from ..reports.sections import Section
from ..statistics.resampling import benjamini_hochberg, sign_flip_test
from .curves import SIGNIFICANCE
from .effects import Sample, brain_effects


NAME = "transfer"
CHANCE = 0.5
COLUMNS = {
    "train": "trained on", "test": "tested on", "num_samples": "n", "num_groups": "groups",
    "accuracy": "pairwise accuracy", "accuracy_low": "low", "accuracy_high": "high", "gain": "gain",
    "p": "p", "q": "q",
}  # fmt: skip
#: Trained on, tested on.
Cell = tuple[str, str]


def split_by_subject(train: str, samples: Sequence[Sample]) -> dict[Cell, list[Sample]]:
    """The samples of one report as cells of the matrix, one for each person who was tested."""
    cells: dict[Cell, list[Sample]] = {}
    for sample in samples:
        cells.setdefault((train, sample["subject"]), []).append(sample)
    return cells


def transfer_matrix(
    cells: Mapping[Cell, Sequence[Sample]], task: str | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """
    What the brain adds for each pair of training and test.

    Args:
        cells (`Mapping[tuple[str, str], Sequence[Sample]]`):
            (Trained on, tested on) → samples of the report.
        task (`str`, *optional*):
            Which task, where there are several; by default `sentence`.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: One row per cell: `train`, `test`, [`Effects.summary`], and `p` and `q` of its pairwise accuracy
        against chance; q is corrected over the cells.
    """
    rows: list[dict[str, Any]] = []
    for (train, test), samples in cells.items():
        effects = brain_effects(samples, task)
        p = sign_flip_test(effects.wins - CHANCE, effects.groups.tolist(), seed=seed)
        rows.append({"train": train, "test": test} | effects.summary(seed) | {"p": p})
    q_values = benjamini_hochberg([row["p"] for row in rows])
    return [row | {"q": q} for row, q in zip(rows, q_values, strict=True)]


def transfer_section(rows: Sequence[Mapping[str, Any]], over: Literal["subjects", "corpora"] = "subjects") -> Section:
    """
    The matrix as a piece of evidence.

    Args:
        rows (`Sequence[Mapping]`):
            By [`transfer_matrix`].
        over (`str`, *optional*, defaults to `"subjects"`):
            Between what decoders are carried: `"subjects"` or `"corpora"`.
    """

    def describe(chosen: Sequence[Mapping[str, Any]]) -> str:
        above = sum(row["q"] < SIGNIFICANCE and row["accuracy"] > CHANCE for row in chosen)
        shares = [row["accuracy"] for row in chosen]
        return (
            f"{above} of {len(chosen)} above chance, from {min(shares):.3f} to {max(shares):.3f}" if shares else "none"
        )

    own = [row for row in rows if row["train"] == row["test"]]
    others = [row for row in rows if row["train"] != row["test"]]
    text = (
        f"Does a decoder carry over to other {over}? Pairwise accuracy against brains of other groups, chance .5 (q < "
        f"{SIGNIFICANCE}, over {len(rows)} tests): trained and tested on the same: {describe(own)}; on others: "
        f"{describe(others)}. Cells of one column are of the same samples only if the reports are; a decoder that was "
        "trained on the stimuli of a test, though on other brains, has seen its texts: see the split of each report."
    )
    figure = bar_chart(
        [f"{row['train']} → {row['test']}" for row in rows],
        [row["accuracy"] for row in rows],
        low=[row["accuracy_low"] for row in rows],
        high=[row["accuracy_high"] for row in rows],
        y_label="pairwise accuracy",
        title="Trained on → tested on",
        reference={"chance": CHANCE},
    )
    return Section(f"{NAME}_{over}", f"Transfer between {over}", text, COLUMNS, list(rows), figure)


__all__ = ["split_by_subject", "transfer_matrix", "transfer_section"]
