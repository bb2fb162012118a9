# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Speed of training and generation with random weights: samples and tokens per second, memory, share of the roof.

    python examples/benchmarks/throughput.py --shapes llama-3.2-3b --device cuda   # one GPU with 24 GB
    python examples/benchmarks/throughput.py --shapes toy --device cpu             # the script itself, in a minute

Prints one JSON object. The model is trained as the recipes train it (frozen language model, bfloat16 on a GPU); "roof"
is the device's dense bfloat16 rate divided by 4 N FLOP per token, N the matmul parameters of the language model, since
a frozen one needs no weight gradients. Generation is compared with the plain Llama of the same shapes, interleaved in
the same run; both see the same number of text tokens.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, VoxelEncoderConfig


SHAPES = {
    "llama-3.2-3b": {
        "text": {
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 28,
            "num_attention_heads": 24,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 128256,
            "tie_word_embeddings": True,
        },
        "encoder": {},
        "adapter_layers": (3, 7, 11, 15),
    },
    "llama-28m": {
        "text": {
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 8192,
            "tie_word_embeddings": True,
        },
        "encoder": {"num_queries": 256, "num_tokens": 32, "hidden_size": 256},
        "adapter_layers": (1, 3, 5, 7),
    },
    "toy": {
        "text": {
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 1000,
        },
        "encoder": {"num_queries": 64, "num_tokens": 16, "hidden_size": 64, "token_code_size": 16},
        "adapter_layers": (1, 3),
    },
}
# Dense bfloat16 FLOP/s of the device, from its data sheet.
ROOFS = {"NVIDIA H100": 989e12, "NVIDIA H200": 989e12, "NVIDIA A100": 312e12}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shapes", choices=SHAPES, default="toy", help="sizes of the language model")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--batch", type=int, default=16, help="samples of one training step")
    parser.add_argument("--text_tokens", type=int, default=32, help="text tokens of one sample, 3/4 of them labels")
    parser.add_argument("--new_tokens", type=int, default=24, help="tokens to generate")
    parser.add_argument("--voxels", type=int, default=15724, help="voxels of the subject")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats, of which the median is told")
    return parser.parse_args()


def build(args: argparse.Namespace, interface: str) -> BrainLlamaForCausalLM:
    shapes = SHAPES[args.shapes]
    config = BrainLlamaConfig(
        text_config=LlamaConfig(**shapes["text"], pad_token_id=0),
        encoder_config=VoxelEncoderConfig(**shapes["encoder"]),
        interface=interface,
        adapter_layers=shapes["adapter_layers"],
        dtype=torch.bfloat16 if args.device != "cpu" else torch.float32,
    )
    with torch.device(args.device):
        return BrainLlamaForCausalLM._from_config(config)


def make_batch(args: argparse.Namespace, config: BrainLlamaConfig) -> dict:
    """One subject's voxels and prompts: bos, brain block (prefix), text."""
    voxels, device = args.voxels, args.device
    text = torch.randint(10, config.text_config.vocab_size, (args.batch, args.text_tokens), device=device)
    head = [1]
    if config.interface == "prefix":
        block = [config.brain_token_id] * config.num_brain_tokens
        head += [config.brain_start_token_id, *block, config.brain_end_token_id]
    input_ids = torch.cat([torch.tensor([head] * args.batch, device=device), text], dim=1)
    regions = [torch.randint(0, size + 1, (voxels,)) for size in config.encoder_config.region_sizes]
    return {
        "input_ids": input_ids,
        "brain_values": [torch.randn(args.batch, voxels, device=device)],
        "voxel_coordinates": [60 * torch.randn(voxels, 3, device=device)],
        "voxel_regions": [torch.stack(regions, dim=1).to(device)],
        "brain_subjects": ["S1"],
    }


def timed(args: argparse.Namespace, *works) -> list[float]:
    """Median seconds of each piece of work, the pieces taking turns after one untimed round."""
    seconds = [[] for _ in works]
    for repeat in range(args.repeats + 1):
        for work, kept in zip(works, seconds, strict=True):
            if args.device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            if args.device != "cpu":
                torch.cuda.synchronize()
            if repeat:
                kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in seconds]


def measure_training(args: argparse.Namespace, model: BrainLlamaForCausalLM) -> dict:
    batch = make_batch(args, model.config)
    labels = batch["input_ids"].clone()
    labels[:, : -3 * args.text_tokens // 4] = -100
    model.train().model.brain_encoder.requires_grad_(False)  # stage 2 of BIT-LLM: the encoder is frozen
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        model(**batch, labels=labels, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    if args.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    (seconds,) = timed(args, step)
    tokens = batch["input_ids"].numel() / seconds
    result = {"samples_per_second": args.batch / seconds, "tokens_per_second": tokens}
    if args.device != "cpu":
        result["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        result["share_of_4n_roof"] = share_of_roof(model, tokens)
    return result


def share_of_roof(model: BrainLlamaForCausalLM, tokens_per_second: float) -> float | None:
    """Share of the device's dense rate that 4 N FLOP per token make; unknown for devices that are not listed."""
    name = torch.cuda.get_device_name()
    roof = next((rate for device, rate in ROOFS.items() if name.startswith(device)), None)
    layers = model.model.language_model.layers
    matmul = sum(m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear))
    return 4 * matmul * tokens_per_second / roof if roof else None


@torch.no_grad()
def measure_generation(args: argparse.Namespace, model: BrainLlamaForCausalLM) -> dict:
    """Tokens per second, and as a ratio to the plain Llama on a prompt of as many positions."""
    batch = make_batch(args, model.eval().config)
    llama = LlamaForCausalLM._from_config(model.config.text_config, dtype=model.dtype).to(args.device).eval()
    llama.load_state_dict(
        {
            **{f"model.{k}": v for k, v in model.model.language_model.state_dict().items()},
            "lm_head.weight": model.lm_head.weight,
        }
    )
    text_only = batch["input_ids"].clamp(max=model.config.text_config.vocab_size - 1)
    settings = {"max_new_tokens": args.new_tokens, "min_new_tokens": args.new_tokens, "do_sample": False}
    ours, plain = timed(
        args,
        lambda: model.generate(**batch, attention_mask=torch.ones_like(text_only), **settings),
        lambda: llama.generate(text_only, attention_mask=torch.ones_like(text_only), **settings),
    )
    tokens = args.batch * args.new_tokens
    return {"tokens_per_second": tokens / ours, "plain_llama": tokens / plain, "ratio": plain / ours}


def main() -> None:
    args = parse_arguments()
    torch.manual_seed(0)
    result = {"arguments": vars(args), "torch": torch.__version__}
    result["device"] = torch.cuda.get_device_name() if args.device != "cpu" else "cpu"
    for interface in ("prefix", "cross_attention"):
        model = build(args, interface)
        training = measure_training(args, model)
        result[interface] = {"training": training, "generation": measure_generation(args, model)}
        del model
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
