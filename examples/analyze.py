# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Runs the analyses of the papers on saved reports, or on a checkpoint, and adds what they find to a report.

    python examples/analyze.py surprise --reports runs/fold0/evaluation runs/fold1/evaluation --output_dir runs/pooled
    python examples/analyze.py prompt_length --reports runs/pooled --output_dir runs/pooled --unit token \
        --tokenizer meta-llama/Llama-2-7b-hf

If `--output_dir` holds a report, it gains a section and is saved again; any other folder gets `sections.json`,
`sections.md` and `sections.html`. With a checkpoint, whose real evaluation is run again under each condition:

    python examples/analyze.py planted_words --checkpoint runs/sft --dataset runs/pereira --output_dir runs/analyses
    python examples/analyze.py regions --checkpoint runs/sft --dataset runs/nsd --atlas HCP_MMP1 --output_dir runs/out

Sizes are those of saved reports, or the scripts train and evaluate one decoder for each value of an option; further
arguments go to the training:

    python examples/analyze.py training_set_size --reports 10=runs/a 20=runs/b --output_dir runs/analyses
    python examples/analyze.py training_set_size --option max_train_groups --values 10 20 40 --dataset runs/pereira \
        --output_dir runs/sizes --config examples/recipes/brainllama.yaml --text_model_id meta-llama/Llama-2-7b-hf
    python examples/analyze.py transfer --reports alice:bob=runs/a-on-b alice:alice=runs/a --output_dir runs/analyses
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainers import analyses
from trainers.reports.folders import find_report, save_sections
from trainers.reports.report import REPORT_FILE
from trainers.reports.report import read_samples as load_samples
from trainers.reports.sections import Section


EXAMPLES = Path(__file__).resolve().parent
# Kind of curve → what has a size, its unit, title, and of which parts the size is counted (else it is the value).
KINDS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "decoder_capacity": ("decoder", "parameter", "Decoder capacity", ("encoder", "interface")),
    "training_set_size": ("training set", "group", "Training-set size", ()),
    "language_model_size": ("language model", "parameter", "Language-model size", ("language_model",)),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    commands = parser.add_subparsers(dest="analysis", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], list[Section]], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--output_dir", type=Path, required=True, help="report to add to, or folder to write")
        command.add_argument("--seed", type=int, default=0, help="seed of everything drawn")
        return command

    command = add("surprise", surprise, "accuracy by the language model's own loss")
    command.add_argument("--reports", nargs="+", type=Path, required=True, help="folders of reports, joined")
    command.add_argument("--num_bins", type=int, default=10, help="bins of equally many samples")
    command = add("prompt_length", prompt_length, "accuracy by the length of the prompt")
    command.add_argument("--reports", nargs="+", type=Path, required=True, help="folders of reports, joined")
    command.add_argument("--unit", choices=("window", "word", "token"), default="window", help="what is counted")
    command.add_argument("--tokenizer", help="folder or Hub id, for tokens")
    command.add_argument("--min_samples", type=int, default=50, help="samples that a length has at least")
    add_checkpoint_arguments(add("planted_words", planted_words, "the true word against one that was planted"))
    command = add("regions", regions, "one region kept, or removed")
    add_checkpoint_arguments(command)
    command.add_argument("--atlas", help="atlas of a corpus of voxels")
    command.add_argument("--regions", nargs="+", help="regions of the atlas; all by default")
    command.add_argument("--features", type=Path, help="JSON file, name → list of features, for frames")
    command.add_argument("--captions", action="store_true", help="evaluate captions, not losses of texts")
    command.add_argument("--task", help="task, where a report has several; sentence if absent")
    command.add_argument("--num_matched", type=int, default=3, help="draws of random voxels for each region")
    for name, (_, _, title, _) in KINDS.items():
        add_scaling_arguments(add(name, scaling, title.lower() + " against accuracy"))
    command = add("transfer", transfer, "trained on some, tested on others")
    command.add_argument("--reports", nargs="+", required=True, metavar="TRAIN:TEST=FOLDER", help="or TRAIN=FOLDER")
    command.add_argument("--over", choices=("subjects", "corpora"), default="subjects", help="what is carried over")
    command.add_argument("--task", help="task, where a report has several; sentence if absent")
    args, args.training_arguments = parser.parse_known_args()
    if args.training_arguments and args.analysis not in KINDS:
        parser.error(f"unrecognized arguments: {' '.join(args.training_arguments)}")
    return args


