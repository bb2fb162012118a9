# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The recipe of `examples/recipes/brainllama.yaml` in small, for brains that read the grammar of the synthetic corpus:
what `demo.py` and `benchmarks/scaling_grids.py` share.
"""

import copy
import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
from datasets import DatasetDict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modeling_brainllm import BrainLlamaForCausalLM
from trainers import (
    BrainSFTConfig,
    BrainSFTTrainer,
    ModelArguments,
    SemanticArguments,
    load_model_and_processor,
    shuffle_brains,
)
from trainers.warmup.plain_text import plain_text_rows
from trainers.warmup.stages import fit_encoder, make_embedder, pretrain_interface, with_predictions


def plain_sentences(sources: Iterable[Sequence[str]], corpora: Iterable[DatasetDict]) -> list[str]:
    """The distinct sentences of the sources, less those that a corpus holds out."""
    held_out = {text for splits in corpora for name in ("validation", "test") for text in splits[name]["text"]}
    return [text for text in dict.fromkeys(text for texts in sources for text in texts) if text not in held_out]


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


def train_language_model(
    texts: list[str], folder: Path, num_steps: int, hidden_size: int = 96, num_hidden_layers: int = 4
) -> LlamaForCausalLM:
    """A Llama, by default of half a million parameters, that knows the grammar and nothing else; saved in `folder`."""
    tokenizer = make_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden_size, intermediate_size=8 * hidden_size // 3,
        num_hidden_layers=num_hidden_layers, num_attention_heads=4, num_key_value_heads=2, bos_token_id=0,
        eos_token_id=1, tie_word_embeddings=True,
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


def train_decoder(
    splits: DatasetDict,
    sentences: list[str],
    text_model: Path,
    folder: Path,
    *,
    num_components: int = 96,
    seed: int = 0,
) -> tuple[BrainSFTTrainer, BrainLlamaForCausalLM]:
    """
    Ridge regression, plain text, prompt tuning; saved in `folder`. The trainer holds model and processor; beside it
    comes the brain-deaf twin, whose training brains were shuffled, saved in `folder/twin`.
    """
    arguments = ModelArguments(
        text_model_id=str(text_model),
        encoder_num_hidden_layers=0,
        interface="cross_attention",
        adapter_layers=[0, 1, 2],
        gate_init=0.5,
    )
    semantic = SemanticArguments(
        semantic=True, language_model_layers=[0], num_components=num_components, variance_exponent=0.0,
        text_files=["the grammar"], text_epochs=2, text_learning_rate=3e-3, text_batch_size=32,
    )  # fmt: skip
    tuning = BrainSFTConfig(
        output_dir=str(folder), reading="mixed", learning_rate=5e-4, num_train_epochs=1, max_grad_norm=1.0,
        per_device_train_batch_size=16, condition_dropout=0.3, gate_learning_rate_ratio=5.0, save_strategy="no",
        seed=seed, use_cpu=True, disable_tqdm=True, report_to="none", logging_strategy="no",
    )  # fmt: skip
    model, processor = load_model_and_processor(
        arguments, splits["train"], encoder_hidden_size=semantic.num_components
    )
    embedder = make_embedder(semantic, model, processor)
    text_rows = plain_text_rows(sentences, embedder.fit_transform(sentences), seed)
    _, noise, _ = fit_encoder(model, processor, splits["train"], embedder, semantic.variance_exponent)
    with redirect_stdout(io.StringIO()):  # the trainers' own logs
        pretrain_interface(model, processor, text_rows, noise, tuning, semantic)
        twin = copy.deepcopy(model)
        tuned = []
        for decoder, rows in ((model, splits["train"]), (twin, shuffle_brains(splits["train"], seed))):
            ridge, _, brain_ids = fit_encoder(decoder, processor, rows, embedder, semantic.variance_exponent)
            predicted = with_predictions(rows, brain_ids, ridge)
            tuned.append(BrainSFTTrainer(decoder, tuning, predicted, splits["validation"], processing_class=processor))
            tuned[-1].train()
        tuned[0].save_model()
        tuned[1].save_model(str(folder / "twin"))
    return tuned[0], twin


__all__ = ["make_tokenizer", "plain_sentences", "train_decoder", "train_language_model"]
