# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The report on captions: first split and protocol, then what the brain adds,
then every score beside its baselines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..metrics import MeteorData
from ..metrics.captions import DocumentFrequencies
from ..metrics.embedding_scores import TokenEmbeddings
from ..scoring.caption_comparisons import arm_intervals
from ..scoring.caption_table import (
    BASELINES,
    CONSTANT,
    HUMAN,
    MANDATORY_ARMS,
    METRICS,
    OTHER_IMAGE,
    REAL,
    CaptionScorer,
    Embedder,
    Sample,
    compare_captions,
    compare_captions_by_subject,
    identify_captions,
    references_of_images,
    score_arms,
    score_baselines,
)
from ..statistics.resampling import Resampler
from .base import SCHEMA_VERSION, SavedReport
from .document import Chapter, Document, Examples, Interval, Table, plain
from .hub_results import Result
from .provenance import describe_protocol, describe_split
from .requirements import NUM_RESAMPLES, Missing, describe_absent, missing_from_captions
from .tables import evenly, examples_note, identification_table, with_interval


SIGNIFICANCE = 0.05
TITLES = {
    "bleu_1": "BLEU-1", "bleu_2": "BLEU-2", "bleu_3": "BLEU-3", "bleu_4": "BLEU-4", "meteor": "METEOR",
    "rouge_l": "ROUGE-L", "cider": "CIDEr", "text_similarity": "text similarity", "bert_score": "BERTScore F1",
}  # fmt: skip
ARMS_NOTE = (
    "Scores x 100; in brackets the distance to the baseline, the higher of `constant` (one caption for all images, "
    "searched for each score on these very references) and `shuffled` (the real captions, handed to other images). "
    "`human`, the ceiling: one person's caption against the others'. `zero`, `voxel_shuffle`: broken values. "
    "`other_image`: the same subject's brain of another image; `time_shift`: of another image of the same session, "
    "some trials later. `other_subject_*`: another subject's brain, of the "
    "same image or another. `no_brain`: the language model on the bare instruction. distinct: share of different "
    "captions; words: their mean number."
)


