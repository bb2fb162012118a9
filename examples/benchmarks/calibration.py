# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Do the tests of a report keep what they promise? A tiny decoder, evaluated two thousand times on brains made of noise.

    python examples/benchmarks/calibration.py --output_dir runs/calibration

Every run makes new texts and new brains, evaluates the decoder on them with `evaluate_arms`, and keeps the p of every
main test. On noise 5 % of them shall be below .05; with a planted effect 95 % and more. The decoder is a Llama of two
layers with a brain that says which colour the text names; it has learnt to listen. Noise brains have all that makes
real ones treacherous but the text: brains of a passage are alike, and some are loud. Lines are written as runs end, so
the benchmark goes on where it was stopped, and several processes may share the runs (`--start`). Ends with a table.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from scipy import stats
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig
from trainers.data.collator import BrainDataCollator, read_as
from trainers.evaluation.evaluate import evaluate


COLOURS, ANIMALS = ("red", "blue", "green", "gold"), ("cat", "dog", "bird")
WORDS = ("<unk>", "<s>", "</s>", ".", "the", "is", "was", "very", *ANIMALS, *COLOURS)
NUM_FEATURES, PER_GROUP = 6, 2
#: Share of the variance of noise that brains of one passage have in common.
ALIKE = 0.5
SHORT = {"num_beams": 1, "do_sample": False, "min_new_tokens": 1, "max_new_tokens": 5}
TESTS = (
    ("permuted", "loss_gain"),
    ("permuted", "pairwise_accuracy"),
    ("permuted", "brainllm_bleu_1_gain"),
    ("noise", "loss_gain"),
    ("other_texts", "identification_likelihood"),
    ("other_texts", "identification_likelihood_gain"),
)


def make_decoder(folder: Path) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    """A tiny language model that knows nothing, with a brain that is not yet listened to."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(WORDS), bos_token_id=1, eos_token_id=2, initializer_range=0.2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    encoder = FrameEncoderConfig(
        num_features=NUM_FEATURES, hidden_size=16, num_hidden_layers=1, num_frames=1, initializer_range=0.3
    )
    model = BrainLlamaForCausalLM.from_text_model(folder, encoder, dtype=torch.float32)
    return model, BrainLlamaProcessor.from_config(model.config, tokenizer)


def make_rows(num_groups: int, effect: float, seed: int) -> Dataset:
    """
    Passages of texts, each with a brain: noise, and `effect` times the code of the text's colour.

    Noise has a standard deviation of 1 in every feature, of which brains of a passage share a part; codes have about
    the same. So `effect` is the amplitude of the signal over that of the noise.
    """
    generator = np.random.default_rng((7, seed))
    codes = np.random.default_rng(99).standard_normal((len(COLOURS), NUM_FEATURES))
    rows = []
    for group in range(num_groups):
        common = generator.standard_normal(NUM_FEATURES)
        for place in range(PER_GROUP):
            colour, animal = generator.integers(len(COLOURS)), generator.choice(ANIMALS)
            noise = np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * generator.standard_normal(NUM_FEATURES)
            values = effect * codes[colour] + noise
            text = f"the {animal} {generator.choice(['is', 'was very'])} {COLOURS[colour]} ."
            name = f"{group}/{place}"
            rows.append(
                {
                    "sample_id": name, "subject": "s1", "stimulus": f"{group}", "group": f"{group}", "brain_id": name,
                    "prompt": "", "completion": text, "text": text, "brain_values": [values.astype(np.float32)],
                }
            )  # fmt: skip
    return Dataset.from_list(rows)


def teach(model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor, rows: Dataset, steps: int = 200) -> None:
    """Both learn the texts: the language model their grammar, the interface the colours."""
    batch = BrainDataCollator(processor)(list(read_as(rows, "sentence")))
    inputs = {name: value for name, value in batch.items() if name not in ("sample_id", "group", "subject")}
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model.token_losses(**inputs)[0].mean().backward()
        optimizer.step()


def p_values(
    model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor, effect: float, num_groups: int, seed: int
) -> dict[str, float]:
    """The p of every main test of one experiment; minus where the effect is in the wrong direction."""
    report = evaluate(
        model,
        processor,
        DatasetDict(test=make_rows(num_groups, effect, seed)),
        tasks=["sentence"],
        value_controls=["noise"],
        generation=SHORT,
        batch_size=256,
        seed=seed,
        progress=False,
    )
    found = {f"{row['control']} {row['metric']}": row for row in report.comparisons}
    chosen = [f"{control} {metric}" for control, metric in TESTS]
    return {name: found[name]["p"] * (1 if found[name]["value"] >= found[name]["chance"] else -1) for name in chosen}


def run(file: Path, effect: float, num_groups: int, seeds: Iterator[int] | range) -> None:
    """Adds a line for each seed that has none yet."""
    done = {json.loads(line)["seed"] for line in file.read_text().splitlines()} if file.is_file() else set()
    left = [seed for seed in seeds if seed not in done]
    if not left:
        return
    with tempfile.TemporaryDirectory() as folder, file.open("a", buffering=1) as lines:
        model, processor = make_decoder(Path(folder))
        teach(model, processor, make_rows(64, 2.0, seed=1_000_000))
        for seed in tqdm(left, desc=file.stem, unit="run"):
            found = p_values(model, processor, effect, num_groups, seed)
            lines.write(json.dumps({"seed": seed, "p": found}) + "\n")


def rejections(file: Path, level: float = 0.05) -> list[dict[str, object]]:
    """
    Share of the runs that each test rejects, with its Wilson interval.

    Returns:
        `list[dict]`: `test`, `runs`, `rejected`, `low`, `high`; `right`, the share of rejections above chance.
    """
    runs = [json.loads(line)["p"] for line in file.read_text().splitlines()]
    table = []
    for test in runs[0]:
        p = np.array([found[test] for found in runs])
        rejected = int((np.abs(p) <= level).sum())
        interval = stats.binomtest(rejected, len(p)).proportion_ci(method="wilson")
        right = float((p[np.abs(p) <= level] > 0).mean()) if rejected else None
        row = {"test": test, "runs": len(p), "rejected": rejected / len(p), "right": right}
        table.append(row | {"low": float(interval.low), "high": float(interval.high)})
    return table


def print_table(title: str, rows: list[dict[str, object]]) -> None:
    print(f"\n{title}\n\n| test | runs | p < .05 [95 % interval] | of these above chance |\n|---|---|---|---|")
    for row in rows:
        right = "–" if row["right"] is None else f"{row['right']:.2f}"
        interval = f"{row['rejected']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"| {row['test']} | {row['runs']} | {interval} | {right} |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write, and to go on from")
    parser.add_argument("--null_runs", type=int, default=2000, help="runs on noise")
    parser.add_argument("--planted_runs", type=int, default=200, help="runs with a planted effect")
    parser.add_argument("--effect", type=float, default=3.0, help="amplitude of the planted signal over the noise")
    parser.add_argument("--num_groups", type=int, default=20, help="passages of a run; each has two texts")
    parser.add_argument("--start", type=int, default=0, help="first seed")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    disable_progress_bars()
    logging.disable_progress_bar()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    null, planted = args.output_dir / "noise.jsonl", args.output_dir / "planted.jsonl"
    run(null, 0.0, args.num_groups, range(args.start, args.start + args.null_runs))
    run(planted, args.effect, args.num_groups, range(args.start, args.start + args.planted_runs))
    print_table("Noise brains", rejections(null))
    print_table(f"Planted effect of strength {args.effect}", rejections(planted))


if __name__ == "__main__":
    main()
