# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What captions score without any decoding, on the evaluation's own references: the baselines beside every score.

- the best constant caption, one sentence for all images, searched for;
- a system's captions, each handed to another image;
- one human caption against the other humans': no baseline, but the height of the room.

Each is a table like that of [`caption_scores`].
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .captions import bleu_from_statistics, caption_scores
from .cider import MAX_ORDER, SIGMA, DocumentFrequencies, caption_words, check_captions, ngrams


_BLEU = tuple(f"bleu_{n}" for n in range(1, MAX_ORDER + 1))
Words = tuple[str, ...]
Objective = Callable[[Words], float]


def best_constant_caption(
    references: Sequence[Sequence[str]],
    metric: str = "cider",
    candidates: Sequence[str] | None = None,
    frequencies: DocumentFrequencies | None = None,
    beam: int = 3,
    num_words: int = 150,
) -> str:
    """The one caption that scores best when it is given to every image.

    All candidates are ranked. The best `beam` of them are then changed word by word, each word exchanged, dropped or
    followed by one of the commonest, and the best `beam` of old and new are kept until no change helps. Every
    sentence is scored exactly, on all references, so the result is never below the best candidate.

    Args:
        references (`Sequence[Sequence[str]]`):
            All reference captions of each image of the evaluation.
        metric (`str`, *optional*, defaults to `"cider"`):
            What is to be best: `"cider"` or `"bleu_1"` to `"bleu_4"`.
        candidates (`Sequence[str]`, *optional*):
            Captions to begin with, e.g. those of the training split; the references by default.
        frequencies ([`DocumentFrequencies`], *optional*):
            For CIDEr; by default those of `references`.
        beam (`int`, *optional*, defaults to 3):
            Sentences that are kept in each round.
        num_words (`int`, *optional*, defaults to 150):
            Commonest words of the references that may enter.

    Returns:
        `str`: Its words, joined by spaces.

    Raises:
        ValueError: the metric is another, an image has no references, or there are no candidates.
    """
    objective = _objective(references, metric, frequencies)
    texts = [text for own in references for text in own] if candidates is None else candidates
    starts = {tuple(caption_words(text)) for text in texts} - {()}
    if not starts:
        raise ValueError("`candidates` holds no caption with a word in it; pass captions, or none for the references.")
    counts = Counter(word for own in references for word in {word for text in own for word in caption_words(text)})
    vocabulary = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:num_words]]
    return " ".join(_search(starts, vocabulary, objective, beam))


def _objective(references: Sequence[Sequence[str]], metric: str, frequencies: DocumentFrequencies | None) -> Objective:
    check_captions([""] * len(references), references)
    if metric == "cider":
        return _ConstantCider(references, frequencies or DocumentFrequencies.fit(references))
    if metric in _BLEU:
        return partial(_ConstantBleu(references), name=metric)
    raise ValueError(f"`metric` must be 'cider' or one of {_BLEU}, found {metric!r}.")


def _search(starts: set[Words], vocabulary: Sequence[str], objective: Objective, beam: int) -> Words:
    # Equal scores are told apart by the words, so that the result never depends on the order of a set.
    scores = {words: objective(words) for words in starts}
    kept: list[Words] = []
    while (best := sorted(scores, key=lambda words: (-scores[words], words))[:beam]) != kept:
        kept = best
        scores = {words: scores[words] for words in kept} | {
            words: objective(words) for old in kept for words in _changes(old, vocabulary)
        }
    return kept[0]


def _changes(words: Words, vocabulary: Sequence[str]) -> set[Words]:
    """Every sentence that one word makes of this one."""
    changed = {words[:place] + words[place + 1 :] for place in range(len(words))} - {()}
    for place in range(len(words) + 1):
        for word in vocabulary:
            changed.add((*words[:place], word, *words[place:]))
            changed.add((*words[:place], word, *words[place + 1 :]))
    return changed


