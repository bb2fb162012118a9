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
"""Everything that updates or scores a model. Names are loaded when first used: importing the room costs nothing."""

from importlib import import_module
from typing import Any


_EXPORTS = {
    "analyses": [
        "atlas_regions",
        "compare_regions",
        "plant_words",
        "planted_curve",
        "prompt_length_curve",
        "scaling_curve",
        "silence",
        "surprise_curve",
        "transfer_matrix",
    ],
    "arguments": [
        "DataArguments",
        "EncoderArguments",
        "ModelArguments",
        "SemanticArguments",
        "TargetArguments",
        "WarmupArguments",
    ],
    "brain_images": ["write_brain_image"],
    "caption_evaluation": ["caption_generation", "evaluate_captions"],
    "caption_report": ["CaptionReport"],
    "ceilings": ["noise_ceiling_section"],
    "comparisons": ["compare_by_subject"],
    "conditions": ["count_brains", "note_training_brains"],
    "contrastive_config": ["BrainContrastiveTrainingConfig"],
    "contrastive_trainer": ["BrainContrastiveTrainer"],
    "data_collator": ["BrainDataCollator", "read_as"],
    "encoder_diagnostics": ["diagnose_encoder"],
    "evaluation": ["evaluate_arms"],
    "figures": ["Series", "bar_chart", "line_chart", "png_figure"],
    "grpo_config": ["BrainGRPOConfig"],
    "grpo_trainer": ["BrainGRPOTrainer"],
    "instruction_rows": ["InstructionMaker", "InstructionRows"],
    "instructions": ["caption_prompt", "store_caption_settings"],
    "loading": [
        "fit_statistics",
        "keep_groups",
        "keep_subjects",
        "load_contrastive_model",
        "load_corpus_splits",
        "load_model_and_processor",
    ],
    "map_losses": ["AlignmentLosses", "LikelihoodLosses"],
    "map_sections": ["map_section"],
    "map_statistics": ["VoxelMap", "recovery"],
    "model_card": ["create_model_card", "push_adapter"],
    "objectives": ["likelihood_contrast"],
    "packing": ["InstructionCollator"],
    "plain_text": ["plain_text_rows", "read_sentences", "sample_text_from_model", "without_overlap"],
    "predictions_report": ["PredictionsReport", "evaluate_predictions"],
    "report": ["EvaluationReport", "pool_reports"],
    "resampling": ["Resampler"],
    "results": ["save_eval_results"],
    "reward_monitor": ["RewardMonitor", "completion_figures"],
    "reward_setup": [
        "check_text_space",
        "fit_document_frequencies",
        "make_rewards",
        "with_brain_embeddings",
        "with_prompt",
    ],
    "reward_caches": ["CachedEncoder"],
    "rewards": ["BertScoreReward", "CiderReward", "IdentificationReward", "TextSimilarityReward"],
    "ridge_floor": ["RidgeFloor", "ridge_floor"],
    "sections": ["Section"],
    "semantic": [
        "MeanPooledEmbedder",
        "PredictionNoise",
        "RidgeMap",
        "SentenceEmbedder",
        "calibrate",
        "fit_ridge",
        "write_into_encoder",
    ],
    "sft_config": ["BrainSFTConfig"],
    "sft_trainer": ["BrainSFTTrainer"],
    "stages": [
        "collect_plain_text",
        "fit_encoder",
        "make_embedder",
        "run_semantic_stages",
        "run_warmup",
        "teach_interface",
        "with_predictions",
    ],
    "target_embeddings": [
        "add_image_embeddings",
        "add_text_embeddings",
        "confirm_text_embeddings",
        "save_with_targets",
    ],
    "text_encoders": ["TextFeatureEmbedder", "load_text_encoder"],
    "text_spaces": ["is_same_space", "text_space"],
    "token_embeddings": ["TokenEmbedder"],
    "voxel_maps": ["attention_effects", "exchange_effects", "gradient_effects", "occlusion_effects"],
    "voxels": ["add_geometries", "read_geometries"],
    "warmup_config": ["BrainWarmupConfig"],
    "warmup_trainer": ["BrainWarmupTrainer"],
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
