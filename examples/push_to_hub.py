# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Pushes a checkpoint to the Hub: brain modules, processor, remote code, and a card made from the evaluation. It may be
an adapter, as train_grpo.py saves it.

    python examples/push_to_hub.py --checkpoint runs/sft --repo_id me/Llama-2-7b-pereira --license llama2 \
        --text_model_id meta-llama/Llama-2-7b-hf --report runs/sft/evaluation

A slim checkpoint names its language model, so a local folder must give way to the Hub id of the same weights. Without
`--report` the card says that the model has not been evaluated. With `--benchmark`, a dataset of the Hub that is
registered as a benchmark, the figures also go to `.eval_results`, from where its board takes them.

The repository is private. Where the terms of the training data forbid to pass them on, mean and deviation of subjects
and positions of their voxels are not pushed unless they are asked for by name: see docs/privacy.md.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from brainllm.running import run


if TYPE_CHECKING:
    from trainers.reports.report import EvaluationReport


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
    adapter_base: str | None = field(
        default=None, metadata={"help": "Hub id of the checkpoint below an adapter, if it names a local folder"}
    )
    private: bool = field(default=True, metadata={"help": "whether the repository is private"})
    blocked_subjects: list[str] | None = field(
        default=None, metadata={"help": "people of whose brains the model is to decode nothing, by name"}
    )
    blocked_topics: list[str] | None = field(
        default=None, metadata={"help": "sentences on what is not to be written down"}
    )
    share_statistics: bool | None = field(
        default=None, metadata={"help": "push mean and deviation of subjects; by default as the terms allow"}
    )
    share_geometry: bool | None = field(
        default=None, metadata={"help": "push positions of voxels; by default as the terms allow"}
    )

    def __post_init__(self):
        if self.benchmark and not self.report:
            raise ValueError("--benchmark takes its figures from a report: give --report too")


def main(args: PushArguments) -> None:
    from trainers.reports.report import EvaluationReport

    report = EvaluationReport.load(args.report) if args.report is not None else None
    if Path(args.checkpoint, "adapter_config.json").is_file():
        push_an_adapter(args, report)
    else:
        push_a_checkpoint(args, report)
    print(f"https://huggingface.co/{args.repo_id}")


def push_an_adapter(args: PushArguments, report: "EvaluationReport | None") -> None:
    from peft import AutoPeftModelForCausalLM

    import modeling_brainllm  # noqa: F401 - registers the model
    from trainers.data.provenance import copy_training_brains
    from trainers.reports.model_card import push_adapter

    model = AutoPeftModelForCausalLM.from_pretrained(args.checkpoint)
    copy_training_brains(model.get_base_model().config, args.checkpoint)
    push_adapter(
        model,
        args.repo_id,
        license=args.license,
        saved=args.checkpoint,
        adapter_base=args.adapter_base,
        report=report,
        benchmark=args.benchmark,
        private=args.private,
    )


def push_a_checkpoint(args: PushArguments, report: "EvaluationReport | None") -> None:
    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
    from modeling_brainllm.publishing_brainllama import push_folder
    from trainers.reports.hub_results import save_eval_results
    from trainers.reports.model_card import create_model_card

    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint)
    processor = BrainLlamaProcessor.from_pretrained(args.checkpoint)
    if args.text_model_id is not None:
        model.config.text_model_id, model.config.text_model_revision = args.text_model_id, args.text_model_revision
    if args.blocked_subjects is not None:
        processor.feature_extractor.block_subjects(args.blocked_subjects, model.config)
    if args.blocked_topics is not None:
        model.config.blocked_topics = [*(model.config.blocked_topics or ()), *args.blocked_topics]
    card = create_model_card(
        model.config,
        report,
        model_id=args.repo_id,
        license=args.license,
        license_name=args.license_name,
        license_link=args.license_link,
        datasets=args.datasets,
    )
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        card.save(Path(folder) / "README.md")
        if report is not None and args.benchmark is not None:
            save_eval_results(report.results(), args.benchmark, folder, notes=report.describe_split())
        sharing = {"share_statistics": args.share_statistics, "share_geometry": args.share_geometry}
        push_folder(folder, args.repo_id, private=args.private, **sharing)


if __name__ == "__main__":
    run(main, PushArguments)
