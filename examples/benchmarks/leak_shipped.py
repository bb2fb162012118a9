# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Does the search for leaks accuse a corpus as it is shipped? Every corpus under every policy that divides it.

    python examples/benchmarks/leak_shipped.py --output examples/benchmarks/results/leak_shipped.md \
        --folder alice2016=alice2016 --folder brainllm2025=pereira_example --captions captions_val2017.json

Corpora that need files are tried where their folder is named. `paper` is the published division, which leaks and is
built all the same. Rows that are alike, but so few that chance explains them, are counted apart.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import disable_progress_bars

from dataset_builders import CORPORA, prepare_corpus
from dataset_builders.splitting.leaks import LEAK_KINDS, LeakageError
from dataset_builders.splitting.policies import SPLIT_POLICIES


# What a policy cannot do without, in frames of ten seconds or less.
_OPTIONS: dict[str, dict[str, Any]] = {"time": {"gap_frames": 5}}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--folder", action="append", default=[], metavar="CORPUS=FOLDER", help="files of a corpus")
    parser.add_argument("--captions", type=Path, help="captions of COCO, for `synthetic_images`")
    parser.add_argument("--output", type=Path, help="Markdown file of results")
    return parser.parse_args()


def shipped(args: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Title, name and options of every corpus that can be built."""
    folders = dict(pair.split("=", 1) for pair in args.folder)
    for name in CORPORA:
        if name in folders:
            yield name, name, {"data_dir": folders[name], "verify_facts": False, "accept_license": True}
        elif name.startswith("synthetic"):
            yield name, name, {}
    if args.captions:
        more = {"captions_file": str(args.captions), "num_sessions": 8, "num_voxels": 60}
        yield "synthetic_images, captions of COCO", "synthetic_images", more


def tried(name: str, policy: str, options: dict[str, Any]) -> tuple[int, list[dict[str, Any]], int] | None:
    """Rows, findings and rows put down to chance under a policy; nothing where the policy does not suit the corpus."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            more = {"split": policy, **_OPTIONS.get(policy, {}), **options}
            info = prepare_corpus(name, cache_dir=cache, **more).corpus_info
        except LeakageError as error:
            return 0, error.leaks, 0
        except ValueError:
            return None
    chance = sum(count for note, count in info.facts["notes"].items() if "put down to chance" in note)
    return sum(info.split.sizes.values()), info.split.leaks, chance


def main() -> None:
    args = parse_arguments()
    disable_progress_bars()
    lines = ["| corpus | policy | rows | kinds found | rows put down to chance |", "|---|---|---|---|---|"]
    for title, name, options in shipped(args):
        for policy in SPLIT_POLICIES:
            found = tried(name, policy, options)
            if found is None:
                continue
            rows, leaks, chance = found
            kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(leak["kind"] for leak in leaks)) or "none"
            lines.append(f"| {title} | `{policy}` | {rows or '(refused)'} | {kinds} | {chance} |")
            print(lines[-1], flush=True)
    lines += ["", f"All {len(LEAK_KINDS)} kinds were looked for. Policies that do not suit a corpus are left out."]
    print(lines[-1])
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
