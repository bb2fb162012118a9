# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The evaluation report: what the brain adds, the split, then every score with
its controls, baselines and intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..scoring.comparisons import compare, compare_by_subject, identification_figures
from ..scoring.text_table import Sample, arm_figures, baseline_scores, text_metrics
from ..statistics.resampling import Resampler
from .base import SCHEMA_VERSION, SavedReport
from .document import Chapter, Document, markdown_table
from .hub_results import Result
from .provenance import MIXED, describe_protocol, describe_split
from .requirements import NUM_RESAMPLES, Missing, describe_absent, missing_from_readings
from .tables import (
    comparison_table,
    evenly,
    examples,
    examples_note,
    identification_table,
    score_notes,
    score_table,
    with_interval,
)


SIGNIFICANCE = 0.05
#: Controls whose gains go to the Hub.
CARD_CONTROLS = ("deaf_twin", "permuted", "no_brain")
#: What a gain and a score are called on the Hub: kind of metric and name.
RESULT_NAMES = {
    "nats_gain": ("loss", "Gain in nats per text over"),
    "pairwise_accuracy": ("accuracy", "Pairwise accuracy (chance .5) against"),
    "loss_gain": ("loss", "Loss gain in nats per token over"),
    "brainllm_bleu_1_gain": ("bleu", "BLEU-1 gain (BrainLLM form) over"),
}
ARM_RESULTS = {"loss": ("loss", "Loss in nats per token"), "brainllm_bleu_1": ("bleu", "BLEU-1 (BrainLLM form)")}


