# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What does the brain add, in nats? BrainLLM's published participant over the best that can be done without the brain.

    python examples/benchmarks/brain_gain.py --data_dir pereira_example --text_model_id llama \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --target_language_model HuggingFaceTB/SmolLM2-135M \
        --text_dir runs/text --output_dir runs/gain

In each of five passage-grouped folds the recipe trains on the brain, on its structure (session, number of words and
characters, position in the passage: no brain at all), and on both. Beside the model of the brain, twins are trained
on brains of other passages. A gain is over the best of: the null condition, the mean brain, each twin under its own
brain, its mean brain and its null condition; which is best is chosen on validation rows. Whatever is there already is
not done again, and the table grows by what is new. Further arguments go to `train_sft.py`. Ends with `gain.md` and
`gain.json`; intervals by passage.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict, load_from_disk

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.data.collator import read_as
from trainers.data.structure import brains_of_structure
from trainers.evaluation.arms import Batches
from trainers.evaluation.control_brains import match_control_brains
from trainers.evaluation.deaf_twin import MEAN_BRAIN, NULL, choose_rival, losses_of, ways_without_brain
from trainers.statistics.permutations import permute_across_groups
from trainers.statistics.resampling import Resampler


EXAMPLES = Path(__file__).resolve().parent.parent
SYSTEMS = ("brain", "structure", "both")
TASKS = ("sentence", "continuation")
#: Weight of a structure column beside the whole of the brain, each of length 1.
STRUCTURE_WEIGHT = 0.35
BATCH_SIZE = 32


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder with example.wq.pkl and example.pca1000.wq.pkl.dic")
    parser.add_argument("--text_dir", type=Path, required=True, help="folder of plain text, a sentence per line")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--recipe", default=EXAMPLES / "recipes" / "brainllama.yaml", help="recipe of all systems")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(5)), help="folds to run")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="what to train")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="what to score")
    parser.add_argument("--num_twins", type=int, default=2, help="brain-deaf twins of the model of the brain")
    parser.add_argument("--num_permutations", type=int, default=5, help="brains of other passages for each text")
    parser.add_argument("--table_only", action="store_true", help="score and print what is there")
    args, args.training_arguments = parser.parse_known_args()
    return args


# ------------------------------------------------------------------------------------------------------- training
def run(script: str, *arguments: object) -> None:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def folder_of(args: argparse.Namespace, system: str, fold: int) -> Path:
    return args.output_dir / system / f"fold{fold}"


def prepare(args: argparse.Namespace, system: str, fold: int) -> Path:
    """The corpus of a fold, with the structure of its texts in place of the brains, or beside them."""
    folder = args.output_dir / "data" / "brain" / f"fold{fold}"
    if not folder.is_dir():
        arguments = ("--corpus", "brainllm2025", "--data_dir", args.data_dir, "--output_dir", folder, "--fold", fold)
        run("prepare_dataset.py", *arguments)
    target = args.output_dir / "data" / system / f"fold{fold}"
    if not target.is_dir():
        splits = load_from_disk(str(folder))
        changed = brains_of_structure(splits)
        if system == "both":
            changed = DatasetDict(
                {name: beside(rows, changed[name], splits["train"]) for name, rows in splits.items()}
            )
        changed.save_to_disk(str(target))
        (target / "corpus.json").write_bytes((folder / "corpus.json").read_bytes())
    return target


def beside(rows: Dataset, structure: Dataset, train: Dataset) -> Dataset:
    """Rows with the brain and the structure of their texts in one frame."""
    brains, numbers = (np.stack([np.asarray(v) for v in part["brain_values"]]) for part in (rows, structure))
    # Recorded deviations decide how much ridge regression trusts a feature, by a power that the recipe names.
    deviations = np.stack([np.asarray(values)[0] for values in train["brain_values"]]).std(0)
    trusted = STRUCTURE_WEIGHT * np.sqrt(((deviations / deviations.max()) ** 1.2).sum())
    joined = np.concatenate([brains, deviations.max() * trusted ** (1 / 0.6) * numbers], axis=2).astype(np.float32)
    return rows.remove_columns("brain_values").add_column("brain_values", joined.tolist())


def train(args: argparse.Namespace, system: str, fold: int) -> None:
    """Fold 0 learns from plain text; the other folds take its interface over, as twins do within a fold."""
    output, dataset = folder_of(args, system, fold), prepare(args, system, fold)
    num_twins = args.num_twins if system == "brain" else 0
    last = output / "twins" / str(num_twins) if num_twins else output
    if (last / "model.safetensors").is_file():
        return
    learnt = folder_of(args, system, 0) / "plain-text"
    arguments = ["--config", args.recipe, "--dataset", dataset, "--output_dir", output, "--num_twins", num_twins]
    arguments += ["--report_to", "none", *args.training_arguments]
    if fold and (learnt / "model.safetensors").is_file():
        arguments += ["--pretrained_interface", learnt]
    else:
        arguments += ["--text_files", *sorted(args.text_dir.glob("*.txt"))]
    run("train_sft.py", *arguments)


# -------------------------------------------------------------------------------------------------------- scoring
def batches(checkpoint: Path, rows: Dataset) -> Batches:
    model = BrainLlamaForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    return Batches(model, BrainLlamaProcessor.from_pretrained(checkpoint), rows, BATCH_SIZE, seed=0)


