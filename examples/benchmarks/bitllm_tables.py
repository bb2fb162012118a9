# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
BIT-LLM's tables on planted brains: seven people are trained on, an eighth is tested, on images that nobody trained on.

    python examples/benchmarks/planted_brains.py --captions captions_val2017.json \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/planted
    python examples/benchmarks/bitllm_tables.py --planted runs/planted --text_model_id llama \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/bitllm

Alignment (`train_contrastive.py`), instruction tuning of every row (`train_sft.py`), reward tuning (`train_grpo.py`)
and captions under every control (`evaluate.py`), each as a process of its own; what is there already is not
done again. Further arguments go to all three trainings, such as `--bf16 true --use_cpu true`; `--steps` shortens them.
Ends with the tables, also written to `tables.md` and `tables.json`.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import load_from_disk

from modeling_brainllm import VoxelEncoderConfig
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.target_embeddings import add_text_embeddings, save_with_targets
from trainers.embedders.text_encoders import load_text_encoder
from trainers.reports.report import REPORT_FILE, EvaluationReport
from trainers.scoring.table import CONSTANT, HUMAN


EXAMPLES = Path(__file__).resolve().parent.parent
HELD_OUT = "subj08"
# The recipe's encoder, at a size for a language model of 28 million parameters.
SMALL_ENCODER = {
    "num_queries": 256,
    "num_tokens": 16,
    "hidden_size": 128,
    "token_code_size": 32,
    "num_frequencies": 64,
    "key_size": 64,
    "input_dropout": 0.2,
}
ADAPTER_LAYERS = ("--adapter_layers", "0", "2", "4", "6")
REWARDED = "cross-attention + reward tuning"
SCORES = {"bleu_4": "BLEU-4", "rouge_l": "ROUGE-L", "cider": "CIDEr"}
ARMS = {"brain": "real", "zero": "zero", "voxel_shuffle": "shuffled"}


@dataclass(frozen=True)
class Row:
    """
    One row of the poster's table: a recipe of `examples/recipes`, options beside it, and the encoder, which is that of
    the alignment where there is none.
    """

    recipe: str
    options: tuple[str, ...] = ()
    encoder: dict[str, Any] | None = None


def published_encoder() -> dict[str, Any]:
    """MindLLM's encoder, with every fault that ours mends, at the same small size."""
    ours, published = VoxelEncoderConfig().to_dict(), VoxelEncoderConfig.published().to_dict()
    switches = {name: value for name, value in published.items() if value != ours[name]}
    return {**SMALL_ENCODER, **switches}


ROWS = {
    "prefix, projection": Row("sft_nsd_prefix"),
    "prefix, matched MLP": Row("sft_nsd_prefix_mlp", ADAPTER_LAYERS),
    "cross-attention": Row("sft_nsd_cross_attention", ADAPTER_LAYERS),
    "cross-attention, encoder not aligned": Row("sft_nsd_cross_attention", ADAPTER_LAYERS, SMALL_ENCODER),
    "cross-attention, published encoder, not aligned": Row(
        "sft_nsd_cross_attention", ADAPTER_LAYERS, published_encoder()
    ),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--planted", type=Path, required=True, help="folder written by planted_brains.py")
    parser.add_argument("--text_model_id", required=True, help="folder or Hub id of the language model")
    parser.add_argument("--sentence_encoder", required=True, help="folder or Hub id of a sentence encoder")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, REWARDED], default=[*ROWS, REWARDED], help="what to run")
    parser.add_argument("--align_epochs", type=float, default=15, help="epochs of the alignment")
    parser.add_argument("--steps", type=int, default=600, help="steps of instruction tuning, 16 images each")
    parser.add_argument("--max_answers", type=int, default=5, help="captions of an image that are learnt")
    parser.add_argument("--reward_steps", type=int, default=100, help="steps of reward tuning, 16 brains each")
    parser.add_argument("--noise_dir", type=Path, help="`output_dir` of another run, on brains without a signal")
    parser.add_argument("--table_only", action="store_true", help="print the tables of what is there")
    args, args.training_arguments = parser.parse_known_args()
    return args


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def name_of_folder(row: str) -> str:
    return row.replace(", ", "-").replace(" + ", "-").replace(" ", "-")


