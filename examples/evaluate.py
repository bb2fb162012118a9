# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Evaluates a model with its own brains and with every control, in every task that the corpus is for.

    python examples/evaluate.py --checkpoint runs/fold0 --dataset runs/rows --output_dir runs/fold0/evaluation \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2

writes `report.json`, `report.md`, `report.html` and `samples.parquet`, the table that all numbers come from. The gain
of the brain is measured over brain-deaf twins (`train_sft.py --num_twins 2`), found in `CHECKPOINT/twins`. The
sentence encoder adds what plain ridge regression finds in the same brains (without: `--allow ridge retrieval`).

Images are captioned (`--task caption`, chosen where people described what was seen). A LoRA adapter of reward tuning
goes on top of the checkpoint that it was trained on; `--subjects` chooses who is tested, and the others of the split
lend their brains as controls:

    python examples/evaluate.py --checkpoint runs/sft --adapter runs/grpo --dataset runs/nsd --subjects subj08 \
        --output_dir runs/grpo/captions --sentence_encoder sentence-transformers/all-MiniLM-L6-v2

The reports of several folds become one, over all samples:

    python examples/evaluate.py --pool runs/fold0/evaluation runs/fold1/evaluation --output_dir runs/pooled

Captions of any system are scored without a model, from JSON files in BrainHub's layout or COCO's; two systems or more
are compared with each other, image by image:

    python examples/evaluate.py --predictions ours.json theirs.json --references fmri_cococap.json \
        --output_dir runs/captions

Texts of any system for the rows of a corpus, `{"sample_id": "text"}`, are scored beside the same baselines:

    python examples/evaluate.py --predictions our_texts.json their_texts.json --dataset runs/rows --task sentence \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/texts

