# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Scores a checkpoint beside its controls: another group's brain, no brain, broken values.

    python examples/evaluate.py --checkpoint runs/sft --dataset runs/pereira --output_dir runs/sft/evaluation \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2

writes `report.json`, `report.md`, `report.html` and `samples.jsonl`. The sentence encoder makes the baselines of ridge
regression; without it they must be allowed to be missing (`--allow ridge retrieval`). The reports of several folds
become one, over all samples:

    python examples/evaluate.py --pool runs/fold0/evaluation runs/fold1/evaluation --output_dir runs/pooled

Captions of any system are scored without a model, from JSON files in BrainHub's layout or COCO's; two systems or more
are compared with each other, image by image:

    python examples/evaluate.py --predictions ours.json theirs.json --references fmri_cococap.json \
        --output_dir runs/captions

A report that lacks a control, or whose split leaks, is not written unless `--allow` names what is missing.
"""

import argparse
from pathlib import Path

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.provenance import read_corpus_facts
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.evaluation.predictions import evaluate_predictions
from trainers.evaluation.texts import evaluate_arms
from trainers.metrics import MeteorData
from trainers.metrics.captions import DocumentFrequencies
from trainers.reports.noise_ceiling import find_noise_ceiling
from trainers.reports.predictions import PredictionsReport
from trainers.reports.requirements import RETRIEVAL, RIDGE, require_encoder, require_twins
from trainers.reports.texts import EvaluationReport, pool_reports


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", help="folder or Hub id of the model")
    parser.add_argument("--dataset", help="folder written by prepare_dataset.py, or Hub id of such a dataset")
    parser.add_argument("--dataset_config", help="configuration of a Hub dataset")
    parser.add_argument("--pool", nargs="+", metavar="FOLDER", help="join these reports instead of evaluating")
    parser.add_argument("--predictions", nargs="+", metavar="FILE", help="captions, a file or a folder of each system")
    parser.add_argument("--references", metavar="FILE", help="what people wrote about the images of --predictions")
    parser.add_argument(
        "--twins", nargs="*", metavar="FOLDER", help="brain-deaf twins; `CHECKPOINT/twins/*` if absent"
    )
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--allow", nargs="+", default=[], metavar="NAME", help="what the report may lack, by name")
    parser.add_argument("--split", default="test", help="split that is evaluated")
    parser.add_argument("--readings", nargs="+", default=["continuation", "sentence"], help="readings to evaluate")
    parser.add_argument("--num_permutations", type=int, default=20, help="permutations of the brains across groups")
    parser.add_argument(
        "--num_text_permutations", type=int, default=5, help="of these, permutations whose texts are generated too"
    )
    parser.add_argument("--num_resamples", type=int, default=10_000, help="resamples of the tests of --predictions")
    parser.add_argument("--max_identification", type=int, help="most candidates: 512 texts, 256 images if absent")
    parser.add_argument("--no_generate", action="store_true", help="compare losses only, which is much faster")
    parser.add_argument("--document_frequencies", help="file of fixed document frequencies for CIDEr")
    parser.add_argument("--sentence_encoder", help="folder or Hub id of an encoder: similarity, ridge baseline")
    parser.add_argument(
        "--meteor_data", metavar="FOLDER", help="METEOR's files (meteor-1.5.jar, data/): METEOR of --predictions"
    )
    parser.add_argument("--token_encoder", help="folder or Hub id of an encoder: BERTScore of --predictions")
    parser.add_argument("--batch_size", type=int, default=32, help="rows per batch")
    parser.add_argument("--seed", type=int, default=0, help="seed of permutations, noise, bootstrap and tests")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    parser.add_argument("--device", help="where to run, such as cuda; the CPU if absent")
    parser.add_argument("--no_progress", action="store_true", help="show no progress bars")
    args = parser.parse_args()
    if bool(args.predictions) != bool(args.references):
        parser.error("--predictions and --references belong together: captions, and what people wrote")
    if not (args.predictions or args.pool or (args.checkpoint and args.dataset)):
        parser.error("give --checkpoint and --dataset to evaluate, --predictions to score captions, or --pool")
    return args


def load(checkpoint: str, dtype: str) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    model = BrainLlamaForCausalLM.from_pretrained(checkpoint, dtype=dtype)
    return model, BrainLlamaProcessor.from_pretrained(checkpoint)


def load_encoder(args: argparse.Namespace) -> MeanPooledEmbedder | None:
    return MeanPooledEmbedder.from_pretrained(args.sentence_encoder) if args.sentence_encoder else None


def evaluate(args: argparse.Namespace) -> EvaluationReport:
    if args.twins is None:
        args.twins = sorted(map(str, Path(args.checkpoint).glob("twins/*")))
    # What can fail, or will be missing, is known before the work.
    require_twins(args.twins, args.allow)
    require_encoder(args.sentence_encoder, (RIDGE,) if args.no_generate else (RETRIEVAL, RIDGE), args.allow)
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    ceiling = find_noise_ceiling(args.dataset, set(splits[args.split]["subject"]) if args.split in splits else set())
    report = evaluate_arms(
        *load(args.checkpoint, args.dtype),
        splits,
        corpus=read_corpus_facts(args.dataset),
        split=args.split,
        readings=args.readings,
        num_permutations=args.num_permutations,
        num_text_permutations=args.num_text_permutations,
        generate=not args.no_generate,
        max_identification=args.max_identification or 512,
        embedder=load_encoder(args),
        twins=[load(folder, args.dtype) for folder in args.twins],
        batch_size=args.batch_size,
        seed=args.seed,
        device=args.device,
        checkpoint=args.checkpoint,
        progress=not args.no_progress,
    )
    report.settings["sentence_encoder"] = args.sentence_encoder
    if ceiling is not None:
        report.add(ceiling)
    return report


def score_predictions(args: argparse.Namespace) -> PredictionsReport:
    report = evaluate_predictions(
        args.predictions,
        args.references,
        allow=args.allow,
        frequencies=DocumentFrequencies.load(args.document_frequencies) if args.document_frequencies else None,
        embed=load_encoder(args),
        meteor=MeteorData.load(args.meteor_data) if args.meteor_data else None,
        embed_tokens=TokenEmbedder.from_pretrained(args.token_encoder) if args.token_encoder else None,
        max_identification=args.max_identification or 256,
        num_resamples=args.num_resamples,
        seed=args.seed,
        progress=not args.no_progress,
    )
    # A score by a model says nothing without the model's name.
    report.settings |= {name: getattr(args, name) for name in ("sentence_encoder", "token_encoder")}
    return report


def main() -> None:
    args = parse_arguments()
    if args.predictions:
        captions = score_predictions(args)
        captions.save(args.output_dir, args.allow)
        print(captions.describe())
        return
    report = pool_reports(args.pool) if args.pool else evaluate(args)
    report.save(args.output_dir, args.allow)
    print(report.describe_split())
    for reading in report.readings:
        print(report.describe_effect(reading))


if __name__ == "__main__":
    main()
