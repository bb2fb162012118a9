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
"""From the table of samples to the figures of a report: arms, comparisons, floors, identification.

One sample of the table is a `dict` (a line of `samples.jsonl`) with the keys

- `sample_id`, `subject`, `group`, `brain_id`, `reading`, `prompt`, `truth`, `num_tokens`;
- `losses`: arm → mean cross-entropy of the truth's tokens in nats; under `"permuted"` a list, one per permutation;
- `donors`: arm → `brain_id` of the brain that was lent; under `"permuted"` a list;
- `texts`: arm → generated text, and floor → text that ignores the brain (absent without generation);
- `identification`: score → `[rank, candidates]` (absent where it was not computed);
- `identification_expected`: score → share of the competitors that this text beats under brains of other groups.

Arms for which a sample has no donor are absent from it.

All figures are functions of this table alone, so reports of folds are pooled by joining tables.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from .centering import center_gains, center_wins, lose_shares
from .metrics import (
    Identification,
    benjamini_hochberg,
    brainllm_scores,
    corpus_bleu,
    corpus_word_error_rate,
    pairwise_wins,
    text_scores,
)
from .resampling import Resampler
from .subjects import subject_bootstrap_ci


Sample = Mapping[str, Any]

# The published four carry the comparisons of texts: more metrics would only thin out the correction over tests.
HEADLINE_METRICS = ("brainllm_bleu_1", "brainllm_rouge_1", "brainllm_rouge_l", "brainllm_wer")
LOWER_IS_BETTER = ("brainllm_wer", "wer")
FLOORS = ("shuffled", "constant", "retrieval")


def _readings(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    ordered = sorted(samples, key=lambda sample: sample["reading"])
    return [(reading, list(rows)) for reading, rows in groupby(ordered, key=lambda sample: sample["reading"])]


def _losses(rows: Sequence[Sample], arm: str) -> np.ndarray:
    """Losses of shape `(permutations, samples)`; one permutation for every arm but `"permuted"`."""
    return np.atleast_2d(np.array([row["losses"][arm] for row in rows], float).T)


def _having(rows: Sequence[Sample], key: str, arm: str) -> list[Sample]:
    return [row for row in rows if arm in row.get(key, ())]


def _arms(rows: Sequence[Sample], key: str) -> list[str]:
    """Arms that any row has, in the order of their appearance."""
    return list(dict.fromkeys(arm for row in rows for arm in row.get(key, ())))


def text_metrics(samples: Sequence[Sample]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """Per-sample text scores of every generating arm.

    Args:
        samples (`Sequence[Sample]`):
            The table.

    Returns:
        `dict`: (reading, arm) → metric → one score per sample that has the arm, in the table's order.
    """
    scores = {}
    for reading, rows in _readings(samples):
        for arm in _arms(rows, "texts"):
            having = _having(rows, "texts", arm)
            predictions, truths = [row["texts"][arm] for row in having], [row["truth"] for row in having]
            scores[reading, arm] = text_scores(predictions, truths)
    return scores


def arm_figures(samples: Sequence[Sample], scores: Mapping[tuple[str, str], Mapping[str, list[float]]]) -> list[dict]:
    """What each arm scores: losses, and the means of the text scores.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].

    Returns:
        `list[dict]`: One row per reading and arm. `loss` is the mean over samples of their mean cross-entropy,
        `perplexity` is over all tokens; `corpus_*` pool all samples, the other text scores are means over samples.
    """
    figures = []
    for reading, every_row in _readings(samples):
        for arm in _arms(every_row, "losses"):
            rows = _having(every_row, "losses", arm)
            tokens = np.array([row["num_tokens"] for row in rows])
            losses = _losses(rows, arm).mean(axis=0)
            row = {"reading": reading, "arm": arm, "num_samples": len(rows), "loss": float(losses.mean())}
            row["perplexity"] = float(np.exp((losses * tokens).sum() / tokens.sum()))
            if (reading, arm) in scores:
                row |= {name: float(np.mean(values)) for name, values in scores[reading, arm].items()}
                texts, truths = [r["texts"][arm] for r in rows], [r["truth"] for r in rows]
                row["corpus_bleu_4"] = corpus_bleu(texts, truths)
                row["corpus_wer"] = corpus_word_error_rate(texts, truths)
            figures.append(row)
    return figures


def compare(
    samples: Sequence[Sample], scores: Mapping[tuple[str, str], Mapping[str, list[float]]], seed: int = 0
) -> list[dict]:
    """The own brain against every control, with interval, p and q.

    Per control: `loss_gain` (control minus own, nats per token; above 0 the brain helps) and `pairwise_accuracy`
    (chance .5). Per generating control: the gain of each headline text score (signed so that above 0 the brain helps).
    Per identification score: its pairwise accuracy. Intervals and p are clustered by group, and of values without the
    main effects of texts and brains ([`~trainers.centering`]) where the table says who lent a brain; q is corrected
    over all comparisons of the report (Benjamini-Hochberg).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: `reading`, `control`, `metric`, `chance`, `value`, `ci_low`, `ci_high`, `p`, `q`, `wilcoxon_p`,
        `num_samples`, `num_groups`; with several subjects also `subject_ci_low`, `subject_ci_high`, `num_subjects`.
    """
    comparisons: list[dict[str, Any]] = []
    resampler = Resampler(seed=seed)
    for reading, every_row in _readings(samples):
        for control, metric, chance, values, rows in _paired_values(reading, every_row, scores):
            names = {"reading": reading, "control": control, "metric": metric, "chance": chance}
            groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
            if len(set(groups)) > 1:  # nothing can be resampled in one
                comparisons.append(names | _tested(values, groups, chance, resampler, subjects))
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def compare_by_subject(samples: Sequence[Sample], seed: int = 0) -> list[dict]:
    """[`compare`] for each subject alone; q is corrected over metrics, controls, readings and subjects together.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: The rows of [`compare`] with `subject`.
    """
    found = []
    for subject in dict.fromkeys(sample["subject"] for sample in samples):
        own = [sample for sample in samples if sample["subject"] == subject]
        found += [{"subject": subject} | row for row in compare(own, text_metrics(own), seed)]
    q_values = benjamini_hochberg([row["p"] for row in found])
    return [row | {"q": q} for row, q in zip(found, q_values, strict=True)]


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
            ([`~trainers.subjects.subject_bootstrap_ci`]).

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


def _paired_values(reading: str, every_row: Sequence[Sample], scores: Mapping) -> list[Paired]:
    """(control, metric, chance, per-sample values, their samples) of every comparison of one reading."""
    paired: list[Paired] = []
    for control in _arms(every_row, "losses"):
        if control != "brain":
            rows = _having(every_row, "losses", control)
            gains, wins = _gains_and_wins(rows, control)
            paired += [(control, "loss_gain", 0.0, gains, rows), (control, "pairwise_accuracy", 0.5, wins, rows)]
    for control in _arms(every_row, "texts"):
        if control not in ("brain", *FLOORS):
            for metric in HEADLINE_METRICS:
                sign = -1 if metric in LOWER_IS_BETTER else 1
                gain = np.subtract(scores[reading, "brain"][metric], scores[reading, control][metric])
                paired.append((control, f"{metric}_gain", 0.0, sign * gain, every_row))
    for score in _arms(every_row, "identification"):
        rows = _having(every_row, "identification", score)
        paired.append(("other_texts", f"identification_{score}", 0.5, _identification_wins(rows, score), rows))
    return paired


def _gains_and_wins(rows: Sequence[Sample], control: str) -> tuple[np.ndarray, np.ndarray]:
    """Gains in loss and shares of wins `(samples,)` of the own brain over a control."""
    own, others = _losses(rows, "brain")[0], _losses(rows, control)
    if control != "permuted" or any("donors" not in row for row in rows):
        return others.mean(axis=0) - own, pairwise_wins(own, others)
    brains = [row["brain_id"] for row in rows]
    donors = list(zip(*(row["donors"]["permuted"] for row in rows), strict=True))
    shares = lose_shares(np.vstack([own, others]))
    # The mean share of all brains of a text is one half, so a gain in shares is 1 + 1 / K times (wins - 1/2).
    wins = 0.5 + center_gains(shares[0], shares[1:], brains, donors) * len(others) / (1 + len(others))
    return center_gains(own, others, brains, donors), wins


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
    for reading, rows in _readings(samples):
        for score in _arms(rows, "identification"):
            found = _identification(_having(rows, "identification", score), score)
            chance = {f"chance_at_{k}": found.chance(k) for k in (1, 5, 10)}
            figures.append({"reading": reading, "score": score} | found.summary() | chance)
    return figures


def floor_figures(
    samples: Sequence[Sample], scores: Mapping[tuple[str, str], Mapping[str, list[float]]]
) -> list[dict]:
    """What text scores are worth without any decoding.

    `shuffled`: the own brain's predictions, handed to samples of other groups of the same subject; `constant`: the
    completion of the training split that scores best there ([`best_constant`]), given to every sample; `retrieval`:
    the training completion that ridge regression finds nearest to the brain ([`~trainers.ridge_floor`]).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].

    Returns:
        `list[dict]`: `reading`, `floor`, `metric`, `value`.
    """
    return [
        {"reading": reading, "floor": arm, "metric": metric, "value": float(np.mean(values))}
        for reading, _ in _readings(samples)
        for arm in FLOORS
        for metric, values in scores.get((reading, arm), {}).items()
    ]


def best_constant(
    completions: Sequence[str], num_candidates: int = 32, num_references: int = 128, seed: int = 0
) -> str:
    """The one completion that scores best when given to every sample: what a decoder scores that hears nothing.

    Args:
        completions (`Sequence[str]`):
            Completions of the training split.
        num_candidates (`int`, *optional*, defaults to 32):
            Completions that are tried.
        num_references (`int`, *optional*, defaults to 128):
            Completions they are scored on, by BrainLLM's BLEU-1.
        seed (`int`, *optional*, defaults to 0):
            Seed of both draws.

    Returns:
        `str`: The completion.
    """
    generator = np.random.default_rng(seed)
    distinct = sorted(set(completions))
    candidates = [distinct[i] for i in generator.permutation(len(distinct))[:num_candidates]]
    references = [completions[i] for i in generator.permutation(len(completions))[:num_references]]
    return max(
        candidates,
        key=lambda text: np.mean(brainllm_scores([text] * len(references), references)["brainllm_bleu_1"]),
    )


__all__ = [
    "arm_figures",
    "best_constant",
    "compare",
    "compare_by_subject",
    "floor_figures",
    "identification_figures",
    "mean_with_tests",
    "text_metrics",
]
