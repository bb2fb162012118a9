# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Figures of a report as the Hub keeps them: `model-index` in a card, and files of `.eval_results`.

A score goes there beside its controls and baselines, and the gain goes first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml


#: Where the Hub looks for results (https://huggingface.co/docs/hub/eval-results).
EVAL_RESULTS_FILE = ".eval_results/brainllm.yaml"
_DIGITS = 4


@dataclass(frozen=True)
class Result:
    """
    One figure.

    Args:
        task (`str`):
            Identifier in a benchmark, such as `continuation_loss_gain_permuted`.
        kind (`str`):
            Metric as the Hub calls it.
        name (`str`):
            What it is, for people.
        value (`float`):
            The figure.
        low (`float`, *optional*), high (`float`, *optional*), q (`float`, *optional*):
            Ends of the 95 % interval, and p corrected over all tests of the report; of gains.
    """

    task: str
    kind: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    q: float | None = None


def to_model_index(results: Sequence[Result], split: Mapping[str, Any], fingerprint: Any) -> list[EvalResult]:
    """
    `model-index` entries of a card.

    Args:
        results (`Sequence[Result]`):
            Figures.
        split (`Mapping`):
            Split of the report.
        fingerprint (`str` or list of `str`):
            Of the data.

    Returns:
        `list[huggingface_hub.EvalResult]`: One per figure; interval and q stand in `metric_args`.
    """
    revision = ", ".join(map(str, fingerprint)) if isinstance(fingerprint, list) else fingerprint
    dataset: dict[str, Any] = {
        "task_type": "text-generation",
        "task_name": "Brain-to-text decoding",
        "dataset_type": split.get("corpus", "unknown"),
        "dataset_name": split.get("corpus", "unknown"),
        "dataset_split": split["evaluated"],
        "dataset_revision": revision,
    }
    return [
        EvalResult(
            metric_type=result.kind,
            metric_name=result.name,
            metric_value=round(result.value, _DIGITS),
            metric_args=None if result.q is None else {"ci_low": result.low, "ci_high": result.high, "q": result.q},
            **dataset,
        )
        for result in results
    ]


def to_eval_results(
    results: Sequence[Result], benchmark: str, *, source_url: str | None = None, notes: str = ""
) -> str:
    """
    The content of a file of `.eval_results`.

    Args:
        results (`Sequence[Result]`):
            Figures.
        benchmark (`str`):
            Hub id of the benchmark's dataset, whose `eval.yaml` names the tasks.
        source_url (`str`, *optional*):
            Where the report lies.
        notes (`str`, *optional*, defaults to `""`):
            What every entry is to say, such as the split.

    Returns:
        `str`: YAML.
    """
    entries = [
        EvalResultEntry(
            dataset_id=benchmark,
            task_id=result.task,
            value=round(result.value, _DIGITS),
            source_url=source_url,
            notes=" ".join(filter(None, (f"{result.name}{_interval(result)}.", notes))),
        )
        for result in results
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def save_eval_results(results: Sequence[Result], benchmark: str, folder: str | Path, **options: Any) -> Path:
    """Write [`to_eval_results`], which takes the options, where the Hub looks for it in a repository's folder."""
    path = Path(folder) / EVAL_RESULTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_eval_results(results, benchmark, **options), encoding="utf-8")
    return path


def _interval(result: Result) -> str:
    if result.low is None or result.high is None:
        return ""
    return f": 95 % interval {result.low:.{_DIGITS}f} to {result.high:.{_DIGITS}f}, q = {result.q:.3g}"


__all__ = ["EVAL_RESULTS_FILE", "Result", "save_eval_results", "to_eval_results", "to_model_index"]
