# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One report of the reports of several folds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .provenance import MIXED
from .report import EvaluationReport


def pool_reports(folders: Sequence[str | Path]) -> EvaluationReport:
    """Join the tables of several folds, and compute every number anew; human ceilings are left out.

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
            ("rules", first.rules, report.rules),
            ("settings", _common(first.settings), _common(report.settings)),
            ("corpus", first.split.get("corpus"), report.split.get("corpus")),
            ("split policy", first.split.get("policy"), report.split.get("policy")),
        ):
            if ours != other:
                raise ValueError(
                    f"{folder} and {folders[0]} differ in {name}: {other} and {ours}. Evaluate them alike."
                )
    samples = [sample for report in reports for sample in report.samples]
    keys = [(sample["task"], sample["sample_id"]) for sample in samples]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(
            f"Sample {twice[1]} ({twice[0]}) is in two of {list(map(str, folders))}. Pool disjoint folds."
        )
    return EvaluationReport.from_samples(
        samples,
        rules=first.rules,
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
    chosen = [report.settings.get("deaf_twin", {}) for report in reports]
    return {"deaf_twin": {task: [fold[task] for fold in chosen] for task in chosen[0]}}


def _pool_absent(settings: Sequence[Mapping]) -> dict[str, dict[str, dict[str, str]]]:
    """Every arm that a fold could not have; where others have it, the reason says of how many it holds."""
    if not any("absent_arms" in fold for fold in settings):
        return {}
    folds = [fold.get("absent_arms", {}) for fold in settings]
    pooled: dict[str, dict[str, str]] = {}
    for task in dict.fromkeys(task for fold in folds for task in fold):
        reasons = [fold.get(task, {}) for fold in folds]
        pooled[task] = {}
        for arm in dict.fromkeys(arm for fold in reasons for arm in fold):
            why = "; ".join(dict.fromkeys(fold[arm] for fold in reasons if arm in fold))
            count = sum(arm in fold for fold in reasons)
            pooled[task][arm] = why if count == len(folds) else f"in {count} of {len(folds)} folds: {why}"
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


__all__ = ["pool_reports"]
