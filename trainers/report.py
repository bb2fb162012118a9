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
"""The evaluation report: first the split, then what the brain adds, then every score with its controls and floors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from .comparisons import Sample, arm_figures, compare, floor_figures, identification_figures, text_metrics
from .conditions import describe_split


SIGNIFICANCE = 0.05

ARM_COLUMNS = {
    "arm": "arm",
    "num_samples": "n",
    "loss": "loss (nats)",
    "perplexity": "perplexity",
    "brainllm_bleu_1": "BLEU-1 ᴮ",
    "brainllm_rouge_1": "ROUGE-1 ᴮ",
    "brainllm_rouge_l": "ROUGE-L ᴮ",
    "brainllm_wer": "WER ᴮ",
    "corpus_bleu_4": "BLEU-4",
    "rouge_1": "ROUGE-1 F1",
    "rouge_l": "ROUGE-L F1",
    "corpus_wer": "WER",
}
TEXT_NOTE = (
    "ᴮ: BrainLLM's published form (prediction cut to the truth's length, recall of sets); the others are the field's "
    "(sacrebleu, rouge-score, jiwer). `permuted`: the brain of another group; its loss is the mean over permutations, "
    "its texts are of the first. `no_brain`: the language model alone."
)


@dataclass
class SavedReport:
    """A report in a folder: a JSON file, the table of samples behind it, and Markdown for people."""

    FILES: ClassVar[tuple[str, str, str]]
    SCHEMA_VERSION: ClassVar[int]
    SCRIPT: ClassVar[str]

    def to_markdown(self) -> str:
        """The report for people."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> None:
        """Write the three files into `folder`, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        report_file, markdown_file, samples_file = self.FILES
        fields = asdict(self)
        lines = [json.dumps(sample, ensure_ascii=False) for sample in fields.pop("samples")]
        (folder / samples_file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / report_file).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / markdown_file).write_text(self.to_markdown(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what [`~SavedReport.save`] wrote.

        Raises:
            FileNotFoundError: If `folder` holds no report.
            ValueError: If the report has another schema version.
        """
        report_file, _, samples_file = cls.FILES
        path = Path(folder) / report_file
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run {cls.SCRIPT} with `--output_dir {folder}` first.")
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.get("schema_version") != cls.SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {fields.get('schema_version')}, expected {cls.SCHEMA_VERSION}. Evaluate "
                "again."
            )
        lines = (Path(folder) / samples_file).read_text(encoding="utf-8").splitlines()
        return cls(**fields | {"samples": [json.loads(line) for line in lines]})


