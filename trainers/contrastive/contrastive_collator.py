# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows of a corpus → brains, target embeddings, and which rows saw the same image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modeling_brainllm import BrainLlamaFeatureExtractor

from ..data.target_embeddings import EMBEDDING_COLUMNS, stack_embeddings
from .info_nce import image_numbers


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
        brains = [row["brain_values"] for row in rows]
        names = [row["sample_id"] for row in rows]
        inputs = dict(self.extractor(brains, [row["subject"] for row in rows], names=names))
        for space in self.spaces:
            column = EMBEDDING_COLUMNS[space]
            inputs[column] = torch.from_numpy(stack_embeddings(rows, column))
        inputs["image_number"] = image_numbers([row["group"] for row in rows])
        return {**inputs, "sample_id": names}


__all__ = ["ContrastiveCollator"]
