# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a report on captions of any system says: sentences, and the tables behind them."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..scoring.caption_scorer import METRICS
from ..scoring.caption_table import CONSTANT, HUMAN, SHUFFLED, Sample, references_of_images
from .captions import TITLES, over_subjects
from .document import Chapter, Document, Examples, Interval, Table, plain
from .texts import SIGNIFICANCE, evenly, examples_note


if TYPE_CHECKING:
    from .predictions import PredictionsReport

#: In the place of a control: the share of wrong images that a caption beats is tested against one half.
CHANCE = "chance"
IDENTIFICATION = "identification_"
LIMITS = (
    "Captions alone do not tell how they came about: whether the images were unseen, and what the system writes "
    "without a brain or with another person's, takes the checkpoint (`examples/evaluate_captions.py`)."
)
SCORES_NOTE = (
    "Scores x 100 with their 95 % intervals, drawn over images. Baselines: `constant`, one caption for all images, "
    "searched for each score on these very references; `shuffled:<system>`, its captions handed to other images of "
    "the same subject. `human`: one person's caption against the others'. distinct: share of different captions; "
    "words: their mean number."
)


def shuffled(system: str) -> str:
    """Name of the baseline of a system's own captions on other images."""
    return f"{SHUFFLED}:{system}"


def describe_report(report: "PredictionsReport") -> list[str]:
    """What each system's captions know, and which system is better: a paragraph each."""
    names = [row["arm"] for row in report.systems]
    told = [describe_system(report, name) for name in names]
    return told + [describe_pair(report, *pair) for pair in combinations(names, 2)]


def describe_table(samples: Sequence[Sample], num_systems: int) -> str:
    """What was scored, and whether there is a ceiling."""
    sizes = [len(texts) for texts in references_of_images(samples)]
    subjects = [name for name in dict.fromkeys(sample["subject"] for sample in samples) if name]
    text = f"Captions of {num_systems} system(s), {len(sizes)} images"
    text += f", subjects {', '.join(subjects)}" if subjects else ""
    text += f"; {sum(sizes)} references, {min(sizes)} to {max(sizes)} of an image."
    alone = sum(size == 1 for size in sizes)
    if alone == len(sizes):
        return text + " No human ceiling: with one reference for each image, no person is left to compare with."
    return text + (f" The human ceiling leaves out {alone} images with a single reference." if alone else "")


def describe_system(report: "PredictionsReport", name: str) -> str:
    """What the captions of a system know of their images."""
    (row,) = [row for row in report.systems if row["arm"] == name]
    verdict, other = "nothing that these images can show", report.find(name, shuffled(name))
    if other is not None and other["q"] < SIGNIFICANCE:
        verdict = "something of the image" if other["value"] > 0 else "less than captions of other images would"
    place = "above" if row["gaps"]["cider"] > 0 else "not above"
    beside = [f"`{baseline}` {100 * report.score(baseline):.2f}" for baseline in (CONSTANT, shuffled(name))]
    beside += [f"`{HUMAN}` {100 * baseline['cider']:.2f}" for baseline in report.baselines if baseline["arm"] == HUMAN]
    text = f"**What `{name}` knows**: {verdict}. CIDEr {_score_cell(row, 'cider')} is {place} its baselines "
    text += f"({', '.join(beside)})."
    for found in report.comparisons:
        if (found["arm"], found["control"]) == (name, CHANCE):
            pairs = Interval(found["value"], found["ci_low"], found["ci_high"], digits=3)
            text += f" By {TITLES[found['metric'].removeprefix(IDENTIFICATION)]} a caption prefers its own image to a "
            text += f"wrong one in {pairs} of pairs (chance .5, q = {found['q']:.3g})."
    return text


def describe_pair(report: "PredictionsReport", one: str, two: str) -> str:
    """Which of two systems is better, score by score."""
    rows = [row for row in report.comparisons if (row["arm"], row["control"]) == (one, two)]
    if not rows:
        return f"`{one}` and `{two}` share fewer than two images: they cannot be compared."
    told = []
    for name, sign in ((one, 1), (two, -1)):
        better = [TITLES[row["metric"]] for row in rows if row["q"] < SIGNIFICANCE and sign * row["value"] > 0]
        told += [f"`{name}` is better by {', '.join(better)}"] if better else []
    values = "; ".join(f"{TITLES[row['metric']]} {_times_100(row)} (q = {row['q']:.3g})" for row in rows)
    verdict = " and ".join(told) or "no difference that these images can show"
    return f"**`{one}` minus `{two}`**: {verdict}. {values}."


