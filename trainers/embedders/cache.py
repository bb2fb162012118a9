# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Embeddings for rewards: those of references are kept for good, those of completions until the next batch."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np

from ..metrics import EmbeddedTokens
from ..metrics.embedding_scores import TokenEmbeddings


Encoder = Callable[[Sequence[str]], np.ndarray]
Embedding = TypeVar("Embedding")


class _Cache(Generic[Embedding]):
    """Text → embedding, for texts with a word in them."""

    def __init__(self):
        self._kept: dict[str, Embedding] = {}
        self._recent: dict[str, Embedding] = {}

    def _embed(self, texts: list[str]) -> Iterable[Embedding]:
        raise NotImplementedError

    def _find(self, texts: Sequence[str], keep: bool) -> dict[str, Embedding]:
        distinct = [text for text in dict.fromkeys(texts) if text.strip()]
        known = {text: cache[text] for cache in (self._recent, self._kept) for text in distinct if text in cache}
        new = [text for text in distinct if text not in known]
        found = known | (dict(zip(new, self._embed(new), strict=True)) if new else {})
        if keep:
            self._kept |= found
        else:
            self._recent = {text: value for text, value in found.items() if text not in self._kept}
        return found


class CachedEncoder(_Cache[np.ndarray]):
    """
    Texts → unit vectors. Hand one to several rewards, and each completion is embedded once for all of them.

    Args:
        encoder (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors `[texts, width]`, e.g. [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self._nothing: np.ndarray | None = None

    def __call__(self, texts: Sequence[str], keep: bool = False) -> np.ndarray:
        """Vectors `[texts, width]` of length 1; the zero vector for a text without a word."""
        found = self._find(texts, keep)
        if found:
            self._nothing = np.zeros_like(next(iter(found.values())))
        return np.stack([found[text] if text in found else self._of_nothing() for text in texts])

    def _embed(self, texts: list[str]) -> np.ndarray:
        return unit_vectors(self.encoder(texts))

    def _of_nothing(self) -> np.ndarray:
        if self._nothing is None:
            self._nothing = np.zeros_like(self._embed(["a"])[0])
        return self._nothing


class CachedTokens(_Cache[EmbeddedTokens]):
    """
    Texts → their tokens with vectors at half precision: a caption of 12 tokens takes 9 KB at width 384.

    Args:
        embed (`Callable[[Sequence[str]], Sequence[EmbeddedTokens]]`):
            Texts to tokens, e.g. [`~trainers.embedders.token_embeddings.TokenEmbedder`].
    """

    def __init__(self, embed: TokenEmbeddings):
        super().__init__()
        self.embed = embed

    def __call__(self, texts: Sequence[str], keep: bool = False) -> list[EmbeddedTokens]:
        """Tokens of each text; none for a text without a word."""
        found = self._find(texts, keep)
        nothing = EmbeddedTokens([], np.empty((0, 1)), np.empty(0, bool))
        return [found.get(text, nothing) for text in texts]

    def _embed(self, texts: list[str]) -> list[EmbeddedTokens]:
        # Scaled first: only directions count, and half precision has no room for long vectors.
        return [own._replace(vectors=unit_vectors(own.vectors).astype(np.float16)) for own in self.embed(texts)]


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """`vectors` `[..., width]` in float32 at length 1; those of length 0 stay."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms != 0)


__all__ = ["CachedEncoder", "CachedTokens", "Encoder", "unit_vectors"]
