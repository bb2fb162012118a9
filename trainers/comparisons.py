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
- `texts`: arm → generated text, and floor → text that ignores the brain (absent without generation);
- `identification`: score → `[rank, candidates]` (absent where it was not computed).

All figures are functions of this table alone, so reports of folds are pooled by joining tables.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from .metrics import (
    Identification,
    benjamini_hochberg,
    brainllm_scores,
    cluster_bootstrap_ci,
    corpus_bleu,
    corpus_word_error_rate,
    pairwise_wins,
    sign_flip_test,
    text_scores,
    wilcoxon_test,
)


Sample = Mapping[str, Any]

# The published four carry the comparisons of texts: more metrics would only thin out the correction over tests.
HEADLINE_METRICS = ("brainllm_bleu_1", "brainllm_rouge_1", "brainllm_rouge_l", "brainllm_wer")
LOWER_IS_BETTER = ("brainllm_wer", "wer")
FLOORS = ("shuffled", "constant")


def _readings(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    ordered = sorted(samples, key=lambda sample: sample["reading"])
    return [(reading, list(rows)) for reading, rows in groupby(ordered, key=lambda sample: sample["reading"])]


def _losses(rows: Sequence[Sample], arm: str) -> np.ndarray:
    """Losses of shape `(permutations, samples)`; one permutation for every arm but `"permuted"`."""
    return np.atleast_2d(np.array([row["losses"][arm] for row in rows], float).T)


def text_metrics(samples: Sequence[Sample]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """Per-sample text scores of every generating arm.

    Args:
        samples (`Sequence[Sample]`):
            The table.

    Returns:
        `dict`: (reading, arm) → metric → one score per sample, in the table's order.
    """
    scores = {}
    for reading, rows in _readings(samples):
        for arm in rows[0].get("texts", {}):
            predictions, truths = [row["texts"][arm] for row in rows], [row["truth"] for row in rows]
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
    for reading, rows in _readings(samples):
        tokens = np.array([row["num_tokens"] for row in rows])
        for arm in rows[0]["losses"]:
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
    Per identification score: its pairwise accuracy. Intervals and p are clustered by group; q is corrected over all
    comparisons of the report (Benjamini-Hochberg).

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scores (`Mapping`):
            Result of [`text_metrics`].
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `list[dict]`: `reading`, `control`, `metric`, `chance`, `value`, `ci_low`, `ci_high`, `p`, `q`, `wilcoxon_p`,
        `num_samples`, `num_groups`.
    """
    comparisons: list[dict[str, Any]] = []
    for reading, rows in _readings(samples):
        groups = [row["group"] for row in rows]
        for control, metric, chance, values in _paired_values(reading, rows, scores):
            names = {"reading": reading, "control": control, "metric": metric, "chance": chance}
            comparisons.append(names | mean_with_tests(values, groups, chance, seed))
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def mean_with_tests(values: np.ndarray, groups: Sequence[str], chance: float = 0.0, seed: int = 0) -> dict[str, Any]:
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

    Returns:
        `dict`: `value`, `ci_low`, `ci_high`, `p`, `wilcoxon_p`, `num_samples`, `num_groups`.
    """
    low, high = cluster_bootstrap_ci(values, groups, seed=seed)
    return {
        "value": float(values.mean()),
        "ci_low": low,
        "ci_high": high,
        "p": sign_flip_test(values - chance, groups, seed=seed),
        "wilcoxon_p": wilcoxon_test(values - chance, groups),
        "num_samples": len(values),
        "num_groups": len(set(groups)),
    }


def _paired_values(reading: str, rows: Sequence[Sample], scores: Mapping) -> list[tuple[str, str, float, np.ndarray]]:
    """(control, metric, chance, per-sample values) of every comparison of one reading."""
    own = _losses(rows, "brain")[0]
    paired = []
    for control in [arm for arm in rows[0]["losses"] if arm != "brain"]:
        losses = _losses(rows, control)
        paired.append((control, "loss_gain", 0.0, losses.mean(axis=0) - own))
        paired.append((control, "pairwise_accuracy", 0.5, pairwise_wins(own, losses)))
    for control in [arm for arm in rows[0].get("texts", {}) if arm not in ("brain", *FLOORS)]:
        for metric in HEADLINE_METRICS:
            sign = -1 if metric in LOWER_IS_BETTER else 1
            gain = np.subtract(scores[reading, "brain"][metric], scores[reading, control][metric])
            paired.append((control, f"{metric}_gain", 0.0, sign * gain))
    for score, found in _identifications(rows).items():
        paired.append(("other_texts", f"identification_{score}", 0.5, found.wins))
    return paired


def _identifications(rows: Sequence[Sample]) -> dict[str, Identification]:
    found = {}
    for score in rows[0].get("identification", {}):
        ranks, candidates = np.array([row["identification"][score] for row in rows], float).T
        found[score] = Identification(ranks, candidates)
    return found


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
        for score, found in _identifications(rows).items():
            chance = {f"chance_at_{k}": found.chance(k) for k in (1, 5, 10)}
            figures.append({"reading": reading, "score": score} | found.summary() | chance)
    return figures


def floor_figures(
    samples: Sequence[Sample], scores: Mapping[tuple[str, str], Mapping[str, list[float]]]
) -> list[dict]:
    """What text scores are worth without any decoding.

    `shuffled`: the own brain's predictions, handed to samples of other groups of the same subject; `constant`: the
    completion of the training split that scores best there ([`best_constant`]), given to every sample.

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
    "floor_figures",
    "identification_figures",
    "mean_with_tests",
    "text_metrics",
]
