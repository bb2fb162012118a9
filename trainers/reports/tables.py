# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The tables of a report on readings: scores, comparisons, identification, examples."""

from collections.abc import Mapping, Sequence

from ..scoring.text_table import Sample, texts_of
from .document import Examples, Interval, Table


NUM_EXAMPLES = 8

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
METRIC_TITLES = {
    "loss_gain": "loss gain (nats per token)",
    "pairwise_accuracy": "pairwise accuracy",
    "brainllm_bleu_1_gain": "BLEU-1 ᴮ gain",
    "brainllm_rouge_1_gain": "ROUGE-1 ᴮ gain",
    "brainllm_rouge_l_gain": "ROUGE-L ᴮ gain",
    "brainllm_wer_gain": "WER ᴮ gain",
}
COMPARISON_COLUMNS = {
    "metric": "metric",
    "control": "control",
    "subject": "subject",
    "interval": "value [95 % interval]",
    "subject_interval": "over subjects",
    "chance": "chance",
    "p": "p",
    "q": "q",
}
TEXT_NOTE = (
    "ᴮ: BrainLLM's published form (prediction cut to the truth's length, recall of sets); the others are the field's "
    "(sacrebleu, rouge-score, jiwer). Baselines score without any decoding: `constant`, the training completion "
    "that does best as the answer to everything; `shuffled`, the own brain's texts handed to other samples; "
    "`retrieval`, the training completion that ridge regression finds nearest to the brain."
)
ARM_MEANINGS = {
    "permuted": "the brain of another group, mean over permutations; of its texts, over the first of them",
    "no_brain": "the language model alone",
    "zero": "every standardised value at its mean, 0",
    "voxel_shuffle": "the own values, dealt out to other features",
    "noise": "Gaussian noise with moments of the brain values",
    "other_subject_same_stimulus": "another person's brain of the same stimulus",
    "other_subject_other_stimulus": "another person's brain of another stimulus",
    "time_shift": "the own recording at another time",
    "mean_brain": "the mean brain, the same for every text",
}


def with_interval(comparison: Mapping, digits: int) -> str:
    """Value and interval of a comparison, `value [low, high]`."""
    value, low, high = (f"{comparison[name]:.{digits}f}" for name in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]"


def score_table(arms: Sequence[Mapping], baselines: Sequence[Mapping]) -> Table:
    """Arms with their 95 % intervals, and beneath them the baselines of their text scores."""
    rows = []
    for arm in arms:
        intervals = arm.get("intervals", {})
        told = {name: f"{arm[name]:.4g} [{low:.4g}, {high:.4g}]" for name, (low, high) in intervals.items()}
        rows.append({**arm, **told})
    for baseline in dict.fromkeys(row["baseline"] for row in baselines):
        values = {row["metric"]: row["value"] for row in baselines if row["baseline"] == baseline}
        rows.append({"arm": f"{baseline} (baseline)"} | values)
    return Table(ARM_COLUMNS, rows, highlight="brain")


def score_notes(arms: Sequence[Mapping], baselines: Sequence[Mapping]) -> list[str]:
    """What the arms and the columns of [`score_table`] are."""
    told = [f"`{row['arm']}`: {ARM_MEANINGS[row['arm']]}" for row in arms if row["arm"] in ARM_MEANINGS]
    return ["; ".join(told) + "."] * bool(told) + [TEXT_NOTE] * bool(baselines)


def comparison_table(rows: Sequence[Mapping]) -> Table:
    """Metric by metric, so that the controls of one metric are read against each other."""
    cells = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        for row in [row for row in rows if row["metric"] == metric]:
            interval = Interval(row["value"], row["ci_low"], row["ci_high"], row["chance"], metric)
            cell = {**row, "metric": METRIC_TITLES.get(metric, metric.replace("_", " ")), "interval": interval}
            if "subject_ci_low" in row:
                cell["subject_interval"] = f"[{row['subject_ci_low']:.4f}, {row['subject_ci_high']:.4f}]"
            cells.append(cell)
    return Table(COMPARISON_COLUMNS, cells)


def identification_table(rows: Sequence[Mapping], highlight: str = "") -> Table:
    """Rows of [`~trainers.scoring.comparisons.identification_figures`], each recall with its chance."""
    columns = {"arm": "arm", "score": "score", "num_queries": "n", "pairwise_accuracy": "pairwise accuracy"}
    columns |= {"median_rank": "median rank", "num_candidates": "candidates"}
    recalls = sorted(int(name.removeprefix("recall_at_")) for name in rows[0] if name.startswith("recall_at_"))
    columns |= {f"r{k}": f"R@{k} (chance)" for k in recalls}
    cells = [
        {**row, "score": row["score"].replace("_", " ")}
        | {f"r{k}": f"{row[f'recall_at_{k}']:.3f} ({row[f'chance_at_{k}']:.3f})" for k in recalls}
        for row in rows
    ]
    return Table(columns, cells, highlight)


def examples(samples: Sequence[Sample]) -> Examples:
    """What was given, what was said, and what each arm wrote; of several permutations the first."""
    items = []
    for sample in evenly(samples):
        given = {"given": sample["prompt"]} if sample["prompt"] else {}
        texts = {arm: texts_of(sample, arm)[0] for arm in sample["texts"]}
        items.append({"truth": sample["truth"]} | given | texts)
    return Examples(items, examples_note(len(items), len(samples)))


def examples_note(shown: int, whole: int) -> str:
    """How the examples were chosen."""
    return f"{shown} of {whole} samples, evenly spaced through the table: nobody picked them."


def evenly(samples: Sequence[Sample], number: int = NUM_EXAMPLES) -> list[Sample]:
    """So many samples, evenly spaced: examples that nobody picked."""
    return [samples[i * len(samples) // number] for i in range(number)] if len(samples) > number else list(samples)


__all__ = [
    "comparison_table",
    "evenly",
    "examples",
    "examples_note",
    "identification_table",
    "score_notes",
    "score_table",
    "with_interval",
]
