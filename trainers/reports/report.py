# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The one evaluation report: what a table of samples says, of whatever task; with its required controls."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq

from ..scoring.arms import arm_scores, identification_scores
from ..scoring.comparisons import compare, compare_by_subject
from ..scoring.rules import Rules
from ..scoring.table import CONSTANT, Sample, from_arrow, is_baseline, to_arrow
from ..statistics.resampling import Resampler
from .document import Chapter, Document, Table, plain, section_chapter, to_markdown
from .headline import describe_effect
from .html import to_html
from .hub_results import Result
from .provenance import describe_protocol, describe_split
from .requirements import NUM_RESAMPLES, Missing, describe_absent, find_missing, require_controls
from .sections import Section
from .tables import comparison_table, examples, identification_table, scale_of, score_notes, score_table, title_of


REPORT_FILE, SAMPLES_FILE = "report.json", "samples.parquet"
#: Layout of the JSON file.
SCHEMA_VERSION = 1
SVG = "{http://www.w3.org/2000/svg}svg"
# Controls whose gains go to the Hub, and what the Hub calls a metric.
_RESULT_CONTROLS = ("deaf_twin", "permuted", "no_brain")
_RESULT_KINDS = {"pairwise_accuracy": "accuracy", "brainllm_bleu_1": "bleu", "cider": "cider"}
_RESULT_NAMES = {
    "nats_gain": "Gain in nats per text over", "pairwise_accuracy": "Pairwise accuracy (chance .5) against",
    "loss_gain": "Loss gain in nats per token over", "loss": "Loss in nats per token",
    "brainllm_bleu_1": "BLEU-1 (BrainLLM form)", "brainllm_bleu_1_gain": "BLEU-1 gain (BrainLLM form) over",
}  # fmt: skip


