# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How unlikely the true text is, row by row, as a function of the brain values: what a map takes apart.

[`LikelihoodLosses`] asks a language model for its cross-entropy; [`AlignmentLosses`] asks an encoder of the alignment
stage to find the text among those of all rows. Both are differentiable in the values. Each row has a control brain, a
row about another stimulus, because a map contrasts what voxels say for the own text with what any brain says for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from modeling_brainllm import (
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
)
from modeling_brainllm.modeling_brain_encoders import BrainEncoder

from ..data.brain_format import with_brain_arrays
from ..data.collator import BrainDataCollator, Row
from ..data.packing import InstructionCollator
from ..data.prompts import Renderer, caption_prompt
from ..data.target_embeddings import EMBEDDING_COLUMNS
from ..evaluation.arms import TEXT_INPUTS


if TYPE_CHECKING:
    from datasets import Dataset


def pair_groups(groups: Sequence, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """
    Pairs groups at random; the rows of each read the brains of the other.

    Within a pair own and control brain can be swapped, for both groups at once. If no brain counts, nobody can tell,
    and that makes the test of [`~trainers.maps.attributions.VoxelMap`] exact where paired groups have equally many
    rows.

    Args:
        groups (`Sequence` of length rows):
            Leak-proof group (image, passage) of each row.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Returns:
        `tuple` of `np.ndarray` of shape `(rows,)`: The row whose brain each row gets, and the number of its pair; both
        -1 for rows of the group that is left over when groups are odd in number.

    Raises:
        ValueError: If there are fewer than four groups, hence no two pairs.
    """
    names, labels = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 4:
        raise ValueError(
            f"The rows are about {len(names)} stimuli: a map contrasts pairs of them and needs four or more. Take "
            "more rows of this subject."
        )
    order = np.random.default_rng(seed).permutation(len(names))
    control_brains, pairs = np.full(len(labels), -1), np.full(len(labels), -1)
    for pair, (one, other) in enumerate(zip(order[0::2], order[1::2], strict=False)):
        rows, others = np.flatnonzero(labels == one), np.flatnonzero(labels == other)
        control_brains[rows], control_brains[others] = np.resize(others, len(rows)), np.resize(rows, len(others))
        pairs[rows] = pairs[others] = pair
    return control_brains, pairs


class RowLosses(ABC):
    """
    The rows of one subject, each with the brain values of its own and of its control brain, in batches.

    Args:
        model (`nn.Module`), extractor ([`BrainLlamaFeatureExtractor`]):
            They must agree.
        rows ([`~datasets.Dataset`]):
            Rows of one subject, all of the same number of frames; those whose group finds no partner are left out.
        batch_size (`int`):
            Rows at a time.
        seed (`int`):
            Seed of the pairs.

    Attributes:
        values (`torch.Tensor` of shape `(rows, voxels)` or `(rows, frames, features)`): What the encoder reads.
        control brains, pairs (`np.ndarray` of shape `(rows,)`): As [`pair_groups`] makes them.
        batches (`list` of `np.ndarray`): Rows of each batch.
        unit (`str`): Unit of the losses.

    Raises:
        ValueError: If the rows are of several subjects, or of several numbers of frames.
    """

    unit: ClassVar[str]

    def __init__(
        self, model: Any, extractor: BrainLlamaFeatureExtractor, rows: "Dataset", batch_size: int, seed: int
    ) -> None:
        subjects = sorted(set(rows["subject"]))
        if len(subjects) != 1:
            raise ValueError(f"A map is of one subject; the rows are of {', '.join(subjects) or 'nobody'}.")
        control_brains, pairs = pair_groups(rows["group"], seed)
        paired = np.flatnonzero(pairs >= 0)
        self.subject, self.model = subjects[0], model.eval()
        self.rows = list(with_brain_arrays(rows.select(paired)))
        self.control_brains, self.pairs = np.searchsorted(paired, control_brains[paired]), pairs[paired]
        frames = sorted({len(row["brain_values"]) for row in self.rows})
        if len(frames) > 1:
            raise ValueError(
                f"The rows of '{self.subject}' have {frames} frames, and a row can only read a brain of as many "
                "frames as its own. Choose rows of one number of frames."
            )
        inputs = extractor([row["brain_values"] for row in self.rows], [row["subject"] for row in self.rows])
        self._is_voxels = extractor.input_kind == "voxels"
        values = inputs["brain_values"][0] if self._is_voxels else inputs["brain_values"]
        self.values: torch.Tensor = values.to(model.device)
        self._geometry: dict[str, Any] = {"brain_subjects": [self.subject]}
        for name in ("voxel_coordinates", "voxel_regions") if self._is_voxels else ():
            self._geometry[name] = [item.to(model.device) for item in inputs[name]]
        self.batches = np.array_split(np.arange(len(self.rows)), -(-len(self.rows) // batch_size))

    @property
    def encoder(self) -> BrainEncoder:
        """The brain encoder."""
        return getattr(self.model, "model", self.model).brain_encoder

    def brain_inputs(self, values: torch.Tensor) -> dict[str, Any]:
        """Arguments of the encoder for brains of these values."""
        return {"brain_values": [values], **self._geometry} if self._is_voxels else {"brain_values": values}

    @abstractmethod
    def __call__(self, values: torch.Tensor, batch: int) -> torch.Tensor:
        """Losses `(rows,)` in nats of the true texts of a batch's rows, if their brains had these values."""


class AlignmentLosses(RowLosses):
    """
    `-log p(own text | brain)`, by the model of the alignment stage: the softmax of scaled cosines between the brain
    and the texts (or images) of all rows; one direction of the loss that the model was trained by.

    Args:
        model ([`BrainContrastiveModel`]), extractor, rows, batch_size (*optional*), seed (*optional*):
            As in [`RowLosses`]; rows have a column with the embeddings of the space.
        space (`str`, *optional*, defaults to `"text"`):
            `"text"` or `"image"`.
    """

    unit = "nats an image"

    def __init__(
        self,
        model: BrainContrastiveModel,
        extractor: BrainLlamaFeatureExtractor,
        rows: "Dataset",
        *,
        space: str = "text",
        batch_size: int = 256,
        seed: int = 0,
    ):
        column = EMBEDDING_COLUMNS[space]
        if space not in model.heads or column not in rows.column_names:
            raise ValueError(
                f"The space '{space}' needs a head of the model, which has {', '.join(model.heads)}, and the column "
                f"`{column}` of the rows, which have {', '.join(rows.column_names)}. Add it by "
                "`trainers.data.target_embeddings`, or choose another space."
            )
        super().__init__(model, extractor, rows, batch_size, seed)
        self.space = space
        _, first, own = np.unique([row["group"] for row in self.rows], return_index=True, return_inverse=True)
        gallery = torch.tensor(np.array([self.rows[place][column] for place in first], np.float32))
        self.gallery = nn.functional.normalize(gallery, dim=-1).to(model.device)
        self.own = torch.from_numpy(own).to(model.device)

    def __call__(self, values: torch.Tensor, batch: int) -> torch.Tensor:
        found = self.model(**self.brain_inputs(values))
        scores = found.logit_scales[self.space].float() * found.embeddings[self.space].float() @ self.gallery.T
        return nn.functional.cross_entropy(scores, self.own[self.batches[batch]], reduction="none")


class LikelihoodLosses(RowLosses):
    """
    Mean cross-entropy of the true text's tokens, by a language model that reads brains.

    Rows of images (with `references`) are read as captions, under the prompt of
    [`~trainers.data.prompts.caption_prompt`]; other rows as continuations of their prompts.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]), rows, batch_size, seed:
            As in [`RowLosses`].
        max_answers (`int`, *optional*, defaults to 1):
            Captions of an image that are scored.
    """

    unit = "nats a token"

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        processor: BrainLlamaProcessor,
        rows: "Dataset",
        *,
        max_answers: int = 1,
        batch_size: int = 32,
        seed: int = 0,
    ):
        processor.check_config(model.config)
        super().__init__(model, processor.feature_extractor, rows, batch_size, seed)
        is_caption = "references" in rows.column_names
        collate = InstructionCollator(processor) if is_caption else BrainDataCollator(processor)
        texts = _captions(self.rows, processor, max_answers) if is_caption else self.rows
        self.texts = [self._tokenise(collate([texts[row] for row in rows])) for rows in self.batches]

    def _tokenise(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        names = [name for name in (*TEXT_INPUTS, "segment_ids") if name in inputs]
        return {name: inputs[name].to(self.model.device) for name in names}

    def __call__(self, values: torch.Tensor, batch: int) -> torch.Tensor:
        inputs = self.brain_inputs(values.to(self.model.dtype))
        embeds = self.encoder(**inputs)
        index = torch.arange(len(values), device=values.device)
        losses, rows = self.model.token_losses(**self.texts[batch], encoder_outputs=embeds, brain_index=index)
        ones, sums = torch.ones_like(losses), torch.zeros(len(values), device=values.device)
        return sums.index_add(0, rows, losses) / sums.index_add(0, rows, ones)


def _captions(rows: Sequence[Row], processor: BrainLlamaProcessor, max_answers: int) -> list[Row]:
    """The rows as [`~trainers.data.packing.InstructionCollator`] reads them."""
    prompt, renderer = caption_prompt(processor), Renderer(processor)
    return [
        {
            **row,
            "prompt": prompt,
            "segments": [[renderer.answer(text.strip())] for text in row["references"][:max_answers]],
        }
        for row in rows
    ]


__all__ = ["AlignmentLosses", "LikelihoodLosses", "RowLosses", "pair_groups"]
