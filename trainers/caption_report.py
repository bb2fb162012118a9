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
"""The report on captions: first split and protocol, then what the brain adds, then every score beside its floors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .caption_figures import (
    CONSTANT,
    FLOORS,
    HUMAN,
    MANDATORY_ARMS,
    METRICS,
    REAL,
    CaptionScorer,
    Embedder,
    Sample,
    compare_captions,
    identify_captions,
    references_of_images,
    score_arms,
    score_floors,
)
from .conditions import describe_protocol, describe_split
from .metrics.captions import DocumentFrequencies
from .report import SavedReport, markdown_table, with_interval


SIGNIFICANCE = 0.05
TITLES = {
    "bleu_1": "BLEU-1", "bleu_2": "BLEU-2", "bleu_3": "BLEU-3", "bleu_4": "BLEU-4", "rouge_l": "ROUGE-L",
    "cider": "CIDEr", "text_similarity": "text similarity",
}  # fmt: skip
ARMS_NOTE = (
    "Scores x 100; in brackets the distance to the floor, the higher of `constant` (one caption for all images, "
    "searched for each score on these very references) and `shuffled` (the real captions, handed to other images). "
    "`human`, the ceiling: one person's caption against the others'. `zero`, `voxel_shuffle`: broken values. "
    "`other_image`: the same subject's brain of another image. `other_subject_*`: another subject's brain, of the "
    "same image or another. `no_brain`: the language model on the bare instruction. distinct: share of different "
    "captions; words: their mean number."
)


@dataclass
class CaptionReport(SavedReport):
    """
    Everything that an evaluation of captions found, and under which conditions.

    Args:
        split (`dict`):
            See [`~trainers.conditions.split_facts`].
        protocol (`dict`):
            See [`~trainers.conditions.find_protocol`].
        arms (`list[dict]`):
            Scores of every arm; see [`~trainers.caption_figures.score_arms`]. `gaps` are the distances to the floor.
        floors (`list[dict]`):
            See [`~trainers.caption_figures.score_floors`].
        comparisons (`list[dict]`):
            See [`~trainers.caption_figures.compare_captions`].
        identification (`list[dict]`):
            See [`~trainers.caption_figures.identify_captions`].
        parameters (`dict[str, int]`):
            Parameters of each part of the model.
        settings (`dict`):
            Prompt, decoding, batch size, seed.
        versions (`dict[str, str]`), fingerprint (`dict`):
            Versions of the libraries; data, checkpoint and language model.
        samples (`list[dict]`):
            The table all figures come from; saved beside the report as `captions.jsonl`.
        schema_version (`int`):
            Version of this layout.
    """

    FILES: ClassVar = ("caption_report.json", "caption_report.md", "captions.jsonl")
    SCHEMA_VERSION: ClassVar = 1
    SCRIPT: ClassVar = "examples/evaluate_captions.py"

    split: dict[str, Any]
    protocol: dict[str, Any]
    arms: list[dict[str, Any]]
    floors: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    parameters: dict[str, int]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
    samples: list[Sample] = field(default_factory=list, repr=False)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_samples(
        cls,
        samples: Sequence[Sample],
        *,
        split: Mapping,
        protocol: Mapping,
        parameters: Mapping,
        settings: Mapping,
        versions: Mapping,
        fingerprint: Mapping,
        frequencies: DocumentFrequencies | None = None,
        embed: Embedder | None = None,
    ) -> "CaptionReport":
        """
        Computes every figure from the table of captions (its keys: [`~trainers.caption_figures`]), which gains floors
        and scores.

        Raises:
            ValueError: If a sample lacks a mandatory arm: there is no report without its controls.
        """
        for sample in samples:
            missing = [arm for arm in MANDATORY_ARMS if arm not in sample["texts"]]
            if missing:
                raise ValueError(
                    f"Sample '{sample['sample_id']}' lacks the arms {', '.join(missing)}: a score without its "
                    "controls is not reported. Make the table with `evaluate_captions`."
                )
        samples, seed = [{**sample, "scores": {}} for sample in samples], settings["seed"]
        scorer = CaptionScorer(frequencies or DocumentFrequencies.fit(references_of_images(samples)), embed)
        arms, floors = score_arms(samples, scorer), score_floors(samples, scorer, seed)
        return cls(
            split=dict(split),
            protocol=dict(protocol),
            arms=[_with_gaps(figure, floors) for figure in arms],
            floors=floors,
            comparisons=compare_captions(samples, seed),
            identification=identify_captions(samples, scorer, settings["max_identification"], seed),
            parameters=dict(parameters),
            settings=dict(settings),
            versions=dict(versions),
            fingerprint=dict(fingerprint),
            samples=samples,
        )

    def score(self, arm: str, metric: str = "cider") -> float:
        """Score of an arm or floor."""
        return next(row[metric] for row in (*self.arms, *self.floors) if row["arm"] == arm)

    def find(self, control: str, metric: str = "cider") -> dict[str, Any] | None:
        """The real arm against this control or floor; `None` if it was not made."""
        found = (row for row in self.comparisons if (row["control"], row["metric"]) == (control, metric))
        return next(found, None)

    def describe(self) -> str:
        """Split, protocol, and what the brain adds, in words and figures."""
        return "\n\n".join((describe_split(self.split), describe_protocol(self.protocol), self.describe_effect()))

    def describe_effect(self) -> str:
        """What the brain adds to CIDEr, and where that stands between floor and ceiling."""
        real, floor = self.score(REAL), _floor("cider", self.floors)
        verdict = "nothing that these images can show"
        other = self.find("other_image")
        if other is not None and other["q"] < SIGNIFICANCE:
            verdict = "information about the image" if other["value"] > 0 else "less than another image's brain would"
        place = "above" if real > floor else "not above"
        text = f"**What the brain adds**: {verdict}. CIDEr is {100 * real:.2f}, {place} the floor ({100 * floor:.2f}"
        ceiling = [row for row in self.floors if row["arm"] == HUMAN]
        text += f"; one human against the others {100 * ceiling[0]['cider']:.2f})." if ceiling else ")."
        gains = [
            f"`{row['control']}` {_times_100(row)} (q = {row['q']:.3g})"
            for row in self.comparisons
            if row["metric"] == "cider"
        ]
        return f"{text} Gains over controls and floors: {'; '.join(gains)}."

    def to_markdown(self) -> str:
        """The report for people; its first line states the split."""
        constant = next(row["caption"] for row in self.floors if row["arm"] == CONSTANT)
        parts = [self.describe(), "## Scores", _score_table(self.arms, self.floors), ARMS_NOTE]
        parts += [
            f"The constant caption that is best by CIDEr: “{constant}”",
            "## The real brain against each control",
        ]
        parts += [_comparison_table(self.comparisons), "## A caption among the images: does it find its own?"]
        names = [name for name in self.identification[0] if name != "normalised_rank"]
        parts += [markdown_table(self.identification, dict(zip(names, names, strict=True)))]
        sizes = [{"part": part, "parameters": f"{count:,}"} for part, count in self.parameters.items()]
        parts += ["## Model", markdown_table(sizes, {"part": "part", "parameters": "parameters"})]
        conditions = {"settings": self.settings, "versions": self.versions, "fingerprint": self.fingerprint}
        parts += ["## Conditions", "```json\n" + json.dumps(conditions, indent=2, ensure_ascii=False) + "\n```"]
        return "\n\n".join(parts) + "\n"


def _floor(metric: str, floors: Sequence[Mapping]) -> float:
    """What a score is without any decoding."""
    return max(row[metric] for row in floors if row["arm"] in FLOORS)


def _with_gaps(figure: dict[str, Any], floors: Sequence[Mapping]) -> dict[str, Any]:
    gaps = {metric: figure[metric] - _floor(metric, floors) for metric in METRICS if metric in figure}
    return figure | {"gaps": gaps}


def _times_100(comparison: Mapping, digits: int = 2) -> str:
    return with_interval({name: 100 * comparison[name] for name in ("value", "ci_low", "ci_high")}, digits)


def _score_table(arms: Sequence[Mapping], floors: Sequence[Mapping]) -> str:
    cells = []
    for row in (*arms, *floors):
        cell = {"arm": row["arm"], "n": row["num_samples"]}
        for metric in METRICS:
            if metric in row:
                gap = f" ({100 * row['gaps'][metric]:+.2f})" if "gaps" in row else ""
                cell[metric] = f"{100 * row[metric]:.2f}{gap}"
        cells.append(cell | {name: row[name] for name in ("distinct", "words") if name in row})
    return markdown_table(cells, {"arm": "arm", "n": "n"} | TITLES | {"distinct": "distinct", "words": "words"})


def _comparison_table(rows: Sequence[Mapping]) -> str:
    cells = [
        {
            "control": row["control"],
            "metric": TITLES[row["metric"]],
            "value": _times_100(row),
            "p": f"{row['p']:.3g}",
            "q": f"{row['q']:.3g}",
            "images": row["num_groups"],
        }
        for row in rows
    ]
    columns = {"control": "control", "metric": "score", "value": "real minus control x 100 [95 % interval]"}
    return markdown_table(cells, columns | {"p": "p", "q": "q", "images": "images"})


__all__ = ["CaptionReport"]
