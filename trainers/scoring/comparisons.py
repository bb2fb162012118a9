# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""From the table of samples to the comparisons of a report: each system against controls, baselines, other systems."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics import Identification, pairwise_wins
from ..statistics.main_effects import BrainEffects, center_gains, center_gains_and_wins, center_wins
from ..statistics.resampling import (
    CorpusScore,
    Resampler,
    benjamini_hochberg,
    subject_bootstrap_ci,
    subject_bootstrap_score,
)
from .rules import CORPUS_SCORES, LOWER_IS_BETTER, Rules
from .table import (
    BRAIN,
    PERMUTED,
    Sample,
    arms_of,
    by_task,
    counts_of,
    having,
    is_baseline,
    losses_of,
    metrics_of,
    permuted_control_brains,
    scores_of,
)


#: What decodes without the brain: over these the gain is also told in nats a text.
RIVALS = ("deaf_twin", "structure_twin")
#: In the place of a control: the right text against all others, chance one half.
OTHER_TEXTS = "other_texts"
# In these the brains' effects cancel on average over brains: they hand the brains around, or match their covariance.
_CENTERED_CONTROLS = ("time_shift", "noise")
_SHARES = ("pairwise_accuracy", "identification_")


def compare(samples: Sequence[Sample], rules: Mapping[str, Rules], resampler: Resampler) -> list[dict[str, Any]]:
    """Every system against every control, baseline and other system, with interval, p and q.

    Of losses: `loss_gain` (control minus system, nats per token; above 0 the brain helps) and `pairwise_accuracy`
    (chance .5); over what decodes without the brain also `nats_gain`, nats per text. Of texts: `X_gain` for each
    tested score X, signed so that above 0 the system is better. Of each identification: its pairwise accuracy against
    the other texts. Intervals and p are clustered by group, and of values without the main effects of texts and
    brains ([`~trainers.statistics.main_effects`]) where the table names the control brains; q is corrected over all
    comparisons (Benjamini-Hochberg).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        rules (`Mapping[str, Rules]`):
            Those of each task.
        resampler ([`~trainers.statistics.resampling.Resampler`]):
            Draws intervals and tests.

    Returns:
        `list[dict]`: `task`, `arm`, `control`, `metric`, `chance`, `value`, `ci_low`, `ci_high`, `p`, `q`,
        `num_samples`, `num_groups`; of means also `wilcoxon_p`; with several subjects also `subject_ci_low`,
        `subject_ci_high`, `num_subjects`. Pairs that share fewer than two groups are left out.
    """
    found: list[dict[str, Any]] = []
    for task, rows in by_task(samples):
        found += [{"task": task} | row for row in _comparisons(rows, rules[task], resampler)]
    return with_q_values(found)


def compare_by_subject(
    samples: Sequence[Sample], rules: Mapping[str, Rules], resampler: Resampler
) -> list[dict[str, Any]]:
    """[`compare`] for each subject alone, rows with `subject`; q is corrected over all of them together."""
    found = []
    for subject in dict.fromkeys(sample["subject"] for sample in samples):
        own = [sample for sample in samples if sample["subject"] == subject]
        found += [{"subject": subject} | row for row in compare(own, rules, resampler)]
    return with_q_values(found)


