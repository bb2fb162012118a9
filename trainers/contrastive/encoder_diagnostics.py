# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Does an encoder hear its brain? Cosines, retrieval and attention under real, voxel-shuffled and zero voxels.

    >>> diagnose_encoder(model, extractor, splits["test"])
    {"cos_real_zero": 0.02, "cos_real_real": 0.03, "effective_voxels": 31.0, "text_recall_at_10": 0.98, ...}

An encoder that ignores its input gives the same tokens for a brain and for nothing: published ones start at a cosine
of .99 (and may stay there).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from modeling_brainllm import BrainContrastiveModel, BrainLlamaFeatureExtractor

from ..data.target_embeddings import EMBEDDING_COLUMNS, stack_embeddings
from ..evaluation import controls
from ..metrics.retrieval import Identification


REAL, SHUFFLED, ZERO = "real", "shuffled", "zero"
TOKENS = "tokens"
TOP = (1, 5, 10)


@torch.no_grad()
def diagnose_encoder(
    model: Any, extractor: BrainLlamaFeatureExtractor, rows: Any, batch_size: int = 64, seed: int = 0
) -> dict[str, float]:
    """
    What an encoder makes of the brains of one split.

    Args:
        model ([`BrainContrastiveModel`], [`BrainLlamaModel`] or [`BrainLlamaForCausalLM`]):
            Model with an encoder; put into evaluation mode, and back.
        extractor ([`BrainLlamaFeatureExtractor`]):
            Its feature extractor.
        rows ([`~datasets.Dataset`]):
            Rows of one split. For retrieval they carry the embeddings of the spaces that a contrastive model knows.
        batch_size (`int`, *optional*, defaults to 64):
            Rows at a time.
        seed (`int`, *optional*, defaults to 0):
            Seed of the shuffle.

    Returns:
        `dict[str, float]`:

        - `cos_real_zero`, `cos_real_zero_std`: cosine of a brain's tokens and those of zero voxels, over rows
        - `cos_real_real`: mean cosine of the tokens of two rows
        - `effective_voxels` and `num_voxels` (voxel encoders): see [`effective_voxels`], mean of the subjects
        - `num_queries` (rows), and for each space of a contrastive model, with the prefix `text_` or `image_`, the
          same cosines of embeddings, `gallery_size` (distinct images), `recall_at_1`, `recall_at_5`, `recall_at_10`,
          `median_rank` and `mean_reciprocal_rank`; under other voxels `text_shuffled_recall_at_1`,
          `text_zero_median_rank` and so on
        - `mean_reciprocal_rank`, `recall_at_10`, `median_rank`: mean of the spaces, by which a checkpoint can be
          chosen; the first goes on rising where the others have reached their end

    Raises:
        ValueError: there are no rows, a row lacks an embedding, or the encoder gives values that are not finite.
    """
    if not len(rows):
        raise ValueError("`rows` are none, so that no brain tells what the encoder hears: choose another split.")
    was_training = model.training
    model.eval()
    cosines, embeddings = _Cosines(), {}
    for number, batch in enumerate(_batches(rows, batch_size)):
        names = [row["sample_id"] for row in batch]
        brains = [np.asarray(row["brain_values"]) for row in batch]
        inputs = extractor(brains, [row["subject"] for row in batch], names=names)
        arms = {arm: _encode(model, _break(inputs, how)) for arm, how in _arms(seed + number).items()}
        cosines.add(arms[REAL].pop(TOKENS), arms[ZERO].pop(TOKENS))
        for arm, spaces in arms.items():
            for space in model.config.target_sizes if isinstance(model, BrainContrastiveModel) else ():
                embeddings.setdefault(space, {}).setdefault(arm, []).append(spaces[space].float().cpu())
    model.train(was_training)
    found = {"num_queries": float(len(rows))} | cosines.summary() | _attention(model, dict.fromkeys(rows["subject"]))
    for space, parts in embeddings.items():
        arms = {arm: torch.cat(vectors) for arm, vectors in parts.items()}
        own = _Cosines().add(arms[REAL], arms[ZERO]).summary()
        own |= _retrieval({arm: vectors.numpy() for arm, vectors in arms.items()}, rows, EMBEDDING_COLUMNS[space])
        found |= {f"{space}_{name}": value for name, value in own.items()}
    for name in ("mean_reciprocal_rank", "recall_at_10", "median_rank") if embeddings else ():
        found[name] = float(np.mean([found[f"{space}_{name}"] for space in embeddings]))
    return found


def effective_voxels(attention: torch.Tensor) -> torch.Tensor:
    r"""
    $\exp(-\sum_v p_{qv} \log p_{qv})$, to how many voxels a query attends: 1 for a single one, all of them if uniform.

    Args:
        attention (`torch.Tensor` of shape `(queries, voxels)`):
            Weights that are not negative; each row is brought to the sum 1.

    Returns:
        `torch.Tensor` of shape `(queries,)`.
    """
    shares = attention.double() / attention.double().sum(dim=-1, keepdim=True)
    return torch.special.entr(shares).sum(dim=-1).exp()


