# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Instruction tuning with all captions of an image in one row, against one row per caption: both in one run.

    python examples/benchmarks/packing.py --shapes llama-3.2-3b --device cuda   # one GPU with 24 GB
    python examples/benchmarks/packing.py --shapes llama-28m                    # two CPU cores, some minutes
    python examples/benchmarks/packing.py                                       # the script itself, in a minute

Prints one JSON object. Weights and tokens are random, captions as long as those of COCO; the model is trained as by
`BrainSFTTrainer` (encoder and language model frozen; on a GPU the latter in bfloat16, what learns in float32).
Both ways learn the same captions of the same brains in a step, each brain encoded once, at the same loss. "Roof" is
the device's dense bfloat16 rate divided by 4 N FLOP per token, N the matmul parameters of the language model.
"""

import argparse
import json

import torch
from throughput import SHAPES, build, make_batch, share_of_roof, timed
from torch.nn.utils.rnn import pad_sequence

from modeling_brainllm import BrainLlamaForCausalLM
from trainers.data.packing import fold


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shapes", choices=SHAPES, default="toy", help="sizes of the language model")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--batch", type=int, default=16, help="images of one training step")
    parser.add_argument("--captions", type=int, default=5, help="captions of one image")
    parser.add_argument("--text_tokens", type=int, default=16, help="tokens of the request")
    parser.add_argument("--voxels", type=int, default=15724, help="voxels of the subject")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats, of which the median is told")
    parser.add_argument("--gradient_checkpointing", action="store_true", help="less memory, a forward pass more")
    return parser.parse_args()


def make_rows(args: argparse.Namespace, prompts: torch.Tensor, vocab_size: int) -> list[list[tuple]]:
    """For each prompt its captions as texts of their own: ids and labels. Lengths are those of COCO, 11 ± 3 tokens."""
    rows = []
    for prompt in prompts.cpu():
        lengths = torch.normal(11.0, 3.0, (args.captions,)).round().clamp(6, 30).int().tolist()
        captions = [torch.randint(10, vocab_size, (length + 1,)) for length in lengths]
        silent = torch.full_like(prompt, -100)
        rows.append([(torch.cat([prompt, caption]), torch.cat([silent, caption])) for caption in captions])
    return rows


def collate(args: argparse.Namespace, rows: list[list[tuple]], packed: bool) -> dict[str, torch.Tensor]:
    """One text row per image, or per caption."""
    parts = [[row] if packed else [[text] for text in row] for row in rows]
    index = [number for number, part in enumerate(parts) for _ in part]
    ids, labels, segments = zip(*(fold(texts) for part in parts for texts in part), strict=True)
    inputs = {
        "input_ids": pad_sequence(list(ids), True, 0),
        "labels": pad_sequence(list(labels), True, -100),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True, 0),
        "brain_index": torch.tensor(index),
    }
    if packed:
        inputs["segment_ids"] = pad_sequence(list(segments), True, 0)
    return {name: value.to(args.device) for name, value in inputs.items()}


def measure(args: argparse.Namespace, model: BrainLlamaForCausalLM) -> dict:
    """Seconds of a step, packed and not, taking turns."""
    brain = make_batch(args, model.config)
    rows = make_rows(args, brain.pop("input_ids"), model.config.text_config.vocab_size)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-4)
    memory: dict[str, float] = {}

    def compute_loss(inputs: dict) -> torch.Tensor:
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.device != "cpu"):
            return model.token_losses(**inputs, **brain)[0].mean()

    def step(way: str, inputs: dict) -> None:
        if args.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        compute_loss(inputs).backward()
        optimizer.step()
        optimizer.zero_grad()
        if args.device != "cpu":
            memory[way] = torch.cuda.max_memory_allocated() / 2**30

    batches = {way: collate(args, rows, way == "packed") for way in ("packed", "unpacked")}
    with torch.no_grad():  # before the first step, so that both losses are of the same weights
        losses = {way: compute_loss(inputs).item() for way, inputs in batches.items()}
    seconds = timed(args, *(lambda way=way, inputs=inputs: step(way, inputs) for way, inputs in batches.items()))
    found: dict = {}
    for (way, inputs), duration in zip(batches.items(), seconds, strict=True):
        tokens = inputs["input_ids"].numel()
        found[way] = {
            "captions_per_second": args.batch * args.captions / duration,
            "tokens_of_a_step": tokens,
            "padding": 1 - inputs["attention_mask"].sum().item() / tokens,
            "tokens_per_second": tokens / duration,
            "loss": losses[way],
        }
        if args.device != "cpu":
            found[way] |= {"peak_memory_gib": memory[way], "share_of_4n_roof": share_of_roof(model, tokens / duration)}
    found["fewer_tokens"] = found["unpacked"]["tokens_of_a_step"] / found["packed"]["tokens_of_a_step"]
    found["times_faster"] = seconds[1] / seconds[0]
    return found


def main() -> None:
    args = parse_arguments()
    result = {"arguments": vars(args), "torch": torch.__version__}
    result["device"] = torch.cuda.get_device_name() if args.device != "cpu" else "cpu"
    for interface in ("prefix", "cross_attention"):
        torch.manual_seed(0)
        model = build(args, interface).train()
        model.model.brain_encoder.requires_grad_(False)
        model.model.brain_encoder.float().train()
        model.model.brain_interface.float()
        if args.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        result[interface] = measure(args, model)
        del model
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
