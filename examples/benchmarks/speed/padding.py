# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 9: share of a batch that is padding, of short texts of random length.

    python examples/benchmarks/speed/padding.py

Prints one JSON object: padded tokens of all for batches at random, for those grouped by words by the library's
sampler, as plain text was, and for those grouped by tokens. Lengths are drawn as those of sentences: words from a
log-normal distribution, each of one token or more.
"""

import argparse
import json

import numpy as np
import torch
from transformers.trainer_pt_utils import LengthGroupedSampler as BySampler

from trainers.data.packing import LengthGroupedSampler


def draw_lengths(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Words and tokens of each text."""
    rng = np.random.default_rng(seed)
    words = np.maximum(2, rng.lognormal(2.6, 0.5, count).round().astype(int))
    return words, words + rng.binomial(words, 0.3) + 1


def count(rows: int, batch: int) -> dict[str, int]:
    """Padded tokens of an epoch, and tokens."""
    words, tokens = draw_lengths(rows)
    generator = torch.Generator().manual_seed(0)
    orders = {
        "random": np.random.default_rng(0).permutation(rows),
        "before": list(BySampler(batch, lengths=words.tolist(), generator=generator)),
        "after": list(LengthGroupedSampler(tokens, batch, 0)),
    }
    found = {"tokens": int(tokens.sum())}
    for name, order in orders.items():
        batches = [tokens[list(order[start : start + batch])] for start in range(0, rows, batch)]
        found[f"padding {name}"] = int(sum(len(own) * own.max() - own.sum() for own in batches))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--rows", type=int, default=12000, help="texts")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64], help="texts of a batch")
    args = parser.parse_args()
    found = {}
    for batch in args.batch:
        counts = count(args.rows, batch)
        shares = {
            f"share {name}": counts[f"padding {name}"] / (counts["tokens"] + counts[f"padding {name}"])
            for name in ("random", "before", "after")
        }
        found[f"batches of {batch}"] = counts | shares
    print(json.dumps({"arguments": vars(args), **found}, indent=2))


if __name__ == "__main__":
    main()
