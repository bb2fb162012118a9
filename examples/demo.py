# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[demo]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The whole path on a synthetic corpus, in minutes on two CPU cores, without a network: `make demo`, or

    python examples/demo.py --output_dir outputs/demo

A grammar writes passages about concepts, and a simulated brain hides each sentence's meaning in noise. A small Llama
is trained on the grammar on the spot. Then the recipe of `examples/recipes/brainllama.yaml` runs in small: ridge
regression from brain to meaning, plain text to teach the language model what a meaning is, prompt tuning on the
training brains. Held-out passages judge it beside its controls; and so they judge a second decoder, whose corpus has
noise for a brain.
"""

import argparse
import io
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import torch
from datasets import DatasetDict, disable_progress_bars
from small_recipe import plain_sentences, train_decoder, train_language_model
from transformers import set_seed
from transformers.utils import logging

from dataset_builders import prepare_corpus, save_corpus
from trainers.data.brain_format import with_brain_arrays
from trainers.evaluation.evaluate import evaluate
from trainers.reports.report import EvaluationReport
from trainers.scoring.table import texts_of


SEED = 0
SIGNAL_TO_NOISE = 2.0
NUM_FEATURES = 256
NUM_PASSAGES = 160
NUM_PLAIN_PASSAGES = 1200
GENERATION = {"num_beams": 3, "min_new_tokens": 2, "max_new_tokens": 12, "repetition_penalty": 1.0}
# A demonstration is to be quick: its reports lack these controls and baselines, and say so.
LEFT_OUT = ("zero", "voxel_shuffle", "noise", "ridge", "retrieval")
TASKS = {"continuation": "continue a prompt", "sentence": "whole sentence, no prompt"}


def write_corpus(folder: Path, signal_to_noise: float, num_passages: int, corpus_seed: int):
    """Passages of the grammar with simulated brains, whole passages held out."""
    options = {"num_passages": num_passages, "corpus_seed": corpus_seed, "signal_to_noise": signal_to_noise}
    return prepare_corpus("synthetic_sentences", cache_dir=folder / "corpus", num_features=NUM_FEATURES, **options)


def write_plain_text(folder: Path, splits: DatasetDict) -> list[str]:
    """Training sentences and further ones of the grammar; none that is held out."""
    more = write_corpus(folder, 0.0, NUM_PLAIN_PASSAGES, corpus_seed=SEED + 1).as_dataset()
    return plain_sentences([splits["train"]["text"], *(rows["text"] for rows in more.values())], [splits])


def print_table(reports: dict[str, EvaluationReport]) -> None:
    print(f"\n{'corpus':9}{'task':27}{'arm':11}{'loss':>7}{'BLEU-1':>9}   own brain likelier than control")
    for name, report in reports.items():
        for row in report.arms:
            if row["arm"] not in ("brain", "permuted", "no_brain"):
                continue
            found = report.find(row["task"], row["arm"], "pairwise_accuracy")
            line = f"{name:9}{TASKS[row['task']]:27}{row['arm']:11}{row['loss']:7.3f}{row['brainllm_bleu_1']:9.3f}"
            if found is not None:
                line += f"   {found['value']:.3f}  [{found['ci_low']:.3f}, {found['ci_high']:.3f}]  chance .5"
            print(line)


def describe_texts(report: EvaluationReport, num_samples: int = 5) -> str:
    """Some samples, evenly over the test split, each with what was decoded from it and beside it."""
    lines = []
    samples = [sample for sample in report.samples if sample["task"] == "sentence"]
    for sample in samples[:: max(len(samples) // num_samples, 1)][:num_samples]:
        lines.append(f"\ntruth          {sample['references'][0]}")
        for arm, label in (("brain", "its brain"), ("permuted", "another brain"), ("no_brain", "no brain")):
            lines.append(f"{label:14} {texts_of(sample, arm)[0]}")
    return "\n".join(lines).strip() + "\n"


def plot(reports: dict[str, EvaluationReport], path: Path) -> None:
    """Pairwise accuracy with its interval, planted signal beside noise."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    labels = []
    for name, report in reports.items():
        for task, label in TASKS.items():
            found = report.find(task, "permuted", "pairwise_accuracy")
            bounds = [[found["value"] - found["ci_low"]], [found["ci_high"] - found["value"]]]
            axes.errorbar(
                found["value"], len(labels), xerr=bounds, fmt="o", capsize=4, color="C0" if name == "signal" else "C7"
            )
            labels.append(f"{name}: {label}")
    axes.axvline(0.5, color="black", linestyle=":", label="chance")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("texts likelier under their own brain than under another's")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/demo"), help="folder to write")
    parser.add_argument("--text_steps", type=int, default=300, help="training steps of the language model")
    args = parser.parse_args()
    folder, started = args.output_dir, time.time()
    # Matrices this small gain nothing from threads, and lose much on a busy machine.
    torch.set_num_threads(1)
    set_seed(SEED)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()

    print("1. Corpora: a planted signal, and noise alone")
    corpora = {"signal": SIGNAL_TO_NOISE, "noise": 0.0}
    builders = {name: write_corpus(folder, ratio, NUM_PASSAGES, SEED) for name, ratio in corpora.items()}
    if not (folder / "rows").exists():  # what `examples/space/app.py` shows its visitors
        save_corpus(builders["signal"], folder / "rows")
    sentences = write_plain_text(folder, builders["signal"].as_dataset())
    print("2. Language model")
    train_language_model(sentences, folder / "text_model", args.text_steps)
    reports = {}
    for name, builder in builders.items():
        print(f"3. Decoder of the corpus '{name}' ({time.time() - started:.0f} s)")
        splits = with_brain_arrays(builder.as_dataset_dict())
        trainer, twin = train_decoder(splits, sentences, folder / "text_model", folder / name, seed=SEED)
        with redirect_stdout(io.StringIO()):  # the trainer's own logs
            metrics = trainer.evaluate()
        print(f"   validation: pairwise accuracy {metrics['eval_pairwise_accuracy']:.3f}")
        info = asdict(builder.corpus_info)
        reports[name] = evaluate(
            trainer.model,
            trainer.processing_class,
            splits,
            corpus=info,
            twins=[(twin, trainer.processing_class)],
            value_controls=(),
            generation=GENERATION,
            progress=False,
        )
        reports[name].save(folder / name / "evaluation", allow=LEFT_OUT)
    for name, report in reports.items():
        print(f"\nCorpus '{name}':")
        for task in report.tasks:
            print(f"   {report.describe_effect(task)}".replace("**", "").replace("`", ""))
    print_table(reports)
    texts = describe_texts(reports["signal"])
    (folder / "decoded.txt").write_text(texts, encoding="utf-8")
    print(f"\nDecoded from held-out brains, whole sentences without a prompt:\n\n{texts}")
    plot(reports, folder / "brain_counts.png")
    print(f"\nReports, checkpoints and {folder / 'brain_counts.png'} after {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
