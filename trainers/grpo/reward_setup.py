# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What rewards need before reward tuning: a prompt in each row, and embeddings that captions are held against."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import send_to_device
from datasets import Dataset

from modeling_brainllm import BrainContrastiveConfig, BrainContrastiveModel, BrainLlamaFeatureExtractor

from ..embedders.cache import CachedEncoder, Encoder
from ..embedders.text_spaces import is_same_space, text_space
from ..metrics.cider import DocumentFrequencies
from ..metrics.embedding_scores import TokenEmbeddings
from .grpo_config import BrainGRPOConfig
from .rewards import (
    BertScoreReward,
    CiderReward,
    IdentificationReward,
    TextSimilarityReward,
    first_places,
    mean_references,
)


EMBEDDING_COLUMNS = {"image": "image_embedding", "brain": "brain_embedding"}


def with_prompt(rows: Dataset, prompt: str) -> Dataset:
    """Rows that all ask the same; no brain is copied, unless rows were selected before."""
    return _with_column(rows, "prompt", pa.array([prompt] * len(rows)))


@torch.no_grad()
def with_brain_embeddings(
    rows: Dataset,
    model: BrainContrastiveModel,
    extractor: BrainLlamaFeatureExtractor,
    space: str = "text",
    batch_size: int = 64,
) -> Dataset:
    """
    Adds the column `brain_embedding`: where the alignment of stage 1 puts each brain, among texts (or images).

    It makes a verifier that needs no image: a caption is rewarded when its own embedding finds the brain that it came
    from. The encoder knows the brains that it was aligned with better than others; rewards compare captions of one
    brain, for which this is the same.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a corpus.
        model ([`BrainContrastiveModel`]), extractor ([`BrainLlamaFeatureExtractor`]):
            Checkpoint of stage 1.
        space (`str`, *optional*, defaults to `"text"`):
            Target space of the embedding.
        batch_size (`int`, *optional*, defaults to 64):
            Rows at a time.

    Raises:
        ValueError: the model was not aligned with that space.
    """
    if space not in model.heads:
        raise ValueError(
            f"The alignment model knows the spaces {sorted(model.heads)}, not '{space}'. Align it with "
            "the embeddings of the text encoder that embeds captions here."
        )
    model.eval()
    parts = []
    for start in range(0, len(rows), batch_size):
        some = [rows[place] for place in range(start, min(start + batch_size, len(rows)))]
        brains = [np.asarray(row["brain_values"], np.float32) for row in some]
        names = [row["sample_id"] for row in some]
        inputs = dict(extractor(brains, [row["subject"] for row in some], names=names))
        parts.append(model.embed(**send_to_device(inputs, model.device))[space].float().cpu().numpy())
    flat = np.concatenate(parts)
    column = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel(), pa.float32()), flat.shape[1])
    return _with_column(rows, EMBEDDING_COLUMNS["brain"], column)


def check_text_space(config: BrainContrastiveConfig, encoder: Encoder, checkpoint: str) -> None:
    """
    Refuses to hold captions against brains that were aligned with the captions of another text encoder.

    Args:
        config ([`BrainContrastiveConfig`]):
            Configuration of the alignment model.
        encoder (`Callable[[Sequence[str]], np.ndarray]`):
            Text encoder of the rewards.
        checkpoint (`str`):
            Name of the alignment model, for the error.

    Raises:
        ValueError: it was another encoder, or nobody knows which.
    """
    if config.text_space is None:
        raise ValueError(
            f"{checkpoint} does not say with which text encoder it was aligned (`text_space` of its config.json), so "
            "that captions may have nothing to do with its brain embeddings. Align again, with `sentence_encoder`."
        )
    found = text_space(encoder)
    if not is_same_space(config.text_space, found):
        raise ValueError(
            f"{checkpoint} was aligned with captions in the space of another text encoder than the `sentence_encoder` "
            f"of the rewards (first coordinates {config.text_space[:3]}, found {found[:3]}): widths may agree, "
            "directions do not. Name the encoder of stage 1."
        )


def _with_column(rows: Dataset, name: str, values: Any) -> Dataset:
    form = {"type": rows.format["type"], **rows.format["format_kwargs"]}
    plain = rows.with_format(None)
    plain = plain.remove_columns(name) if name in plain.column_names else plain
    return plain.add_column(name, values).with_format(**form)


def fit_document_frequencies(rows: Dataset) -> DocumentFrequencies:
    """
    Document frequencies of the references of training rows, each image counted once.

    Raises:
        ValueError: rows have no column `references`.
    """
    if "references" not in rows.column_names:
        raise ValueError(
            f"Rewards need the column `references`, all captions of each row's image; found {rows.column_names}. Use "
            "a corpus of images."
        )
    pairs = rows.select_columns(["group", "references"]).with_format(None)
    return DocumentFrequencies.fit(dict(zip(pairs["group"], pairs["references"], strict=True)).values())


