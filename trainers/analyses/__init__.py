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
The analyses of the papers: each a function of saved samples or of an evaluation, and a `Section` made of its result.

- `surprise`: by how much the true text surprises the language model; `planted_words`: the same as an experiment;
- `prompt_length`: by how much of the text is known;
- `regions`: with one cortical region kept or removed;
- `scaling`: decoder capacity, training-set size, language-model size;
- `transfer`: between subjects and between corpora.

What they share stands in `effects` (what the brain adds, sample by sample) and `curves` (bins and trends).
"""

from .curves import Curve, make_curve, trend
from .effects import Effects, brain_effects, caption_effects, readings_of, sample_effects
from .planted_words import plant_words, planted_curve, planted_section
from .prompt_length import count_windows, count_words, prompt_length_curve, prompt_length_section, token_counter
from .regions import atlas_regions, compare_regions, feature_regions, regions_section, silence
from .scaling import scaling_curve, scaling_section
from .surprise import surprise_curve, surprise_section
from .transfer import split_by_subject, transfer_matrix, transfer_section


__all__ = [
    "Curve",
    "Effects",
    "atlas_regions",
    "brain_effects",
    "caption_effects",
    "compare_regions",
    "count_windows",
    "count_words",
    "feature_regions",
    "make_curve",
    "plant_words",
    "planted_curve",
    "planted_section",
    "prompt_length_curve",
    "prompt_length_section",
    "readings_of",
    "regions_section",
    "sample_effects",
    "scaling_curve",
    "scaling_section",
    "silence",
    "split_by_subject",
    "surprise_curve",
    "surprise_section",
    "token_counter",
    "transfer_matrix",
    "transfer_section",
    "trend",
]
