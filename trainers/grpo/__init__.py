# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Reward tuning on top of TRL's `GRPOTrainer`."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "grpo_config": ["BrainGRPOConfig"],
        "grpo_trainer": ["BrainGRPOTrainer"],
        "reward_monitor": ["RewardMonitor", "completion_figures"],
        "reward_setup": [
            "check_text_space",
            "fit_document_frequencies",
            "make_rewards",
            "with_brain_embeddings",
            "with_prompt",
        ],
        "rewards": ["BertScoreReward", "CiderReward", "IdentificationReward", "TextSimilarityReward"],
    },
)
