# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Sample by sample, what the own brain adds; and how that depends on something else: bins, curves and trends.

All analyses of the papers ask one question of the same table of samples: when does the own brain beat another one? So
they share the effect of each sample, its summary with an interval that is clustered by group, and one test of a trend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics import pairwise_wins
from ..scoring.rules import CAPTION_RULES
from ..scoring.table import BRAIN, PERMUTED, Sample, having, losses_of, permuted_control_brains, scores_of
from ..statistics.main_effects import center_gains_and_wins
from ..statistics.resampling import cluster_bootstrap_ci


SENTENCE = "sentence"


@dataclass(frozen=True)
class Effects:
    """
    What the own brain adds over another group's, sample by sample.

    Where it is known who lent a brain, values are without the main effects of texts and brains, as in the report
    ([`~trainers.statistics.main_effects`]): their means stay, and tests keep their level however loud some brains are.

    Args:
        wins (`np.ndarray` of shape `(samples,)`):
            Share of the other brains that it beats, chance .5; see [`~trainers.metrics.pairwise_wins`].
        gains (`np.ndarray` of shape `(samples,)`):
            By how much it beats their mean, in `unit`.
        groups (`np.ndarray` of shape `(samples,)`):
            Group of each sample, by which intervals and tests are clustered.
        null (`np.ndarray` of shape `(samples,)`, *optional*):
            Wins of a wrong brain in the place of the own one: what the same analysis shows when there is nothing.
        unit (`str`, *optional*, defaults to `"nats per token"`):
            Unit of `gains`.
    """

    wins: np.ndarray
    gains: np.ndarray
    groups: np.ndarray
    null: np.ndarray | None = None
    unit: str = "nats per token"

    @classmethod
    def from_losses(
        cls,
        own: np.ndarray,
        others: np.ndarray,
        groups: Sequence,
        unit: str = unit,
        named: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
    ) -> "Effects":
        """
        From losses `(samples,)` under the own brain and `(permutations, samples)` under other ones; `named` are the
        own brains and the lent ones ([`~trainers.scoring.table.permuted_control_brains`]).
        """
        null = pairwise_wins(others[0], others[1:]) if len(others) > 1 else None
        gains, wins = others.mean(axis=0) - own, pairwise_wins(own, others)
        if named is not None:
            gains, wins = center_gains_and_wins(own, others, *named)
        return cls(wins, gains, np.asarray(groups), null, unit)

    def take(self, chosen: np.ndarray) -> "Effects":
        """The effects of some samples."""
        null = None if self.null is None else self.null[chosen]
        return Effects(self.wins[chosen], self.gains[chosen], self.groups[chosen], null, self.unit)

    @classmethod
    def join(cls, parts: Sequence["Effects"]) -> "Effects":
        """The effects of several tables, one after another; a wrong brain's only if each has them."""
        wins, gains, groups = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("wins", "gains", "groups")
        )
        nulls = [part.null for part in parts if part.null is not None]
        null = np.concatenate(nulls) if len(nulls) == len(parts) else None
        return cls(wins, gains, groups, null, parts[0].unit)

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """Both means with their intervals: `accuracy`, `accuracy_low`, ..., `gain_high`; `null_accuracy`; counts."""
        row: dict[str, Any] = {"num_samples": len(self.wins), "num_groups": len(set(self.groups.tolist()))}
        for name, values in (("accuracy", self.wins), ("gain", self.gains)):
            low, high = cluster_bootstrap_ci(values, self.groups.tolist(), seed=seed)
            row |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
        return row | ({} if self.null is None else {"null_accuracy": float(self.null.mean())})


def arm_losses(samples: Sequence[Sample], arm: str) -> np.ndarray:
    """Losses `(draws, samples)` of an arm; one draw where there are no several."""
    missing = [sample["sample_id"] for sample in samples if arm not in sample.get("losses", ())]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(samples)} samples have no loss of the arm '{arm}' (first: '{missing[0]}'). "
            "Evaluate them with `examples/evaluate.py`."
        )
    return losses_of(samples, arm)


def tasks_of(samples: Sequence[Sample]) -> list[str]:
    """The tasks of a table, in its order."""
    return list(dict.fromkeys(sample["task"] for sample in samples))


def samples_of(samples: Sequence[Sample], task: str | None = None) -> list[Sample]:
    """The samples of one task: by default of the only one, or of `sentence`; a `ValueError` names those there are."""
    known = tasks_of(samples)
    task = task or (known[0] if len(known) == 1 else SENTENCE)
    chosen = [sample for sample in samples if sample["task"] == task]
    if not chosen:
        raise ValueError(f"No sample has the task '{task}'; the table holds {', '.join(known) or 'none at all'}.")
    return chosen


def loss_effects(samples: Sequence[Sample]) -> Effects:
    """Effects on losses of texts, of whatever task; a `ValueError` if a sample lacks one of the arms."""
    own, others = arm_losses(samples, BRAIN)[0], arm_losses(samples, PERMUTED)
    return Effects.from_losses(own, others, _groups(samples), named=permuted_control_brains(samples))


def brain_effects(samples: Sequence[Sample], task: str | None = None, metric: str = CAPTION_RULES.headline) -> Effects:
    """
    Effects of one task, own brain against `permuted`: on losses, or where none was measured on a score of texts.

    Args:
        samples (`Sequence[Sample]`):
            Those of a report; see [`~trainers.scoring.table`].
        task (`str`, *optional*):
            Which task, where there are several; by default `sentence`.
        metric (`str`, *optional*, defaults to `"cider"`):
            Score of single texts.
    """
    rows = samples_of(samples, task)
    if having(rows, "losses", BRAIN):
        return loss_effects(rows)
    # A score is a loss upside down.
    own, others = (-scores_of(rows, arm, metric) for arm in (BRAIN, PERMUTED))
    return Effects.from_losses(own[0], others, _groups(rows), metric)


def _groups(samples: Sequence[Sample]) -> list[str]:
    return [sample["group"] for sample in samples]


def equal_count_bins(x: np.ndarray, num_bins: int) -> list[np.ndarray]:
    """
    Samples in order of `x`, cut into bins that differ by one sample at most.

    Raises:
        ValueError: If there are fewer than two bins, or fewer than two samples a bin.
    """
    if num_bins < 2 or len(x) < 2 * num_bins:
        raise ValueError(
            f"`num_bins={num_bins}` does not fit {len(x)} samples: expected two bins or more, with two samples or "
            "more in each. Choose another number, or pool reports."
        )
    return np.array_split(np.argsort(x, kind="stable"), num_bins)


__all__ = [
    "Effects",
    "arm_losses",
    "brain_effects",
    "equal_count_bins",
    "loss_effects",
    "samples_of",
    "tasks_of",
]
