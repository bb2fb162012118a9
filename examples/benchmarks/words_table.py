# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What the brain adds in words: the scores of a report's texts, and what they gain over every control and baseline.

    python examples/benchmarks/words_table.py --report runs/pooled --output_dir runs/pooled

A report of `evaluate.py --task sentence`, of one fold or pooled. Writes `words.md`; intervals by group.
"""

import argparse
from pathlib import Path

from trainers.reports.report import EvaluationReport


SCORES = {"brainllm_bleu_1": "BLEU-1 ᴮ", "text_similarity": "similarity", "bert_score": "BERTScore F1"}
TEXTS = {
    "brain": "the brain",
    "permuted": "the brain of another group",
    "deaf_twin": "the deaf twin",
    "structure_twin": "the structure twin",
    "no_brain": "no brain",
    "constant": "one sentence for all",
    "shuffled": "the brain, handed to other sentences",
    "retrieval": "the training sentence nearest by ridge from the brain",
    "structure": "the training sentence nearest by length, place and session",
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--report", required=True, help="folder of the report")
    parser.add_argument("--task", default="sentence", help="task whose texts are compared")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    return parser.parse_args()


def make_table(report: EvaluationReport, task: str) -> str:
    """One line for each arm and baseline with texts: score, and by how much the brain's is above it."""
    scores = {metric: title for metric, title in SCORES.items() if report.find(task, "permuted", f"{metric}_gain")}
    samples = [sample for sample in report.samples if sample["task"] == task]
    lines = [
        f"{len(samples)} sentences in {len({sample['group'] for sample in samples})} groups, texts by "
        f"`{report.settings['tasks'][task]['generation']}`; each score, and the gain of the brain's texts over it.",
        "",
        f"| texts of | {' | '.join(f'{title} | gain' for title in scores.values())} |",
        "|---" * (1 + 2 * len(scores)) + "|",
    ]
    there = {arm for sample in samples for arm in sample["texts"]}
    for arm, label in TEXTS.items():
        if arm in there:
            cells = [cell for metric in scores for cell in cells_of(report, task, arm, metric)]
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cells_of(report: EvaluationReport, task: str, arm: str, metric: str) -> tuple[str, str]:
    gain = report.find(task, arm, f"{metric}_gain")
    told = "" if gain is None else f"{gain['value']:.3f} [{gain['ci_low']:.3f}, {gain['ci_high']:.3f}]"
    return f"{report.score(task, arm, metric):.3f}", told


def main() -> None:
    args = parse_arguments()
    table = make_table(EvaluationReport.load(args.report), args.task)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "words.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