def rank_in_gallery(scores: np.ndarray, right: np.ndarray) -> Identification:
    """
    Where the image that was seen stands among all images, for each query.

    Args:
        scores (`np.ndarray` of shape `(queries, gallery)`):
            Higher is better.
        right (`np.ndarray` of shape `(queries,)`):
            Place of the right image in the gallery.

    Returns:
        [`Identification`]: rank `1 + |better| + 1/2 |as good|`.

    Raises:
        ValueError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("`scores` hold NaN or infinite values: the encoder or a target embedding is broken.")
    own = np.take_along_axis(scores, right[:, None], axis=1)
    ties = (scores == own).sum(axis=1) - 1
    return Identification(1 + (scores > own).sum(axis=1) + 0.5 * ties, np.full(len(scores), scores.shape[1]))


def _batches(rows: Any, batch_size: int) -> Iterator[list[Mapping[str, Any]]]:
    some = rows.select_columns(["sample_id", "subject", "brain_values"])
    for start in range(0, len(rows), batch_size):
        yield [some[i] for i in range(start, min(start + batch_size, len(rows)))]


def _arms(seed: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    return {
        REAL: lambda values: values,
        SHUFFLED: lambda values: controls.voxel_shuffle(values, seed),
        ZERO: controls.zero,
    }


def _break(inputs: Mapping[str, Any], breaking: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """The inputs with other values; zeros that fill up absent frames stay zeros."""
    values = inputs["brain_values"]
    if isinstance(values, list):
        return {**inputs, "brain_values": [torch.from_numpy(breaking(value.numpy())) for value in values]}
    broken = torch.from_numpy(breaking(values.numpy()))
    return {**inputs, "brain_values": broken * inputs["brain_attention_mask"][..., None]}


def _encode(model: Any, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Tokens `(rows, tokens, hidden)` of a batch in the order of its rows, and embeddings where the model has any."""
    inputs = {name: _to(value, model.device) for name, value in inputs.items()}
    index, mask = inputs["brain_index"], inputs.get("brain_attention_mask")
    if isinstance(model, BrainContrastiveModel):
        outputs = model(**inputs)
        found = {TOKENS: outputs.tokens, **outputs.embeddings}
    else:
        encoder = _encoder_of(model)
        dtype, values = next(encoder.parameters()).dtype, inputs.pop("brain_values")
        values = [value.to(dtype) for value in values] if isinstance(values, list) else values.to(dtype)
        geometry = ("voxel_coordinates", "voxel_regions", "brain_subjects")
        found = {TOKENS: encoder(values, **{name: inputs[name] for name in geometry if name in inputs})[index]}
    if mask is not None:
        absent = _encoder_of(model).config.num_tokens - mask.shape[1]
        found[TOKENS] = nn.functional.pad(found[TOKENS] * mask[index, :, None], (0, 0, 0, absent))
    return found


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _encoder_of(model: Any) -> Any:
    return model.brain_encoder if hasattr(model, "brain_encoder") else model.model.brain_encoder


class _Cosines:
    """Cosines of real brains with zero voxels and with one another, from sums: all tokens would be too many."""

    def __init__(self):
        self.total: torch.Tensor | float = 0.0
        self.squares = 0.0
        self.to_zero: list[torch.Tensor] = []

    def add(self, real: torch.Tensor, zero: torch.Tensor) -> "_Cosines":
        """Takes in vectors `(rows, width)`, or tokens `(rows, tokens, hidden)` side by side."""
        real, zero = (nn.functional.normalize(vectors.flatten(1).double(), dim=-1) for vectors in (real, zero))
        self.to_zero.append((real * zero).sum(dim=-1))
        self.total = self.total + real.sum(dim=0)
        self.squares += real.square().sum().item()
        return self

    def summary(self) -> dict[str, float]:
        to_zero = torch.cat(self.to_zero)
        pairs = len(to_zero) * (len(to_zero) - 1)
        # Of all pairs of different rows: the square of the sum has those, and each row with itself.
        between = (torch.as_tensor(self.total).square().sum().item() - self.squares) / pairs if pairs else 1.0
        if not np.isfinite(between):
            raise ValueError("The encoder gives NaN or infinite values: its weights or its input are broken.")
        return {
            "cos_real_zero": to_zero.mean().item(),
            "cos_real_zero_std": to_zero.std(unbiased=False).item(),
            "cos_real_real": between,
        }


def _attention(model: Any, subjects: Iterable[str]) -> dict[str, float]:
    """From the attention that the encoder has kept of each subject."""
    kept = getattr(_encoder_of(model), "kept_attention", None)
    if kept is None:
        return {}
    weights = [kept[subject] for subject in subjects]
    effective = [effective_voxels(attention).mean().item() for attention in weights]
    return {
        "effective_voxels": float(np.mean(effective)),
        "num_voxels": float(np.mean([attention.shape[1] for attention in weights])),
    }


def _retrieval(arms: Mapping[str, np.ndarray], rows: Any, column: str) -> dict[str, float]:
    """Each row looks for its image among the distinct images of the split, by cosine."""
    groups = list(rows["group"])
    _, firsts, right = np.unique(groups, return_index=True, return_inverse=True)
    gallery = _gallery(rows, column, firsts.tolist())
    found = {"gallery_size": float(len(gallery))}
    for arm, queries in arms.items():
        ranks = rank_in_gallery(queries @ gallery.T, right)
        summary = ranks.summary(TOP) | {"mean_reciprocal_rank": float((1 / ranks.ranks).mean())}
        prefix = "" if arm == REAL else f"{arm}_"
        kept = ("median_rank", "mean_reciprocal_rank", *(f"recall_at_{k}" for k in TOP))
        found |= {f"{prefix}{name}": summary[name] for name in kept}
    return found


def _gallery(rows: Any, column: str, firsts: Sequence[int]) -> np.ndarray:
    """Unit vectors `(images, width)` of the first row of each image."""
    if column not in rows.column_names:
        raise ValueError(
            f"Rows have no column '{column}', in which to look for images; they have {rows.column_names}."
        )
    vectors = stack_embeddings(rows.select(firsts).select_columns(["sample_id", "group", column]), column)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


__all__ = ["diagnose_encoder", "effective_voxels", "rank_in_gallery"]