@dataclass
class CaptionReport(SavedReport):
    """
    Everything that an evaluation of captions found, and under which conditions.

    Args:
        split (`dict`):
            See [`~trainers.data.provenance.split_facts`].
        protocol (`dict`):
            See [`~trainers.reports.provenance.find_protocol`].
        arms (`list[dict]`):
            Scores of every arm; see [`~trainers.scoring.caption_table.score_arms`]. `gaps` are the distances to the
            baseline, `intervals` the ends of each score's interval.
        baselines (`list[dict]`):
            See [`~trainers.scoring.caption_table.score_baselines`].
        comparisons (`list[dict]`):
            See [`~trainers.scoring.caption_table.compare_captions`].
        identification (`list[dict]`):
            See [`~trainers.scoring.caption_table.identify_captions`].
        parameters (`dict[str, int]`):
            Parameters of each part of the model.
        settings (`dict`):
            Prompt, decoding, batch size, seed; `num_resamples`; `absent_arms`, for each arm that the corpus
            cannot have the reason.
        versions (`dict[str, str]`), fingerprint (`dict`):
            Versions of the libraries; data, checkpoint and language model.
        by_subject (`list[dict]`):
            See [`~trainers.scoring.caption_table.compare_captions_by_subject`]; empty where a single subject was
            tested.
        sections (`list[dict]`):
            Further evidence; see [`~trainers.reports.base.SavedReport.add`].
        samples (`list[dict]`):
            The table all figures come from; saved beside the report as `captions.jsonl`.
        schema_version (`int`):
            Version of this layout.
    """

    FILES: ClassVar = ("caption_report.json", "caption_report.md", "captions.jsonl")
    SCRIPT: ClassVar = "examples/evaluate_captions.py"

    split: dict[str, Any]
    protocol: dict[str, Any]
    arms: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    parameters: dict[str, int]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
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
        protocol: Mapping,
        parameters: Mapping,
        settings: Mapping,
        versions: Mapping,
        fingerprint: Mapping,
        frequencies: DocumentFrequencies | None = None,
        embed: Embedder | None = None,
        meteor: MeteorData | None = None,
        embed_tokens: TokenEmbeddings | None = None,
    ) -> "CaptionReport":
        """
        Computes every figure from the table of captions (its keys: [`~trainers.scoring.caption_table`]), which gains
        baselines and scores.

        Raises:
            ValueError: If a sample lacks the arm `real`, or a mandatory arm that other samples have.
        """
        _require_whole_arms(samples)
        settings = {"num_resamples": NUM_RESAMPLES} | dict(settings)
        samples, seed = [{**sample, "scores": {}} for sample in samples], settings["seed"]
        frequencies = frequencies or DocumentFrequencies.fit(references_of_images(samples))
        scorer = CaptionScorer(frequencies, embed, meteor, embed_tokens)
        arms, baselines = score_arms(samples, scorer), score_baselines(samples, scorer, seed)
        names, several = [figure["arm"] for figure in arms], len({sample["subject"] for sample in samples}) > 1
        intervals = arm_intervals(samples, names, Resampler(settings["num_resamples"], seed))
        return cls(
            split=dict(split),
            protocol=dict(protocol),
            arms=[_with_gaps(figure, baselines) | {"intervals": intervals[figure["arm"]]} for figure in arms],
            baselines=baselines,
            comparisons=compare_captions(samples, seed, settings["num_resamples"]),
            identification=identify_captions(samples, scorer, settings["max_identification"], seed),
            parameters=dict(parameters),
            settings=settings,
            versions=dict(versions),
            fingerprint=dict(fingerprint),
            by_subject=compare_captions_by_subject(samples, seed, settings["num_resamples"]) if several else [],
            samples=samples,
        )

    @property
    def missing(self) -> list[Missing]:
        """What the report lacks of what is mandatory; see [`~trainers.reports.requirements`]."""
        return missing_from_captions(self.arms, self.baselines, self.identification, self.settings, self.split)

    def score(self, arm: str, metric: str = "cider") -> float:
        """Score of an arm or baseline."""
        return next(row[metric] for row in (*self.arms, *self.baselines) if row["arm"] == arm)

    def find(self, control: str, metric: str = "cider") -> dict[str, Any] | None:
        """The real arm against this control or baseline; `None` if it was not made."""
        found = (row for row in self.comparisons if (row["control"], row["metric"]) == (control, metric))
        return next(found, None)

    def describe_split(self) -> str:
        """One sentence: what was held out, and every leak that was allowed."""
        return describe_split(self.split)

    def describe(self) -> str:
        """Split, protocol, and what the brain adds, in words and figures."""
        return "\n\n".join((self.describe_split(), describe_protocol(self.protocol), self.describe_effect()))

    def describe_effect(self) -> str:
        """What the brain adds to CIDEr, and where that stands between baseline and ceiling."""
        real, baseline = self.score(REAL), _baseline("cider", self.baselines)
        verdict = "nothing that these images can show"
        other = self.find(OTHER_IMAGE)
        if other is not None and other["q"] < SIGNIFICANCE:
            verdict = "information about the image" if other["value"] > 0 else "less than another image's brain would"
        place = "above" if real > baseline else "not above"
        text = f"**What the brain adds**: {verdict}. CIDEr {100 * real:.2f}, {place} baseline ({100 * baseline:.2f}"
        ceiling = [row for row in self.baselines if row["arm"] == HUMAN]
        text += f"; one human against the others {100 * ceiling[0]['cider']:.2f})." if ceiling else ")."
        gains = [
            f"`{row['control']}` {_times_100(row)} (q = {row['q']:.3g})"
            for row in self.comparisons
            if row["metric"] == "cider"
        ]
        return f"{text} Gains over controls and baselines: {'; '.join(gains)}."

    def results(self) -> list[Result]:
        """CIDEr x 100: the gain over another image's brain, then what every arm and baseline scores."""
        found, gain = [], self.find(OTHER_IMAGE)
        if gain is not None:
            value, low, high = (100 * gain[name] for name in ("value", "ci_low", "ci_high"))
            task, name = f"captions_cider_gain_{OTHER_IMAGE}", f"CIDEr x 100 gain over {OTHER_IMAGE}"
            found.append(Result(task, "cider", name, value, low, high, gain["q"]))
        for row in (*self.arms, *self.baselines):
            name = f"CIDEr x 100, {row['arm']}"
            found.append(Result(f"captions_cider_of_{row['arm']}", "cider", name, 100 * row["cider"]))
        return found

    def to_document(self) -> Document:
        """What the report says."""
        constant = next(row["caption"] for row in self.baselines if row["arm"] == CONSTANT)
        best = f"The constant caption that is best by CIDEr: “{plain(constant)}”"
        sizes = [{"part": part, "parameters": f"{count:,}"} for part, count in self.parameters.items()]
        return Document(
            title=f"Evidence report: {self.split.get('corpus', 'unknown corpus')}, captions",
            warnings=[item.why for item in self.missing],
            headline=[self.describe_effect()],
            origin=[self.describe_split(), describe_protocol(self.protocol), *describe_absent(self.settings)],
            chapters=[
                Chapter("Scores", [_score_table(self.arms, self.baselines), ARMS_NOTE, *self._intervals(), best]),
                Chapter("The real brain against each control", [_comparison_table(self.comparisons)]),
                *([Chapter("Subject by subject", [_comparison_table(self.by_subject)])] if self.by_subject else []),
                Chapter(
                    "A caption among the images: does it find its own?",
                    [identification_table(self.identification, highlight=REAL)],
                ),
                Chapter("What was written", [_examples(self.samples)]),
                *self._section_chapters(),
                Chapter("Model", [Table({"part": "part", "parameters": "parameters"}, sizes)]),
            ],
            conditions=self._conditions(),
        )

    def _intervals(self) -> list[Table]:
        """CIDEr of each arm with its interval, beside the baseline; reports of schema version 1 have none."""
        baseline, cells = 100 * _baseline("cider", self.baselines), []
        for row in self.arms:
            if "intervals" in row:
                low, high = (100 * end for end in row["intervals"]["cider"])
                interval = Interval(100 * row["cider"], low, high, baseline, digits=2)
                cells.append({"arm": row["arm"], "interval": interval, "baseline": f"{baseline:.2f}"})
        columns = {"arm": "arm", "interval": "CIDEr x 100 [95 % interval]", "baseline": "baseline"}
        return [Table(columns, cells, REAL)] if cells else []


