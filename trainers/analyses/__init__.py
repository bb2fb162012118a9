# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The analyses of the papers: each a function of saved samples or of an evaluation, and a `Section` of its result.

- `surprise`: by how much the true text surprises the language model; `planted_words`: the same as an experiment;
- `prompt_length`: by how much of the text is known;
- `regions`: with one cortical region kept or removed;
- `scaling`: decoder capacity, training-set size, language-model size;
- `transfer`: between subjects and between corpora.

What they share stands in `effects` (what the brain adds, sample by sample) and `curves` (bins and trends).
"""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "curves": ["Curve", "make_curve", "trend"],
        "effects": ["Effects", "brain_effects", "loss_effects", "tasks_of"],
        "planted_words": ["plant_words", "planted_curve", "planted_section"],
        "prompt_length": [
            "count_windows",
            "count_words",
            "prompt_length_curve",
            "prompt_length_section",
            "token_counter",
        ],
        "regions": ["atlas_regions", "compare_regions", "feature_regions", "regions_section", "ablate_voxels"],
        "scaling": ["scaling_curve", "scaling_section"],
        "surprise": ["surprise_curve", "surprise_section"],
        "transfer": ["split_by_subject", "transfer_matrix", "transfer_section"],
    },
)
