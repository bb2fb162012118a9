# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""From the rows of a corpus to batches: formats, collators, geometry, tasks, prompts, target embeddings."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "collator": ["BrainDataCollator", "read_as"],
        "corpora": ["keep_groups", "keep_subjects", "load_corpus_splits", "shuffle_brains"],
        "geometry": ["add_geometries", "read_geometries"],
        "instructions": ["InstructionMaker", "InstructionRows"],
        "packing": ["InstructionCollator"],
        "prompts": ["caption_prompt", "store_caption_settings"],
        "structure": ["brains_of_structure"],
        "provenance": ["count_brains", "record_training_brains"],
        "target_embeddings": [
            "add_image_embeddings",
            "add_text_embeddings",
            "confirm_text_embeddings",
            "save_with_targets",
        ],
    },
)