def _require_whole_arms(samples: Sequence[Sample]) -> None:
    """A mandatory arm is there for all samples or for none; without the first there is nothing to report."""
    present = {arm for sample in samples for arm in sample["texts"]} | {REAL}
    for sample in samples:
        missing = [arm for arm in MANDATORY_ARMS if arm in present and arm not in sample["texts"]]
        if missing:
            raise ValueError(
                f"Sample '{sample['sample_id']}' lacks the arms {', '.join(missing)}: a score without its "
                "controls is not reported. Make the table with `evaluate_captions`."
            )


def _baseline(metric: str, baselines: Sequence[Mapping]) -> float:
    """What a score is without any decoding."""
    return max(row[metric] for row in baselines if row["arm"] in BASELINES)


def _with_gaps(figure: dict[str, Any], baselines: Sequence[Mapping]) -> dict[str, Any]:
    gaps = {metric: figure[metric] - _baseline(metric, baselines) for metric in METRICS if metric in figure}
    return figure | {"gaps": gaps}


def _times_100(comparison: Mapping, digits: int = 2) -> str:
    return with_interval({name: 100 * comparison[name] for name in ("value", "ci_low", "ci_high")}, digits)


def _score_table(arms: Sequence[Mapping], baselines: Sequence[Mapping]) -> Table:
    cells = []
    for row in (*arms, *baselines):
        cell: dict[str, Any] = {"arm": row["arm"], "n": row["num_samples"]}
        for metric in METRICS:
            if metric in row:
                gap = f" ({100 * row['gaps'][metric]:+.2f})" if "gaps" in row else ""
                cell[metric] = f"{100 * row[metric]:.2f}{gap}"
        cells.append(cell | {name: row[name] for name in ("distinct", "words") if name in row})
    return Table({"arm": "arm", "n": "n"} | TITLES | {"distinct": "distinct", "words": "words"}, cells, REAL)


def _comparison_table(rows: Sequence[Mapping]) -> Table:
    """Score by score, so that the controls of one score are read against each other."""
    cells = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        for row in [row for row in rows if row["metric"] == metric]:
            value, low, high = (100 * row[name] for name in ("value", "ci_low", "ci_high"))
            cell = {"control": row["control"], "metric": TITLES[metric], "images": row["num_groups"]}
            cell |= {"interval": Interval(value, low, high, scale=metric, digits=2)}
            cell |= over_subjects(row)
            cells.append(cell | {name: row[name] for name in ("subject", "p", "q") if name in row})
    columns = {"metric": "score", "control": "control", "subject": "subject"}
    columns |= {"interval": "real minus control x 100 [95 % interval]", "subject_interval": "over subjects"}
    return Table(columns | {"p": "p", "q": "q", "images": "images"}, cells)


def over_subjects(comparison: Mapping) -> dict[str, str]:
    """The interval x 100 over subjects as well, where several were compared: a cell `subject_interval`."""
    if "subject_ci_low" not in comparison:
        return {}
    low, high = (f"{100 * comparison[name]:.2f}" for name in ("subject_ci_low", "subject_ci_high"))
    return {"subject_interval": f"[{low}, {high}]"}


def _examples(samples: Sequence[Sample]) -> Examples:
    shown = evenly(samples)
    items = [{"one person": sample["references"][0]} | sample["texts"] for sample in shown]
    return Examples(items, examples_note(len(items), len(samples)))


__all__ = ["TITLES", "CaptionReport", "over_subjects"]
