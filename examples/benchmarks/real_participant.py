# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Does the brain count? Five passage-grouped folds of BrainLLM's published participant, every system beside its controls.

    python examples/benchmarks/plain_text.py --wordnet /usr/share/wordnet --captions captions_val2017.json \
        --output_dir runs/text
    python examples/benchmarks/real_participant.py --data_dir pereira_example --text_model_id llama \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --text_dir runs/text --output_dir runs/real

For each system and fold it prepares the corpus, trains (`train_sft.py`), evaluates (`evaluate.py`) and pools; what is
there already is not done again, and systems may run in several processes. Further arguments go to the training, such
as `--bf16 true --use_cpu true`. The plain-text stage of our recipe runs in
fold 0 and is taken over by the other folds: its text shares no five words with the corpus, and of the brains it sees
the reliability of each component alone. Ends with one table, also written to `table.md` and `table.json`.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from datasets import DatasetDict, load_from_disk

from trainers.reports.pooling import pool_reports
from trainers.reports.report import EvaluationReport
from trainers.statistics.permutations import permute_across_groups


EXAMPLES = Path(__file__).resolve().parent.parent
CROSS_ATTENTION = ("--interface", "cross_attention", "--adapter_layers", "1", "3", "5")
# Name → recipe, further arguments of training, and which shuffle of brains across passages before training, if any.
# One shuffle links some topics by chance, and a decoder learns that too: so there are two.
SHORT = ("--num_train_epochs", "8", "--early_stopping_patience", "3")  # published: 100 and 10
SYSTEMS = {
    "ours, cross-attention": ("brainllama", (), 0),
    "ours, cross-attention, brains shuffled": ("brainllama", (), 1),
    "ours, cross-attention, brains shuffled again": ("brainllama", (), 2),
    "ours, prefix": ("brainllama", ("--interface", "prefix"), 0),
    "official, prefix": ("official", SHORT, 0),
    # The warm-up moves brain tokens towards the prompt's embeddings; adapters have no place for that.
    "official, cross-attention": ("official", (*SHORT, "--warmup_epochs", "0", *CROSS_ATTENTION), 0),
}


IDENTIFIED = ("ours, cross-attention", "ours, prefix")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder with example.wq.pkl and example.pca1000.wq.pkl.dic")
    parser.add_argument("--text_model_id", required=True, help="folder or Hub id of the language model")
    parser.add_argument("--sentence_encoder", required=True, help="folder or Hub id of a sentence encoder")
    parser.add_argument("--text_dir", type=Path, required=True, help="folder written by plain_text.py")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="what to run")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(5)), help="folds to run")
    parser.add_argument("--num_permutations", type=int, default=20, help="permutations of the test brains")
    parser.add_argument("--evaluation_dtype", default="float32", help="type of the weights in evaluation")
    parser.add_argument("--generate", action="store_true", help="also decode texts (slow)")
    parser.add_argument("--table_only", action="store_true", help="print the table of what is there")
    args, args.training_arguments = parser.parse_known_args()
    return args


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def folder_of(args: argparse.Namespace, system: str, fold: int) -> Path:
    return args.output_dir / system.replace(", ", "-").replace(" ", "-") / f"fold{fold}"


def prepare(args: argparse.Namespace, fold: int, shuffle: int) -> Path:
    """The corpus of a fold; with a shuffle, training and validation brains belong to texts of other passages."""
    folder = args.output_dir / "data" / f"fold{fold}"
    if not folder.is_dir():
        arguments = ("--corpus", "brainllm2025", "--data_dir", args.data_dir, "--output_dir", folder, "--fold", fold)
        run("prepare_dataset.py", *arguments)
    if not shuffle:
        return folder
    target = args.output_dir / "data" / f"fold{fold}-shuffled-{shuffle}"
    if not target.is_dir():
        splits = load_from_disk(str(folder))
        seen = {name: shuffle_brains(splits[name], seed=fold + 5 * (shuffle - 1)) for name in ("train", "validation")}
        DatasetDict({**seen, "test": splits["test"]}).save_to_disk(str(target))
        (target / "corpus.json").write_bytes((folder / "corpus.json").read_bytes())
    return target


def shuffle_brains(rows, seed: int):
    """Rows whose brain values are those of another passage; both samples of a sentence get the same ones."""
    brain_ids = list(rows["brain_id"])
    place = {brain_id: i for i, brain_id in enumerate(brain_ids)}
    control_brains = permute_across_groups(list(rows["group"]), brain_ids, 1, seed)[0]
    values = rows.select([place[control_brain] for control_brain in control_brains])["brain_values"]
    features = rows.features
    return rows.remove_columns("brain_values").add_column("brain_values", list(values)).cast(features)


