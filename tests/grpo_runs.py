# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Tiny runs of reward tuning: a random Llama, brains, one prompt, and a reward that counts a word."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset
from testing_utils import brain_inputs, tiny_brain_model
from transformers import AutoTokenizer

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.grpo_trainer import BrainGRPOTrainer


PROMPT = "word1 <|brain|> word2 word3"


def low_words(completions, **columns):
    """Share of the first half of the vocabulary, counted so that groups differ."""
    return [sum(int(word[4:]) < 40 for word in text.split()) / 4 for text in completions]


def make_model(
    text_model: Path, interface: str = "cross_attention", encoder: str = "frames"
) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    model = tiny_brain_model(text_model, interface, encoder)
    processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
    geometry = brain_inputs("voxels")
    for place, subject in enumerate(("S1", "S2")):
        if encoder == "voxels":
            coordinates, regions = geometry["voxel_coordinates"][place], geometry["voxel_regions"][place]
            processor.feature_extractor.add_subject(subject, coordinates, regions)
    return model, processor


def make_rows(encoder: str = "frames", brains: int = 6, prompt: str = PROMPT) -> Dataset:
    """Brains of two subjects; frames of one to three recordings, or subjects with other numbers of voxels."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(brains):
        subject = f"S{number % 2 + 1}"
        shape = (1 + number % 3, 6) if encoder == "frames" else (1, {"S1": 13, "S2": 8}[subject])
        values = generator.standard_normal(shape).astype(np.float32)
        rows.append(
            {
                "sample_id": f"tiny/{number}", "brain_id": f"brain/{number}", "group": f"{number}",
                "subject": subject, "prompt": prompt, "brain_values": values.tolist(),
                "references": [f"word{number}", "word3 word4"],
            }
        )  # fmt: skip
    return Dataset.from_list(rows)


def make_trainer(
    folder: Path,
    text_model: Path,
    interface: str = "cross_attention",
    encoder: str = "frames",
    reward: Callable | list[Callable] = low_words,
    trainer_class: type[BrainGRPOTrainer] = BrainGRPOTrainer,
    rows: Dataset | None = None,
    trainer_kwargs: dict | None = None,
    **options,
) -> BrainGRPOTrainer:
    """A trainer over two groups of four completions a step, on the CPU, silent."""
    defaults = {
        "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6, "learning_rate": 1e-2,
        "logging_steps": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True, "use_cpu": True,
        "max_steps": 2, "lora_rank": 4,
    }  # fmt: skip
    model, processor = make_model(text_model, interface, encoder)
    rows = make_rows(encoder) if rows is None else rows
    args = BrainGRPOConfig(output_dir=str(folder), **{**defaults, **options})
    # Every run ends with a search for garbage, which need not look through all that was imported.
    gc.freeze()
    return trainer_class(model, reward, args, rows, processing_class=processor, **(trainer_kwargs or {}))


def adapter_weights(trainer: BrainGRPOTrainer) -> dict:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters() if "lora_" in name}