def with_q_values(comparisons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Comparisons with `q`: their `p`, corrected over all of them (Benjamini-Hochberg)."""
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def _comparisons(rows: Sequence[Sample], rules: Rules, resampler: Resampler) -> Iterator[dict[str, Any]]:
    effects = _brain_effects(rows)
    for system in [arm for arm in rules.systems if arm in arms_of(rows, "losses", "scores")]:
        for control in _controls(rows, system, rules):
            names = {"arm": system, "control": control}
            for metric, chance, values, chosen in _paired_values(rows, system, control, rules, effects):
                if _can_resample(chosen):
                    tested = mean_with_tests(values, chosen, resampler, chance, metric.startswith(_SHARES))
                    yield names | {"metric": metric, "chance": chance} | tested
            shared = having(rows, "counts", system, control)
            for metric in rules.tested:
                if (
                    metric in CORPUS_SCORES
                    and shared
                    and metric in shared[0]["counts"][system]
                    and _can_resample(shared)
                ):
                    tested = _corpus_gain(shared, system, control, metric, resampler)
                    yield names | {"metric": f"{metric}_gain", "chance": 0.0} | tested
    for arm in arms_of(rows, "identification"):
        if arm in rules.systems or is_baseline(arm):
            chosen = having(rows, "identification", arm)
            for score in metrics_of(chosen, "identification", arm):
                if _can_resample(chosen):
                    tested = mean_with_tests(_identification_wins(chosen, arm, score), chosen, resampler, 0.5, True)
                    metric = f"identification_{score}"
                    yield {"arm": arm, "control": OTHER_TEXTS, "metric": metric, "chance": 0.5} | tested


def _controls(rows: Sequence[Sample], system: str, rules: Rules) -> list[str]:
    """All other arms, but systems before this one and baselines of other systems (`shuffled:NAME`)."""
    before = rules.systems[: rules.systems.index(system) + 1]
    return [
        arm for arm in arms_of(rows, "losses", "scores") if arm not in before and arm.partition(":")[2] in ("", system)
    ]


def _can_resample(rows: Sequence[Sample]) -> bool:
    return len({row["group"] for row in rows}) > 1


def mean_with_tests(
    values: np.ndarray, rows: Sequence[Sample], resampler: Resampler, chance: float = 0.0, is_share: bool = False
) -> dict[str, Any]:
    """
    Mean of the samples' values with its interval, and tests against chance; clustered by group.

    Args:
        values (`np.ndarray` of shape `(samples,)`):
            Differences of two arms, or wins.
        rows (`Sequence[Mapping]`):
            The samples, with `group` and `subject`; of several subjects the interval over subjects and groups is given
            too ([`~trainers.statistics.resampling.subject_bootstrap_ci`]).
        resampler ([`~trainers.statistics.resampling.Resampler`]):
            Draws intervals and tests.
        chance (`float`, *optional*, defaults to 0.0), is_share (`bool`, *optional*, defaults to `False`):
            Mean under the null hypothesis; whether it is a share, whose interval never leaves [0, 1].

    Returns:
        `dict`: `value`, `ci_low`, `ci_high`, `p`, `wilcoxon_p`, `num_samples`, `num_groups`; and of several subjects
        `subject_ci_low`, `subject_ci_high`, `num_subjects`.
    """
    groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
    found = resampler.mean(values, groups, chance, is_share)
    if len(set(subjects)) < 2:
        return found
    ends = subject_bootstrap_ci(values, groups, subjects, seed=resampler.seed)
    return found | _over_subjects(np.clip(ends, 0, 1).tolist() if is_share else ends, subjects)


def _corpus_gain(
    rows: Sequence[Sample], system: str, control: str, metric: str, resampler: Resampler
) -> dict[str, Any]:
    """Score of the corpus of a system minus that of a control; of several draws of the control the mean counts."""
    own, other, score = counts_of(rows, system, metric)[:, 0], counts_of(rows, control, metric), CORPUS_SCORES[metric]
    groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
    found = resampler.corpus_gain(own, other, groups, score)
    if len(set(subjects)) < 2:
        return found
    ends = _corpus_gain_over_subjects(own, other, groups, subjects, score, resampler.seed)
    return found | _over_subjects(ends, subjects)


def _corpus_gain_over_subjects(
    own: np.ndarray, other: np.ndarray, groups: Sequence[str], subjects: Sequence[str], score: CorpusScore, seed: int
) -> tuple[float, float]:
    """Interval over subjects and groups of what [`~Resampler.corpus_gain`] tests."""
    width = own.shape[1]

    def gain(sums: np.ndarray) -> np.ndarray:
        parts = sums.reshape(len(sums), -1, width)
        return score(parts[:, 0]) - score(parts[:, 1:]).mean(axis=-1)

    counts = np.concatenate([own, other.reshape(len(own), -1)], axis=1)
    return subject_bootstrap_score(counts, groups, subjects, gain, seed=seed)


def _over_subjects(ends: Sequence[float], subjects: Sequence[str]) -> dict[str, Any]:
    return {"subject_ci_low": ends[0], "subject_ci_high": ends[1], "num_subjects": len(set(subjects))}


def _paired_values(
    rows: Sequence[Sample], system: str, control: str, rules: Rules, effects: BrainEffects | None
) -> Iterator[tuple[str, float, np.ndarray, Sequence[Sample]]]:
    """Metric, chance, values of single samples, and their samples."""
    measured = having(rows, "losses", system, control)
    if measured:
        gains, wins = _gains_and_wins(rows, system, control, effects)
        yield "loss_gain", 0.0, gains, measured
        yield "pairwise_accuracy", 0.5, wins, measured
        if control in RIVALS:
            yield "nats_gain", 0.0, gains * np.array([row["num_tokens"] for row in measured], float), measured
    written = having(rows, "scores", system, control)
    for metric in rules.tested:
        if written and metric in written[0]["scores"][system]:
            gains = _score_gains(written, system, control, metric)
            yield f"{metric}_gain", 0.0, gains, written


def _brain_effects(rows: Sequence[Sample]) -> BrainEffects | None:
    """What each brain does to any text, as far as the permuted arm tells."""
    named = permuted_control_brains(rows)
    if named is None or len(having(rows, "losses", BRAIN, PERMUTED)) < len(rows):
        return None
    return BrainEffects(losses_of(rows, BRAIN)[0], losses_of(rows, PERMUTED), *named)


def _gains_and_wins(
    every_row: Sequence[Sample], system: str, control: str, effects: BrainEffects | None
) -> tuple[np.ndarray, np.ndarray]:
    """Gains in loss and shares of wins of a system over a control, of the samples that have both."""
    chosen = np.array([i for i, row in enumerate(every_row) if {system, control} <= row.get("losses", {}).keys()])
    rows = [every_row[i] for i in chosen]
    own, others = losses_of(rows, system)[0], losses_of(rows, control)
    named = permuted_control_brains(rows)
    if control == PERMUTED and named is not None:
        return center_gains_and_wins(own, others, *named)
    if control in _CENTERED_CONTROLS and effects is not None:
        known = control in rows[0].get("control_brains", ())
        return effects.center(chosen, own, others, [row["control_brains"][control] for row in rows] if known else None)
    return others.mean(axis=0) - own, pairwise_wins(own, others)


def _score_gains(rows: Sequence[Sample], system: str, control: str, metric: str) -> np.ndarray:
    """By how much the texts of a system score better than those of a control."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    own, others = scores_of(rows, system, metric)[0], scores_of(rows, control, metric)
    named = permuted_control_brains(rows)
    if control == PERMUTED and named is not None:
        brains, control_brains = named
        # A score is a loss upside down.
        return sign * center_gains(-own, -others, brains, control_brains[: len(others)])
    return sign * (own - others.mean(axis=0))


def _identification_wins(rows: Sequence[Sample], arm: str, score: str) -> np.ndarray:
    """Shares of the other texts that the right one beats, without what it beats under any brain if known."""
    wins = identification_of(rows, arm, score).wins
    if any(score not in row.get("expected", {}).get(arm, ()) for row in rows):
        return wins
    return center_wins(wins, np.array([row["expected"][arm][score] for row in rows]))


def identification_of(rows: Sequence[Sample], arm: str, score: str) -> Identification:
    """Ranks of the right texts of samples that all have them."""
    ranks, candidates = np.array([row["identification"][arm][score] for row in rows], float).T
    return Identification(ranks, candidates)


__all__ = [
    "OTHER_TEXTS",
    "RIVALS",
    "compare",
    "compare_by_subject",
    "identification_of",
    "mean_with_tests",
    "with_q_values",
]
