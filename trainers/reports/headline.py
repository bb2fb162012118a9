# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a report says first: what the brain, or any system, adds in one task, in words and numbers."""

from itertools import combinations
from typing import TYPE_CHECKING

from ..scoring.comparisons import OTHER_TEXTS
from ..scoring.table import BASELINES, BRAIN, HUMAN, SHUFFLED
from .tables import scale_of, score_cell, title_of, with_interval


if TYPE_CHECKING:
    from .report import EvaluationReport

SIGNIFICANCE = 0.05
NOTHING = "nothing that these samples can show"


def describe_effect(report: "EvaluationReport", task: str) -> str:
    """Likelihood over the best without the brain and over other brains; where none was measured, what texts score."""
    systems = report.rules[task].systems
    if report.find(task, "permuted", "loss_gain") is not None:
        return _describe_likelihood(report, task)
    told = [_describe_texts(report, task, system) for system in systems]
    return "\n\n".join(told + [_describe_pair(report, task, *pair) for pair in combinations(systems, 2)])


def _describe_likelihood(report: "EvaluationReport", task: str) -> str:
    sentences = [_describe_gain(report, task), _describe_structure(report, task), _describe_pairs(report, task)]
    headline = report.rules[task].headline
    gain = report.find(task, "permuted", f"{headline}_gain")
    if gain is not None:
        name = title_of(headline).removesuffix(" ᴮ")
        told = with_interval(gain, 4)
        sentences.append(f"Generated text gains {told} {name} over another brain's (q = {gain['q']:.3g}).")
    return f"**What the brain adds** ({task}): {' '.join(filter(None, sentences))}"


def _describe_gain(report: "EvaluationReport", task: str) -> str:
    """Likelihood over the best that can be done without the recorded brain."""
    nats, token = (report.find(task, "deaf_twin", metric) for metric in ("nats_gain", "loss_gain"))
    if nats is None or token is None:
        return "its gain over the best without it was not measured;"
    verdict = NOTHING
    if nats["q"] < SIGNIFICANCE:
        verdict = "likelihood" if nats["value"] > 0 else "nothing: its texts are less likely than without it"
    rival, twins = report.settings["deaf_twin"][task], report.settings["num_twins"]
    rivals = ", ".join(dict.fromkeys(rival)) if isinstance(rival, list) else rival
    return (
        f"{verdict}. Over the best without it (`{rivals}`, of {twins} twins, the null condition and the mean "
        f"brain; chosen on validation texts) it gains {with_interval(nats, 3)} nats a text, "
        f"{with_interval(token, 4)} a token (q = {nats['q']:.3g}, {nats['num_samples']} samples in "
        f"{nats['num_groups']} groups)."
    )


def _describe_structure(report: "EvaluationReport", task: str) -> str:
    """Likelihood over what length, place and session tell without any brain."""
    nats = report.find(task, "structure_twin", "nats_gain")
    if nats is None:
        return ""
    return (
        f"Over a twin that is given length, place and session of each text in the place of the brain it gains "
        f"{with_interval(nats, 3)} nats a text (q = {nats['q']:.3g})."
    )


def _describe_pairs(report: "EvaluationReport", task: str) -> str:
    """Whether brains are told apart, which says nothing of likelihood."""
    pairs, matched = (report.find(task, arm, "pairwise_accuracy") for arm in ("permuted", "matched"))
    if pairs is None:
        return ""
    text = f"The own brain beats another group's in {with_interval(pairs, 3)} of pairs"
    text += f" (chance .5, q = {pairs['q']:.3g})"
    if matched is not None:
        text += f", and in {with_interval(matched, 3)} those of the same session, position and length"
    return f"{text}."


def _describe_texts(report: "EvaluationReport", task: str, system: str) -> str:
    """What the texts of a system know of what was perceived, and where their score stands."""
    rules = report.rules[task]
    metric, scale = rules.headline, scale_of(rules.headline, rules)
    gains = [
        row
        for row in report.comparisons
        if (row["task"], row["arm"], row["metric"]) == (task, system, f"{metric}_gain")
        and row["control"] not in rules.systems
    ]
    rival = rules.rival if system == BRAIN else f"{SHUFFLED}:{system}"
    verdict = NOTHING
    for row in gains:
        if row["control"] == rival and row["q"] < SIGNIFICANCE:
            verdict = "something of what was perceived" if row["value"] > 0 else "less than chance would"
    rows = {row["arm"]: row for row in (*report.arms, *report.ceilings) if row["task"] == task}
    baselines = [name for name in (*BASELINES, f"{SHUFFLED}:{system}") if metric in rows.get(name, ())]
    beside = [f"`{name}` {score_cell(rows[name], metric, rules)}" for name in (*baselines, HUMAN) if name in rows]
    place = "above" if rows[system][metric] > max(rows[name][metric] for name in baselines) else "not above"
    lead = f"**What the brain adds** ({task})" if system == BRAIN else f"**What `{system}` knows**"
    text = f"{lead}: {verdict}. {title_of(metric)} {score_cell(rows[system], metric, rules)} is {place} its baselines "
    text += f"({', '.join(beside)})."
    for row in report.comparisons:
        if (row["task"], row["arm"], row["control"]) == (task, system, OTHER_TEXTS):
            score = title_of(row["metric"].removeprefix("identification_"))
            text += f" By {score} a text prefers its own sample to a wrong one in {with_interval(row, 3)} of pairs "
            text += f"(chance .5, q = {row['q']:.3g})."
    told = [f"`{row['control']}` {with_interval(row, 2, scale)} (q = {row['q']:.3g})" for row in gains]
    return f"{text} Gains over controls and baselines: {'; '.join(told)}."


def _describe_pair(report: "EvaluationReport", task: str, one: str, two: str) -> str:
    """Which of two systems is better, score by score."""
    rules = report.rules[task]
    rows = [row for row in report.comparisons if (row["task"], row["arm"], row["control"]) == (task, one, two)]
    if not rows:
        return f"`{one}` and `{two}` share fewer than two groups: they cannot be compared."
    told, values = [], []
    for name, sign in ((one, 1), (two, -1)):
        better = [row["metric"] for row in rows if row["q"] < SIGNIFICANCE and sign * row["value"] > 0]
        names = ", ".join(title_of(metric.removesuffix("_gain")) for metric in better)
        told += [f"`{name}` is better by {names}"] if better else []
    for row in rows:
        cell = with_interval(row, 2, scale_of(row["metric"], rules))
        values.append(f"{title_of(row['metric'].removesuffix('_gain'))} {cell} (q = {row['q']:.3g})")
    verdict = " and ".join(told) or "no difference that these samples can show"
    return f"**`{one}` minus `{two}`**: {verdict}. {'; '.join(values)}."


__all__ = ["SIGNIFICANCE", "describe_effect"]
