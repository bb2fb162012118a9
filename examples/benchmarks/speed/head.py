# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 3: bytes that the head of a language model takes in a step of fine-tuning, at its real vocabulary.

    python examples/benchmarks/speed/head.py

Prints one JSON object. The device `meta` has shapes and no memory: the peak is counted, of the states of the labels,
through head, loss and gradient. 64 brains with five captions of 12 tokens, a vocabulary of 128,256 by 3,072.
"""

import argparse
import json

import torch
from measuring import Watch, in_turns
from torch import nn

from modeling_brainllm import modeling_brain_head


def step(labels: int, vocabulary: int, width: int, device: str, whole: bool, dtype: torch.dtype = torch.bfloat16):
    """Losses and gradients of so many labels, with the logits of all at once or not."""
    head = nn.Linear(width, vocabulary, bias=False, device=device, dtype=dtype).requires_grad_(False)
    states = torch.randn(labels, width, device=device, dtype=dtype, requires_grad=True)
    targets = torch.zeros(labels, dtype=torch.long, device=device)

    def run() -> None:
        states.grad = None
        if whole:
            losses = nn.functional.cross_entropy(head(states).float(), targets, reduction="none")
        else:
            losses = modeling_brain_head.HeadLosses.of(head, states, targets)
        losses.mean().backward()

    return run, head.weight, states


def count(labels: int = 3840, vocabulary: int = 128256, width: int = 3072) -> dict[str, int]:
    """Bytes at the peak and of the largest tensor, before and after."""
    found = {}
    for name, whole in (("before", True), ("after", False)):
        run, *known = step(labels, vocabulary, width, "meta", whole)
        with Watch(*known) as watch:
            run()
        found |= {f"peak bytes {name}": watch.peak, f"largest tensor {name}": watch.largest}
    # Of the states' size: the gradient that is kept, and the one that is handed on.
    return found | {"of these activations": 2 * labels * width * 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--labels", type=int, default=1920, help="labels of the timed step")
    parser.add_argument("--vocabulary", type=int, default=32768, help="vocabulary of the timed step")
    parser.add_argument("--width", type=int, default=256, help="width of the timed step")
    parser.add_argument("--repeats", type=int, default=7, help="turns, of which the median is told")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = (args.labels, args.vocabulary, args.width, "cpu")
    seconds = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        before, after = (step(*sizes, whole, dtype)[0] for whole in (True, False))
        seconds[name] = in_turns(args.repeats, before=before, after=after)
        seconds[name]["times faster"] = seconds[name]["before"] / seconds[name]["after"]
    print(json.dumps({"arguments": vars(args), "counts": count(), "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
