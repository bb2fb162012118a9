# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Reward tuning with one prefill a brain against TRL's own path: seconds of a step, split, on random weights.

    python examples/benchmarks/grpo.py                                             # 28M shapes on two CPU cores
    python examples/benchmarks/grpo.py --shapes llama-3.2-3b --prompts 64 --device cuda --dtype bfloat16

Prints one JSON object. Both paths are [`~trainers.grpo.grpo_trainer.BrainGRPOTrainer`], with `share_prefill` on and
off; off, rollouts and log-probabilities are TRL's, with a prompt and a brain for every completion (the encoder runs
once in both, so that its price counts for neither). They train the same model on the same rows from the same seed and
take turns, so that a busy machine slows both. "log_probs" is the pass of the reference; "update" is all of a training
step but what has a name of its own. The reward is that of the recipe: CIDEr with frequencies of 9,000 images, text
similarity and identification with a sentence encoder of MiniLM's sizes, references new at every step.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from statistics import median

import numpy as np
import torch
from datasets import Dataset
from throughput import SHAPES
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, LlamaConfig, PreTrainedTokenizerFast

from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig
from trainers.embedders.cache import CachedEncoder
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.grpo_trainer import BrainGRPOTrainer
from trainers.grpo.rewards import CiderReward, IdentificationReward, TextSimilarityReward
from trainers.metrics.cider import DocumentFrequencies


INTERFACES = ("prefix", "cross_attention")
BRAIN_TOKENS, NUM_FEATURES, VOCABULARY = 128, 64, 8192
# MiniLM-L6, the sentence encoder of the recipes.
SENTENCE_ENCODER = {
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "vocab_size": VOCABULARY,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--shapes", choices=("llama-28m", "llama-3.2-3b"), default="llama-28m", help="sizes of the language model"
    )
    parser.add_argument(
        "--interface", choices=("prefix", "cross_attention"), nargs="+", default=["prefix", "cross_attention"]
    )
    parser.add_argument("--prompts", type=int, default=8, help="brains of a step")
    parser.add_argument("--generations", type=int, default=8, help="completions of each")
    parser.add_argument(
        "--prompt_words", type=int, default=60, help="words of the prompt; 60 in Llama-3's chat template"
    )
    parser.add_argument("--new_tokens", type=int, default=24, help="tokens of a completion")
    parser.add_argument("--beta", type=float, default=0.04, help="weight of the divergence; 0 leaves its pass out")
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each path, of which the median is told")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    return parser.parse_args()


