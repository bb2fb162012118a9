# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The tables of a report: scores, comparisons, identification, examples; of any task."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..scoring.rules import Rules
from ..scoring.table import Sample, is_baseline, texts_of
from .document import Examples, Interval, Table


NUM_EXAMPLES = 8

TITLES = {
    "loss": "loss (nats)", "perplexity": "perplexity",
    "brainllm_bleu_1": "BLEU-1 ᴮ", "brainllm_rouge_1": "ROUGE-1 ᴮ", "brainllm_rouge_l": "ROUGE-L ᴮ",
    "brainllm_wer": "WER ᴮ", "corpus_bleu_4": "BLEU-4", "rouge_1": "ROUGE-1 F1", "corpus_wer": "WER",
    "bleu_1": "BLEU-1", "bleu_2": "BLEU-2", "bleu_3": "BLEU-3", "bleu_4": "BLEU-4", "meteor": "METEOR",
    "rouge_l": "ROUGE-L", "cider": "CIDEr", "text_similarity": "text similarity", "bert_score": "BERTScore F1",
    "loss_gain": "loss gain (nats per token)", "nats_gain": "gain (nats per text)",
    "pairwise_accuracy": "pairwise accuracy",
}  # fmt: skip
#: What no scale applies to: not scores of texts.
_UNSCALED = ("loss", "perplexity", "distinct", "words", "loss_gain", "nats_gain", "pairwise_accuracy")
_COMPARISON_COLUMNS = {
    "metric": "metric", "arm": "system", "control": "control", "subject": "subject",
    "interval": "value [95 % interval]", "subject_interval": "over subjects", "chance": "chance", "p": "p", "q": "q",
    "num_groups": "groups",
}  # fmt: skip
_BRAINLLM_NOTE = (
    "ᴮ: BrainLLM's published form (prediction cut to the truth's length, recall of sets); the others are the field's "
    "(sacrebleu, rouge-score, jiwer)."
)
ARM_MEANINGS = {
    "permuted": "the brain of another group, mean over permutations; of its texts, over the first of them",
    "matched": "the brain of another group, of the same session, position and length",
    "deaf_twin": "the best that can be done without the recorded brain",
    "structure_twin": "the same recipe, given length, place and session of each text in the place of its brain",
    "no_brain": "the language model alone",
    "zero": "every standardised value at its mean, 0",
    "voxel_shuffle": "the own values, dealt out to other features",
    "noise": "Gaussian noise with moments of the brain values",
    "other_subject_same_stimulus": "another person's brain of the same stimulus",
    "other_subject_other_stimulus": "another person's brain of another stimulus",
    "time_shift": "the own recording at another time",
    "mean_brain": "the mean brain, the same for every text",
    "constant": "one text for all samples, the best as the answer to everything",
    "shuffled": "a system's texts handed to other samples",
    "retrieval": "the training text that ridge regression finds nearest to the brain",
    "structure": "the same by length, position, session and word rate, without any brain",
    "human": "one person's text against the others'",
}


def scale_of(metric: str, rules: Rules) -> int:
    """By which a report multiplies a score."""
    return 1 if metric in _UNSCALED or metric.startswith("identification_") else rules.scale


def title_of(metric: str) -> str:
    """What a report calls a score or comparison."""
    if metric in TITLES:
        return TITLES[metric]
    if metric.startswith("identification_"):
        return f"pairs won by {title_of(metric.removeprefix('identification_'))}"
    if metric.endswith("_gain"):
        return f"{title_of(metric.removesuffix('_gain'))} gain"
    return metric.replace("_", " ")


def with_interval(comparison: Mapping, digits: int, scale: int = 1) -> str:
    """Value and interval of a comparison, `value [low, high]`."""
    value, low, high = (scale * comparison[name] for name in ("value", "ci_low", "ci_high"))
    return str(Interval(value, low, high, digits=digits))


def score_cell(row: Mapping, metric: str, rules: Rules) -> str:
    """A score with its interval, where it has one."""
    scale = scale_of(metric, rules)
    form = "{:.4g}" if scale == 1 else "{:.2f}"
    text = form.format(scale * row[metric])
    ends = row.get("intervals", {}).get(metric)
    return text if ends is None else f"{text} [{', '.join(form.format(scale * end) for end in ends)}]"


def score_table(rows: Sequence[Mapping], rules: Rules) -> Table:
    """Systems and controls with their 95 % intervals, and beneath them baselines and ceiling."""
    cells = []
    for row in sorted(rows, key=lambda row: is_baseline(row["arm"])):
        name = f"{row['arm']} (baseline)" if is_baseline(row["arm"]) else row["arm"]
        scores = {metric: score_cell(row, metric, rules) for metric in rules.columns if metric in row}
        cells.append({"arm": name, "num_samples": row["num_samples"]} | scores)
    columns = {"arm": "arm", "num_samples": "n"} | {metric: title_of(metric) for metric in rules.columns}
    return Table(columns, cells, highlight=rules.systems[0])


def score_notes(rows: Sequence[Mapping], rules: Rules) -> list[str]:
    """What the arms and the columns of [`score_table`] are."""
    names = dict.fromkeys(row["arm"].partition(":")[0] for row in rows)
    told = "; ".join(f"`{arm}`: {ARM_MEANINGS[arm]}" for arm in names if arm in ARM_MEANINGS)
    notes = [f"{told}."] if told else []
    notes += [f"Scores of texts x {rules.scale}."] if rules.scale != 1 else []
    return notes + [_BRAINLLM_NOTE] * any("brainllm_bleu_1" in row for row in rows)


def comparison_table(rows: Sequence[Mapping], rules: Rules) -> Table:
    """Metric by metric, so that the controls of one metric are read against each other."""
    cells = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        scale = scale_of(metric, rules)
        digits = 4 if scale == 1 else 2
        for row in [row for row in rows if row["metric"] == metric]:
            ends = (scale * row[name] for name in ("value", "ci_low", "ci_high"))
            interval = Interval(*ends, chance=row["chance"], scale=metric, digits=digits)
            cell: dict[str, Any] = {**row, "metric": title_of(metric), "interval": interval}
            if "subject_ci_low" in row:
                low, high = (f"{scale * row[name]:.{digits}f}" for name in ("subject_ci_low", "subject_ci_high"))
                cell["subject_interval"] = f"[{low}, {high}]"
            cells.append(cell)
    return Table(_COMPARISON_COLUMNS, cells)


def identification_table(rows: Sequence[Mapping], highlight: str = "") -> Table:
    """Rows of [`~trainers.scoring.arms.identification_scores`], each recall with its chance."""
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
    """What was given, what was said, and what each arm wrote; of several draws the first."""
    shown = evenly(samples)
    items = []
    for sample in shown:
        given = {"given": sample["prompt"]} if sample.get("prompt") else {}
        texts = {arm: texts_of(sample, arm)[0] for arm in sample["texts"]}
        items.append({"truth": " / ".join(sample["references"])} | given | texts)
    note = f"{len(items)} of {len(samples)} samples, evenly spaced through the table: nobody picked them."
    return Examples(items, note)


def evenly(samples: Sequence[Sample], number: int = NUM_EXAMPLES) -> list[Sample]:
    """So many samples, evenly spaced: examples that nobody picked."""
    return [samples[i * len(samples) // number] for i in range(number)] if len(samples) > number else list(samples)


__all__ = [
    "comparison_table",
    "evenly",
    "examples",
    "identification_table",
    "scale_of",
    "score_cell",
    "score_notes",
    "score_table",
    "title_of",
    "with_interval",
]