def add_checkpoint_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", required=True, help="folder or Hub id of the model")
    command.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, or Hub id of one")
    command.add_argument("--split", default="test", help="split that is evaluated")
    command.add_argument("--num_permutations", type=int, default=10, help="permutations of the brains across groups")
    command.add_argument("--batch_size", type=int, default=64, help="rows per batch")
    command.add_argument("--dtype", default="float32", help="type of the weights")
    command.add_argument("--device", default="cpu", help="where to run, such as cuda")


def add_scaling_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reports", nargs="+", metavar="SIZE=FOLDER", help="saved reports; a size may have several")
    command.add_argument("--option", help="option of train_sft.py that is varied, in place of saved reports")
    command.add_argument("--values", nargs="+", help="its values, one decoder each")
    command.add_argument("--dataset", help="corpus on which decoders are trained and evaluated")
    command.add_argument("--allow", nargs="*", default=[], help="what the reports of decoders may lack, by name")
    command.add_argument("--num_permutations", type=int, default=20, help="permutations of the brains across groups")
    command.add_argument("--task", help="task, where a report has several; sentence if absent")


def read_samples(folders: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The tables of samples of saved reports, joined."""
    return [sample for folder in folders for sample in load_samples(folder)]


def surprise(args: argparse.Namespace) -> list[Section]:
    samples = read_samples(args.reports)
    return [
        analyses.surprise_section(analyses.surprise_curve(samples, task, args.num_bins, args.seed), task)
        for task in analyses.tasks_of(samples)
    ]


def prompt_length(args: argparse.Namespace) -> list[Section]:
    count = {"window": analyses.count_windows, "word": analyses.count_words}.get(args.unit)
    if count is None:
        from transformers import AutoTokenizer

        if args.tokenizer is None:
            raise SystemExit("--unit token needs --tokenizer, the one of the language model")
        count = analyses.token_counter(AutoTokenizer.from_pretrained(args.tokenizer))
    curve = analyses.prompt_length_curve(read_samples(args.reports), count, args.unit, args.min_samples, args.seed)
    return [analyses.prompt_length_section(curve)]


def load(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Model, processor and splits of a checkpoint and a corpus."""
    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
    from trainers.arguments import DataArguments
    from trainers.data.corpora import load_corpus_splits

    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint, dtype=args.dtype).to(args.device)
    processor = BrainLlamaProcessor.from_pretrained(args.checkpoint)
    return model, processor, load_corpus_splits(DataArguments(dataset=args.dataset))


def evaluation_options(args: argparse.Namespace, task: str) -> dict[str, Any]:
    names = ("num_permutations", "batch_size", "seed")
    options = {name: getattr(args, name) for name in names} | {"tasks": [task], "value_controls": ()}
    return options | {"generate": False, "max_identification": 0}


def planted_words(args: argparse.Namespace) -> list[Section]:
    from trainers.evaluation.evaluate import evaluate

    model, processor, splits = load(args)
    planted = analyses.plant_words(model, processor, splits[args.split], batch_size=args.batch_size, seed=args.seed)
    options = evaluation_options(args, "continuation")
    samples = {name: evaluate(model, processor, planted, split=name, **options).samples for name in planted}
    return [analyses.planted_section(analyses.planted_curve(samples, seed=args.seed))]