class TimedTrainer(BrainGRPOTrainer):
    """Keeps the seconds of each part of a step."""

    def __init__(self, *args, **kwargs):
        self.seconds = defaultdict(float)
        super().__init__(*args, **kwargs)

    @contextmanager
    def timed(self, part):
        _synchronize(self.args.device)
        start = time.perf_counter()
        yield
        _synchronize(self.args.device)
        self.seconds[part] += time.perf_counter() - start

    def _generate_single_turn(self, *args, **kwargs):
        with self.timed("rollout"):
            return super()._generate_single_turn(*args, **kwargs)

    def _calculate_rewards(self, *args, **kwargs):
        with self.timed("reward"):
            return super()._calculate_rewards(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)
        with self.timed("log_probs"):
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)

    def step(self, rows):
        """One step of optimisation; returns the seconds of its parts."""
        self.seconds.clear()
        with self.timed("step"):
            self.model.train()
            self.training_step(self.model, rows, None)
            self.optimizer.step()
            self.optimizer.zero_grad()
        named = sum(self.seconds[part] for part in ("rollout", "log_probs", "reward"))
        return {**self.seconds, "update": self.seconds["step"] - named}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def make_tokenizer() -> PreTrainedTokenizerFast:
    words = {word: i for i, word in enumerate(["<s>", "</s>", "<pad>", *(f"w{n}" for n in range(3, VOCABULARY))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def make_model(args: argparse.Namespace, interface: str) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    torch.manual_seed(0)
    shapes, special = SHAPES[args.shapes], {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    encoder = FrameEncoderConfig(num_features=NUM_FEATURES, num_frames=BRAIN_TOKENS, hidden_size=256, dropout=0.0)
    config = BrainLlamaConfig(
        text_config=LlamaConfig(**shapes["text"], **special),
        encoder_config=encoder,
        interface=interface,
        adapter_layers=shapes["adapter_layers"],
        dtype=getattr(torch, args.dtype),
    )
    with torch.device(args.device):
        model = BrainLlamaForCausalLM._from_config(config)
    return model, BrainLlamaProcessor.from_config(config, make_tokenizer())


def make_captions(generator: np.random.Generator, images: int) -> list[list[str]]:
    """Five captions of each image, of ten words that are as unequal as those of a language."""
    ranks = generator.zipf(1.3, (images, 5, 10)) % (VOCABULARY - 3) + 3
    return [[" ".join(f"w{n}" for n in words) for words in captions] for captions in ranks]


def make_rows(args: argparse.Namespace) -> Dataset:
    """Brains of their own for every step, under one instruction."""
    generator = np.random.default_rng(0)
    count, width = args.prompts * (args.steps + 1), SENTENCE_ENCODER["hidden_size"]
    names = [str(n) for n in range(count)]
    brains = generator.standard_normal((count, BRAIN_TOKENS, NUM_FEATURES)).astype(np.float32)
    columns = dict.fromkeys(("sample_id", "brain_id", "group"), names)
    columns |= {"subject": ["S1"] * count, "references": make_captions(generator, count)}
    columns |= {"prompt": [" ".join(f"w{n}" for n in range(3, 3 + args.prompt_words))] * count}
    columns |= {"brain_embedding": list(generator.standard_normal((count, width)).astype(np.float32))}
    return Dataset.from_dict({**columns, "brain_values": list(brains)})


def make_rewards(args: argparse.Namespace) -> list:
    generator = np.random.default_rng(1)
    with torch.device(args.device):
        model = BertModel(BertConfig(**SENTENCE_ENCODER))
    encoder = CachedEncoder(MeanPooledEmbedder(model, make_tokenizer(), batch_size=256))
    gallery = [f"other {n}" for n in range(256)], generator.standard_normal((256, SENTENCE_ENCODER["hidden_size"]))
    frequencies = DocumentFrequencies.fit(make_captions(generator, 9000))
    rewards = (TextSimilarityReward(encoder), IdentificationReward(encoder, "brain", gallery=gallery))
    return [CiderReward(frequencies), *rewards]


def make_trainer(args: argparse.Namespace, interface: str, share_prefill: bool) -> TimedTrainer:
    model, processor = make_model(args, interface)
    options = BrainGRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=args.prompts * args.generations,
        num_generations=args.generations,
        max_completion_length=args.new_tokens,
        generation_kwargs={"min_new_tokens": args.new_tokens},
        beta=args.beta,
        share_prefill=share_prefill,
        use_cpu=args.device == "cpu",
        report_to=[],
        max_steps=args.steps,
    )
    trainer = TimedTrainer(model, make_rewards(args), options, make_rows(args), processing_class=processor)
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def compare(args: argparse.Namespace, interface: str) -> dict:
    """Medians over the steps of both paths, which take turns after one untimed step."""
    trainers = {name: make_trainer(args, interface, name == "shared") for name in ("shared", "stock")}
    kept = {name: [] for name in trainers}
    batches = {name: iter(trainer.get_train_dataloader()) for name, trainer in trainers.items()}
    for step in range(args.steps + 1):
        for name, trainer in trainers.items():
            torch.manual_seed(step)
            seconds = trainer.step(next(batches[name]))
            if step:
                kept[name].append(seconds)
    result = {}
    for name, steps in kept.items():
        result[name] = {part: median(step[part] for step in steps) for part in steps[0]}
    result["times_faster"] = {part: result["stock"][part] / result["shared"][part] for part in result["shared"]}
    result["reward_share"] = result["shared"]["reward"] / result["shared"]["step"]
    return result


def main() -> None:
    args = parse_arguments()
    result = {"arguments": vars(args), "torch": torch.__version__}
    result["device"] = (
        torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    )
    for interface in args.interface:
        result[interface] = compare(args, interface)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
