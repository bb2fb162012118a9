# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores by embeddings: BERTScore over tokens, cosine similarity over sentences. Any model serves, as a callable.

A callable that gives tokens is [`~trainers.embedders.token_embeddings.TokenEmbedder`], one that gives sentences
[`~trainers.embedders.text_encoders.MeanPooledEmbedder`]. A score says nothing without the model's name beside it.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .cider import check_captions


class EmbeddedTokens(NamedTuple):
    """
    Tokens of one text in their context.

    Args:
        tokens (`Sequence[Hashable]`):
            What they are: ids or strings.
        vectors (`np.ndarray` of shape `(tokens, hidden)`):
            Their embeddings, of any length.
        is_special (`np.ndarray` of shape `(tokens,)`):
            True for those that the tokenizer added. Others may be matched to them; they themselves do not count.
    """

    tokens: Sequence[Hashable]
    vectors: np.ndarray
    is_special: np.ndarray


TokenEmbeddings = Callable[[Sequence[str]], Sequence[EmbeddedTokens]]
SentenceEmbeddings = Callable[[Sequence[str]], np.ndarray]


def inverse_document_frequencies(texts: Sequence[EmbeddedTokens]) -> dict[Hashable, float]:
    r"""$\log \frac{N + 1}{\mathrm{df} + 1}$ of each token, for [`bert_score`]; N texts, df of which hold the token.

    Zhang et al. (2020), section 3, with their program's plus one. Rare words weigh more.

    Args:
        texts (`Sequence[EmbeddedTokens]`):
            Usually the references. Only their tokens are read.

    Returns:
        `dict[Hashable, float]`: The weights.
    """
    counts = Counter(token for text in texts for token in set(text.tokens))
    return {token: math.log((len(texts) + 1) / (count + 1)) for token, count in counts.items()}


def bert_score(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    embed: TokenEmbeddings,
    idf: bool = False,
) -> dict[str, np.ndarray]:
    r"""BERTScore of every sample, $R = \frac{\sum_i w_i \max_j \cos(x_i, \hat{x}_j)}{\sum_i w_i}$, P alike, F1.

    $x$ are the tokens of the reference, $\hat{x}$ those of the prediction; $w_i$ is 1 or the token's inverse document
    frequency over all references. Zhang et al. (2020), section 3. Not rescaled by a baseline: Tang et al. (2023)
    report recall with `idf`. Of several references the best one counts, for each of the three by itself, as in the
    published program.

    Args:
        predictions (`Sequence[str]`):
            One text per sample; one without tokens scores 0.
        references (`Sequence[Sequence[str]]`):
            All reference texts of each sample.
        embed (`Callable[[Sequence[str]], Sequence[EmbeddedTokens]]`):
            Texts to tokens with their embeddings.
        idf (`bool`, *optional*, defaults to `False`):
            Weigh tokens by their inverse document frequency, over these `references`. A token that no reference holds
            weighs log(N + 1).

    Returns:
        `dict[str, np.ndarray]`: `bert_precision`, `bert_recall`, `bert_f1`, each of shape `(samples,)`, in [-1, 1].

    Raises:
        ValueError: a sample has no references, or an empty one, or `embed` gave another number of texts.
    """
    check_captions(predictions, references)
    texts = list(dict.fromkeys([*predictions, *(text for own in references for text in own)]))
    embedded = embed(texts)
    _check_number(texts, len(embedded))
    known = dict(zip(texts, map(_unit, embedded), strict=True))
    weights = None
    if idf:
        weights = inverse_document_frequencies([known[text] for own in references for text in own])
    unknown = math.log(sum(map(len, references)) + 1)
    scores = [
        np.max([_one_pair(known[prediction], known[text], weights, unknown) for text in own], axis=0)
        for prediction, own in zip(predictions, references, strict=True)
    ]
    return dict(zip(("bert_precision", "bert_recall", "bert_f1"), np.array(scores).T, strict=True))


def _unit(text: EmbeddedTokens) -> EmbeddedTokens:
    vectors = np.asarray(text.vectors, float)
    return text._replace(vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _one_pair(
    prediction: EmbeddedTokens, reference: EmbeddedTokens, weights: Mapping[Hashable, float] | None, unknown: float
) -> tuple[float, float, float]:
    """Precision, recall and F1 of a prediction and one reference."""
    own, other = (_weights(text, weights, unknown) for text in (prediction, reference))
    if not own.any() or not other.any():
        return 0.0, 0.0, 0.0
    similarity = prediction.vectors @ reference.vectors.T
    precision = float(np.average(similarity.max(axis=1), weights=own))
    recall = float(np.average(similarity.max(axis=0), weights=other))
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _weights(text: EmbeddedTokens, weights: Mapping[Hashable, float] | None, unknown: float) -> np.ndarray:
    one_each = np.ones(len(text.tokens)) if weights is None else [weights.get(token, unknown) for token in text.tokens]
    return np.where(text.is_special, 0.0, one_each)


def sentence_similarity(
    predictions: Sequence[str], references: Sequence[Sequence[str]], embed: SentenceEmbeddings
) -> np.ndarray:
    """`cos(embedding of the prediction, embedding of the reference)` of every sample, the mean over its references.

    Args:
        predictions (`Sequence[str]`):
            One text per sample.
        references (`Sequence[Sequence[str]]`):
            All reference texts of each sample.
        embed (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors `[texts, hidden]`.

    Returns:
        `np.ndarray` of shape `(samples,)`: Cosines in [-1, 1].

    Raises:
        ValueError: a sample has no references, or an empty one, or `embed` gave another number of texts.
    """
    check_captions(predictions, references)
    texts = list(dict.fromkeys([*predictions, *(text for own in references for text in own)]))
    vectors = np.asarray(embed(texts), float)
    _check_number(texts, len(vectors))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {text: number for number, text in enumerate(texts)}
    means = [vectors[[place[text] for text in own]].mean(axis=0) for own in references]
    return np.einsum("sh,sh->s", vectors[[place[text] for text in predictions]], means)


def _check_number(texts: Sequence[str], number: int) -> None:
    if number != len(texts):
        raise ValueError(f"`embed` must give one embedding per text, found {number} for {len(texts)} texts.")


__all__ = [
    "EmbeddedTokens",
    "SentenceEmbeddings",
    "TokenEmbeddings",
    "bert_score",
    "inverse_document_frequencies",
    "sentence_similarity",
]