def folder_of(args: argparse.Namespace, row: str) -> Path:
    return args.output_dir / name_of_folder(row)


def prepare(args: argparse.Namespace) -> Path:
    """The corpus, with the eighth brain held out, and with the embedding of each image's captions."""
    rows, targets = args.output_dir / "rows", args.output_dir / "rows-with-targets"
    if not rows.is_dir():
        args.output_dir.mkdir(parents=True, exist_ok=True)
        config = args.output_dir / "corpus.yaml"
        config.write_text(f"test_subjects: [{HELD_OUT}]\n", encoding="utf-8")
        source = ("--corpus", "synthetic_images", "--data_dir", args.planted, "--config", config)
        run("prepare_dataset.py", *source, "--output_dir", rows)
    if not targets.is_dir():
        embed = load_text_encoder(args.sentence_encoder, torch.device("cpu"))
        splits = load_corpus_splits(DataArguments(dataset=str(rows)))
        save_with_targets(add_text_embeddings(splits, embed), rows, targets)
    return targets


def align(args: argparse.Namespace, dataset: Path) -> Path:
    output = args.output_dir / "aligned"
    if not (output / "held_out_results.json").is_file():
        arguments = ("--config", EXAMPLES / "recipes/contrastive_nsd.yaml", "--dataset", dataset)
        arguments += ("--output_dir", output, "--held_out_subjects", HELD_OUT)
        arguments += ("--voxel_encoder", json.dumps(SMALL_ENCODER), "--num_train_epochs", args.align_epochs)
        run("train_contrastive.py", *arguments, *args.training_arguments)
    return output


def instruct(args: argparse.Namespace, name: str, dataset: Path, aligned: Path) -> Path:
    output, row = folder_of(args, name), ROWS[name]
    if not (output / "model.safetensors").is_file():
        is_aligned = row.encoder is None
        encoder = ("--encoder_name_or_path", aligned) if is_aligned else ("--voxel_encoder", json.dumps(row.encoder))
        arguments = ("--config", EXAMPLES / f"recipes/{row.recipe}.yaml", "--dataset", dataset, *encoder)
        arguments += ("--text_model_id", args.text_model_id, "--output_dir", output, "--max_steps", args.steps)
        arguments += ("--max_answers", args.max_answers)
        # A language model without a chat template, and few steps: one task in one wording, evaluated once.
        arguments += ("--tasks", "caption", "--task_shares", 1, "--learning_rate", 2e-3, "--eval_strategy", "no")
        arguments += ("--load_best_model_at_end", "false", "--save_strategy", "no", "--paraphrase", "false")
        run("train_sft.py", *arguments, *row.options, *args.training_arguments)
    return output


def reward(args: argparse.Namespace, dataset: Path, aligned: Path, base: Path) -> Path:
    output = folder_of(args, REWARDED)
    if not (output / "adapter_model.safetensors").is_file():
        arguments = ("--config", EXAMPLES / "recipes/grpo_nsd.yaml", "--dataset", dataset, "--output_dir", output)
        arguments += ("--model_name_or_path", base, "--aligned_model", aligned, "--max_steps", args.reward_steps)
        # Captions are decoded greedily. A language model of this size, sampled at temperature 1, strays far from what
        # it would decode, and learns from captions that it would never give.
        arguments += ("--sentence_encoder", args.sentence_encoder, "--learning_rate", 5e-4, "--temperature", 0.7)
        arguments += ("--per_device_train_batch_size", 128, "--gradient_accumulation_steps", 1)
        run("train_grpo.py", *arguments, *args.training_arguments)
    return output


def evaluate(
    args: argparse.Namespace, name: str, dataset: Path, checkpoint: Path, adapter: Path | None = None
) -> None:
    output = folder_of(args, name) / "evaluation"
    if not (output / REPORT_FILE).is_file():
        arguments = ("--checkpoint", checkpoint, "--dataset", dataset, "--output_dir", output, "--batch_size", 64)
        arguments += ("--sentence_encoder", args.sentence_encoder)
        run("evaluate.py", "--task", "caption", *arguments, *(() if adapter is None else ("--adapter", adapter)))