A report that lacks a control, or whose split leaks, is not written unless `--allow` names what is missing.
"""

import argparse
from pathlib import Path
from typing import Any

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.arguments import DataArguments
from trainers.common.adapter_base import describe_base, require_base
from trainers.data.corpora import load_corpus_splits, require_rows
from trainers.data.provenance import copy_training_brains, read_corpus_facts
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.evaluation.evaluate import choose_subjects, evaluate
from trainers.evaluation.membership import measure_membership
from trainers.evaluation.predictions import evaluate_predictions
from trainers.evaluation.ridge_baseline import explain_no_ridge
from trainers.evaluation.tasks import TASKS, Caption, choose_tasks, make_task
from trainers.evaluation.text_predictions import evaluate_texts
from trainers.evaluation.texts import LEAST_RISK, PUBLISHED_GENERATION
from trainers.metrics import MeteorData
from trainers.metrics.captions import DocumentFrequencies
from trainers.reports.membership import membership_section
from trainers.reports.noise_ceiling import find_noise_ceiling
from trainers.reports.pooling import pool_reports
from trainers.reports.report import EvaluationReport
from trainers.reports.requirements import require_encoder, require_resamples, require_twins
from trainers.scoring.table import RETRIEVAL, RIDGE, STRUCTURE


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", help="folder or Hub id of the model")
    parser.add_argument("--adapter", help="folder or Hub id of a LoRA adapter on top of it")
    parser.add_argument("--dataset", help="folder written by prepare_dataset.py, or Hub id of such a dataset")
    parser.add_argument("--dataset_config", help="configuration of a Hub dataset")
    parser.add_argument("--pool", nargs="+", metavar="FOLDER", help="join these reports instead of evaluating")
    parser.add_argument(
        "--predictions", nargs="+", metavar="FILE", help="a file of each system; of captions also a folder"
    )
    parser.add_argument("--references", metavar="FILE", help="what people wrote about the images of --predictions")
    parser.add_argument(
        "--twins", nargs="*", metavar="FOLDER", help="brain-deaf twins; `CHECKPOINT/twins/*` if absent"
    )
    parser.add_argument("--structure_twin", metavar="FOLDER", help="structure twin; `CHECKPOINT/structure` if absent")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--allow", nargs="+", default=[], metavar="NAME", help="what the report may lack, by name")
    parser.add_argument("--split", default="test", help="split that is evaluated")
    parser.add_argument("--subjects", nargs="+", help="subjects to evaluate; all of the split if absent")
    parser.add_argument("--task", nargs="+", choices=sorted(TASKS), help="tasks; those of the corpus if absent")
    parser.add_argument("--num_permutations", type=int, default=20, help="permutations of the brains across groups")
    parser.add_argument(
        "--num_text_permutations", type=int, default=5, help="of these, permutations whose texts are generated too"
    )
    parser.add_argument("--num_resamples", type=int, default=10_000, help="resamples of the tests of --predictions")
    parser.add_argument("--max_identification", type=int, help="most candidates: 512 texts, 256 images if absent")
    parser.add_argument(
        "--max_membership",
        type=int,
        default=1000,
        help="rows of either side for membership inference; 0 for none",
    )
    parser.add_argument("--no_generate", action="store_true", help="compare losses only, which is much faster")
    parser.add_argument("--max_new_tokens", type=int, help="longest text, in place of the task's setting")
    parser.add_argument("--num_beams", type=int, help="beams, in place of the task's setting")
    parser.add_argument("--num_candidates", type=int, help="draw so many texts of each, take that of least risk")
    parser.add_argument("--document_frequencies", help="file of fixed document frequencies for CIDEr")
    parser.add_argument("--sentence_encoder", help="folder or Hub id of an encoder: similarity, ridge baseline")
    parser.add_argument("--meteor_data", metavar="FOLDER", help="METEOR's files (meteor-1.5.jar, data/): adds METEOR")
    parser.add_argument("--token_encoder", help="folder or Hub id of an encoder of tokens: adds BERTScore")
    parser.add_argument("--batch_size", type=int, default=32, help="rows per batch")
    parser.add_argument("--seed", type=int, default=0, help="seed of permutations, noise, bootstrap and tests")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    parser.add_argument("--device", help="where to run, such as cuda; the CPU if absent")
    parser.add_argument("--no_progress", action="store_true", help="show no progress bars")
    args = parser.parse_args()
    if args.references and not args.predictions:
        parser.error("--references are what people wrote about the images of --predictions, which are absent")
    if args.predictions and bool(args.references) == bool(args.dataset):
        parser.error("--predictions need --references, if they are captions, or the --dataset of whose rows they are")
    if not (args.predictions or args.pool or (args.checkpoint and args.dataset)):
        parser.error("give --checkpoint and --dataset to evaluate, --predictions to score texts, or --pool")
    return args


def load(args: argparse.Namespace, checkpoint: str) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    model = BrainLlamaForCausalLM.from_pretrained(checkpoint, dtype=args.dtype)
    return model, BrainLlamaProcessor.from_pretrained(checkpoint)


def load_adapted(args: argparse.Namespace) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    model, processor = load(args, args.checkpoint)
    if args.adapter:
        require_base(describe_base(model), args.adapter)
        model.load_adapter(args.adapter)
        copy_training_brains(model.config, args.adapter)
    return model, processor


def load_encoder(args: argparse.Namespace) -> MeanPooledEmbedder | None:
    return MeanPooledEmbedder.from_pretrained(args.sentence_encoder) if args.sentence_encoder else None


def caption_scorers(args: argparse.Namespace) -> dict[str, Any]:
    """What captions alone are scored with."""
    return {
        "frequencies": DocumentFrequencies.load(args.document_frequencies) if args.document_frequencies else None,
        "meteor": MeteorData.load(args.meteor_data) if args.meteor_data else None,
    }


def load_token_encoder(args: argparse.Namespace) -> TokenEmbedder | None:
    return TokenEmbedder.from_pretrained(args.token_encoder) if args.token_encoder else None


def evaluate_model(args: argparse.Namespace) -> EvaluationReport:
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    # What can fail, or will be missing, is known before the work.
    require_rows(splits, args.split)
    tested = choose_subjects(splits[args.split], args.subjects)
    names = args.task or choose_tasks(tested)
    if args.twins is None:
        args.twins = sorted(map(str, Path(args.checkpoint).glob("twins/*")))
    if args.structure_twin is None and Path(args.checkpoint, "structure").is_dir():
        args.structure_twin = str(Path(args.checkpoint, "structure"))
    if set(names) != {Caption.name}:
        require_twins(args.twins, args.allow)
    if Caption.name not in names or explain_no_ridge(splits.get("train"), tested) is None:
        writes = Caption.name in names or not args.no_generate
        require_encoder(args.sentence_encoder, (RETRIEVAL, RIDGE) if writes else (RIDGE,), args.allow)
    ceiling = find_noise_ceiling(args.dataset, set(tested["subject"]))
    chosen = {name: getattr(args, name) for name in ("max_new_tokens", "num_beams")}
    generation = {name: value for name, value in chosen.items() if value is not None}
    if args.num_candidates:
        generation = LEAST_RISK | generation | {"num_candidates": args.num_candidates}
    elif generation and Caption.name not in names:
        generation = PUBLISHED_GENERATION | generation
    model, processor = load_adapted(args)
    report = evaluate(
        model,
        processor,
        splits,
        tasks=[make_task(name, **caption_scorers(args) if name == Caption.name else {}) for name in names],
        corpus=read_corpus_facts(args.dataset),
        split=args.split,
        subjects=args.subjects,
        num_permutations=args.num_permutations,
        num_text_permutations=args.num_text_permutations,
        generate=not args.no_generate,
        generation=generation,
        max_identification=args.max_identification,
        embedder=load_encoder(args),
        embed_tokens=load_token_encoder(args),
        twins=[load(args, folder) for folder in args.twins],
        structure_twin=load(args, args.structure_twin) if args.structure_twin else None,
        batch_size=args.batch_size,
        seed=args.seed,
        device=args.device,
        checkpoint=args.checkpoint if args.adapter is None else f"{args.checkpoint} + {args.adapter}",
        progress=not args.no_progress,
    )
    if ceiling is not None:
        report.add(ceiling)
    if args.max_membership and args.split != "train" and "train" in splits:
        options = {name: getattr(args, name) for name in ("split", "subjects", "batch_size", "seed")}
        options |= {"tasks": names, "max_rows": args.max_membership}
        report.add(membership_section(measure_membership(model, processor, splits, **options)))
    return report


def score_texts(args: argparse.Namespace) -> EvaluationReport:
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    require_rows(splits, args.split)
    require_encoder(args.sentence_encoder, (RETRIEVAL, STRUCTURE), args.allow)
    names = args.task or choose_tasks(splits[args.split])[-1:]
    if len(names) > 1 or names == [Caption.name]:
        raise ValueError(f"--task {' '.join(names)}: name one task of texts; captions are scored by --references.")
    return evaluate_texts(
        args.predictions,
        splits,
        *names,
        corpus=read_corpus_facts(args.dataset),
        split=args.split,
        allow=args.allow,
        embedder=load_encoder(args),
        embed_tokens=load_token_encoder(args),
        num_resamples=args.num_resamples,
        seed=args.seed,
    )


def score_predictions(args: argparse.Namespace) -> EvaluationReport:
    return evaluate_predictions(
        args.predictions,
        args.references,
        allow=args.allow,
        embed=load_encoder(args),
        embed_tokens=load_token_encoder(args),
        max_identification=args.max_identification or 256,
        num_resamples=args.num_resamples,
        seed=args.seed,
        progress=not args.no_progress,
        **caption_scorers(args),
    )


def main() -> None:
    args = parse_arguments()
    require_resamples(args.num_resamples, args.allow)
    if args.pool:
        report = pool_reports(args.pool)
    else:
        score = evaluate_model if not args.predictions else score_predictions if args.references else score_texts
        report = score(args)
        # A score by a model says nothing without the model's name.
        report.settings |= {name: getattr(args, name) for name in ("sentence_encoder", "token_encoder")}
    report.save(args.output_dir, args.allow)
    print(report.describe())


if __name__ == "__main__":
    main()
