# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions and references → every score, of single samples where they have one and as counts where a corpus has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..metrics import EmbeddedTokens, Meteor, MeteorData, bert_score
from ..metrics.captions import Cider, DocumentFrequencies, bleu_statistics, caption_rouge_l
from ..metrics.embedding_scores import TokenEmbeddings
from .rules import CORPUS_SCORES


Embedder = Callable[[list[str]], np.ndarray]

# Captions that are scored on a whole gallery at once.
_CHUNK = 32
_BLEU = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")


@dataclass
class Scores:
    """
    Scores of some captions.

    Args:
        values (`dict[str, np.ndarray]`):
            Of each caption `(captions,)`. CIDEr is on its own scale of 0 to 10, the others on 0 to 1.
        counts (`dict[str, np.ndarray]`):
            What each caption adds to a score that only a corpus has `(captions, counts)`.
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Scores of the corpus."""
        scores = {name: float(CORPUS_SCORES[name](counts.sum(axis=0))) for name, counts in self.counts.items()}
        return scores | {name: float(np.mean(values)) for name, values in self.values.items()}


class ModelScorer:
    """
    Scores that take lists or models, each where it is given what it takes.

    Args:
        embed (`Callable`, *optional*):
            Texts → vectors `[texts, width]`, for `text_similarity`: the mean cosine of a text and its references.
        meteor ([`~trainers.metrics.MeteorData`], *optional*):
            METEOR's lists, for `meteor` in its version 1.5.
        embed_tokens (`Callable`, *optional*):
            Texts → tokens with their vectors, such as [`~trainers.embedders.token_embeddings.TokenEmbedder`], for
            `bert_score`: the F1 of [`~trainers.metrics.bert_score`], neither weighted nor rescaled.
    """

    def __init__(
        self,
        embed: Embedder | None = None,
        meteor: MeteorData | None = None,
        embed_tokens: TokenEmbeddings | None = None,
    ):
        self.has_similarity = embed is not None
        self._embed = embed
        self._vectors: dict[str, np.ndarray] = {}
        self._meteor = None if meteor is None else Meteor(meteor)
        self._embed_tokens = embed_tokens
        self._tokens: dict[str, EmbeddedTokens] = {}

    def optional(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
        """`meteor`, `text_similarity` and `bert_score` of some texts."""
        found = Scores()
        if self._meteor is not None:
            found.counts["meteor"] = self._meteor.statistics(texts, references)
        if self.has_similarity:
            found.values["text_similarity"] = self.similarity(texts, references)
        if self._embed_tokens is not None:
            scores = bert_score(texts, references, self._remembered_tokens)
            found.values["bert_score"] = np.asarray(scores["bert_f1"])
        return found

    def similarity(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """Mean cosine `(samples,)` of each text and its references."""
        return (self._unit_vectors(texts) * self._mean_vectors(references)).sum(axis=1)

    def _remembered_tokens(self, texts: Sequence[str]) -> list[EmbeddedTokens]:
        """Tokens of each text; each text is embedded once."""
        new = sorted(set(texts) - self._tokens.keys())
        if new and self._embed_tokens is not None:
            self._tokens |= dict(zip(new, self._embed_tokens(new), strict=True))
        return [self._tokens[text] for text in texts]

    def _mean_vectors(self, references: Sequence[Sequence[str]]) -> np.ndarray:
        """Mean unit vector of each image's references: its product with a caption is the mean of their cosines."""
        vectors = self._unit_vectors([text for texts in references for text in texts])
        starts = np.cumsum([0] + [len(texts) for texts in references[:-1]])
        return np.add.reduceat(vectors, starts) / np.array([[len(texts)] for texts in references])

    def _unit_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1 `(texts, width)`; each text is embedded once."""
        new = sorted(set(texts) - self._vectors.keys())
        if new and self._embed is not None:
            vectors = np.asarray(self._embed(new), float)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            # What means nothing (an empty caption) is like nothing.
            self._vectors |= dict(zip(new, vectors / np.where(lengths == 0, 1, lengths), strict=True))
        return np.stack([self._vectors[text] for text in texts])


class CaptionScorer(ModelScorer):
    """
    Scores captions of images against what people wrote about them.

    Args:
        frequencies ([`~trainers.metrics.DocumentFrequencies`]):
            For CIDEr.
        embed, meteor, embed_tokens, all *optional*:
            See [`ModelScorer`].
    """

    def __init__(
        self,
        frequencies: DocumentFrequencies,
        embed: Embedder | None = None,
        meteor: MeteorData | None = None,
        embed_tokens: TokenEmbeddings | None = None,
    ):
        super().__init__(embed, meteor, embed_tokens)
        self.frequencies = frequencies
        self._cider = Cider(frequencies)

    def __call__(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
        """Every score that it has what it takes for."""
        bleu, found = bleu_statistics(captions, references), self.optional(captions, references)
        found.counts |= dict.fromkeys(_BLEU, bleu)
        found.values |= {"rouge_l": caption_rouge_l(captions, references), "cider": self._cider(captions, references)}
        return found

    def matrices(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """Every caption on every image: for each score by which images can be ranked `(images, captions)`."""
        scores = {"cider": self._cider.matrix(captions, references)}
        if self.has_similarity:
            scores["text_similarity"] = self._mean_vectors(references) @ self._unit_vectors(captions).T
        return scores


__all__ = ["CaptionScorer", "Embedder", "ModelScorer", "Scores"]
