# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of captions against several references, equal to pycocoevalcap's to rounding: BLEU-1..4, ROUGE-L, CIDEr.

All take raw strings and cut them by [`ptb_tokenize`]. BLEU and ROUGE-L lie in [0, 1], CIDEr on its own scale of 0 to
10; published tables print all of them times 100, CIDEr too.

BLEU belongs to a corpus, not to a sample. For intervals, take [`bleu_statistics`] once, weigh its rows as the
resample says, and turn each sum into scores by [`bleu_from_statistics`].
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from .cider import MAX_ORDER, Cider, DocumentFrequencies, caption_words, check_captions, ngrams
from .ptb_tokenization import ptb_tokens


# ROUGE-L: recall counts beta^2 times as much as precision.
_BETA = 1.2
# The published program adds these to numerator and denominator, so that nothing is divided by zero.
_TINY, _SMALL = 1e-15, 1e-9


def bleu_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """What each sample adds to the BLEU of a corpus: `(length, reference length, matches 1..4, n-grams 1..4)`.

    The reference length is that of the reference closest in length to the prediction, the shorter of two. A match is
    clipped at the largest number of times that one reference holds the n-gram. Papineni et al. (2002), section 2.

    Args:
        predictions (`Sequence[str]`):
            One caption per sample; an empty one is counted as it is.
        references (`Sequence[Sequence[str]]`):
            All reference captions of each sample.

    Returns:
        `np.ndarray` of shape `(samples, 10)`: Counts. Their sums over samples are all that [`bleu_from_statistics`]
        needs.

    Raises:
        ValueError: a sample has no references, or an empty one.
    """
    check_captions(predictions, references)
    return np.array([_bleu_row(p, texts) for p, texts in zip(predictions, references, strict=True)], dtype=float)


def _bleu_row(prediction: str, references: Sequence[str]) -> list[int]:
    words, (lengths, most) = caption_words(prediction), _reference_counts(tuple(references))
    closest = min((abs(length - len(words)), length) for length in lengths)[1]
    matches = [
        sum(min(count, found.get(run, 0)) for run, count in Counter(runs).items())
        for runs, found in zip(ngrams(words), most, strict=True)
    ]
    return [len(words), closest, *matches, *(max(0, len(words) - n) for n in range(MAX_ORDER))]


@lru_cache(maxsize=16384)
def _reference_counts(references: tuple[str, ...]) -> tuple[list[int], list[dict[str, int]]]:
    """Lengths of an image's references, and how often one of them holds each n-gram of 1 to 4 words at most."""
    most: list[dict[str, int]] = [{} for _ in range(MAX_ORDER)]
    tokens = [caption_words(text) for text in references]
    for words in tokens:
        for runs, found in zip(ngrams(words), most, strict=True):
            for run, count in Counter(runs).items():
                found[run] = max(count, found.get(run, 0))
    return [len(words) for words in tokens], most


def bleu_from_statistics(totals: np.ndarray) -> dict[str, np.ndarray]:
    r"""`BLEU-N = min(1, exp(1 - r/c)) * (prod_{n<=N} matches_n / ngrams_n)^(1/N)` of summed statistics.

    Args:
        totals (`np.ndarray` of shape `(..., 10)`):
            Sums, or weighted sums, of rows of [`bleu_statistics`]; for a bootstrap `weights @ statistics` with weights
            `(resamples, samples)`.

    Returns:
        `dict[str, np.ndarray]`: `bleu_1` to `bleu_4`, each of shape `(...)`.
    """
    length, closest, matches, ngrams = np.split(np.asarray(totals, float), [1, 2, 2 + MAX_ORDER], axis=-1)
    orders = np.arange(1, MAX_ORDER + 1)
    scores = np.cumprod((matches + _TINY) / (ngrams + _SMALL), axis=-1) ** (1 / orders)
    ratio = (length + _TINY) / (closest + _SMALL)
    scores = scores * np.exp(np.minimum(0, 1 - 1 / ratio))
    return {f"bleu_{n}": scores[..., n - 1] for n in orders}


