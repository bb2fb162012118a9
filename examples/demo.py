# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[demo]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""
The whole path on a synthetic corpus, in minutes on two CPU cores, without a network: `make demo`, or

    python examples/demo.py --output_dir outputs/demo

A grammar writes passages about concepts, and a simulated brain hides each sentence's meaning in noise. A small Llama
is trained on the grammar on the spot. Then the recipe of `examples/recipes/brainllama.yaml` runs in small: ridge
regression from brain to meaning, plain text to teach the language model what a meaning is, prompt tuning on the
training brains. Held-out passages judge it beside its controls; and so they judge a second decoder, whose corpus has
noise for a brain.
"""

import argparse
import io
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import torch
from datasets import DatasetDict, disable_progress_bars
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

from dataset_builders import prepare_corpus
from trainers import BrainSFTConfig, BrainSFTTrainer, ModelArguments, SemanticArguments, load_model_and_processor
from trainers.brain_format import with_brain_arrays
from trainers.evaluation import evaluate_arms
from trainers.plain_text import plain_text_rows
from trainers.reading_figures import texts_of
from trainers.report import EvaluationReport
from trainers.stages import fit_encoder, make_embedder, teach_interface, with_predictions


SEED = 0
SIGNAL_TO_NOISE = 2.0
NUM_FEATURES = 256
NUM_PASSAGES = 160
NUM_PLAIN_PASSAGES = 1200
GENERATION = {"num_beams": 3, "min_new_tokens": 2, "max_new_tokens": 12}
# A demonstration is to be quick: its reports lack these controls and floors, and say so.
LEFT_OUT = ("zero", "voxel_shuffle", "noise", "ridge", "retrieval")
READINGS = {"continuation": "continue a prompt", "sentence": "whole sentence, no prompt"}


def write_corpus(folder: Path, signal_to_noise: float, num_passages: int, corpus_seed: int):
    """Passages of the grammar with simulated brains, whole passages held out."""
    options = {"num_passages": num_passages, "corpus_seed": corpus_seed, "signal_to_noise": signal_to_noise}
    return prepare_corpus("synthetic_sentences", cache_dir=folder / "corpus", num_features=NUM_FEATURES, **options)


def write_plain_text(folder: Path, splits: DatasetDict) -> list[str]:
    """Training sentences and further ones of the grammar; none that is held out."""
    more = write_corpus(folder, 0.0, NUM_PLAIN_PASSAGES, corpus_seed=SEED + 1).as_dataset()
    held_out = {text for name in ("validation", "test") for text in splits[name]["text"]}
    texts = [text for rows in (splits["train"], *more.values()) for text in rows["text"]]
    return [text for text in dict.fromkeys(texts) if text not in held_out]


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a beginning-of-sequence token, as Llama's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special_tokens = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=640, special_tokens=special_tokens, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def train_language_model(texts: list[str], folder: Path, num_steps: int) -> LlamaForCausalLM:
    """A Llama of half a million parameters that knows the grammar and nothing else; saved in `folder`."""
    tokenizer = make_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=0, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    tokens = tokenizer([text + "</s>" for text in texts], padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=num_steps)
    for _ in range(num_steps):
        rows = torch.randint(len(texts), (64,))
        ids, mask = tokens["input_ids"][rows], tokens["attention_mask"][rows]
        loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    print(f"   {model.num_parameters():,} parameters, {len(texts)} sentences, perplexity {loss.exp().item():.1f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def train_decoder(splits: DatasetDict, sentences: list[str], text_model: Path, folder: Path):
    """The recipe in small: returns model and processor."""
    arguments = ModelArguments(
        text_model_id=str(text_model),
        encoder_num_hidden_layers=0,
        interface="cross_attention",
        adapter_layers=[0, 1, 2],
    )
    semantic = SemanticArguments(
        semantic=True, language_model_layer=0, num_components=96, variance_exponent=0.0, text_files=["the grammar"],
        text_epochs=2, text_learning_rate=3e-3, text_batch_size=32,
    )  # fmt: skip
    tuning = BrainSFTConfig(
        output_dir=str(folder), reading="mixed", learning_rate=5e-4, num_train_epochs=1, max_grad_norm=1.0,
        per_device_train_batch_size=16, contrastive_weight=1.0, num_negatives=3, contrastive_segments=2,
        gate_learning_rate_ratio=5.0, save_strategy="no", seed=SEED, use_cpu=True, disable_tqdm=True,
        report_to="none", logging_strategy="no",
    )  # fmt: skip
    model, processor = load_model_and_processor(
        arguments, splits["train"], encoder_hidden_size=semantic.num_components
    )
    embedder = make_embedder(semantic, model, processor)
    text_rows = plain_text_rows(sentences, embedder.fit_transform(sentences), SEED)
    ridge, noise, brain_ids = fit_encoder(model, processor, splits["train"], embedder, semantic.variance_exponent)
    rows = with_predictions(splits["train"], brain_ids, ridge)
    with redirect_stdout(io.StringIO()):  # the trainers' own logs
        teach_interface(model, processor, text_rows, noise, tuning, semantic)
        trainer = BrainSFTTrainer(model, tuning, rows, splits["validation"], processing_class=processor)
        trainer.train()
        metrics = trainer.evaluate()
    print(f"   validation: pairwise accuracy {metrics['eval_pairwise_accuracy']:.3f}")
    trainer.save_model()
    return model, processor


def print_table(reports: dict[str, EvaluationReport]) -> None:
    print(f"\n{'corpus':9}{'task':27}{'arm':11}{'loss':>7}{'BLEU-1':>9}   own brain likelier than control")
    for name, report in reports.items():
        for row in report.arms:
            if row["arm"] not in ("brain", "permuted", "no_brain"):
                continue
            found = report.find(row["reading"], row["arm"], "pairwise_accuracy")
            line = (
                f"{name:9}{READINGS[row['reading']]:27}{row['arm']:11}{row['loss']:7.3f}{row['brainllm_bleu_1']:9.3f}"
            )
            if found is not None:
                line += f"   {found['value']:.3f}  [{found['ci_low']:.3f}, {found['ci_high']:.3f}]  chance .5"
            print(line)


def print_texts(report: EvaluationReport, num_samples: int = 5) -> None:
    print("\nDecoded from held-out brains, whole sentences without a prompt:")
    samples = [sample for sample in report.samples if sample["reading"] == "sentence"]
    for sample in samples[:: max(len(samples) // num_samples, 1)][:num_samples]:
        print(f"\n   truth          {sample['truth']}")
        for arm, label in (("brain", "its brain"), ("permuted", "another brain"), ("no_brain", "no brain")):
            print(f"   {label:14} {texts_of(sample, arm)[0]}")


def plot(reports: dict[str, EvaluationReport], path: Path) -> None:
    """Pairwise accuracy with its interval, planted signal beside noise."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    labels = []
    for name, report in reports.items():
        for reading, label in READINGS.items():
            found = report.find(reading, "permuted", "pairwise_accuracy")
            bounds = [[found["value"] - found["ci_low"]], [found["ci_high"] - found["value"]]]
            axes.errorbar(
                found["value"], len(labels), xerr=bounds, fmt="o", capsize=4, color="C0" if name == "signal" else "C7"
            )
            labels.append(f"{name}: {label}")
    axes.axvline(0.5, color="black", linestyle=":", label="chance")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("texts likelier under their own brain than under another's")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/demo"), help="folder to write")
    parser.add_argument("--text_steps", type=int, default=300, help="training steps of the language model")
    args = parser.parse_args()
    folder, started = args.output_dir, time.time()
    # Matrices this small gain nothing from threads, and lose much on a busy machine.
    torch.set_num_threads(1)
    set_seed(SEED)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()

    print("1. Corpora: a planted signal, and noise alone")
    corpora = {"signal": SIGNAL_TO_NOISE, "noise": 0.0}
    builders = {name: write_corpus(folder, ratio, NUM_PASSAGES, SEED) for name, ratio in corpora.items()}
    sentences = write_plain_text(folder, builders["signal"].as_dataset())
    print("2. Language model")
    train_language_model(sentences, folder / "text_model", args.text_steps)
    reports = {}
    for name, builder in builders.items():
        print(f"3. Decoder of the corpus '{name}' ({time.time() - started:.0f} s)")
        splits = with_brain_arrays(builder.as_dataset_dict())
        model, processor = train_decoder(splits, sentences, folder / "text_model", folder / name)
        info = asdict(builder.corpus_info)
        reports[name] = evaluate_arms(
            model, processor, splits, corpus=info, value_controls=(), generation=GENERATION, progress=False
        )
        reports[name].save(folder / name / "evaluation", allow=LEFT_OUT)
    print_table(reports)
    print_texts(reports["signal"])
    plot(reports, folder / "brain_counts.png")
    print(f"\nReports, checkpoints and {folder / 'brain_counts.png'} after {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
