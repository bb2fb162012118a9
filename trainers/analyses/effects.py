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
from ..scoring.text_table import Sample, losses_of, permuted_control_brains
from ..statistics.main_effects import center_gains_and_wins
from ..statistics.significance import cluster_bootstrap_ci


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
        own brains and the lent ones ([`~trainers.scoring.text_table.permuted_control_brains`]).
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
    """Losses `(permutations, samples)` of an arm; one permutation where there are no several."""
    missing = [sample["sample_id"] for sample in samples if arm not in sample["losses"]]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(samples)} samples have no loss of the arm '{arm}' (first: '{missing[0]}'). "
            "Evaluate them with `examples/evaluate.py`."
        )
    return losses_of(samples, arm)


def readings_of(samples: Sequence[Sample]) -> list[str]:
    """The readings of a table, in its order; a `ValueError` if there are captions in it, which have none."""
    without = [sample["sample_id"] for sample in samples if "reading" not in sample]
    if without:
        raise ValueError(
            f"{len(without)} of {len(samples)} samples have no reading (first: '{without[0]}'): they are captions, of "
            "which no losses were measured. Surprise and length of the prompt are asked of losses: name reports of "
            "`examples/evaluate.py`."
        )
    return list(dict.fromkeys(sample["reading"] for sample in samples))


def samples_of(samples: Sequence[Sample], reading: str) -> list[Sample]:
    """The samples of one reading; a `ValueError` names those that there are."""
    known = sorted(readings_of(samples))
    found = [sample for sample in samples if sample["reading"] == reading]
    if not found:
        raise ValueError(
            f"No sample has the reading '{reading}'; the table holds {', '.join(known) or 'none at all'}."
        )
    return found


def sample_effects(samples: Sequence[Sample]) -> Effects:
    """
    Effects on losses of texts, own brain against `permuted`.

    Args:
        samples (`Sequence[Sample]`):
            Lines of `samples.jsonl`; see [`~trainers.scoring.text_table`].

    Raises:
        ValueError: If a sample lacks one of the arms.
    """
    groups = [sample["group"] for sample in samples]
    own, others = arm_losses(samples, "brain")[0], arm_losses(samples, "permuted")
    return Effects.from_losses(own, others, groups, named=permuted_control_brains(samples))


def caption_effects(samples: Sequence[Sample], metric: str = "cider") -> Effects:
    """
    Effects on scores of captions, real brain against that of another image.

    Args:
        samples (`Sequence[Sample]`):
            Lines of `captions.jsonl`; see [`~trainers.scoring.caption_table`].
        metric (`str`, *optional*, defaults to `"cider"`):
            Score of single samples.
    """
    real, other = ([sample["scores"][arm][metric] for sample in samples] for arm in ("real", "other_image"))
    groups = [sample["group"] for sample in samples]
    # A score is a loss upside down.
    return Effects.from_losses(-np.array(real), -np.array(other)[None], groups, metric)


def brain_effects(samples: Sequence[Sample], reading: str = SENTENCE) -> Effects:
    """Effects of any saved report: on the losses of a reading, or on captions, which have one reading only."""
    is_captions = bool(samples) and "scores" in samples[0]
    return caption_effects(samples) if is_captions else sample_effects(samples_of(samples, reading))


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
    "caption_effects",
    "equal_count_bins",
    "readings_of",
    "sample_effects",
    "samples_of",
]
