# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A ten-minute story with a planted brain, told end to end: corpus, language model, training, decoded text, three nulls.

    python examples/benchmarks/planted_story.py --output_dir runs/planted-story          # some minutes on one core
    python examples/benchmarks/planted_story.py --output_dir runs/null-story --signal_to_noise 0
    python examples/benchmarks/planted_story.py --output_dir runs/planted-story --decoded_text --token_encoder
    roberta-large

The corpus is `synthetic_stories`: sixteen stories of a small grammar beside the one that is told, each content word
calling up a pattern of its own over voxels through the haemodynamic response. The language model is a Llama of a third
of a million weights whose tokens are words, taught on the text of the training stories alone, so that it knows the
grammar and not the story: what it says beyond that comes from the brain. The brain modules are then taught by
`examples/train_sft.py`, the language model frozen, and the story is told by `examples/reconstruct_story.py`. The brain
is simulated: the scores show that code works, and say nothing about brains.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dataset_builders import prepare_corpus, save_corpus
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits


EXAMPLES = Path(__file__).resolve().parent.parent
CORPUS = {"num_stories": 16, "story_frames": 300, "num_voxels": 256, "corpus_seed": 2, "prompt_words": 12}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SIZES = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4}
TRAINING = (
    "--interface cross_attention --adapter_layers 0 1 2 --tokens_per_embedding 4 --encoder_num_hidden_layers 0 "
    "--encoder_dropout 0 --use_frame_positions true --lr_scheduler_type cosine --warmup_steps 50 --adam_beta2 0.99 "
    "--gate_learning_rate_ratio 5 --max_grad_norm 1 --per_device_train_batch_size 32 --learning_rate 2e-3 "
    "--save_strategy no --eval_strategy no --report_to none --logging_steps 100"
)
TELLING = "--context_tokens 12 --length_penalty 0 --rate_alpha 1000"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--signal_to_noise", type=float, default=4.0, help="of the planted brain; 0 plants nothing")
    parser.add_argument("--text_steps", type=int, default=400, help="steps of the language model")
    parser.add_argument("--brain_steps", type=int, default=1500, help="steps of the brain modules")
    parser.add_argument("--decoded_text", nargs=argparse.REMAINDER, default=[], help="options of reconstruct_story.py")
    return parser.parse_args()


def write_corpus(folder: Path, signal_to_noise: float) -> None:
    options = {**CORPUS, "signal_to_noise": signal_to_noise, "standardize": "recording"}
    save_corpus(prepare_corpus("synthetic_stories", None, **options), folder)


def teach_language(corpus: Path, folder: Path, steps: int) -> None:
    """A Llama of words that has read the training stories, as a checkpoint."""
    rows = load_corpus_splits(DataArguments(dataset=str(corpus)))["train"]
    stories: dict[str, list[str]] = {}
    for story, words in zip(rows["stimulus"], rows["words"], strict=True):
        stories.setdefault(story, []).extend(words)
    vocabulary = [*SPECIAL.values(), *sorted({word for words in stories.values() for word in words})]
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    special = {f"{name}_id": ids[name] for name in ("bos_token", "eos_token", "pad_token")}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), **SIZES, **special))
    texts = [torch.tensor(tokenizer.convert_tokens_to_ids(text)) for text in stories.values()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in tqdm(range(steps), desc="language"):
        # Texts begin anywhere and are as short as the context that a decoded text reads.
        picked = [texts[i] for i in torch.randint(len(texts), (48,))]
        starts = [int(torch.randint(len(text) - 20, ())) for text in picked]
        batch = torch.stack([text[start : start + 20] for text, start in zip(picked, starts, strict=True)])
        batch = torch.cat([torch.full((len(batch), 1), ids["bos_token"]), batch], dim=1)
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, EXAMPLES / script, *map(str, arguments)], check=True)


def main() -> None:
    args = parse_arguments()
    folder = Path(args.output_dir)
    corpus, language, trained = folder / "corpus", folder / "language", folder / "sft"
    write_corpus(corpus, args.signal_to_noise)
    teach_language(corpus, language, args.text_steps)
    shared = ["--dataset", corpus, "--output_dir"]
    steps = ["--max_steps", args.brain_steps, "--use_cpu", str(not torch.cuda.is_available()).lower()]
    run("train_sft.py", *shared, trained, "--text_model_id", language, *steps, *TRAINING.split())
    run(
        "reconstruct_story.py",
        *shared,
        folder / "story",
        "--checkpoint",
        trained,
        *TELLING.split(),
        *args.decoded_text,
    )


if __name__ == "__main__":
    main()
