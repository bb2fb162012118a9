# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Decodes texts from brain samples of a prepared corpus and prints them beside the truth.

    python examples/generate.py --checkpoint runs/sft --dataset runs/pereira --num_samples 5

`--reading sentence` decodes the whole sentence without a prompt. Beside each decoded text stands that of the same
prompt without a brain: only what differs can have come from the brain, and `examples/evaluate.py` says whether it did.
"""

import argparse

import numpy as np
import torch

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers import DataArguments, load_corpus_splits, read_as


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="folder or Hub id of the model")
    parser.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, or Hub id")
    parser.add_argument("--split", default="test", help="split of the samples")
    parser.add_argument(
        "--reading", default="continuation", choices=["continuation", "sentence"], help="what to decode"
    )
    parser.add_argument("--num_samples", type=int, default=5, help="how many samples, evenly over the split")
    parser.add_argument("--num_beams", type=int, default=5, help="beams of the search")
    parser.add_argument("--min_new_tokens", type=int, default=4, help="shortest text in tokens")
    parser.add_argument("--max_new_tokens", type=int, default=32, help="longest text in tokens")
    parser.add_argument("--device", default="cpu", help="where to run")
    return parser.parse_args()


@torch.inference_mode()
def decode(model, processor, rows: list[dict], with_brain: bool, **generation) -> list[str]:
    """Texts of rows from their prompts and, if so asked, their brains."""
    prompts = [row["prompt"] for row in rows]
    brain = {}
    if with_brain:
        prompts = [processor.brain_token + prompt for prompt in prompts]
        brain = {"brain": [np.asarray(r["brain_values"]) for r in rows], "subject": [r["subject"] for r in rows]}
    inputs = processor(text=prompts, padding_side="left", **brain).to(model.device)
    tokens = model.generate(**inputs, pad_token_id=processor.tokenizer.pad_token_id, **generation)
    return processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def main() -> None:
    args = parse_arguments()
    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint).to(args.device).eval()
    processor = BrainLlamaProcessor.from_pretrained(args.checkpoint)
    split = read_as(load_corpus_splits(DataArguments(dataset=args.dataset))[args.split], args.reading)
    places = np.linspace(0, len(split) - 1, min(args.num_samples, len(split))).round().astype(int)
    rows = [split[int(place)] for place in places]
    generation = {name: getattr(args, name) for name in ("num_beams", "min_new_tokens", "max_new_tokens")}
    decoded = decode(model, processor, rows, with_brain=True, **generation)
    unaided = decode(model, processor, rows, with_brain=False, **generation)
    for row, with_brain, without_brain in zip(rows, decoded, unaided, strict=True):
        print(f"{row['sample_id']}\n  prompt    {row['prompt']}\n  truth     {row['completion']}")
        print(f"  brain     {with_brain.strip()}\n  no brain  {without_brain.strip()}\n")


if __name__ == "__main__":
    main()
