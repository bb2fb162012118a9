# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of a window of a story, by one signature: the one place where others join or take their place."""

from collections.abc import Callable, Sequence

from ..metrics import EmbeddedTokens, bert_score, classic_meteor, sentence_bleu, word_error_rate
from ..metrics.embedding_scores import TokenEmbeddings


#: Predictions and references to one score each; larger is better.
WindowMetric = Callable[[Sequence[str], Sequence[str]], Sequence[float]]


def one_minus_wer(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """`1 - WER` of each window, as Tang et al. (2023) report it; negative where far too much is told."""
    return [1 - rate for rate in word_error_rate(predictions, references)]


def bleu_1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """BLEU-1 of each window, with brevity penalty."""
    return sentence_bleu(predictions, references, max_order=1)


def bert_recall(embed: TokenEmbeddings) -> WindowMetric:
    """
    BERTScore recall of each window, not rescaled, as Tang et al. (2023) report it.

    Tokens are weighed by their inverse document frequency over the references of a call, the windows that were heard
    (Tang et al.: over training stories).

    Args:
        embed (`Callable[[Sequence[str]], Sequence[EmbeddedTokens]]`):
            Texts to tokens with their embeddings, e.g. [`~trainers.embedders.token_embeddings.TokenEmbedder`]. A score
            says nothing without its name beside it.
    """
    remembering = _Remembering(embed)

    def recall(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
        return bert_score(predictions, [[text] for text in references], remembering, idf=True)["bert_recall"].tolist()

    return recall


class _Remembering:
    """
    Embeds what the call before did not: what was heard comes again with every
    decoded text, and all with every shift.
    """

    def __init__(self, embed: TokenEmbeddings):
        self.embed = embed
        self.known: dict[str, EmbeddedTokens] = {}

    def __call__(self, texts: Sequence[str]) -> list[EmbeddedTokens]:
        new = [text for text in texts if text not in self.known]
        known = self.known | (dict(zip(new, self.embed(new), strict=True)) if new else {})
        self.known = {text: known[text] for text in texts}
        return list(self.known.values())


#: By name. [`bert_recall`] joins them where an embedding is at hand.
WINDOW_METRICS: dict[str, WindowMetric] = {"wer": one_minus_wer, "bleu_1": bleu_1, "meteor": classic_meteor}


__all__ = ["WINDOW_METRICS", "WindowMetric", "bert_recall", "bleu_1", "one_minus_wer"]
