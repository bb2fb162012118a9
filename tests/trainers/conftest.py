# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A tiny Llama with a word tokenizer, and rows in which the brain decides the completion."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig


torch.set_num_threads(1)
COLOURS = ("red", "blue", "green", "gold")
WORDS = ("<unk>", "<s>", "</s>", ".", "the", "cat", "dog", "bird", "is", "was", "and", "very", *COLOURS)
NUM_FEATURES = 6


@pytest.fixture(scope="session")
def text_model(tmp_path_factory) -> Path:
    """Folder of a language model that knows nothing and a tokenizer that knows some words."""
    folder = tmp_path_factory.mktemp("text_model")
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def make_model(text_model):
    def make(num_frames: int = 1, config_kwargs: dict | None = None, **encoder):
        options = {"num_features": NUM_FEATURES, "hidden_size": 16, "num_hidden_layers": 1, "dropout": 0.0}
        encoder_config = FrameEncoderConfig(
            **{**options, "initializer_range": 0.3, "num_frames": num_frames, **encoder}
        )
        torch.manual_seed(1)
        return BrainLlamaForCausalLM.from_text_model(
            text_model, encoder_config, dtype=torch.float32, config_kwargs=config_kwargs
        )

    return make


@pytest.fixture
def make_processor(text_model):
    def make(model):
        return BrainLlamaProcessor.from_config(model.config, PreTrainedTokenizerFast.from_pretrained(text_model))

    return make


@pytest.fixture
def make_rows():
    def make(num_brains: int = 32, num_frames: int = 1, signal: float = 1.0, seed: int = 0) -> Dataset:
        """Each brain sample says one colour; two rows share it, each passage holds two brain samples."""
        rng = np.random.default_rng(seed)
        codes = np.random.default_rng(99).standard_normal((len(COLOURS), NUM_FEATURES))
        rows = []
        for brain in range(num_brains):
            colour, animal = rng.integers(len(COLOURS)), rng.choice(["cat", "dog", "bird"])
            values = signal * codes[colour] + 0.1 * rng.standard_normal((num_frames, NUM_FEATURES))
            shared = {
                "corpus": "tiny", "subject": "s1", "stimulus": f"{brain // 2}", "group": f"{brain // 2}", "topic": "t",
                "brain_id": f"tiny/{brain}", "text": f"the {animal} is {COLOURS[colour]} .",
                "brain_values": values.astype(np.float32).tolist(),
            }  # fmt: skip
            for k, (prompt, completion) in enumerate(
                [(f"the {animal} is", f"{COLOURS[colour]} ."), ("the", f"{animal} is {COLOURS[colour]} .")], start=1
            ):
                rows.append({"sample_id": f"tiny/{brain}/{k}", "prompt": prompt, "completion": completion, **shared})
        return Dataset.from_list(rows)

    return make


@pytest.fixture
def make_images():
    def make(num_images: int = 12, subject: str = "s1", num_features: int = NUM_FEATURES, seed: int = 0) -> Dataset:
        """One trial an image, in order; three captions each, of which the brain decides animal and colour."""
        rng = np.random.default_rng(seed)
        codes = np.random.default_rng(99).standard_normal((3, len(COLOURS), num_features))
        rows = []
        for trial in range(num_images):
            animal, colour = int(rng.integers(3)), int(rng.integers(len(COLOURS)))
            thing, said = ("cat", "dog", "bird")[animal], COLOURS[colour]
            values = codes[animal, colour] + 0.1 * rng.standard_normal((1, num_features))
            captions = [f"the {thing} is {said} .", f"the {thing} was very very {said} .", f"{said} {thing}"]
            place = f"tiny/{subject}/session01/{trial}"
            rows.append(
                {
                    "sample_id": place, "corpus": "tiny", "subject": subject, "session": "session01",
                    "stimulus": f"image/{trial}", "group": f"image/{trial}", "topic": "t", "brain_id": place,
                    "prompt": "", "completion": captions[0], "text": captions[0], "references": captions,
                    "brain_values": values.astype(np.float32).tolist(),
                }
            )  # fmt: skip
        return Dataset.from_list(rows)

    return make
