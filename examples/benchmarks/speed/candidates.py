# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 11: drawing the brains under which each text of a batch is scored.

    python examples/benchmarks/speed/candidates.py

Prints one JSON object: how often a text's group is looked at, and CPU seconds before and after in turns, with the
exponent of the cost in the size of the batch.
"""

import argparse
import json
from functools import partial

import numpy as np
import torch
from measuring import in_turns, module_at

from trainers.sft.objectives import draw_candidates


class Watched(str):
    """A name that counts how often it is compared or looked up."""

    looks = 0

    def __eq__(self, other: object) -> bool:
        Watched.looks += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        Watched.looks += 1
        return str.__ne__(self, other)

    def __hash__(self) -> int:
        Watched.looks += 1
        return str.__hash__(self)


def count(size: int, draw=draw_candidates) -> int:
    """Looks at groups in a batch of this size, every text of a group of its own."""
    Watched.looks = 0
    draw(list(range(size)), [Watched(number) for number in range(size)], ["one"] * size, 3)
    return Watched.looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024], help="texts of a batch")
    parser.add_argument("--repeats", type=int, default=5, help="turns, of which the median is told")
    args = parser.parse_args()
    torch.set_num_threads(1)
    former, found = module_at("trainers/sft/objectives.py").draw_candidates, {}
    for size in args.sizes:
        batch = (list(range(size)), [str(number) for number in range(size)], ["one"] * size, 3)
        seconds = in_turns(args.repeats, before=partial(former, *batch), after=partial(draw_candidates, *batch))
        looks = {"looks before": count(size, former), "looks after": count(size)}
        found[str(size)] = seconds | looks | {"times faster": seconds["before"] / seconds["after"]}
    steps = np.log(args.sizes[-1] / args.sizes[0])
    first, last = found[str(args.sizes[0])], found[str(args.sizes[-1])]
    exponents = {name: float(np.log(last[name] / first[name]) / steps) for name in ("before", "after")}
    print(json.dumps({"arguments": vars(args), "sizes": found, "exponents": exponents}, indent=2))


if __name__ == "__main__":
    main()