@dataclass
class EvaluationReport(SavedReport):
    """
    Everything an evaluation found, and under which conditions.

    Args:
        split (`dict`):
            What was held out: `corpus`, `policy`, `fold`, `num_folds`, `sizes`, `leaks`, `leak_allowed`, `evaluated`,
            as `corpus.json` says; and the terms of the data: `license`, `redistribution`, `consent`, `citation`.
        arms (`list[dict]`):
            See [`~trainers.scoring.text_table.arm_figures`].
        comparisons (`list[dict]`):
            See [`~trainers.scoring.comparisons.compare`].
        baselines (`list[dict]`):
            See [`~trainers.scoring.text_table.baseline_scores`].
        identification (`list[dict]`):
            See [`~trainers.scoring.comparisons.identification_figures`].
        settings (`dict`):
            Decoding, permutations, batch size, seed; `num_resamples`, on which tests and intervals rest;
            `absent_arms`, for each reading and each arm that the corpus cannot have the reason.
        versions (`dict[str, str]`):
            Versions of the libraries.
        fingerprint (`dict`):
            Data fingerprint and checkpoint.
        protocol (`dict`):
            See [`~trainers.reports.provenance.find_protocol`]; empty where it is not known.
        by_subject (`list[dict]`):
            See [`~trainers.scoring.comparisons.compare_by_subject`]; empty where a single subject was tested.
        sections (`list[dict]`):
            Further evidence; see [`~SavedReport.add`].
        samples (`list[dict]`):
            The table all figures come from; saved beside the report as `samples.jsonl`.
        schema_version (`int`):
            Version of this layout.
    """

    FILES: ClassVar = ("report.json", "report.md", "samples.jsonl")
    SCRIPT: ClassVar = "examples/evaluate.py"

    split: dict[str, Any]
    arms: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
    protocol: dict[str, Any] = field(default_factory=dict)
    by_subject: list[dict[str, Any]] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list, repr=False)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_samples(
        cls,
        samples: Sequence[Sample],
        *,
        split: Mapping,
        settings: Mapping,
        versions: Mapping,
        fingerprint: Mapping,
        protocol: Mapping | None = None,
    ) -> "EvaluationReport":
        """Computes every figure from the table of samples (its keys: [`~trainers.scoring.text_table`])."""
        scores, seed = text_metrics(samples), settings["seed"]
        several = len({sample["subject"] for sample in samples}) > 1
        return cls(
            split=dict(split),
            arms=arm_figures(samples, scores, Resampler(NUM_RESAMPLES, seed)),
            comparisons=compare(samples, scores, seed),
            baselines=baseline_scores(samples, scores),
            identification=identification_figures(samples),
            settings=dict(settings) | {"num_resamples": NUM_RESAMPLES},
            versions=dict(versions),
            fingerprint=dict(fingerprint),
            protocol=dict(protocol or {}),
            by_subject=compare_by_subject(samples, scores, seed) if several else [],
            samples=list(samples),
        )

    def find(self, reading: str, control: str, metric: str) -> dict[str, Any] | None:
        """The comparison of this reading, control and metric; `None` if it was not made."""
        return self._comparisons_by_name().get((reading, control, metric))

    def _comparisons_by_name(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        return {(row["reading"], row["control"], row["metric"]): row for row in self.comparisons}

    @property
    def readings(self) -> list[str]:
        """Readings that were evaluated."""
        return list(dict.fromkeys(row["reading"] for row in self.arms))

    def describe_split(self) -> str:
        """One sentence: what was held out, and every leak that was allowed."""
        return describe_split(self.split)

    @property
    def missing(self) -> list[Missing]:
        """What the report lacks of what is mandatory; see [`~trainers.reports.requirements`]."""
        subjects = {sample["subject"] for sample in self.samples}
        return missing_from_readings(self.arms, self.baselines, self.settings, self.split, len(subjects))

    def describe_effect(self, reading: str) -> str:
        """What the brain adds in one reading: over the best without it, then over other brains."""
        made = self._comparisons_by_name()
        lead = f"**What the brain adds** ({reading}): "
        if (reading, "permuted", "loss_gain") not in made:
            return f"{lead}nobody can say, for no other group's brain was tried."
        sentences = [self._describe_gain(reading), self._describe_pairs(reading)]
        bleu = made.get((reading, "permuted", "brainllm_bleu_1_gain"))
        if bleu is not None:
            sentences.append(
                f"Generated text gains {with_interval(bleu, 4)} BLEU-1 over another brain's (q = {bleu['q']:.3g})."
            )
        return lead + " ".join(sentences)

    def _describe_gain(self, reading: str) -> str:
        """Likelihood over the best that can be done without the recorded brain."""
        made = self._comparisons_by_name()
        nats, token = made.get((reading, "deaf_twin", "nats_gain")), made.get((reading, "deaf_twin", "loss_gain"))
        if nats is None or token is None:
            return "its gain over the best without it was not measured;"
        verdict = "nothing that these samples can show"
        if nats["q"] < SIGNIFICANCE:
            verdict = "likelihood" if nats["value"] > 0 else "nothing: its texts are less likely than without it"
        rival, twins = self.settings["deaf_twin"][reading], self.settings["num_twins"]
        rivals = ", ".join(dict.fromkeys(rival)) if isinstance(rival, list) else rival
        return (
            f"{verdict}. Over the best without it (`{rivals}`, of {twins} twins, the null condition and the mean "
            f"brain; chosen on validation texts) it gains {with_interval(nats, 3)} nats a text, "
            f"{with_interval(token, 4)} a token (q = {nats['q']:.3g}, {nats['num_samples']} samples in "
            f"{nats['num_groups']} groups)."
        )

    def _describe_pairs(self, reading: str) -> str:
        """Whether brains are told apart, which says nothing of likelihood."""
        made = self._comparisons_by_name()
        pairs, matched = (
            made[reading, "permuted", "pairwise_accuracy"],
            made.get((reading, "matched", "pairwise_accuracy")),
        )
        text = f"The own brain beats another group's in {with_interval(pairs, 3)} of pairs"
        text += f" (chance .5, q = {pairs['q']:.3g})"
        if matched is not None:
            text += f", and in {with_interval(matched, 3)} those of the same session, position and length"
        return f"{text}."

    def results(self) -> list[Result]:
        """Gains first, then what every arm and baseline scores: loss and, of texts, BLEU-1."""
        found = []
        for row in self.comparisons:
            if row["control"] in CARD_CONTROLS and row["metric"] in RESULT_NAMES:
                kind, name = RESULT_NAMES[row["metric"]]
                name = f"{name} {row['control']} ({row['reading']})"
                ends = {"low": row["ci_low"], "high": row["ci_high"], "q": row["q"]}
                task = f"{row['reading']}_{row['metric']}_{row['control']}"
                found.append(Result(task, kind, name, row["value"], **ends))
        scores = {
            (row["reading"], row["arm"], name): row[name] for row in self.arms for name in ARM_RESULTS if name in row
        }
        scores |= {
            (row["reading"], row["baseline"], row["metric"]): row["value"]
            for row in self.baselines
            if row["metric"] in ARM_RESULTS
        }
        for (reading, arm, metric), value in scores.items():
            kind, name = ARM_RESULTS[metric]
            found.append(Result(f"{reading}_{metric}_of_{arm}", kind, f"{name}, {arm} ({reading})", value))
        return found

    def to_document(self) -> Document:
        """What the report says."""
        origin = [self.describe_split(), *([describe_protocol(self.protocol)] if self.protocol else [])]
        return Document(
            title=f"Evidence report: {self.split.get('corpus', 'unknown corpus')}",
            warnings=[item.why for item in self.missing],
            headline=[self.describe_effect(reading) for reading in self.readings],
            origin=origin + describe_absent(self.settings),
            chapters=[chapter for reading in self.readings for chapter in self._chapters_of(reading)]
            + self._section_chapters(),
            conditions=self._conditions(),
        )

    def _chapters_of(self, reading: str) -> list[Chapter]:
        arms, baselines = _of(self.arms, reading), _of(self.baselines, reading)
        chapters = [
            Chapter(f"Scores: {reading}", [score_table(arms, baselines), *score_notes(arms, baselines)]),
            Chapter(
                f"The own brain against each control: {reading}", [comparison_table(_of(self.comparisons, reading))]
            ),
        ]
        found = _of(self.identification, reading)
        if found:
            chapters.append(Chapter(f"The right text among all texts: {reading}", [identification_table(found)]))
        subjects = [row for row in _of(self.by_subject, reading) if row["control"] == "permuted"]
        if subjects:
            title = f"Each subject's own brain against another group's: {reading}"
            chapters.append(Chapter(title, [comparison_table(subjects)]))
        texts = [sample for sample in _of(self.samples, reading) if "texts" in sample]
        return chapters + ([Chapter(f"What was written: {reading}", [examples(texts)])] if texts else [])


def pool_reports(folders: Sequence[str | Path]) -> EvaluationReport:
    """Join the reports of several folds: tables are joined, and every figure is computed anew.

    Args:
        folders (`Sequence`):
            Folders of [`EvaluationReport.save`], one per fold.

    Returns:
        [`EvaluationReport`]: Report over all folds' samples.

    Raises:
        ValueError: If the folds differ in corpus, policy or settings (but for the arms that a fold cannot have), or
            share a sample.
    """
    reports = [EvaluationReport.load(folder) for folder in folders]
    if not reports:
        raise ValueError("`folders` is empty: name the folders of two reports or more.")
    first = reports[0]
    for folder, report in zip(folders, reports, strict=True):
        for name, ours, other in (
            ("settings", _common(first.settings), _common(report.settings)),
            ("corpus", first.split.get("corpus"), report.split.get("corpus")),
            ("split policy", first.split.get("policy"), report.split.get("policy")),
        ):
            if ours != other:
                raise ValueError(
                    f"{folder} and {folders[0]} differ in {name}: {other} and {ours}. Evaluate them alike."
                )
    samples = [sample for report in reports for sample in report.samples]
    keys = [(sample["reading"], sample["sample_id"]) for sample in samples]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(
            f"Sample {twice[1]} ({twice[0]}) is in two of {list(map(str, folders))}. Pool disjoint folds."
        )
    return EvaluationReport.from_samples(
        samples,
        split=_pool_splits([report.split for report in reports]),
        settings=first.settings | _pool_rivals(reports) | _pool_absent([report.settings for report in reports]),
        versions=first.versions,
        fingerprint={name: [report.fingerprint[name] for report in reports] for name in first.fingerprint},
        protocol=_pool_protocols([report.protocol for report in reports]),
    )


def _common(settings: Mapping) -> dict[str, Any]:
    """What folds must have in common: neither the arms that a fold cannot have, nor the rival that it chose."""
    return {name: value for name, value in settings.items() if name not in ("absent_arms", "deaf_twin")}


def _pool_rivals(reports: Sequence[EvaluationReport]) -> dict[str, dict[str, list[str]]]:
    """The rival without a brain that each fold chose."""
    chosen = [report.settings["deaf_twin"] for report in reports]
    return {"deaf_twin": {reading: [fold[reading] for fold in chosen] for reading in chosen[0]}}


def _pool_absent(settings: Sequence[Mapping]) -> dict[str, dict[str, dict[str, str]]]:
    """Every arm that a fold could not have; where others have it, the reason says of how many it holds."""
    if not any("absent_arms" in fold for fold in settings):
        return {}
    folds = [fold.get("absent_arms", {}) for fold in settings]
    pooled: dict[str, dict[str, str]] = {}
    for reading in dict.fromkeys(reading for fold in folds for reading in fold):
        reasons = [fold.get(reading, {}) for fold in folds]
        pooled[reading] = {}
        for arm in dict.fromkeys(arm for fold in reasons for arm in fold):
            why = "; ".join(dict.fromkeys(fold[arm] for fold in reasons if arm in fold))
            count = sum(arm in fold for fold in reasons)
            pooled[reading][arm] = why if count == len(folds) else f"in {count} of {len(folds)} folds: {why}"
    return {"absent_arms": pooled}


def _pool_splits(splits: Sequence[Mapping]) -> dict[str, Any]:
    if "policy" not in splits[0]:
        return dict(splits[0])
    evaluated = splits[0]["evaluated"]
    return dict(splits[0]) | {
        "fold": [split["fold"] for split in splits],
        "sizes": {evaluated: sum(split["sizes"][evaluated] for split in splits)},
        "leaks": [leak for split in splits for leak in split["leaks"]],
    }


def _pool_protocols(protocols: Sequence[Mapping]) -> dict[str, Any]:
    """Stimuli add up; of each subject's training brains, which differ by fold, the largest number is told."""
    if not all(protocols):
        return {}
    names, training = {protocol["name"] for protocol in protocols}, {}
    for protocol in protocols:
        for subject, count in protocol["training_brains"].items():
            training[subject] = max(count, training.get(subject, 0))
    seen = [protocol["seen_images"] for protocol in protocols]
    return dict(protocols[0]) | {
        "name": names.pop() if len(names) == 1 else MIXED,
        "training_brains": training,
        "subjects": sorted({subject for protocol in protocols for subject in protocol["subjects"]}),
        "num_images": sum(protocol["num_images"] for protocol in protocols),
        "seen_images": None if None in seen else sum(seen),
    }


def _of(rows: Sequence[Mapping], reading: str) -> list[Mapping]:
    return [row for row in rows if row["reading"] == reading]


__all__ = [
    "SIGNIFICANCE",
    "EvaluationReport",
    "SavedReport",
    "evenly",
    "examples_note",
    "markdown_table",
    "pool_reports",
    "with_interval",
]