@dataclass
class EvaluationReport(SavedReport):
    """
    Everything an evaluation found, and under which conditions.

    Args:
        split (`dict`):
            What was held out: `corpus`, `policy`, `fold`, `num_folds`, `sizes`, `leaks`, `leak_allowed`, `evaluated`,
            as `corpus.json` says; and the terms of the data: `licence`, `redistribution`, `consent`, `citation`.
        arms (`list[dict]`):
            See [`~trainers.comparisons.arm_figures`].
        comparisons (`list[dict]`):
            See [`~trainers.comparisons.compare`].
        floors (`list[dict]`):
            See [`~trainers.comparisons.floor_figures`].
        identification (`list[dict]`):
            See [`~trainers.comparisons.identification_figures`].
        settings (`dict`):
            Decoding, permutations, batch size, seed.
        versions (`dict[str, str]`):
            Versions of the libraries.
        fingerprint (`dict`):
            Data fingerprint and checkpoint.
        samples (`list[dict]`):
            The table all figures come from; saved beside the report as `samples.jsonl`.
        schema_version (`int`):
            Version of this layout.
    """

    FILES: ClassVar = ("report.json", "report.md", "samples.jsonl")
    SCHEMA_VERSION: ClassVar = 1
    SCRIPT: ClassVar = "examples/evaluate.py"

    split: dict[str, Any]
    arms: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    floors: list[dict[str, Any]]
    identification: list[dict[str, Any]]
    settings: dict[str, Any]
    versions: dict[str, str]
    fingerprint: dict[str, Any]
    samples: list[Sample] = field(default_factory=list, repr=False)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_samples(
        cls, samples: Sequence[Sample], *, split: Mapping, settings: Mapping, versions: Mapping, fingerprint: Mapping
    ) -> "EvaluationReport":
        """Computes every figure from the table of samples (its keys: [`~trainers.comparisons`])."""
        scores, seed = text_metrics(samples), settings["seed"]
        return cls(
            split=dict(split),
            arms=arm_figures(samples, scores),
            comparisons=compare(samples, scores, seed),
            floors=floor_figures(samples, scores),
            identification=identification_figures(samples),
            settings=dict(settings),
            versions=dict(versions),
            fingerprint=dict(fingerprint),
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

    def describe_effect(self, reading: str) -> str:
        """What the brain adds in one reading, in words and figures."""
        made = self._comparisons_by_name()
        loss, pairs = made[reading, "permuted", "loss_gain"], made[reading, "permuted", "pairwise_accuracy"]
        significant = pairs["q"] < SIGNIFICANCE
        verdict = "nothing that these samples can show"
        if significant:
            verdict = "information about the text" if pairs["value"] > 0.5 else "less than another group's brain would"
        text = (
            f"**What the brain adds** ({reading}): {verdict}. The own brain beats another group's in "
            f"{with_interval(pairs, 3)} of pairs (chance .5, q = {pairs['q']:.3g}, {pairs['num_samples']} samples in "
            f"{pairs['num_groups']} groups); the loss falls by {with_interval(loss, 4)} nats per token."
        )
        if any("brainllm_bleu_1" in row for row in _of(self.arms, reading)):
            bleu = made[reading, "permuted", "brainllm_bleu_1_gain"]
            text += f" Generated text gains {with_interval(bleu, 4)} BLEU-1 (q = {bleu['q']:.3g})."
        alone = made[reading, "no_brain", "loss_gain"]
        return text + (
            f" Against the language model alone it falls by {with_interval(alone, 4)}: the difference of the two "
            "figures is owed to the learnt prompt, which any brain brings along."
        )

    def to_markdown(self) -> str:
        """The report for people; its first line states the split."""
        parts = [self.describe_split(), *(self.describe_effect(reading) for reading in self.readings)]
        for reading in self.readings:
            parts += [f"## Reading: {reading}", markdown_table(_of(self.arms, reading), ARM_COLUMNS), TEXT_NOTE]
            parts += ["### The own brain against each control", _comparison_table(_of(self.comparisons, reading))]
            found = _of(self.identification, reading)
            if found:
                names = [name for name in found[0] if name != "reading"]
                parts += [
                    "### The right text among all texts",
                    markdown_table(found, dict(zip(names, names, strict=True))),
                ]
            floors = [row for row in _of(self.floors, reading) if row["metric"] in ARM_COLUMNS]
            if floors:
                columns = {"floor": "floor", "metric": "metric", "value": "value"}
                parts += ["### Floors: text scores without decoding", markdown_table(floors, columns)]
        conditions = {"settings": self.settings, "versions": self.versions, "fingerprint": self.fingerprint}
        parts += ["## Conditions", "```json\n" + json.dumps(conditions, indent=2, ensure_ascii=False) + "\n```"]
        return "\n\n".join(parts) + "\n"


def pool_reports(folders: Sequence[str | Path]) -> EvaluationReport:
    """Join the reports of several folds: tables are joined, and every figure is computed anew.

    Args:
        folders (`Sequence`):
            Folders of [`EvaluationReport.save`], one per fold.

    Returns:
        [`EvaluationReport`]: Report over all folds' samples.

    Raises:
        ValueError: If the folds differ in corpus, policy or settings, or share a sample.
    """
    reports = [EvaluationReport.load(folder) for folder in folders]
    if not reports:
        raise ValueError("`folders` is empty: name the folders of two reports or more.")
    first = reports[0]
    for folder, report in zip(folders, reports, strict=True):
        for name, ours, other in (
            ("settings", first.settings, report.settings),
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
        settings=first.settings,
        versions=first.versions,
        fingerprint={name: [report.fingerprint[name] for report in reports] for name in first.fingerprint},
    )


def _pool_splits(splits: Sequence[Mapping]) -> dict[str, Any]:
    if "policy" not in splits[0]:
        return dict(splits[0])
    evaluated = splits[0]["evaluated"]
    return dict(splits[0]) | {
        "fold": [split["fold"] for split in splits],
        "sizes": {evaluated: sum(split["sizes"][evaluated] for split in splits)},
        "leaks": [leak for split in splits for leak in split["leaks"]],
    }


def _of(rows: Sequence[Mapping], reading: str) -> list[Mapping]:
    return [row for row in rows if row["reading"] == reading]


def with_interval(comparison: Mapping, digits: int) -> str:
    """Value and interval of a comparison, `value [low, high]`."""
    value, low, high = (f"{comparison[name]:.{digits}f}" for name in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]"


def _comparison_table(rows: Sequence[Mapping]) -> str:
    cells = [{**row, "value": with_interval(row, 4), "p": f"{row['p']:.3g}", "q": f"{row['q']:.3g}"} for row in rows]
    columns = {"control": "control", "metric": "metric", "value": "value [95 % interval]", "chance": "chance"}
    return markdown_table(cells, columns | {"p": "p", "q": "q"})


def markdown_table(rows: Sequence[Mapping], columns: Mapping[str, str]) -> str:
    """Rows as a Markdown table: names of the keys and their titles; columns that no row has are left out."""
    columns = {name: title for name, title in columns.items() if any(name in row for row in rows)}
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


__all__ = ["EvaluationReport", "SavedReport", "markdown_table", "pool_reports", "with_interval"]
