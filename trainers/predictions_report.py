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
"""The report on captions of any system: what they know of their images, beside floors, ceiling and each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .caption_comparisons import arm_intervals, compare_pairs
from .caption_figures import (
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
from .caption_scorer import METRICS, CaptionScorer, Embedder
from .centering import center_wins
from .conditions import find_versions
from .document import Document
from .evidence import MIN_RESAMPLES, NUM_RESAMPLES, Missing
from .metrics import Identification, MeteorData
from .metrics.captions import DocumentFrequencies
from .metrics.embedding_scores import TokenEmbeddings
from .predictions import EMPTY, SUBSET, fingerprint_files, make_table, read_references, read_systems
from .predictions_document import (
    CHANCE,
    IDENTIFICATION,
    describe_report,
    describe_table,
    predictions_document,
    shuffled,
)
from .resampling import Resampler
from .saved_report import SavedReport


@dataclass
class PredictionsReport(SavedReport):
    """
    Everything that captions of one or more systems show, without any model.

    Args:
        systems (`list[dict]`):
            Scores of every system; see [`~trainers.caption_figures.score_arms`]. `gaps` are the distances to the
            higher floor, `intervals` those of [`~trainers.caption_comparisons.arm_intervals`].
        floors (`list[dict]`):
            `constant`, `shuffled:<system>` and, where images have two references, `human`; see
            [`~trainers.caption_figures`].
        comparisons (`list[dict]`):
            Every system against its floors, by identification against chance, and against every other system; see
            [`~trainers.caption_comparisons.compare_pairs`]. `q` is corrected over all of them.
        identification (`list[dict]`):
            See [`~trainers.caption_figures.identify_captions`].
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
    SCHEMA_VERSION: ClassVar = 2
    SCRIPT: ClassVar = "examples/evaluate.py"

    systems: list[dict[str, Any]]
    floors: list[dict[str, Any]]
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
        Computes every figure from the table of [`~trainers.predictions.make_table`], which gains floors and scores.

        `settings` must hold `seed`, `num_resamples` and `max_identification`.
        """
        samples, seed = [{**sample, "scores": {}} for sample in samples], settings["seed"]
        images = references_of_images(samples)
        scorer = CaptionScorer(frequencies or DocumentFrequencies.fit(images), embed, meteor, embed_tokens)
        resampler = Resampler(settings["num_resamples"], seed)
        figures = score_arms(samples, scorer, progress)
        names = [figure["arm"] for figure in figures]
        floors = [score_constant(samples, scorer, progress)]
        floors += [score_shuffled(samples, scorer, name, shuffled(name), seed, progress) for name in names]
        intervals = arm_intervals(samples, names, resampler, progress)
        identification = identify_captions(samples, scorer, settings["max_identification"], seed, progress)
        pairs = [(name, floor) for name in names for floor in (CONSTANT, shuffled(name))]
        comparisons = compare_pairs(samples, [*pairs, *combinations(names, 2)], resampler, progress)
        comparisons += _identification_tests(samples, names, resampler)
        return cls(
            systems=[_with_gaps(figure, floors) | {"intervals": intervals[figure["arm"]]} for figure in figures],
            floors=floors + score_humans(samples, scorer),
            comparisons=with_q_values(comparisons),
            identification=identification,
            settings=dict(settings) | {"num_images": len(images)},
            versions=dict(versions),
            fingerprint=dict(fingerprint),
            samples=samples,
        )

    @property
    def missing(self) -> list[Missing]:
        """What a sceptical reader would miss; see [`~trainers.evidence`]."""
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
        """Score of a system or floor."""
        return next(row[metric] for row in (*self.systems, *self.floors) if row["arm"] == arm)

    def find(self, system: str, control: str, metric: str = "cider") -> dict[str, Any] | None:
        """A system against a floor, chance or another system, as the table lists them; `None` if it was not made."""
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


def _with_gaps(figure: dict[str, Any], floors: Sequence[Mapping]) -> dict[str, Any]:
    own = [row for row in floors if row["arm"] in (CONSTANT, shuffled(figure["arm"]))]
    return figure | {
        "gaps": {name: figure[name] - max(row[name] for row in own) for name in METRICS if name in figure}
    }


def _identification_tests(samples: Sequence[Sample], names: Sequence[str], resampler: Resampler) -> list[dict]:
    """
    The share of wrong images that each system's captions beat, against one half; without what an image beats under any
    caption ([`~trainers.centering`]).
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


def evaluate_predictions(
    predictions: Sequence[str | Path],
    references: str | Path,
    *,
    allow: Collection[str] = (),
    frequencies: DocumentFrequencies | None = None,
    embed: Embedder | None = None,
    meteor: MeteorData | None = None,
    embed_tokens: TokenEmbeddings | None = None,
    max_identification: int = 256,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> PredictionsReport:
    """
    Score the captions of any system beside floors and ceiling; of two systems or more, compare each pair.

    Args:
        predictions (`Sequence`), references (`str` or `Path`):
            Files, or of the predictions folders; see [`~trainers.predictions`].
        allow (`Collection[str]`, *optional*):
            See [`~trainers.predictions.make_table`]. The report must be saved with the same leave.
        frequencies ([`~trainers.metrics.DocumentFrequencies`], *optional*):
            For CIDEr; by default of the images that are scored, as COCO does.
        embed (`Callable`, *optional*):
            Texts → vectors `[texts, width]`, such as a sentence encoder; adds `text_similarity` to the scores.
        meteor ([`~trainers.metrics.MeteorData`], *optional*), embed_tokens (`Callable`, *optional*):
            Add `meteor` and `bert_score`; see [`~trainers.caption_scorer.CaptionScorer`].
        max_identification (`int`, *optional*, defaults to 256):
            Images of a subject among which captions are to find their own; more are thinned out by a seeded draw.
        num_resamples (`int`, *optional*, defaults to 10000):
            See [`~trainers.resampling.Resampler`].
        seed (`int`, *optional*, defaults to 0), progress (`bool`, *optional*, defaults to `True`):
            Seed of everything drawn; whether to show progress bars.

    Returns:
        [`PredictionsReport`]: Not yet saved.

    Raises:
        FileNotFoundError, ValueError: See [`~trainers.predictions`].
    """
    described = read_references(references)
    samples = make_table(read_systems(predictions), described, allow)
    settings: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples, "max_identification": max_identification}
    settings |= {"num_references": len(described), "allow": sorted(allow)}
    settings |= {"document_frequencies": "the evaluation's references" if frequencies is None else "given"}
    return PredictionsReport.from_samples(
        samples,
        settings=settings,
        versions=find_versions(),
        fingerprint=fingerprint_files([*predictions, references]),
        frequencies=frequencies,
        embed=embed,
        meteor=meteor,
        embed_tokens=embed_tokens,
        progress=progress,
    )


__all__ = ["PredictionsReport", "evaluate_predictions"]