class _ConstantCider:
    """
    Mean CIDEr of one caption on all images, from sums over the references.

    A reference adds to the score of a caption what its n-grams have in common, times a penalty that depends on its
    length alone. So for each n-gram, each number of times that the caption may hold it, and each length of a
    reference, one sum is enough: thousands of sentences can be tried.
    """

    def __init__(self, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies):
        self._frequencies = frequencies
        postings: dict[str, list[tuple[int, int, float]]] = {}
        for texts in references:
            for text in texts:
                words = caption_words(text)
                for runs in ngrams(words):
                    counts = Counter(runs)
                    share = 1 / (max(self._norm(counts), 1e-300) * len(texts) * len(references))
                    for ngram, count in counts.items():
                        postings.setdefault(ngram, []).append((max(len(words) - 1, 0), count, share))
        longest = 1 + max((length for entries in postings.values() for length, _, _ in entries), default=0)
        self._lengths = np.arange(longest)
        self._sums = {ngram: self._sum(ngram, entries) for ngram, entries in postings.items()}

    def _idf(self, ngram: str) -> float:
        return math.log(self._frequencies.num_documents / self._frequencies.counts.get(ngram, 1))

    def _norm(self, counts: Counter[str]) -> float:
        return math.sqrt(sum([(count * self._idf(ngram)) ** 2 for ngram, count in counts.items()]))

    def _sum(self, ngram: str, entries: list[tuple[int, int, float]]) -> np.ndarray:
        """Array `[times in the caption - 1, length of the reference]`."""
        sums = np.zeros((max(count for _, count, _ in entries), len(self._lengths)))
        for length, count, share in entries:
            for times in range(len(sums)):
                sums[times, length] += min(times + 1, count) * count * share
        return sums * self._idf(ngram) ** 2

    def __call__(self, words: Words) -> float:
        total = np.zeros(len(self._lengths))
        for runs in ngrams(list(words)):
            counts = Counter(runs)
            known = [self._sums[ngram][: counts[ngram]][-1] for ngram in counts if ngram in self._sums]
            norm = self._norm(counts)
            if known and norm:
                total += np.sum(known, axis=0) / norm
        penalties = np.exp(-((self._lengths - max(len(words) - 1, 0)) ** 2) / (2 * SIGMA**2))
        return float(10 / MAX_ORDER * penalties @ total)


class _ConstantBleu:
    """Corpus BLEU of one caption on all images, from sums over the images."""

    def __init__(self, references: Sequence[Sequence[str]]):
        self._num_images = len(references)
        self._most: dict[str, Counter[int]] = {}
        self._lengths = []
        for texts in references:
            tokens = [caption_words(text) for text in texts]
            self._lengths.append([len(words) for words in tokens])
            most = Counter[str]()
            for words in tokens:
                most |= Counter(ngram for runs in ngrams(words) for ngram in runs)
            for ngram, count in most.items():
                self._most.setdefault(ngram, Counter())[count] += 1
        self._closest: dict[int, int] = {}

    def _total_closest(self, length: int) -> int:
        if length not in self._closest:
            self._closest[length] = sum(min((abs(other - length), other) for other in own)[1] for own in self._lengths)
        return self._closest[length]

    def __call__(self, words: Words, name: str) -> float:
        matches, totals = [], []
        for runs in ngrams(list(words)):
            known = [(count, self._most[ngram]) for ngram, count in Counter(runs).items() if ngram in self._most]
            matches.append(sum(min(count, most) * images for count, found in known for most, images in found.items()))
            totals.append(len(runs) * self._num_images)
        length = len(words) * self._num_images
        return float(
            bleu_from_statistics(np.array([length, self._total_closest(len(words)), *matches, *totals]))[name]
        )


def human_ceiling(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None
) -> dict[str, np.ndarray | float]:
    """One human caption of each image against those of the other humans, each left out in turn.

    Args:
        references (`Sequence[Sequence[str]]`):
            All reference captions of each image, two at least. With k those of the image that has fewest, the first k
            of every image take their turn.
        frequencies ([`DocumentFrequencies`], *optional*):
            For CIDEr; by default those of `references`.

    Returns:
        `dict[str, np.ndarray | float]`: The table, each entry the mean over turns; see [`caption_scores`].

    Raises:
        ValueError: an image has one reference only.
    """
    check_captions([""] * len(references), references)
    alone = [place for place, texts in enumerate(references) if len(texts) < 2]
    if alone:
        raise ValueError(
            f"`references` holds a single caption for {len(alone)} of {len(references)} images, the first at position "
            f"{alone[0]}: with it left out nothing remains to compare with. Leave these images out."
        )
    frequencies = frequencies or DocumentFrequencies.fit(references)
    tables = []
    for turn in range(min(len(texts) for texts in references)):
        others = [[text for place, text in enumerate(texts) if place != turn] for texts in references]
        tables.append(caption_scores([texts[turn] for texts in references], others, frequencies))
    return _mean_table(tables)


def _mean_table(tables: Sequence[dict[str, np.ndarray | float]]) -> dict[str, np.ndarray | float]:
    means = {name: np.mean([table[name] for table in tables], axis=0) for name in tables[0]}
    return {name: value if value.ndim else float(value) for name, value in means.items()}


__all__ = ["best_constant_caption", "human_ceiling"]
