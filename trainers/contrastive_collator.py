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
"""Rows of a corpus → brains, target embeddings, and which rows saw the same image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modeling_brainllm import BrainLlamaFeatureExtractor

from .info_nce import image_numbers
from .target_embeddings import EMBEDDING_COLUMNS, stack_embeddings


@dataclass
class ContrastiveCollator:
    """
    Makes a batch of rows into the inputs of the alignment.

    Subjects may be mixed: their brains stay apart, unpadded, and `brain_index` brings them back into their order.

    Args:
        extractor ([`BrainLlamaFeatureExtractor`]):
            Feature extractor of the model.
        spaces (`Sequence[str]`):
            Target spaces, `"text"`, `"image"` or both.

    Returns of a call:
        `dict` with the brain inputs of the feature extractor; for each space its column, e.g. `text_embedding` of
        shape `(batch, width)`; `image_number` `(batch,)`, equal for rows of one image; and `sample_id`, a list.

    Raises:
        ValueError: a target embedding is null, not finite, or 0, and so has no direction; or a brain does not fit its
            subject. Names the row.
    """

    extractor: BrainLlamaFeatureExtractor
    spaces: Sequence[str]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        brains = [np.asarray(row["brain_values"], np.float32) for row in rows]
        names = [row["sample_id"] for row in rows]
        inputs = dict(self.extractor(brains, [row["subject"] for row in rows], names=names))
        for space in self.spaces:
            column = EMBEDDING_COLUMNS[space]
            inputs[column] = torch.from_numpy(stack_embeddings(rows, column))
        inputs["image_number"] = image_numbers([row["group"] for row in rows])
        return {**inputs, "sample_id": names}


__all__ = ["ContrastiveCollator"]
