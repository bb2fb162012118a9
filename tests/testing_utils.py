# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Tiny real models and inputs, made in code: every test of the model room runs over every interface and encoder."""

import os
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modeling_brainllm import BrainLlamaForCausalLM, FrameEncoderConfig, VoxelEncoderConfig


INTERFACES = ("prefix", "cross_attention")
ENCODERS = ("frames", "voxels")
VARIANTS = [(interface, encoder) for interface in INTERFACES for encoder in ENCODERS]
VOCAB_SIZE, BOS, EOS, PAD = 99, 0, 1, 2
VOXEL_COUNTS = {"S1": 13, "S2": 8}

# Corpora and weights that cannot be shipped; tests that need them say so when they are absent.
SHARED = Path(os.environ.get("BRAINLLM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared_path(name: str) -> Path:
    """A file or folder of the optional data; skips the test, loudly, when it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"SKIPPED FOR WANT OF DATA: {name} is not in BRAINLLM_SHARED={SHARED}")
    return path


def tiny_text_config(**kwargs) -> LlamaConfig:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"vocab_size": VOCAB_SIZE, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    return LlamaConfig(**{**sizes, **tokens, "num_hidden_layers": 4, "max_position_embeddings": 256, **kwargs})


def save_tiny_text_model(folder: Path, **kwargs) -> Path:
    """Writes a random Llama, its weights wide enough that distant tokens matter and greedy paths are not ties."""
    torch.manual_seed(0)
    LlamaForCausalLM(tiny_text_config(initializer_range=0.3, **kwargs)).save_pretrained(folder)
    return folder


def tiny_encoder_config(encoder: str) -> FrameEncoderConfig | VoxelEncoderConfig:
    if encoder == "frames":
        return FrameEncoderConfig(num_features=6, hidden_size=8, num_frames=3, dropout=0.1, initializer_range=0.5)
    sizes = {"num_queries": 16, "key_size": 8, "num_tokens": 2, "hidden_size": 8, "token_code_size": 4}
    return VoxelEncoderConfig(region_sizes=(4, 2), num_frequencies=4, num_residual_layers=1, **sizes)


def tiny_brain_model(text_model: Path, interface: str, encoder: str, **config_kwargs) -> BrainLlamaForCausalLM:
    """A brain model on a tiny Llama; gates are open and weights wide, so that a brain moves the logits."""
    torch.manual_seed(1)
    config_kwargs = {"interface": interface, "tokens_per_embedding": 2, "adapter_layers": (0, 2), **config_kwargs}
    model = BrainLlamaForCausalLM.from_text_model(
        text_model, tiny_encoder_config(encoder), config_kwargs=config_kwargs, dtype=torch.float32
    )
    with torch.no_grad():
        for name, parameter in model.model.brain_interface.named_parameters():
            if "gate" in name:
                parameter.fill_(1.0)
            elif "norm" not in name:
                parameter.normal_(std=0.5)
    return model


def brain_inputs(encoder: str, brains: int = 3, seed: int = 0) -> dict:
    """`brains` distinct brain samples; for voxels of two subjects with different voxel counts."""
    generator = torch.Generator().manual_seed(seed)
    if encoder == "frames":
        return {"brain_values": torch.randn(brains, 3, 6, generator=generator)}
    samples = {"S1": brains - brains // 2, "S2": brains // 2}
    subjects = [subject for subject, count in samples.items() if count]
    geometry = torch.Generator().manual_seed(7)  # a subject's brain stays in place whatever is recorded
    places = {
        subject: (
            50 * torch.randn(voxels, 3, generator=geometry),
            torch.randint(-1, 3, (voxels, 2), generator=geometry),
        )
        for subject, voxels in VOXEL_COUNTS.items()
    }
    return {
        "brain_values": [torch.randn(samples[s], VOXEL_COUNTS[s], generator=generator) for s in subjects],
        "voxel_coordinates": [places[subject][0] for subject in subjects],
        "voxel_regions": [places[subject][1] for subject in subjects],
        "brain_subjects": subjects,
    }


def prompt_ids(model: BrainLlamaForCausalLM, batch: int = 3, length: int = 5, seed: int = 0) -> torch.Tensor:
    """Prompts `(batch, tokens)`: bos, the brain block if the interface has one, text."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(3, VOCAB_SIZE, (batch, length), generator=generator)
    config, head = model.config, [BOS]
    if config.interface == "prefix":
        block = [config.brain_token_id] * config.num_brain_tokens
        head += [config.brain_start_token_id, *block, config.brain_end_token_id]
    return torch.cat([torch.tensor([head] * batch), text], dim=1)


def save_tiny_tokenizer(folder: Path) -> Path:
    """Writes a word-level tokenizer of `VOCAB_SIZE` words beside a tiny Llama."""
    words = ["<s>", "</s>", "<pad>", "<unk>"] + [f"word{index}" for index in range(VOCAB_SIZE - 4)]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


def save_tiny_clip(folder: Path) -> CLIPModel:
    """Writes an untrained CLIP of width 16 with a word-level tokenizer, whose words are letters, digits and a few."""
    words = ["<pad>", "<s>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz0123456789.", "the", "cat", "is", "number"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 3)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **special).save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(words), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 3}
    vision = {**sizes, "image_size": 8, "patch_size": 4}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    model.save_pretrained(folder)
    return model