def regions(args: argparse.Namespace) -> list[Section]:
    from trainers.evaluation.evaluate import evaluate
    from trainers.evaluation.tasks import Caption

    model, processor, splits = load(args)
    dataset = {args.split: splits[args.split]}

    def measure(changed: Any) -> list[dict[str, Any]]:
        options = evaluation_options(args, args.task or "sentence")
        if args.captions:
            options |= {"tasks": [Caption(optional_arms=())], "max_identification": None}
        return evaluate(model, changed, dataset, split=args.split, **options).samples

    found = analyses.compare_regions(
        measure,
        processor,
        choose_regions(args, processor, splits),
        num_matched=args.num_matched,
        task=None if args.captions else args.task,
        seed=args.seed,
    )
    return [analyses.regions_section(found)]


def choose_regions(args: argparse.Namespace, processor: Any, splits: Any) -> dict[str, Any]:
    from trainers.data.geometry import read_geometries

    subjects = sorted(set(splits[args.split]["subject"]))
    if args.atlas is not None:
        geometries = read_geometries(args.dataset)
        return analyses.atlas_regions({name: geometries[name] for name in subjects}, args.atlas, args.regions)
    if args.features is None:
        raise SystemExit("give --atlas, or --features for a model of frames")
    lists = json.loads(args.features.read_text(encoding="utf-8"))
    return analyses.feature_regions(lists, processor.feature_extractor.num_features, subjects)


def scaling(args: argparse.Namespace) -> list[Section]:
    quantity, unit, title, parts = KINDS[args.analysis]
    if args.reports:
        pairs = [text.split("=", 1) for text in args.reports]
        folders = [(float(size), Path(folder)) for size, folder in pairs]
    elif args.option and args.values and args.dataset:
        folders = [train_and_evaluate(args, value, parts) for value in args.values]
    else:
        raise SystemExit("give --reports, or --option, --values and --dataset to train")
    samples: dict[float, list[dict[str, Any]]] = {}
    for size, folder in folders:
        samples.setdefault(size, []).extend(read_samples([folder]))
    curve = analyses.scaling_curve(samples, quantity, unit, args.task, args.seed)
    return [analyses.scaling_section(curve, args.analysis, title)]


def train_and_evaluate(args: argparse.Namespace, value: str, parts: Sequence[str]) -> tuple[float, Path]:
    """Size and report of the decoder with one value of the option; what is there already is not done again."""
    folder = args.output_dir / f"{args.option}-{value.replace('/', '-')}"
    if not (folder / "model.safetensors").is_file():
        run("train_sft.py", *args.training_arguments, "--dataset", args.dataset, "--output_dir", folder,
            f"--{args.option}", value)  # fmt: skip
    if not (folder / "evaluation" / REPORT_FILE).is_file():
        allowed = dict.fromkeys(("ridge", "deaf_twin", *args.allow))  # a curve compares decoders with each other
        run("evaluate.py", "--checkpoint", folder, "--dataset", args.dataset, "--output_dir", folder / "evaluation",
            "--num_permutations", args.num_permutations, "--seed", args.seed, "--no_generate",
            "--allow", *allowed)  # fmt: skip
    return (count_parameters_of(folder, parts) if parts else float(value)), folder / "evaluation"


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(EXAMPLES / script), *map(str, arguments)], check=True)


def count_parameters_of(checkpoint: Path, parts: Sequence[str]) -> float:
    from modeling_brainllm import BrainLlamaForCausalLM
    from trainers.reports.provenance import count_parameters

    counts = count_parameters(BrainLlamaForCausalLM.from_pretrained(checkpoint))
    return float(sum(counts[part] for part in parts))


def transfer(args: argparse.Namespace) -> list[Section]:
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for text in args.reports:
        names, folder = text.split("=", 1)
        train, _, test = names.partition(":")
        samples = read_samples([folder])
        found = {(train, test): samples} if test else analyses.split_by_subject(train, samples)
        for cell, rows in found.items():
            cells.setdefault(cell, []).extend(rows)
    return [analyses.transfer_section(analyses.transfer_matrix(cells, args.task, args.seed), args.over)]


def main() -> None:
    args = parse_arguments()
    find_report(args.output_dir)  # a report that cannot be read is told before the work
    sections = args.run(args)
    save_sections(args.output_dir, sections)
    for section in sections:
        print(f"{section.title}. {section.text}")


if __name__ == "__main__":
    main()