@torch.inference_mode()
def score(args: argparse.Namespace, system: str, fold: int, task: str) -> dict[str, dict[str, np.ndarray]]:
    """Nats of every arm, on validation and test rows; `permuted` and `matched` are `[permutations, rows]`."""
    splits = load_from_disk(str(prepare(args, system, fold)))
    folder, found = folder_of(args, system, fold), {}
    for split in ("validation", "test"):
        rows = read_as(splits[split], task)
        saved = folder / f"nats-{task}-{split}.npz"
        if not saved.is_file():
            model = batches(folder, rows)
            twins = [batches(twin.parent, rows) for twin in sorted((folder / "twins").glob("*/model.safetensors"))]
            losses = {"brain": model.losses(model.own), **losses_of(ways_without_brain(model, twins))}
            if split == "test":
                losses |= control_brains(args, model)
            tokens = model.num_tokens()
            np.savez(saved, tokens=tokens, **{arm: loss * tokens for arm, loss in losses.items()})
        found[split] = dict(np.load(saved)) | {"group": np.array(rows["group"])}
    return found


def control_brains(args: argparse.Namespace, rows: Batches) -> dict[str, np.ndarray]:
    """Losses under brains of other passages, and under such of the same session and length."""
    groups, brain_ids = ([row[name] for row in rows.rows] for name in ("group", "brain_id"))
    permuted = permute_across_groups(groups, brain_ids, args.num_permutations, seed=0)
    distinct = [row for brains in rows.brains.values() for row in brains.values()]
    matched = (match_control_brains(distinct, draw) for draw in range(args.num_permutations))
    return {
        "permuted": np.stack([rows.losses(rows.number(ids)) for ids in permuted]),
        "matched": np.stack([rows.losses(rows.own, rows.lend(brains)) for brains in matched]),
    }


# ---------------------------------------------------------------------------------------------------------- table
def best_without_brain(arms: dict[str, dict[str, np.ndarray]]) -> tuple[str, np.ndarray]:
    """The arm without its brain that makes the validation texts likeliest, and its nats on test."""
    held_out = {arm: nats for arm, nats in arms["validation"].items() if arm in (NULL, MEAN_BRAIN) or "twin" in arm}
    name = choose_rival(held_out, np.ones(len(arms["validation"]["tokens"])))
    return name, arms["test"][name]


def summarize(folds: list[dict], resampler: Resampler, rival: list[np.ndarray]) -> dict[str, object]:
    """Own loss, gain over a rival in nats a sentence and a token, pairwise accuracies, by passage."""
    test = [fold["test"] for fold in folds]
    groups = [f"{k}/{group}" for k, arms in enumerate(test) for group in arms["group"]]
    own, tokens, other = (np.concatenate(parts) for parts in zip(
        *((arms["brain"], arms["tokens"], without) for arms, without in zip(test, rival, strict=True)), strict=True
    ))  # fmt: skip
    result = {"loss": own.sum() / tokens.sum(), "loss_of_rival": other.sum() / tokens.sum()}
    result |= {"gain": resampler.mean(other - own, groups), "gain_a_token": (other - own).sum() / tokens.sum()}
    for control in ("permuted", "matched"):
        nats = np.concatenate([arms[control] for arms in test], axis=1)
        result[f"pairwise_{control}"] = resampler.mean((own < nats).mean(0), groups, chance=0.5)
        result[f"gain_over_{control}"] = resampler.mean(nats.mean(0) - own, groups)
    return result


def make_tables(args: argparse.Namespace) -> dict[str, object]:
    resampler, results = Resampler(), {}
    for task in args.tasks:
        scored = {}
        for system in args.systems:
            done = [k for k in args.folds if (folder_of(args, system, k) / "model.safetensors").is_file()]
            if len(done) == len(args.folds):
                scored[system] = [score(args, system, fold, task) for fold in done]
        for system, folds in scored.items():
            best = [best_without_brain(fold) for fold in folds]
            results[f"{system} | {task}"] = {
                "rival": [name for name, _ in best], **summarize(folds, resampler, [nats for _, nats in best])
            }  # fmt: skip
        for system in ("brain", "both"):
            if system in scored and "structure" in scored:
                without = [fold["test"]["brain"] for fold in scored["structure"]]
                results[f"{system} over structure | {task}"] = summarize(scored[system], resampler, without)
    return results


def describe(args: argparse.Namespace) -> str:
    """Under which conditions, but for folders."""
    return (
        f"{len(args.folds)} folds of the real participant, whole passages held out; recipe "
        f'`{Path(args.recipe).name}`. Losses and gains in nats, over all tokens. For `brain`, "without" is the best '
        f"of null condition, mean brain and {args.num_twins} deaf twin(s), chosen on validation texts; `structure` "
        "(session, length and position in the place of the brain) and `both` have no twins of their own, and count "
        'from their null condition and mean; `over structure` counts from the model of structure. "Matched" brains '
        "are of the same session and a length within two words. Intervals by passage. Fold 0's test rows and "
        "validation rows chose the recipe's settings."
    )


def as_markdown(results: dict[str, object]) -> str:
    """One line per comparison."""

    def cell(value: dict) -> str:
        return f"{value['value']:.3f} [{value['ci_low']:.3f}, {value['ci_high']:.3f}]"

    lines = [
        "| what, over what | task | loss | without | nats a sentence | a token | p | pairwise, permuted | matched |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results.items():
        lines.append(
            f"| {name} | {row['loss']:.3f} | {row['loss_of_rival']:.3f} | {cell(row['gain'])} | "
            f"{row['gain_a_token']:.3f} | {row['gain']['p']:.4f} | {cell(row['pairwise_permuted'])} | "
            f"{cell(row['pairwise_matched'])} |"
        )
    return "\n".join(lines)


def main() -> None:
    args = parse_arguments()
    if not args.table_only:
        for fold in args.folds:
            for system in args.systems:
                train(args, system, fold)
    file = args.output_dir / "gain.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    results = known | make_tables(args)
    file.write_text(json.dumps(results, indent=2), encoding="utf-8")
    table = f"{describe(args)}\n\n{as_markdown(results)}"
    (args.output_dir / "gain.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