def caption_bleu(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU-1 to BLEU-4 of a corpus of captions, as pycocoevalcap computes them.

    Equation as in [`bleu_from_statistics`]. It is not the BLEU of [`~trainers.metrics.corpus_bleu`], which has other
    tokens, one reference and smoothing.

    Args:
        predictions (`Sequence[str]`):
            One caption per sample.
        references (`Sequence[Sequence[str]]`):
            All reference captions of each sample.

    Returns:
        `dict[str, float]`: `bleu_1` to `bleu_4`.

    Raises:
        ValueError: a sample has no references, or an empty one.
    """
    totals = bleu_statistics(predictions, references).sum(axis=0)
    return {name: float(score) for name, score in bleu_from_statistics(totals).items()}


def caption_rouge_1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """ROUGE-1 F1 of each caption, `2PR / (P + R)` of clipped matching words, by rouge-score over the caption's tokens.

    The reference that scores best counts. Lin (2004), section 2.

    Args:
        predictions (`Sequence[str]`):
            One caption per sample; an empty one scores 0.
        references (`Sequence[Sequence[str]]`):
            All reference captions of each sample.

    Returns:
        `np.ndarray` of shape `(samples,)`: The scores.

    Raises:
        ValueError: a sample has no references, or an empty one.
    """
    check_captions(predictions, references)
    scorer = RougeScorer(["rouge1"], tokenizer=_PtbTokenizer())
    scores = [scorer.score_multi(own, prediction) for prediction, own in zip(predictions, references, strict=True)]
    return np.array([score["rouge1"].fmeasure for score in scores])


class _PtbTokenizer(Tokenizer):
    """The tokens of caption scores, as rouge-score asks for them."""

    def tokenize(self, text: str) -> list[str]:
        return list(ptb_tokens(text))


def caption_rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """ROUGE-L of each caption, `(1 + b^2) P R / (R + b^2 P)` with b = 1.2, as pycocoevalcap computes it.

    With the longest common subsequence of caption and reference, `P` is its share of the caption and `R` its share of
    the reference, each the largest over references. Lin (2004), section 3.

    Args:
        predictions (`Sequence[str]`):
            One caption per sample; an empty one scores 0.
        references (`Sequence[Sequence[str]]`):
            All reference captions of each sample.

    Returns:
        `np.ndarray` of shape `(samples,)`: The scores.

    Raises:
        ValueError: a sample has no references, or an empty one.
    """
    check_captions(predictions, references)
    return np.array([_rouge_l(p, texts) for p, texts in zip(predictions, references, strict=True)])


def _rouge_l(prediction: str, references: Sequence[str]) -> float:
    words, others = ptb_tokens(prediction), [ptb_tokens(text) for text in references]
    common = [_common_length(words, other) for other in others]
    if not any(common):
        return 0.0
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True) if other)
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_length(words: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence: a row of the table is one integer (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(other):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(other)) - 1
    row = full
    for word in words:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(other) - row.bit_count()


def caption_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    frequencies: DocumentFrequencies | None = None,
) -> dict[str, np.ndarray | float]:
    """Every score of this module.

    Args:
        predictions (`Sequence[str]`):
            One caption per sample.
        references (`Sequence[Sequence[str]]`):
            All reference captions of each sample.
        frequencies ([`DocumentFrequencies`], *optional*):
            For CIDEr; by default those of `references`, as pycocoevalcap takes them, for which each sample should be
            another image.

    Returns:
        `dict[str, np.ndarray | float]`: `bleu_1` to `bleu_4`, of all samples together; `rouge_l` and `cider`, each of
        shape `(samples,)`.

    Raises:
        ValueError: a sample has no references, or an empty one.
    """
    check_captions(predictions, references)
    cider = Cider(frequencies or DocumentFrequencies.fit(references))
    return {
        **caption_bleu(predictions, references),
        "rouge_l": caption_rouge_l(predictions, references),
        "cider": cider(predictions, references),
    }


__all__ = [
    "Cider",
    "DocumentFrequencies",
    "bleu_from_statistics",
    "bleu_statistics",
    "caption_bleu",
    "caption_rouge_1",
    "caption_rouge_l",
    "caption_scores",
]