def run_all(args: argparse.Namespace) -> None:
    dataset = prepare(args)
    aligned = align(args, dataset)
    for name in args.rows:
        if name == REWARDED:
            base = folder_of(args, "cross-attention")
            evaluate(args, name, dataset, base, reward(args, dataset, aligned, base))
        else:
            evaluate(args, name, dataset, instruct(args, name, dataset, aligned))


def load_reports(folder: Path) -> dict[str, EvaluationReport]:
    """The reports of the rows that were run, in the order of the poster."""
    paths = {name: folder / name_of_folder(name) / "evaluation" for name in (*ROWS, REWARDED)}
    there = {name: path for name, path in paths.items() if (path / REPORT_FILE).is_file()}
    return {name: EvaluationReport.load(path) for name, path in there.items()}


def caption_table(reports: dict[str, EvaluationReport]) -> tuple[list[str], dict[str, dict]]:
    """The poster's table as lines of Markdown, three arms of every row above their baselines; and its figures."""
    header = ["row", "trainable", *(f"{score}, {arm}" for score in SCORES.values() for arm in ARMS.values())]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    results = {}
    for name, report in reports.items():
        figures = {score: {arm: 100 * report.score("caption", arm, score) for arm in ARMS} for score in SCORES}
        trained = report.parameters["lora" if name == REWARDED else "interface"]
        results[name] = {"trainable": trained, **figures}
        cells = [f"{figures[score][arm]:.2f}" for score in SCORES for arm in ARMS]
        lines.append(f"| {name} | {trained / 1e6:.2f} M | " + " | ".join(cells) + " |")
    # The baseline `shuffled` is another one for each row; it is in the rows' reports.
    first = next(iter(reports.values()))
    for row in [row for row in (*first.arms, *first.ceilings) if row["arm"] in (CONSTANT, HUMAN)]:
        cells = [f"{100 * row[score]:.2f}" if i == 0 else "" for score in SCORES for i in range(len(ARMS))]
        lines.append(f"| *{row['arm']}* | | " + " | ".join(cells) + " |")
    return lines, results


def encoder_table(folder: Path) -> tuple[list[str], dict[str, float]]:
    """Retrieval of the held-out person's images, as lines of Markdown; and its figures."""
    found = json.loads((folder / "aligned" / "held_out_results.json").read_text(encoding="utf-8"))
    test = load_from_disk(str(folder / "rows-with-targets"))["test"]
    lines = [f"Encoder on {HELD_OUT}, {len(test)} brains of {len(set(test['group']))} images:", ""]
    lines += ["| voxels | R@1 | R@5 | R@10 | median rank |", "|---|---|---|---|---|"]
    for title, kind in (("real", ""), ("shuffled", "shuffled_"), ("zero", "zero_")):
        cells = [f"{found[f'held_out_text_{kind}recall_at_{k}']:.3f}" for k in (1, 5, 10)]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {found[f'held_out_text_{kind}median_rank']:.1f} |")
    cosines = {name: found[f"held_out_cos_real_{name}"] for name in ("zero", "real")}
    return [*lines, "", f"cos(real, zero) {cosines['zero']:.3f}, cos(real, real) {cosines['real']:.3f}."], found


def make_tables(args: argparse.Namespace) -> str:
    """Both tables, and those of brains of noise if there are any."""
    parts, figures = [], {}
    for title, folder in (("", args.output_dir), ("Brains of noise", args.noise_dir)):
        if folder is not None:
            captions, results = caption_table(load_reports(folder))
            encoder, found = encoder_table(folder)
            parts += [*([f"{title}:", ""] if title else []), *captions, "", *encoder, ""]
            figures[title or "signal"] = {"captions": results, "encoder": found}
    (args.output_dir / "tables.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return "\n".join(parts).strip()


def main() -> None:
    args = parse_arguments()
    if not args.table_only:
        run_all(args)
    tables = make_tables(args)
    (args.output_dir / "tables.md").write_text(tables + "\n", encoding="utf-8")
    print(tables)


if __name__ == "__main__":
    main()
