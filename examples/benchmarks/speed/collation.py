# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 7: what a sample costs before the model sees it, in the process that trains and in all.

    python examples/benchmarks/speed/collation.py --tokenizer folder-of-a-language-model

Prints one JSON object: CPU milliseconds a sample of the collator, before and after, in turns; and the bytes of a
batch, with those of the geometry, which is the same in every batch, apart.
"""

import argparse
import copy
import json
from functools import partial

import numpy as np
import torch
from measuring import in_turns, module_at
from transformers import AutoTokenizer

from modeling_brainllm import BrainLlamaConfig, BrainLlamaProcessor, FrameEncoderConfig, VoxelEncoderConfig
from trainers.data.collator import BrainDataCollator


NOUNS = ("man", "woman", "dog", "cat", "train", "giraffe", "boat", "clock", "pizza", "zebra", "bus")
VERBS = ("stands", "sits", "waits", "rests", "is seen", "runs", "looks around", "is standing right there")
PLACES = ("on a table", "near the road", "by a lake", "under tall trees", "in front of a fence")


def make_rows(count: int, num_values: int, voxels: bool, seed: int = 0) -> list[dict]:
    """Rows of one subject whose text is a short caption."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        caption = f"{rng.choice(NOUNS)} and a {rng.choice(NOUNS)} that {rng.choice(VERBS)} {rng.choice(PLACES)}."
        values = rng.standard_normal(num_values if voxels else (1, num_values)).astype(np.float32)
        names = {"sample_id": f"one/{number}", "subject": "one", "group": str(number), "brain_id": f"one/{number}"}
        rows.append(names | {"prompt": "A", "completion": caption, "text": f"A {caption}", "brain_values": values})
    return rows


def make_processor(tokenizer: str, num_values: int, voxels: bool) -> BrainLlamaProcessor:
    """Processor of a subject of so many voxels, or features."""
    text_tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    encoder = VoxelEncoderConfig(region_sizes=[360]) if voxels else FrameEncoderConfig(num_features=num_values)
    config = BrainLlamaConfig(
        encoder_config=encoder, text_config={"vocab_size": len(text_tokenizer)}, text_model_id=tokenizer
    )
    processor = BrainLlamaProcessor.from_config(config, text_tokenizer)
    if voxels:
        rng = np.random.default_rng(1)
        regions = rng.integers(-1, 361, (num_values, 1))
        processor.feature_extractor.add_subject("one", rng.standard_normal((num_values, 3)) * 50, regions)
    return processor


def num_bytes(value: object) -> int:
    """Bytes of the tensors in a batch."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(map(num_bytes, value.values() if isinstance(value, dict) else value)) if _holds(value) else 0


def _holds(value: object) -> bool:
    return isinstance(value, dict | list | tuple)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--tokenizer", required=True, help="folder or Hub id of a language model")
    parser.add_argument("--batch", type=int, default=64, help="rows of a batch")
    parser.add_argument("--voxels", type=int, default=15724, help="voxels of the subject")
    parser.add_argument("--features", type=int, default=1000, help="features of a frame")
    parser.add_argument("--repeats", type=int, default=21, help="batches, of which the median is told")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for kind, num_values in (("voxels", args.voxels), ("frames", args.features)):
        processor = make_processor(args.tokenizer, num_values, kind == "voxels")
        rows, collator = make_rows(args.batch, num_values, kind == "voxels"), BrainDataCollator(processor)
        batch = collator(rows)
        former = BrainDataCollator(_as_before(processor))
        same = all(torch.equal(batch[name], former(rows)[name]) for name in ("input_ids", "labels", "brain_index"))
        seconds = in_turns(args.repeats, before=partial(former, rows), after=partial(collator, rows))
        milliseconds = {name: value * 1e3 / args.batch for name, value in seconds.items()}
        geometry = {name: num_bytes(batch.get(name, ())) for name in ("voxel_coordinates", "voxel_regions")}
        found[kind] = {"same batch": same, "milliseconds a sample": milliseconds}
        found[kind] |= {"bytes": num_bytes(dict(batch)), "bytes of geometry": sum(geometry.values())}
        # With workers the training process only takes a finished batch from a queue.
        found[kind]["share of a step at 900 samples/s, one process"] = milliseconds["after"] * 0.9
    print(json.dumps({"arguments": vars(args), **found}, indent=2))


def _as_before(processor: BrainLlamaProcessor) -> BrainLlamaProcessor:
    """The processor by the code that it had."""
    former = copy.copy(processor)
    former.__class__ = module_at("modeling_brainllm/processing_brainllama.py").BrainLlamaProcessor
    return former


if __name__ == "__main__":
    main()
