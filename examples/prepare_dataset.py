# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[data]", "pyyaml"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Turns a corpus into a folder of Arrow rows that every other script reads.

A corpus that needs no files:

    python examples/prepare_dataset.py --corpus synthetic_sentences --output_dir runs/synthetic

One participant as published with BrainLLM, whole passages held out, and with the published (leaking) division:

    python examples/prepare_dataset.py --corpus brainllm2025 --data_dir pereira --output_dir runs/pereira
    python examples/prepare_dataset.py --corpus brainllm2025 --data_dir pereira --output_dir runs/paper --split paper

Options of a corpus stand in a YAML file, one `name: value` a line (`subjects: [UTS03]`, `num_components: 1000`):

    python examples/prepare_dataset.py --corpus lebel2023 --data_dir ds003020 --output_dir runs/stories \
        --config stories.yaml --num_proc 8

Rows are kept in a cache and built anew once a source file has changed; `--force` builds them anew whatever the files.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainllm.running import run
from dataset_builders import CORPORA, prepare_corpus, push_corpus, save_corpus


@dataclass
class PrepareArguments:
    corpus: str = field(metadata={"help": f"which corpus to prepare: {', '.join(CORPORA)}"})
    output_dir: str = field(metadata={"help": "folder to write"})
    data_dir: str | None = field(default=None, metadata={"help": "folder of its source files, if it has any"})
    config: str | None = field(default=None, metadata={"help": "YAML file with options of the corpus"})
    split: str | None = field(default=None, metadata={"help": "how rows are divided; by default as the corpus says"})
    fold: int | None = field(default=None, metadata={"help": "which fold is the test split; the policy's by default"})
    no_verify_facts: bool = field(default=False, metadata={"help": "accept files that differ from those published"})
    accept_license: bool = field(default=False, metadata={"help": "you accept the terms of the corpus"})
    push_to_hub: str | None = field(
        default=None, metadata={"help": "repository to which it is also pushed, privately, if its terms allow that"}
    )
    share_samples: bool = field(
        default=False, metadata={"help": "push rows although the terms forbid it: you have the permission"}
    )
    share_statistics: bool = field(default=False, metadata={"help": "likewise mean and deviation of subjects"})
    share_geometry: bool = field(default=False, metadata={"help": "likewise positions of voxels"})
    num_proc: int | None = field(default=None, metadata={"help": "processes that read and write recordings"})
    cache_dir: str | None = field(default=None, metadata={"help": "where Arrow files are kept"})
    force: bool = field(default=False, metadata={"help": "build it anew, whatever the cache holds"})

    def __post_init__(self):
        if self.corpus not in CORPORA:
            raise ValueError(f"--corpus {self.corpus}: choose one of {', '.join(CORPORA)}")


def read_options(arguments: PrepareArguments) -> dict[str, Any]:
    """Options of the corpus: those of the file, overruled by those of the command line."""
    import yaml

    try:
        options = yaml.safe_load(Path(arguments.config).read_text(encoding="utf-8")) if arguments.config else {}
    except yaml.YAMLError as error:
        raise ValueError(f"--config {arguments.config} is no YAML: {error}") from error
    if not isinstance(options, dict):
        raise ValueError(f"--config {arguments.config} must hold lines `name: value` and holds {options!r}")
    given = {"split": arguments.split, "fold": arguments.fold}
    options |= {name: value for name, value in given.items() if value is not None}
    options |= {"verify_facts": False} if arguments.no_verify_facts else {}
    return options | ({"accept_license": True} if arguments.accept_license else {})


def print_report(info: Any) -> None:
    from dataset_builders.splitting.leaks import describe_leak

    split = info.split
    print(f"{info.corpus}: split '{split.policy}', fold {split.fold} of {split.num_folds}, seed {split.seed}")
    for name, size in split.sizes.items():
        print(f"  {name:<10} {size:>7} rows")
    print("leaks:" if split.leaks else "leaks: none")
    for leak in split.leaks:
        print(f"  {describe_leak(leak)}")
    for difference in info.facts["differences"]:
        print(f"differs from what is published: {difference}")
    for reason, files in info.not_taken.items():
        print(f"not taken: {len(files)} files, such as {files[0]}: {reason}")
    for note, count in info.facts["notes"].items():
        print(f"{note}: {count}")


def main(arguments: PrepareArguments) -> None:
    builder = prepare_corpus(
        arguments.corpus,
        arguments.data_dir,
        cache_dir=arguments.cache_dir,
        num_proc=arguments.num_proc,
        force=arguments.force,
        **read_options(arguments),
    )
    print_report(builder.corpus_info)
    save_corpus(builder, arguments.output_dir)
    print(f"written to {arguments.output_dir}")
    if arguments.push_to_hub is not None:
        names = ("share_samples", "share_statistics", "share_geometry")
        sharing = {name: getattr(arguments, name) for name in names}
        print(f"pushed to {push_corpus(arguments.output_dir, arguments.push_to_hub, **sharing)}")


if __name__ == "__main__":
    run(main, PrepareArguments)