def make_rewards(
    args: BrainGRPOConfig,
    frequencies: DocumentFrequencies,
    encoder: Encoder | None,
    rows: Dataset,
    token_embedder: TokenEmbeddings | None = None,
    image_encoder: Encoder | None = None,
) -> tuple[list[Any], list[float]]:
    """
    The terms of the reward whose weight is not 0.

    Args:
        args ([`BrainGRPOConfig`]):
            Weights, and what each term is.
        frequencies ([`~trainers.metrics.cider.DocumentFrequencies`]):
            Of the training split.
        encoder (`Callable[[Sequence[str]], np.ndarray]`, *optional*):
            Text encoder of sentence similarity and identification.
        rows ([`~datasets.Dataset`]):
            Training rows, from which the gallery of identification is drawn.
        token_embedder (`Callable[[Sequence[str]], Sequence[EmbeddedTokens]]`, *optional*):
            Texts to tokens, for BERTScore.
        image_encoder (`Callable[[Sequence[str]], np.ndarray]`, *optional*):
            Text encoder in the space of the images; `encoder` by default.

    Returns:
        `tuple[list, list[float]]`: rewards and their weights, for `reward_funcs` and `reward_weights`.

    Raises:
        ValueError: all weights are 0, or a term lacks its encoder or column.
    """
    rewards: list[tuple[Any, float]] = []
    shared = None if encoder is None else CachedEncoder(encoder)
    if args.cider_weight:
        rewards.append((CiderReward(frequencies, args.cider_scale), args.cider_weight))
    if args.similarity_weight:
        rewards.append((_similarity(args, shared, token_embedder), args.similarity_weight))
    if args.identification_weight:
        if args.identification_target == "image" and image_encoder is not None:
            shared = CachedEncoder(image_encoder)
        rewards.append((_identification(args, _required(shared), rows), args.identification_weight))
    if not rewards:
        raise ValueError("All weights of the reward are 0, so there is nothing to learn. Raise `cider_weight`.")
    return [reward for reward, _ in rewards], [weight for _, weight in rewards]


def _required(encoder: CachedEncoder | None) -> CachedEncoder:
    if encoder is None:
        raise ValueError(
            "Text similarity and identification embed captions: give a `sentence_encoder`, or set `similarity_weight` "
            "and `identification_weight` to 0."
        )
    return encoder


def _similarity(
    args: BrainGRPOConfig, encoder: CachedEncoder | None, token_embedder: TokenEmbeddings | None
) -> TextSimilarityReward | BertScoreReward:
    if args.similarity == "sentence":
        return TextSimilarityReward(_required(encoder), args.similarity_over)
    if token_embedder is None:
        raise ValueError(
            "`similarity='bertscore'` compares tokens: give a `token_encoder`, or choose `similarity='sentence'`."
        )
    return BertScoreReward(token_embedder, args.similarity_over)


def _identification(args: BrainGRPOConfig, encoder: CachedEncoder, rows: Dataset) -> IdentificationReward:
    target, form = args.identification_target, args.identification_form
    # Cosines with references need no others, whose captions would be embedded for nothing.
    alone = target == "reference_text" and form in (None, "cosine")
    gallery = None if alone else _gallery(rows, args, encoder)
    return IdentificationReward(encoder, target, form, args.identification_temperature, gallery)


def _gallery(rows: Dataset, args: BrainGRPOConfig, encoder: CachedEncoder) -> tuple[Sequence[str], np.ndarray]:
    """Images and embeddings of a fixed draw from the brains (or images) of rows, each once, in however many it is."""
    target = args.identification_target
    column = EMBEDDING_COLUMNS.get(target, "references")
    if column not in rows.column_names:
        raise ValueError(
            f"`identification_target='{target}'` needs the column `{column}`, rows have {rows.column_names}. Give an "
            "`aligned_model` (brain) or a file of `image_embeddings` (image), or set `identification_weight` to 0."
        )
    pairs = rows.select_columns(["group", "brain_id", column]).with_format(None)
    distinct = first_places(pairs["brain_id" if target == "brain" else "group"])
    draw = np.random.default_rng(args.seed).permutation(distinct)[: args.identification_gallery]
    some = pairs.select(np.sort(draw).tolist())
    if target == "reference_text":
        return list(some["group"]), mean_references(encoder, list(some[column]))
    return list(some["group"]), np.asarray(list(some[column]), np.float32)


__all__ = ["check_text_space", "fit_document_frequencies", "make_rewards", "with_brain_embeddings", "with_prompt"]