def predictions_document(report: "PredictionsReport", sections: Sequence[Chapter], conditions: Mapping) -> Document:
    """
    What the report says.

    Args:
        report ([`~trainers.reports.predictions.PredictionsReport`]):
            The report.
        sections (`Sequence[Chapter]`), conditions (`Mapping`):
            Chapters of further evidence, and settings, versions and fingerprint.
    """
    names = [row["arm"] for row in report.systems]
    constant = next(row["caption"] for row in report.baselines if row["arm"] == CONSTANT)
    best = f"The constant caption that is best by CIDEr: “{plain(constant)}”"
    chapters = [Chapter("Scores", [_score_table(report.systems, report.baselines), SCORES_NOTE, best])]
    for title, others in (("Each system against its baselines", False), ("System against system", True)):
        rows = [row for row in report.comparisons if (row["control"] in names) == others]
        chapters += [Chapter(title, [_comparison_table(rows)])] if rows else []
    if report.identification:
        columns = {name: name.replace("_", " ") for name in report.identification[0] if name != "normalised_rank"}
        title = "A caption among the images: does it find its own?"
        chapters.append(Chapter(title, [Table(columns, report.identification)]))
    return Document(
        title="Evidence report: captions of " + ", ".join(names),
        warnings=[item.why for item in report.missing],
        headline=describe_report(report),
        origin=[describe_table(report.samples, len(names)), LIMITS],
        chapters=[*chapters, Chapter("What was written", [_examples(report.samples)]), *sections],
        conditions=conditions,
    )


def _times_100(row: Mapping) -> str:
    return str(Interval(100 * row["value"], 100 * row["ci_low"], 100 * row["ci_high"], digits=2))


def _score_cell(row: Mapping, metric: str) -> str:
    """A score x 100, with its interval where it has one."""
    if "intervals" not in row:
        return f"{100 * row[metric]:.2f}"
    low, high = row["intervals"][metric]
    return str(Interval(100 * row[metric], 100 * low, 100 * high, digits=2))


def _score_table(systems: Sequence[Mapping], baselines: Sequence[Mapping]) -> Table:
    rows = []
    for row in (*systems, *baselines):
        cells = {"arm": row["arm"], "n": row["num_samples"]}
        cells |= {metric: _score_cell(row, metric) for metric in METRICS if metric in row}
        rows.append(cells | {name: row[name] for name in ("distinct", "words") if name in row})
    return Table({"arm": "captions", "n": "n"} | TITLES | {"distinct": "distinct", "words": "words"}, rows)


def _comparison_table(comparisons: Sequence[Mapping]) -> Table:
    cells = []
    for row in comparisons:
        identified, metric = row["control"] == CHANCE, row["metric"]
        ends = (100 * row[name] for name in ("value", "ci_low", "ci_high"))
        cell: dict[str, Any] = {"arm": row["arm"], "control": row["control"], "images": row["num_groups"]}
        cell |= {"interval": Interval(*ends, chance=50.0 * identified, scale=metric, digits=2)}
        title = TITLES[metric.removeprefix(IDENTIFICATION)]
        cell |= {"metric": f"pairs won by {title} (chance 50)" if identified else title}
        cells.append(cell | over_subjects(row) | {"p": f"{row['p']:.3g}", "q": f"{row['q']:.3g}"})
    columns = {"arm": "captions", "control": "minus", "metric": "score", "interval": "x 100 [95 % interval]"}
    columns |= {"subject_interval": "over subjects"}
    return Table(columns | {"p": "p", "q": "q", "images": "images"}, cells)


def _examples(samples: Sequence[Sample]) -> Examples:
    shown = evenly(samples)
    items = [{"people": " / ".join(sample["references"])} | sample["texts"] for sample in shown]
    return Examples(items, examples_note(len(items), len(samples)))


__all__ = [
    "CHANCE",
    "IDENTIFICATION",
    "describe_report",
    "describe_table",
    "predictions_document",
    "shuffled",
]
