# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Pushes a checkpoint to the Hub: brain modules, processor, remote code, and a card made from the evaluation.

    python examples/push_to_hub.py --checkpoint runs/sft --repo_id me/Llama-2-7b-pereira --license llama2 \
        --text_model_id meta-llama/Llama-2-7b-hf --report runs/sft/evaluation

A slim checkpoint names its language model, so a local folder must give way to the Hub id of the same weights. Without
`--report` the card says that the model has not been evaluated. With `--benchmark`, a dataset of the Hub that is
registered as a benchmark, the figures also go to `.eval_results`, from where its board takes them.
"""

import argparse
from tempfile import TemporaryDirectory

from huggingface_hub import upload_folder

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.reports.folders import load_report
from trainers.reports.hub_results import save_eval_results
from trainers.reports.model_card import create_model_card


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="folder of the model")
    parser.add_argument("--repo_id", required=True, help="repository to push to, owner/name")
    parser.add_argument("--license", required=True, help="license; a model derived from a Llama keeps the Llama's")
    parser.add_argument("--license_name", help="name of the license, for --license other")
    parser.add_argument("--license_link", help="address of the license, for --license other")
    parser.add_argument("--text_model_id", help="Hub id of the language model, if the checkpoint names a local folder")
    parser.add_argument("--text_model_revision", help="its commit")
    parser.add_argument("--report", help="folder written by evaluate.py or evaluate_captions.py")
    parser.add_argument("--benchmark", help="Hub id of a benchmark's dataset, on whose board the report is to stand")
    parser.add_argument("--datasets", nargs="*", help="Hub ids of the training data")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    args = parser.parse_args()
    if args.benchmark and not args.report:
        parser.error("--benchmark takes its figures from a report: give --report too")
    return args


def main() -> None:
    args = parse_arguments()
    report = load_report(args.report) if args.report is not None else None
    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint)
    processor = BrainLlamaProcessor.from_pretrained(args.checkpoint)
    if args.text_model_id is not None:
        model.config.text_model_id, model.config.text_model_revision = args.text_model_id, args.text_model_revision
    card = create_model_card(
        model.config,
        report,
        model_id=args.repo_id,
        license=args.license,
        license_name=args.license_name,
        license_link=args.license_link,
        datasets=args.datasets,
    )
    model.push_to_hub(args.repo_id, private=args.private)
    processor.push_to_hub(args.repo_id, private=args.private)
    card.push_to_hub(args.repo_id)
    if report is not None and args.benchmark is not None:
        with TemporaryDirectory() as folder:
            save_eval_results(report.results(), args.benchmark, folder, notes=report.describe_split())
            upload_folder(repo_id=args.repo_id, folder_path=folder)
    print(f"https://huggingface.co/{args.repo_id}")


if __name__ == "__main__":
    main()