@dataclass
class EvaluationReport:
    """
    Everything an evaluation found, and under which conditions.

    Args:
        rules (`dict[str, Rules]`):
            Of each task: its scores, and what must stand beside them.
        split (`dict`):
            What was held out, as `corpus.json` says, and the terms of the data; see
            [`~trainers.data.provenance.split_facts`].
        arms (`list[dict]`):
            Scores of every arm and baseline; see [`~trainers.scoring.arms.arm_scores`].
        comparisons (`list[dict]`), identification (`list[dict]`), by_subject (`list[dict]`):
            See [`~trainers.scoring.comparisons.compare`], [`~trainers.scoring.arms.identification_scores`] and
            [`~trainers.scoring.comparisons.compare_by_subject`], empty where a single subject was tested.
        settings (`dict`):
            Decoding, permutations, batch size, seed; `num_resamples`, on which tests and intervals rest;
            `absent_arms`, for each task and each arm that the corpus cannot have the reason; `gaps`, whatever else
            the report lacks.
        versions (`dict[str, str]`), fingerprint (`dict`):
            Versions of the libraries; data, checkpoint and language model, or files.
        protocol (`dict`), parameters (`dict[str, int]`), both *optional*:
            See [`~trainers.reports.provenance.find_protocol`]; parameters of each part of the model.
        origin (`list[str]`, *optional*):
            Sentences on where texts without a split come from.
        ceilings (`list[dict]`, *optional*):
            Scores of people, by task; like `arms`.
        sections (`list[dict]`, *optional*):
            Further findings; see [`~EvaluationReport.add`].
        samples (`list[dict]`):
            The table that all numbers come from; saved beside the report as `samples.parquet`.
        schema_version (`int`):
            Version of this layout.
    """

    rules: dict[str, Rules]
    split: dict[str, Any]
    arms: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    by_subject: list[dict[str, Any]]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
    protocol: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    origin: list[str] = field(default_factory=list)
    ceilings: list[dict[str, Any]] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list, repr=False)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_samples(
        cls, samples: Sequence[Sample], *, rules: Mapping[str, Rules], settings: Mapping, **conditions: Any
    ) -> "EvaluationReport":
        """Computes every number from the scored table (its keys: [`~trainers.scoring.table`])."""
        settings = {"num_resamples": NUM_RESAMPLES} | dict(settings)
        # What no arm has is in no column.
        kept: list[Sample] = [{name: value for name, value in sample.items() if value != {}} for sample in samples]
        resampler = Resampler(settings["num_resamples"], settings["seed"])
        several = len({sample["subject"] for sample in samples}) > 1
        return cls(
            rules=dict(rules),
            arms=arm_scores(kept, resampler),
            comparisons=compare(kept, rules, resampler),
            identification=identification_scores(kept),
            by_subject=compare_by_subject(kept, rules, resampler) if several else [],
            settings=settings,
            samples=kept,
            **conditions,
        )

    @property
    def tasks(self) -> list[str]:
        """Tasks that were evaluated."""
        return list(dict.fromkeys(row["task"] for row in self.arms))

    def find(self, task: str, control: str, metric: str, arm: str | None = None) -> dict[str, Any] | None:
        """The comparison of the task's first system, or of another arm, with a control; `None` if it was not made."""
        names = (task, arm or self.rules[task].systems[0], control, metric)
        rows = (r for r in self.comparisons if (r["task"], r["arm"], r["control"], r["metric"]) == names)
        return next(rows, None)

    def score(self, task: str, arm: str, metric: str) -> float:
        """Score of an arm, baseline or ceiling."""
        rows = (*self.arms, *self.ceilings)
        return next(row[metric] for row in rows if (row["task"], row["arm"]) == (task, arm))

    def describe_split(self) -> str:
        """One sentence: what was held out, and every leak that was allowed."""
        return describe_split(self.split)

    def describe_effect(self, task: str) -> str:
        """What the brain, or each system, adds in one task."""
        return describe_effect(self, task)

    def describe(self) -> str:
        """Origin, and what each task found."""
        return "\n\n".join([*self._origin(), *map(self.describe_effect, self.tasks)])

    @property
    def missing(self) -> list[Missing]:
        """What the report lacks of what is required; see [`~trainers.reports.requirements`]."""
        several = len({sample["subject"] for sample in self.samples}) > 1
        there = (*self.arms, *self.identification)
        return find_missing(self.rules, there, self.settings, self.split, several)

    def results(self) -> list[Result]:
        """The numbers that go to the Hub: gains first, then what every arm and baseline scores."""
        gains, scores = [], []
        for row in self.comparisons:
            headline = f"{self.rules[row['task']].headline}_gain"
            if row["control"] in _RESULT_CONTROLS and row["metric"] in {headline, *_RESULT_NAMES}:
                scale = scale_of(row["metric"], self.rules[row["task"]])
                value, low, high = (scale * row[name] for name in ("value", "ci_low", "ci_high"))
                name = f"{_result_name(row['metric'], scale)} {row['control']} ({row['task']})"
                task = f"{row['task']}_{row['metric']}_{row['control']}"
                kind = _RESULT_KINDS.get(row["metric"].removesuffix("_gain"), "loss")
                gains.append(Result(task, kind, name, value, low, high, row["q"]))
        for metric in ("loss", *dict.fromkeys(rules.headline for rules in self.rules.values())):
            for row in [row for row in (*self.arms, *self.ceilings) if metric in row]:
                scale = scale_of(metric, self.rules[row["task"]])
                name = f"{_result_name(metric, scale)}, {row['arm']} ({row['task']})"
                task = f"{row['task']}_{metric}_of_{row['arm']}"
                scores.append(Result(task, _RESULT_KINDS.get(metric, "loss"), name, scale * row[metric]))
        return gains + scores

    def to_document(self) -> Document:
        """What the report says."""
        chapters = [chapter for task in self.tasks for chapter in self._chapters_of(task)]
        chapters += [section_chapter(Section(**section)) for section in self.sections]
        if self.parameters:
            sizes = [{"part": part, "parameters": f"{count:,}"} for part, count in self.parameters.items()]
            chapters.append(Chapter("Model", [Table({"part": "part", "parameters": "parameters"}, sizes)]))
        return Document(
            title=f"Evaluation report: {self.split.get('corpus', ', '.join(self.tasks))}",
            warnings=[item.why for item in self.missing],
            headline=[self.describe_effect(task) for task in self.tasks],
            origin=[*self._origin(), *describe_absent(self.settings)],
            chapters=chapters,
            conditions={name: getattr(self, name) for name in ("settings", "versions", "fingerprint")},
        )

    def to_markdown(self) -> str:
        """The report for people, and for the card of a model; its first line says what is missing, if anything is."""
        return to_markdown(self.to_document())

    def to_html(self) -> str:
        """The report as one page that needs no network, with pictures and examples."""
        return to_html(self.to_document())

    def _origin(self) -> list[str]:
        known = [self.describe_split(), *([describe_protocol(self.protocol)] if self.protocol else [])]
        return self.origin or known

    def _chapters_of(self, task: str) -> list[Chapter]:
        rules, (arms, ceilings, comparisons, by_subject, identification, samples) = (
            self.rules[task],
            ([row for row in rows if row["task"] == task] for rows in (
                self.arms, self.ceilings, self.comparisons, self.by_subject, self.identification, self.samples
            )),
        )  # fmt: skip
        rows = [*arms, *ceilings]
        parts: list[Any] = [score_table(rows, rules), *score_notes(rows, rules)]
        constant = next((sample["texts"][CONSTANT] for sample in samples if CONSTANT in sample.get("texts", ())), None)
        parts += [] if constant is None else [f"The constant text: “{plain(constant)}”"]
        chapters = [Chapter(f"Scores: {task}", parts)]
        others = [row for row in comparisons if row["control"] in rules.systems]
        against = [row for row in comparisons if row["control"] not in rules.systems]
        for title, chosen in (("Against each control and baseline", against), ("System against system", others)):
            chapters += [Chapter(f"{title}: {task}", [comparison_table(chosen, rules)])] if chosen else []
        if identification:
            table = identification_table(identification, rules.systems[0])
            chapters.append(Chapter(f"The right text among all texts: {task}", [table]))
        chosen = [row for row in by_subject if row["control"] == rules.rival or is_baseline(row["control"])]
        if chosen:
            chapters.append(Chapter(f"Subject by subject: {task}", [comparison_table(chosen, rules)]))
        written = [sample for sample in samples if sample.get("texts")]
        return chapters + ([Chapter(f"What was written: {task}", [examples(written)])] if written else [])

    def add(self, section: Section) -> None:
        """Add further findings, which every form of the report then shows.

        Raises:
            ValueError: If the report has a section of this name, or its picture is no SVG.
        """
        if any(other["name"] == section.name for other in self.sections):
            raise ValueError(f"The report already has a section {section.name!r}. Give each section its own name.")
        if section.figure and not _is_svg(section.figure):
            raise ValueError(
                f"The figure of section {section.name!r} is no SVG: it begins with {section.figure[:40]!r}. Draw it "
                "with `trainers.reports.charts`."
            )
        self.sections.append(section.to_dict())

    def save(self, folder: str | Path, allow: Collection[str] = ()) -> None:
        """Write `report.json`, `report.md`, `report.html` and `samples.parquet` into `folder`, made if need be.

        An earlier report is replaced once the new one is written, its `report.json` last.

        Args:
            folder (`str` or `Path`):
                Folder.
            allow (`Collection[str]`, *optional*):
                What may be missing, by name, such as `["zero", "leak:shared_text"]`; the report says so at its top.

        Raises:
            ValueError: If something required is missing that `allow` does not name.
        """
        require_controls(self.missing, allow)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        fields = {"missing": [item.to_dict() for item in self.missing]} | vars(self)
        fields["rules"] = {task: asdict(rules) for task, rules in self.rules.items()}
        samples = to_arrow(fields.pop("samples"))
        texts = {"report.md": self.to_markdown(), "report.html": self.to_html()}
        texts[REPORT_FILE] = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
        with TemporaryDirectory(dir=folder, prefix=".report-") as aside:
            pq.write_table(samples, Path(aside, SAMPLES_FILE), compression="zstd")
            for name, text in texts.items():
                Path(aside, name).write_text(text, encoding="utf-8")
            for name in (SAMPLES_FILE, *texts):
                Path(aside, name).replace(folder / name)

    @classmethod
    def load(cls, folder: str | Path) -> "EvaluationReport":
        """Read what [`~EvaluationReport.save`] wrote.

        Raises:
            FileNotFoundError: If `folder` holds no report.
            ValueError: If the report has another schema version.
        """
        path = Path(folder) / REPORT_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run examples/evaluate.py with `--output_dir {folder}` first.")
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.get("schema_version") != SCHEMA_VERSION or "rules" not in fields:
            raise ValueError(
                f"{path} has schema version {fields.get('schema_version')}, expected {SCHEMA_VERSION} with `rules`. "
                "Evaluate again."
            )
        # Follows from the rest, so it is not read.
        fields.pop("missing", None)
        fields["rules"] = {task: Rules.from_json(rules) for task, rules in fields["rules"].items()}
        return cls(**fields | {"samples": read_samples(folder)})


def read_samples(folder: str | Path) -> list[dict[str, Any]]:
    """The table of samples of a saved report."""
    path = Path(folder) / SAMPLES_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no {SAMPLES_FILE}: name the folder of a report of examples/evaluate.py."
        )
    return from_arrow(pq.read_table(path))


def _result_name(metric: str, scale: int) -> str:
    if metric in _RESULT_NAMES:
        return _RESULT_NAMES[metric]
    name = title_of(metric.removesuffix("_gain")) + (f" x {scale}" if scale != 1 else "")
    return f"{name} gain over" if metric.endswith("_gain") else name


def _is_svg(figure: str) -> bool:
    try:
        return ET.fromstring(figure).tag == SVG
    except ET.ParseError:
        return False


__all__ = ["REPORT_FILE", "SAMPLES_FILE", "SCHEMA_VERSION", "EvaluationReport", "read_samples"]
