# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The report on captions of any system: what they know of their images, beside baselines, ceiling and each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from ..metrics import Identification, MeteorData
from ..metrics.captions import DocumentFrequencies
from ..metrics.embedding_scores import TokenEmbeddings
from ..scoring.caption_comparisons import arm_intervals, compare_pairs
from ..scoring.caption_scorer import METRICS, CaptionScorer, Embedder
from ..scoring.caption_table import (
    CONSTANT,
    Sample,
    identify_captions,
    references_of_images,
    score_arms,
    score_constant,
    score_humans,
    score_shuffled,
    with_q_values,
)
from ..statistics.main_effects import center_wins
from ..statistics.resampling import Resampler
from .base import SCHEMA_VERSION, SavedReport
from .document import Document
from .predictions_document import (
    CHANCE,
    IDENTIFICATION,
    describe_report,
    describe_table,
    predictions_document,
    shuffled,
)
from .requirements import EMPTY, MIN_RESAMPLES, SUBSET, Missing


@dataclass
class PredictionsReport(SavedReport):
    """
    Everything that captions of one or more systems show, without any model.

    Args:
        systems (`list[dict]`):
            Scores of every system; see [`~trainers.scoring.caption_table.score_arms`]. `gaps` are the distances to the
            higher baseline, `intervals` those of [`~trainers.scoring.caption_comparisons.arm_intervals`].
        baselines (`list[dict]`):
            `constant`, `shuffled:<system>` and, where images have two references, `human`; see
            [`~trainers.scoring.caption_table`].
        comparisons (`list[dict]`):
            Every system against its baselines, by identification against chance, and against every other system; see
            [`~trainers.scoring.caption_comparisons.compare_pairs`]. `q` is corrected over all of them.
        identification (`list[dict]`):
            See [`~trainers.scoring.caption_table.identify_captions`].
        settings (`dict`):
            `seed`, `num_resamples`, `max_identification`, `document_frequencies`, `allow` and `num_references`, of
            which `num_images` were scored.
        versions (`dict[str, str]`), fingerprint (`dict`):
            Versions of the libraries; SHA-256 of the files.
        sections (`list[dict]`):
            Further evidence; see [`~SavedReport.add`].
        samples (`list[dict]`):
            The table all figures come from; saved beside the report as `predictions.jsonl`.
        schema_version (`int`):
            Version of this layout.
    """

    FILES: ClassVar = ("predictions_report.json", "predictions_report.md", "predictions.jsonl")
    SCRIPT: ClassVar = "examples/evaluate.py"

    systems: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
    sections: list[dict[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list, repr=False)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_samples(
        cls,
        samples: Sequence[Sample],
        *,
        settings: Mapping,
        versions: Mapping,
        fingerprint: Mapping,
        frequencies: DocumentFrequencies | None = None,
        embed: Embedder | None = None,
        meteor: MeteorData | None = None,
        embed_tokens: TokenEmbeddings | None = None,
        progress: bool = False,
    ) -> "PredictionsReport":
        """
        Computes every figure from the table of [`~trainers.evaluation.predictions.make_table`], which gains baselines
        and scores.

        `settings` must hold `seed`, `num_resamples` and `max_identification`.
        """
        samples, seed = [{**sample, "scores": {}} for sample in samples], settings["seed"]
        images = references_of_images(samples)
        scorer = CaptionScorer(frequencies or DocumentFrequencies.fit(images), embed, meteor, embed_tokens)
        resampler = Resampler(settings["num_resamples"], seed)
        figures = score_arms(samples, scorer, progress)
        names = [figure["arm"] for figure in figures]
        baselines = [score_constant(samples, scorer, progress)]
        baselines += [score_shuffled(samples, scorer, name, shuffled(name), seed, progress) for name in names]
        intervals = arm_intervals(samples, names, resampler, progress)
        identification = identify_captions(samples, scorer, settings["max_identification"], seed, progress)
        pairs = [(name, baseline) for name in names for baseline in (CONSTANT, shuffled(name))]
        comparisons = compare_pairs(samples, [*pairs, *combinations(names, 2)], resampler, progress)
        comparisons += _identification_tests(samples, names, resampler)
        return cls(
            systems=[_with_gaps(figure, baselines) | {"intervals": intervals[figure["arm"]]} for figure in figures],
            baselines=baselines + score_humans(samples, scorer),
            comparisons=with_q_values(comparisons),
            identification=identification,
            settings=dict(settings) | {"num_images": len(images)},
            versions=dict(versions),
            fingerprint=dict(fingerprint),
            samples=samples,
        )

    @property
    def missing(self) -> list[Missing]:
        """What a sceptical reader would miss; see [`~trainers.reports.requirements`]."""
        missing, drawn = [], self.settings["num_resamples"]
        if drawn < MIN_RESAMPLES:
            why = f"Tests and intervals rest on `num_resamples` = {drawn}; {MIN_RESAMPLES:,} are the least."
            missing.append(Missing("num_resamples", why))
        scored, known = self.settings["num_images"], self.settings["num_references"]
        if scored < known:
            why = f"Scored are {scored} of {known} images with references, those that all files hold (`{SUBSET}`)."
            missing.append(Missing(SUBSET, why))
        empty = sum(not text.strip() for sample in self.samples for text in sample["texts"].values())
        if empty:
            missing.append(Missing(EMPTY, f"{empty} captions are empty and score nothing (`{EMPTY}`)."))
        return missing

    def score(self, arm: str, metric: str = "cider") -> float:
        """Score of a system or baseline."""
        return next(row[metric] for row in (*self.systems, *self.baselines) if row["arm"] == arm)

    def find(self, system: str, control: str, metric: str = "cider") -> dict[str, Any] | None:
        """
        A system against a baseline, chance or another system, as the table
        lists them; `None` if it was not made.
        """
        found = (
            row for row in self.comparisons if (row["arm"], row["control"], row["metric"]) == (system, control, metric)
        )
        return next(found, None)

    def describe(self) -> str:
        """What was scored, what each system's captions know, and which system is better."""
        return "\n\n".join([describe_table(self.samples, len(self.systems)), *describe_report(self)])

    def to_document(self) -> Document:
        """What the report says."""
        return predictions_document(self, self._section_chapters(), self._conditions())


def _with_gaps(figure: dict[str, Any], baselines: Sequence[Mapping]) -> dict[str, Any]:
    own = [row for row in baselines if row["arm"] in (CONSTANT, shuffled(figure["arm"]))]
    return figure | {
        "gaps": {name: figure[name] - max(row[name] for row in own) for name in METRICS if name in figure}
    }


def _identification_tests(samples: Sequence[Sample], names: Sequence[str], resampler: Resampler) -> list[dict]:
    """
    The share of wrong images that each system's captions beat, against one half; without what an image beats under any
    caption ([`~trainers.statistics.main_effects`]).
    """
    tests = []
    for name in names:
        rows = [row for row in samples if name in row.get("identification", {})]
        for score in rows[0]["identification"][name] if rows else ():
            ranks, candidates = np.array([row["identification"][name][score] for row in rows]).T
            expected = np.array([row["identification_expected"][name][score] for row in rows])
            wins = center_wins(Identification(ranks, candidates).wins, expected)
            found = resampler.mean(wins, [row["group"] for row in rows], chance=0.5)
            tests.append({"arm": name, "control": CHANCE, "metric": IDENTIFICATION + score} | found)
    return tests


__all__ = ["PredictionsReport"]
