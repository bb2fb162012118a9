# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Decodes texts from brain samples of a prepared corpus and prints them beside the truth.

    python examples/generate.py --checkpoint runs/sft --dataset runs/pereira --num_samples 5

`--reading sentence` decodes the whole sentence without a prompt. A model of instruction tuning is asked a question:

    python examples/generate.py --checkpoint runs/instructed --dataset runs/nsd --question "What does this person see?"

Beside each decoded text stands that of the same prompt without a brain: only what differs can have come from the
brain, and `examples/evaluate.py` says whether it did.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from brainllm.running import run


@dataclass
class GenerateArguments:
    checkpoint: str = field(metadata={"help": "folder or Hub id of the model"})
    dataset: str = field(metadata={"help": "folder written by prepare_dataset.py, or Hub id"})
    split: str = field(default="test", metadata={"help": "split of the samples"})
    reading: Literal["continuation", "sentence"] = field(default="continuation", metadata={"help": "what to decode"})
    question: str | None = field(default=None, metadata={"help": "what to ask, in place of the prompts of the corpus"})
    num_samples: int = field(default=5, metadata={"help": "how many samples, evenly over the split"})
    num_beams: int = field(default=5, metadata={"help": "beams of the search"})
    min_new_tokens: int = field(default=4, metadata={"help": "shortest text in tokens"})
    max_new_tokens: int = field(default=32, metadata={"help": "longest text in tokens"})
    num_candidates: int = field(default=1, metadata={"help": "draw so many texts, take the one of least risk"})
    device: str = field(default="cpu", metadata={"help": "where to run"})


def decode(model: Any, processor: Any, rows: list[dict], prompts: list[str], **generation: Any) -> list[str]:
    """Texts from prompts, and from the brains of the rows where the prompts hold the marker of a brain."""
    import numpy as np

    from trainers.evaluation.arms import continue_texts

    brain = {}
    if processor.brain_token in prompts[0]:
        brain = {"brain": [np.asarray(r["brain_values"]) for r in rows], "subject": [r["subject"] for r in rows]}
    return continue_texts(model, processor, prompts, brain, generation)


def main(args: GenerateArguments) -> None:
    import numpy as np

    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
    from trainers import DataArguments, load_corpus_splits, read_as
    from trainers.data.prompts import Renderer
    from trainers.evaluation.texts import LEAST_RISK

    splits = load_corpus_splits(DataArguments(dataset=args.dataset))
    if args.split not in splits:
        raise ValueError(f"--split {args.split}: the corpus has {', '.join(splits)}")
    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint).to(args.device).eval()
    processor = BrainLlamaProcessor.from_pretrained(args.checkpoint)
    split = read_as(splits[args.split], args.reading)
    places = np.linspace(0, len(split) - 1, min(args.num_samples, len(split))).round().astype(int)
    rows = [split[int(place)] for place in places]
    prompts = [processor.brain_token + row["prompt"] for row in rows]
    if args.question is not None:
        prompts = [Renderer(processor).prompt(args.question)] * len(rows)
    generation = {name: getattr(args, name) for name in ("num_beams", "min_new_tokens", "max_new_tokens")}
    if args.num_candidates > 1:
        generation |= LEAST_RISK | {"num_beams": 1, "num_candidates": args.num_candidates}
    decoded = decode(model, processor, rows, prompts, **generation)
    unaided = decode(model, processor, rows, [p.replace(processor.brain_token, "") for p in prompts], **generation)
    for row, with_brain, without_brain in zip(rows, decoded, unaided, strict=True):
        print(f"{row['sample_id']}\n  prompt    {args.question or row['prompt']}\n  truth     {row['completion']}")
        print(f"  brain     {with_brain.strip()}\n  no brain  {without_brain.strip()}\n")


if __name__ == "__main__":
    run(main, GenerateArguments)