def train_and_evaluate(args: argparse.Namespace, system: str, fold: int) -> None:
    recipe, options, shuffle = SYSTEMS[system]
    output, dataset = folder_of(args, system, fold), prepare(args, fold, shuffle)
    if not (output / "model.safetensors").is_file():
        arguments = ["--config", EXAMPLES / "recipes" / f"{recipe}.yaml", "--dataset", dataset, *options]
        arguments += ["--text_model_id", args.text_model_id, "--output_dir", output, "--report_to", "none"]
        arguments += args.training_arguments
        if recipe == "brainllama":
            arguments += ["--sentence_encoder", args.sentence_encoder, *plain_text_arguments(args, system, fold)]
        run("train_sft.py", *arguments)
    if not (output / "evaluation" / "report.json").is_file():
        arguments = ["--checkpoint", output, "--dataset", dataset, "--output_dir", output / "evaluation"]
        arguments += [
            "--num_permutations",
            args.num_permutations,
            "--batch_size",
            64,
            "--dtype",
            args.evaluation_dtype,
            "--sentence_encoder",
            args.sentence_encoder,
            "--allow",
            "deaf_twin",
        ]
        # Identification needs every text under every brain: worth its time where the brain counts.
        arguments += [] if system in IDENTIFIED else ["--max_identification", 0]
        run("evaluate.py", *arguments, *([] if args.generate else ["--no_generate"]))


def plain_text_arguments(args: argparse.Namespace, system: str, fold: int) -> list[object]:
    """Fold 0 learns from plain text; other folds, and training on shuffled brains, take its interface over."""
    taught = folder_of(args, system.partition(", brains shuffled")[0], 0) / "plain-text"
    if (taught / "model.safetensors").is_file():
        return ["--pretrained_interface", taught]
    return ["--text_files", *sorted(args.text_dir.glob("*.txt"))]


def ridge_identification(args: argparse.Namespace) -> float:
    """How often ridge regression alone finds the right text of two: the encoder's prediction against embeddings."""
    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
    from trainers.arguments import SemanticArguments
    from trainers.metrics.retrieval import two_way_identification
    from trainers.warmup.stages import make_embedder

    recipe = SemanticArguments(
        semantic=True, sentence_encoder=args.sentence_encoder, language_model_layers=[4], pretrained_interface="there"
    )
    accuracies = []
    for fold in args.folds:
        output = folder_of(args, "ours, cross-attention", fold)
        model = BrainLlamaForCausalLM.from_pretrained(output)
        processor = BrainLlamaProcessor.from_pretrained(output)
        space = folder_of(args, "ours, cross-attention", 0) / "plain-text"
        embedder = make_embedder(recipe, model, processor).load(space)
        splits = load_from_disk(str(prepare(args, fold, shuffle=0)))
        rows = splits["test"].select(sorted({b: i for i, b in enumerate(splits["test"]["brain_id"])}.values()))
        brains = processor.feature_extractor(
            [np.array(v) for v in rows["brain_values"]], subject=list(rows["subject"])
        )
        predicted = model.model.brain_encoder(brains["brain_values"].to(model.dtype))[:, 0].float().detach().numpy()
        target = embedder(rows["text"]) - embedder(sorted(set(splits["train"]["text"]))).mean(0)
        accuracies.append(two_way_identification(predicted, target, list(rows["group"])).wins.mean())
    return float(np.mean(accuracies))


def make_table(args: argparse.Namespace) -> str:
    """One line per system that is complete: pooled pairwise accuracies with their intervals, losses."""
    lines = ["| system | folds | task | against a permuted brain | against no brain | loss: brain / permuted / none |"]
    lines, results = [*lines, "|---|---|---|---|---|---|"], {}
    for system in SYSTEMS:
        folders = [folder_of(args, system, fold) / "evaluation" for fold in args.folds]
        folders = [folder for folder in folders if (folder / "report.json").is_file()]
        if not folders:
            continue
        report = pool_reports(folders) if len(folders) > 1 else EvaluationReport.load(folders[0])
        report.save(folder_of(args, system, 0).parent / "pooled")
        for task in report.tasks:
            figures = {c: report.find(task, c, "pairwise_accuracy") for c in ("permuted", "no_brain")}
            losses = {arm["arm"]: arm["loss"] for arm in report.arms if arm["task"] == task and "loss" in arm}
            results[f"{system} | {task}"] = {"folds": len(folders), **figures, "losses": losses}
            cells = [f"{f['value']:.3f} [{f['ci_low']:.3f}, {f['ci_high']:.3f}]" for f in figures.values()]
            loss = " / ".join(f"{losses[arm]:.3f}" for arm in ("brain", "permuted", "no_brain"))
            lines.append(f"| {system} | {len(folders)} | {task} | {cells[0]} | {cells[1]} | {loss} |")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "table.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    return "\n".join(lines)


def main() -> None:
    args = parse_arguments()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not args.table_only:
        for fold in args.folds:
            for system in args.systems:
                train_and_evaluate(args, system, fold)
    table = make_table(args)
    if all((folder_of(args, "ours, cross-attention", fold) / "model.safetensors").is_file() for fold in args.folds):
        table += f"\n\nRidge regression alone, two-way identification of sentences: {ridge_identification(args):.3f}"
    (args.output_dir / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
