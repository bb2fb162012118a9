# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""From the table of samples to the comparisons of a report: own brain against controls and baselines, identification.

The table is that of [`~trainers.scoring.text_table`].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..metrics import Identification, pairwise_wins
from ..statistics.main_effects import BrainEffects, center_gains, center_gains_and_wins, center_wins
from ..statistics.resampling import Resampler
from ..statistics.significance import benjamini_hochberg
from ..statistics.subjects import subject_bootstrap_ci
from .text_table import (
    HEADLINE_METRICS,
    LOWER_IS_BETTER,
    Sample,
    TextScores,
    arms_of,
    by_reading,
    having,
    losses_of,
    permuted_control_brains,
)


#: What decodes without the brain: over these the gain is also told in nats a text.
RIVALS = ("deaf_twin", "structure_twin")
# In these the brains' effects cancel on average over brains: they hand the brains around, or match their covariance.
_CENTRED_CONTROLS = ("time_shift", "noise")


def compare(samples: Sequence[Sample], scores: TextScores, seed: int = 0) -> list[dict]:
    """The own brain against every control and baseline, with interval, p and q.

    Per control: `loss_gain` (control minus own, nats per token; above 0 the brain helps) and `pairwise_accuracy`
    (chance .5); over what decodes without the brain also `nats_gain`, nats per text. Per generating control and
    baseline: the gain of each headline text score (signed so that above 0 the brain helps). Per identification score:
    its pairwise accuracy. Intervals and p are clustered by group, and of values without the main effects of texts and
    brains ([`~trainers.statistics.main_effects`]) where the table names the control brains; q is corrected over all
    comparisons of the report (Benjamini-Hochberg).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`~trainers.scoring.text_table.text_metrics`].
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: `reading`, `control`, `metric`, `chance`, `value`, `ci_low`, `ci_high`, `p`, `q`, `wilcoxon_p`,
        `num_samples`, `num_groups`; with several subjects also `subject_ci_low`, `subject_ci_high`, `num_subjects`.
    """
    comparisons: list[dict[str, Any]] = []
    resampler = Resampler(seed=seed)
    for reading, every_row in by_reading(samples):
        for control, metric, chance, values, rows in _paired_values(reading, every_row, scores):
            names = {"reading": reading, "control": control, "metric": metric, "chance": chance}
            groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
            if len(set(groups)) > 1:  # nothing can be resampled in one
                comparisons.append(names | _tested(values, groups, chance, resampler, subjects))
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def compare_by_subject(samples: Sequence[Sample], scores: TextScores, seed: int = 0) -> list[dict]:
    """[`compare`] for each subject alone; q is corrected over metrics, controls, readings and subjects together.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`~trainers.scoring.text_table.text_metrics`].
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: The rows of [`compare`] with `subject`.
    """
    found = []
    for subject in dict.fromkeys(sample["subject"] for sample in samples):
        own = [sample for sample in samples if sample["subject"] == subject]
        found += [{"subject": subject} | row for row in compare(own, _scores_of(samples, scores, subject), seed)]
    q_values = benjamini_hochberg([row["p"] for row in found])
    return [row | {"q": q} for row, q in zip(found, q_values, strict=True)]


def _scores_of(samples: Sequence[Sample], scores: TextScores, subject: str) -> TextScores:
    """The text scores of one subject's samples."""
    found = {}
    for reading, rows in by_reading(samples):
        for arm in arms_of(rows, "texts"):
            own = [row["subject"] == subject for row in having(rows, "texts", arm)]
            if any(own):
                found[reading, arm] = {name: values[:, own] for name, values in scores[reading, arm].items()}
    return found


def mean_with_tests(
    values: np.ndarray,
    groups: Sequence[str],
    chance: float = 0.0,
    seed: int = 0,
    subjects: Sequence[str] | None = None,
) -> dict[str, Any]:
    """
    Mean of the samples' values with its interval, and tests against chance; clustered by group.

    Args:
        values (`np.ndarray` of shape `(samples,)`):
            Differences of two arms, or wins.
        groups (`Sequence[str]`):
            Group of each sample.
        chance (`float`, *optional*, defaults to 0.0):
            Mean under the null hypothesis.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.
        subjects (`Sequence[str]`, *optional*):
            Subject of each sample; of several, the interval over subjects and groups is given too
            ([`~trainers.statistics.subjects.subject_bootstrap_ci`]).

    Returns:
        `dict`: `value`, `ci_low`, `ci_high`, `p`, `wilcoxon_p`, `num_samples`, `num_groups`; and of several subjects
        `subject_ci_low`, `subject_ci_high`, `num_subjects`.
    """
    return _tested(values, groups, chance, Resampler(seed=seed), subjects)


