# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Captions the images that a brain saw, under the brain and under every control, and scores all of it beside its
baselines.

    python examples/evaluate_captions.py --checkpoint runs/sft --dataset runs/nsd --output_dir runs/sft/captions \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2

writes `caption_report.json`, `caption_report.md`, `caption_report.html` and `captions.jsonl`. A LoRA adapter of reward
tuning, in a folder or on the Hub, goes on top of the checkpoint that it was trained on; `--subjects` chooses who is
tested, and the others of the split lend their brains as controls:

    python examples/evaluate_captions.py --checkpoint runs/sft --adapter runs/grpo --dataset runs/nsd \
        --subjects subj08 --output_dir runs/grpo/captions --sentence_encoder sentence-transformers/all-MiniLM-L6-v2

A report that lacks a control, or whose split leaks, is not written unless `--allow` names what is missing.
"""

import argparse

from datasets import Dataset, DatasetDict

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.arguments import DataArguments
from trainers.common.adapter_base import describe_base, require_base
from trainers.data.corpora import load_corpus_splits, require_rows
from trainers.data.provenance import copy_training_brains, read_corpus_facts
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.evaluation.captions import evaluate_captions
from trainers.evaluation.ridge_baseline import explain_no_ridge
from trainers.metrics import MeteorData
from trainers.metrics.captions import DocumentFrequencies
from trainers.reports.captions import CaptionReport
from trainers.reports.noise_ceiling import find_noise_ceiling
from trainers.reports.requirements import RETRIEVAL, RIDGE, require_encoder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="folder or Hub id of the model")
    parser.add_argument("--adapter", help="folder or Hub id of a LoRA adapter on top of it")
    parser.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, or Hub id of such")
    parser.add_argument("--dataset_config", help="configuration of a Hub dataset")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--allow", nargs="+", default=[], metavar="NAME", help="what the report may lack, by name")
    parser.add_argument("--split", default="test", help="split that is evaluated")
    parser.add_argument("--subjects", nargs="+", help="subjects to evaluate; all of the split if absent")
    parser.add_argument("--max_new_tokens", type=int, help="longest caption, in place of the checkpoint's setting")
    parser.add_argument("--num_beams", type=int, help="beams, in place of the checkpoint's setting")
    parser.add_argument("--document_frequencies", help="file of fixed document frequencies for CIDEr")
    parser.add_argument("--sentence_encoder", help="folder or Hub id of an encoder: similarity, ridge baseline")
    parser.add_argument("--meteor_data", metavar="FOLDER", help="METEOR's files (meteor-1.5.jar, data/): adds METEOR")
    parser.add_argument("--token_encoder", help="folder or Hub id of an encoder of tokens: adds BERTScore")
    parser.add_argument("--max_identification", type=int, default=256, help="most images that captions are to tell")
    parser.add_argument("--batch_size", type=int, default=32, help="rows per batch")
    parser.add_argument("--seed", type=int, default=0, help="seed of controls, bootstrap and tests")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    parser.add_argument("--device", help="where to run, such as cuda; the CPU if absent")
    parser.add_argument("--no_progress", action="store_true", help="show no progress bars")
    return parser.parse_args()


def load_model(args: argparse.Namespace) -> BrainLlamaForCausalLM:
    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint, dtype=args.dtype)
    if args.adapter:
        require_base(describe_base(model), args.adapter)
        model.load_adapter(args.adapter)
        copy_training_brains(model.config, args.adapter)
    return model


def tested_rows(args: argparse.Namespace, splits: DatasetDict) -> Dataset:
    require_rows(splits, args.split)
    rows = splits[args.split]
    return (
        rows
        if args.subjects is None
        else rows.select([place for place, subject in enumerate(rows["subject"]) if subject in args.subjects])
    )


def evaluate(args: argparse.Namespace) -> CaptionReport:
    options = {name: getattr(args, name) for name in ("max_new_tokens", "num_beams")}
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    # What can fail, or will be missing, is known before the work.
    tested = tested_rows(args, splits)
    if explain_no_ridge(splits.get("train"), tested) is None:
        require_encoder(args.sentence_encoder, (RETRIEVAL, RIDGE), args.allow)
    ceiling = find_noise_ceiling(args.dataset, set(tested["subject"]))
    encoder = MeanPooledEmbedder.from_pretrained(args.sentence_encoder) if args.sentence_encoder else None
    report = evaluate_captions(
        load_model(args),
        BrainLlamaProcessor.from_pretrained(args.checkpoint),
        splits,
        split=args.split,
        subjects=args.subjects,
        corpus=read_corpus_facts(args.dataset),
        generation={name: value for name, value in options.items() if value is not None},
        frequencies=DocumentFrequencies.load(args.document_frequencies) if args.document_frequencies else None,
        embed=encoder,
        meteor=MeteorData.load(args.meteor_data) if args.meteor_data else None,
        embed_tokens=TokenEmbedder.from_pretrained(args.token_encoder) if args.token_encoder else None,
        max_identification=args.max_identification,
        batch_size=args.batch_size,
        seed=args.seed,
        device=args.device,
        checkpoint=args.checkpoint if args.adapter is None else f"{args.checkpoint} + {args.adapter}",
        progress=not args.no_progress,
    )
    # A score by a model says nothing without the model's name.
    report.settings |= {name: getattr(args, name) for name in ("sentence_encoder", "token_encoder")}
    if ceiling is not None:
        report.add(ceiling)
    return report


def main() -> None:
    args = parse_arguments()
    report = evaluate(args)
    report.save(args.output_dir, args.allow)
    print(report.describe())


if __name__ == "__main__":
    main()
