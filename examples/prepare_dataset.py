# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[data]", "pyyaml"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
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

import argparse
from pathlib import Path

import yaml

from brainllm.running import run
from dataset_builders import CORPORA, prepare_corpus, push_corpus, save_corpus
from dataset_builders.corpora.info import CorpusInfo
from dataset_builders.splitting.leaks import describe_leak
from dataset_builders.splitting.policies import SPLIT_POLICIES


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--corpus", required=True, choices=list(CORPORA), help="which corpus to prepare")
    parser.add_argument("--data_dir", help="folder of its source files, if it has any")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--config", help="YAML file with options of the corpus")
    parser.add_argument("--split", choices=SPLIT_POLICIES, help="how rows are divided; the corpus's default if absent")
    parser.add_argument("--fold", type=int, help="which fold is the test split; the policy's default if absent")
    parser.add_argument("--no_verify_facts", action="store_true", help="accept files that differ from those published")
    parser.add_argument("--accept_license", action="store_true", help="you accept the terms of the corpus")
    parser.add_argument("--push_to_hub", metavar="REPO_ID", help="also publish it, privately, if its terms allow that")
    parser.add_argument("--num_proc", type=int, help="processes that read and write recordings")
    parser.add_argument("--cache_dir", help="where Arrow files are kept; the cache of `datasets` if absent")
    parser.add_argument("--force", action="store_true", help="build it anew, whatever the cache holds")
    parser.add_argument("--traceback", action="store_true", help="show where an error was raised")
    return parser.parse_args()


def read_options(arguments: argparse.Namespace) -> dict:
    """Options of the corpus: those of the file, overruled by those of the command line."""
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


def print_report(info: CorpusInfo) -> None:
    split = info.split
    print(f"{info.corpus}: split '{split.policy}', fold {split.fold} of {split.num_folds}, seed {split.seed}")
    for name, size in split.sizes.items():
        print(f"  {name:<10} {size:>7} rows")
    print("leaks:" if split.leaks else "leaks: none")
    for leak in split.leaks:
        print(f"  {describe_leak(leak)}")
    for difference in info.facts["differences"]:
        print(f"differs from what is published: {difference}")
    for note, count in info.facts["notes"].items():
        print(f"{note}: {count}")


def prepare(arguments: argparse.Namespace) -> None:
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
        print(f"pushed to {push_corpus(arguments.output_dir, arguments.push_to_hub)}")


def main() -> None:
    arguments = parse_arguments()
    run(lambda: prepare(arguments), argv=["--traceback"] if arguments.traceback else [])


if __name__ == "__main__":
    main()
