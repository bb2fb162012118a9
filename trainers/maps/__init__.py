# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which voxels a decoder reads."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "attributions": ["attention_effects", "exchange_effects", "gradient_effects", "occlusion_effects"],
        "images": ["write_brain_image"],
        "losses": ["AlignmentLosses", "LikelihoodLosses"],
        "sections": ["map_section"],
        "statistics": ["VoxelMap", "recovery"],
    },
)
