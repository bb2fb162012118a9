# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Withholds decoded texts that come close to what is not to be written down; off unless topics are given."""

from collections.abc import Callable, Sequence

import numpy as np


WITHHELD = "[withheld: close to a topic that this model is not to write about]"


class ContentFilter:
    """
    Compares each decoded text with sentences on unwanted topics, in the space of a sentence encoder.

    What it is: a net with holes for whoever publishes texts. What it is not: a protection of a person, whose brain has
    been read by then; whoever holds the weights leaves it out. It knows topics by likeness alone, misses what is said
    in other words than the encoder takes for alike, and withholds harmless texts beside them.

    Args:
        embed (`Callable`):
            Texts → embeddings `[texts, hidden]`, e.g. [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].
        topics (`Sequence[str]`):
            Sentences, a few for each topic.
        threshold (`float`, *optional*, defaults to 0.5):
            Cosine from which a text is withheld. It depends on the encoder: try it on texts of either kind.

    Raises:
        ValueError: there is no topic, or the threshold is no cosine.
    """

    def __init__(self, embed: Callable[[Sequence[str]], np.ndarray], topics: Sequence[str], threshold: float = 0.5):
        if not topics or not all(topic.strip() for topic in topics):
            raise ValueError(f"`topics` must be sentences, at least one; found {list(topics)!r}.")
        if not -1 < threshold < 1:
            raise ValueError(f"`threshold` is a cosine between -1 and 1; found {threshold}.")
        self.embed, self.threshold = embed, threshold
        self._topics = _unit(embed(list(topics)))

    def closeness(self, texts: Sequence[str]) -> np.ndarray:
        """
        Cosine `[texts]` of each text, or of the nearest of its sentences, with the nearest topic.

        Args:
            texts (`Sequence[str]`):
                Decoded texts.
        """
        pieces = [[text, *_sentences(text)] for text in texts]
        cosines = _unit(self.embed([piece for some in pieces for piece in some])) @ self._topics.T
        ends = np.cumsum([len(some) for some in pieces])[:-1]
        return np.array([part.max() for part in np.split(cosines, ends)])

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """
        The texts, with a note in place of those that are withheld.

        Args:
            texts (`Sequence[str]`):
                Decoded texts.
        """
        if not len(texts):
            return []
        is_close = self.closeness(texts) >= self.threshold
        return [WITHHELD if close else text for text, close in zip(texts, is_close, strict=True)]


def _sentences(text: str) -> list[str]:
    """Parts between full stops: a long text around it would hide a sentence in the mean."""
    return [part for part in text.replace("!", ".").replace("?", ".").split(".") if part.strip()]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


__all__ = ["WITHHELD", "ContentFilter"]
