# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Pushes a checkpoint to the Hub: brain modules, processor, remote code, and a card made from the evaluation.

    python examples/push_to_hub.py --checkpoint runs/sft --repo_id me/Llama-2-7b-pereira --license llama2 \
        --text_model_id meta-llama/Llama-2-7b-hf --report runs/sft/evaluation

A slim checkpoint names its language model, so a local folder must give way to the Hub id of the same weights. Without
`--report` the card says that the model has not been evaluated. With `--benchmark`, a dataset of the Hub that is
registered as a benchmark, the figures also go to `.eval_results`, from where its board takes them.
"""

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

from brainllm.running import run


@dataclass
class PushArguments:
    checkpoint: str = field(metadata={"help": "folder of the model"})
    repo_id: str = field(metadata={"help": "repository to push to, owner/name"})
    license: str = field(metadata={"help": "license; a model derived from a Llama keeps the Llama's"})
    license_name: str | None = field(default=None, metadata={"help": "name of the license, for --license other"})
    license_link: str | None = field(default=None, metadata={"help": "address of the license, for --license other"})
    text_model_id: str | None = field(
        default=None, metadata={"help": "Hub id of the language model, if the checkpoint names a local folder"}
    )
    text_model_revision: str | None = field(default=None, metadata={"help": "its commit"})
    report: str | None = field(default=None, metadata={"help": "folder written by evaluate.py"})
    benchmark: str | None = field(
        default=None, metadata={"help": "Hub id of a benchmark's dataset, on whose board the report is to stand"}
    )
    datasets: list[str] | None = field(default=None, metadata={"help": "Hub ids of the training data"})
    private: bool = field(default=False, metadata={"help": "make the repository private"})

    def __post_init__(self):
        if self.benchmark and not self.report:
            raise ValueError("--benchmark takes its figures from a report: give --report too")


def main(args: PushArguments) -> None:
    from huggingface_hub import upload_folder

    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
    from trainers.reports.hub_results import save_eval_results
    from trainers.reports.model_card import create_model_card
    from trainers.reports.report import EvaluationReport

    report = EvaluationReport.load(args.report) if args.report is not None else None
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
    run(main, PushArguments)