def _tested(
    values: np.ndarray, groups: Sequence[str], chance: float, resampler: Resampler, subjects: Sequence[str] | None
) -> dict[str, Any]:
    found = resampler.mean(values, groups, chance)
    if subjects is None or len(set(subjects)) < 2:
        return found
    low, high = subject_bootstrap_ci(values, groups, subjects, seed=resampler.seed)
    return found | {"subject_ci_low": low, "subject_ci_high": high, "num_subjects": len(set(subjects))}


Paired = tuple[str, str, float, np.ndarray, Sequence[Sample]]


def _paired_values(reading: str, every_row: Sequence[Sample], scores: TextScores) -> list[Paired]:
    """(control, metric, chance, per-sample values, their samples) of every comparison of one reading."""
    paired: list[Paired] = []
    effects = _brain_effects(every_row)
    for control in arms_of(every_row, "losses"):
        if control != "brain":
            rows = having(every_row, "losses", control)
            gains, wins = _gains_and_wins(every_row, control, effects)
            paired += [(control, "loss_gain", 0.0, gains, rows), (control, "pairwise_accuracy", 0.5, wins, rows)]
            if control in RIVALS:
                tokens = np.array([row["num_tokens"] for row in rows], float)
                paired.append((control, "nats_gain", 0.0, gains * tokens, rows))
    for control in arms_of(every_row, "texts"):
        if control != "brain":
            rows = having(every_row, "texts", control)
            for metric in HEADLINE_METRICS:
                gains = _text_gains(
                    every_row, control, scores[reading, "brain"][metric], scores[reading, control][metric]
                )
                paired.append((control, f"{metric}_gain", 0.0, -gains if metric in LOWER_IS_BETTER else gains, rows))
    for score in arms_of(every_row, "identification"):
        rows = having(every_row, "identification", score)
        paired.append(("other_texts", f"identification_{score}", 0.5, _identification_wins(rows, score), rows))
    return paired


def _brain_effects(rows: Sequence[Sample]) -> BrainEffects | None:
    """What each brain does to any text, as far as the permuted arm tells."""
    named = permuted_control_brains(rows)
    if named is None or len(having(rows, "losses", "permuted")) < len(rows):
        return None
    return BrainEffects(losses_of(rows, "brain")[0], losses_of(rows, "permuted"), *named)


def _gains_and_wins(
    every_row: Sequence[Sample], control: str, effects: BrainEffects | None
) -> tuple[np.ndarray, np.ndarray]:
    """Gains in loss and shares of wins of the own brain over a control, of the samples that have it."""
    chosen = np.array([place for place, row in enumerate(every_row) if control in row["losses"]])
    rows = [every_row[place] for place in chosen]
    own, others = losses_of(rows, "brain")[0], losses_of(rows, control)
    named = permuted_control_brains(rows)
    if control == "permuted" and named is not None:
        return center_gains_and_wins(own, others, *named)
    if control in _CENTRED_CONTROLS and effects is not None:
        lent = [row["control_brains"][control] for row in rows] if control in rows[0]["control_brains"] else None
        return effects.center(chosen, own, others, lent)
    return others.mean(axis=0) - own, pairwise_wins(own, others)


def _text_gains(every_row: Sequence[Sample], control: str, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Gains in a score of the own brain's text over a control's, of the samples that have it."""
    having_own = having(every_row, "texts", "brain")
    rows = having(having_own, "texts", control)
    own = own[0][[control in row["texts"] for row in having_own]]
    named = permuted_control_brains(rows)
    if control == "permuted" and named is not None:
        brains, control_brains = named
        # A score is a loss upside down.
        return center_gains(-own, -others, brains, control_brains[: len(others)])
    return own - others.mean(axis=0)


def _identification_wins(rows: Sequence[Sample], score: str) -> np.ndarray:
    wins = _identification(rows, score).wins
    if any(score not in row.get("identification_expected", ()) for row in rows):
        return wins
    return center_wins(wins, np.array([row["identification_expected"][score] for row in rows]))


def _identification(rows: Sequence[Sample], score: str) -> Identification:
    ranks, candidates = np.array([row["identification"][score] for row in rows], float).T
    return Identification(ranks, candidates)


def identification_figures(samples: Sequence[Sample]) -> list[dict]:
    """Where the right text stands among the candidates of each brain.

    Args:
        samples (`Sequence[Sample]`):
            The table.

    Returns:
        `list[dict]`: One row per reading and score: the summary of [`~trainers.metrics.Identification`] and the chance
        level of each recall.
    """
    figures = []
    for reading, rows in by_reading(samples):
        for score in arms_of(rows, "identification"):
            found = _identification(having(rows, "identification", score), score)
            chance = {f"chance_at_{k}": found.chance(k) for k in (1, 5, 10)}
            figures.append({"reading": reading, "score": score} | found.summary() | chance)
    return figures


__all__ = [
    "compare",
    "compare_by_subject",
    "identification_figures",
    "mean_with_tests",
]
