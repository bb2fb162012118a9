# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The page of results from what the scripts of this folder have printed.

    for row in ridge head candidates constant_caption padding collation; do
        python examples/benchmarks/speed/$row.py > results/$row.json    # with the options of each
    done
    python examples/benchmarks/speed/table.py --results results > examples/benchmarks/results/speed.md
"""

import argparse
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Row:
    """A row of the page: figures are found by their path in the JSON of the script."""

    number: int
    script: str
    what: str
    before: str
    after: str
    goal: str
    predicted: str
    digits: int = 3


ROWS = (
    Row(3, "head", "bytes at the peak of head and loss, 3,840 labels × 128,256", "counts.peak bytes before",
        "counts.peak bytes after", "≤ 256 MiB above activations (47,185,920 B)",
        "a chunk of 130 labels: logits in bfloat16, float32 and their gradient, 10 B × 2^24 = 168 MB", 0),
    Row(3, "head", "CPU seconds of head and loss, bfloat16", "seconds.bfloat16.before", "seconds.bfloat16.after",
        "–", "equal: no logit is computed twice"),
    Row(6, "ridge", "solutions or decompositions of a fit", "counts.solutions of scikit-learn",
        "counts.decompositions", "one a fold", "13 penalties × 5 folds + 1 + 5 = 71 against 5", 0),
    Row(6, "ridge", "CPU seconds, features = 1/3 of the rows", "tall.seconds.before", "tall.seconds.after",
        "one decomposition a fold", "–"),
    Row(6, "ridge", "CPU seconds, features = 3 × the rows", "wide.seconds.before", "wide.seconds.after",
        "one decomposition a fold", "–"),
    Row(7, "collation", "ms a sample, voxels, one process", "voxels.milliseconds a sample.before",
        "voxels.milliseconds a sample.after", "≤ .5 % of a step", "with workers: what a queue costs"),
    Row(7, "collation", "ms a sample, frames, one process", "frames.milliseconds a sample.before",
        "frames.milliseconds a sample.after", "≤ .5 % of a step", "with workers: what a queue costs"),
    Row(9, "padding", "share of padding, batches of 16", "batches of 16.share before", "batches of 16.share after",
        "≤ .02", "–", 4),
    Row(9, "padding", "share of padding, batches of 64", "batches of 64.share before", "batches of 64.share after",
        "≤ .02", "–", 4),
    Row(11, "candidates", "looks at groups, 1,024 texts", "sizes.1024.looks before", "sizes.1024.looks after",
        "linear", "n² against 4 n", 0),
    Row(11, "candidates", "exponent of CPU seconds in the batch", "exponents.before", "exponents.after", "1",
        "2 against 1"),
    Row(12, "constant_caption", "CPU seconds of the five searches", "search.before", "search.after",
        "≤ 5 s for the report", "–"),
    Row(12, "constant_caption", "CPU seconds, 256 captions on 256 images", "every caption on every image.before",
        "every caption on every image.after", "≤ 5 s for the report", "–"),
)  # fmt: skip
NOT_RUN = (
    "No GPU was at hand. Not run on one: the head in chunks (row 3; each chunk reads the head's weights once, which"
    " a GPU feels and a CPU does not), workers of the loader beside a GPU (row 7), padding as tokens a second (row 9)."
)
OPEN = (
    "Not done here: one graph under `torch_compile` (row 2), geometry resident on the device (row 7), flex attention"
    " for packed rows (row 9), shared lower layers of the contrast (row 10), texts' keys and values shared in"
    " identification and `no_brain` decoded once (row 11), training of the voxel encoder (row 8), calls of a decode"
    " step (row 13). With `torch_compile` the head computes all logits at once, as before."
)


def look_up(found: dict[str, Any], path: str) -> float:
    """The figure at a path of keys joined by dots."""
    for key in path.split("."):
        found = found[key]
    return found


def line(row: Row, results: dict[str, dict[str, Any]]) -> str:
    before, after = (look_up(results[row.script], path) for path in (row.before, row.after))
    figures = [f"{value:,.{row.digits}f}" for value in (before, after)]
    cells = [str(row.number), row.what, *figures, f"{before / after:.1f}", row.goal, row.predicted]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--results", required=True, help="folder with the JSON of each script")
    args = parser.parse_args()
    results = {path.stem: json.loads(path.read_text()) for path in Path(args.results).glob("*.json")}
    ridge, constant, report = results["ridge"], results["constant_caption"], results["report_time"]
    share = "share of a step at 900 samples/s, one process"
    job, matrix = ridge["job"], constant["every caption on every image"]
    lines = [
        "# Speed, row by row",
        "Made by `examples/benchmarks/speed/table.py`. Before is the code of commit `307ac89` or the library the "
        "script names; both sides take turns in one process of one thread, medians of CPU seconds. Whole numbers are "
        "counted, and tested at toy size in `tests/examples/test_speed.py`. Predicted is arithmetic.",
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}; two cores that "
        "others used, too.",
        "| row | what | before | after | ratio | goal | predicted |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(line(row, results) for row in ROWS),
        "## What is the same",
        f"- Ridge: the penalty of scikit-learn's search; predictions differ by {ridge['tall']['difference']:.1e} "
        f"(tall) and {ridge['wide']['difference']:.1e} (wide).\n"
        f"- Constant captions: {'the same five' if constant['search']['same captions'] else 'DIFFERENT'} captions; "
        f"CIDEr of every caption on every image differs by {matrix['difference']:.1e}.\n"
        "- Head: losses and gradients of all logits at once, in float32 to 1e-7 (tests).\n"
        f"- Collation: {'the same batch' if results['collation']['voxels']['same batch'] else 'DIFFERENT'}.",
        "## Scaling and arithmetic",
        f"- A ridge fit of {job['rows']:,} × {job['features']:,} → {job['embedding']} on {job['cores']} cores: "
        f"{job['predicted seconds']:.0f} s, if all cores keep the rate of the one that was measured "
        f"({job['measured operations/s of one core'] / 1e9:.0f} · 10^9 operations/s); goal 60 s, not run at that "
        f"size, and optimistic: much of a decomposition is bound by memory, not by cores. Exponent of the "
        f"cost in rows {ridge['exponent in rows']:.2f} (a decomposition is cubic), features "
        f"{ridge['exponent in features']:.2f}, components {ridge['exponent in embedding']:.2f}.\n"
        f"- The whole report of {report['images']:,} images and {report['arms']} arms: "
        f"{report['seconds']['whole']['processor']:.1f} CPU seconds by `report_time.py`; goal 5 s.\n"
        "- Collation in one process takes "
        f"{results['collation']['voxels'][share]:.1%} (voxels), {results['collation']['frames'][share]:.1%} (frames) "
        "of a step at 900 samples/s: the goal of .5 % is missed there. The recipes for NSD set four workers, beside "
        "which it was not measured.\n"
        "- Padding is of lengths drawn from one distribution, not of a corpus, and the sampler's window of 200 "
        "batches was chosen among 50, 100, 200 and 400 (.044, .025, .013, .007 in batches of 16) on these lengths. "
        "Before is the library's grouping by words, which plain text had.",
        "## What was not run, and what is open",
        NOT_RUN,
        OPEN,
    ]
    print("\n\n".join(lines))


if __name__ == "__main__":
    main()
