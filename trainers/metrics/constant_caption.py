# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""CIDEr and BLEU of one caption that is given to every image, for ten thousand captions at a time.

What a caption scores on all images is a sum over its n-grams. For each n-gram of the references, and the k-th time
that a caption holds it, one number is enough; so no caption is compared with a reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .captions import bleu_from_statistics
from .cider import MAX_ORDER, SIGMA, DocumentFrequencies, NgramTable, caption_words


@dataclass(frozen=True)
class Trie:
    """
    Numbers of n-grams: `keys[n]` are those of `n + 1` words, sorted, each the number of its beginning and a word.

    Args:
        keys (`list[np.ndarray]`):
            For each order `number of the n-gram less its last word << 32 | last word`.
        origins (`list[np.ndarray]`):
            What each n-gram stands for in the table that the trie was cut from.
    """

    keys: list[np.ndarray]
    origins: list[np.ndarray]

    def find(self, order: int, beginnings: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Numbers of the n-grams, -1 for those that are not in it."""
        keys = self.keys[order]
        wanted = beginnings << 32 | words
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[places] == wanted, places, -1) if len(keys) else np.full(wanted.shape, -1)

    def within(self, words: np.ndarray) -> "Trie":
        """The part made of these words alone: small enough to be searched fast."""
        keys, origins, numbers = [], [], np.zeros(1, int)
        for own, origin in zip(self.keys, self.origins, strict=True):
            beginnings = numbers[own >> 32]
            kept = np.flatnonzero((beginnings >= 0) & np.isin(own & 0xFFFFFFFF, words))
            numbers = np.full(len(own), -1)
            numbers[kept] = np.arange(len(kept))
            keys.append(beginnings[kept] << 32 | own[kept] & 0xFFFFFFFF)
            origins.append(origin[kept])
        return Trie(keys, origins)


class ConstantScores:
    """
    Scores of captions, each given to every image.

    Args:
        references (`Sequence[Sequence[str]]`):
            All reference captions of each image.
        frequencies ([`DocumentFrequencies`]):
            For CIDEr.
    """

    def __init__(self, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies):
        table = NgramTable(frequencies)
        # The last is that of n-grams that the corpus does not have.
        self._idf = [np.append(idf[:-1], table.unseen) for idf in table.idf]
        self._frequent = Trie([keys[:-1] for keys in table.keys], [np.arange(len(keys) - 1) for keys in table.keys])
        self._numbers, self.words = dict(table.words), list(table.words)
        tokens = [[caption_words(text) for text in own] for own in references]
        self._lengths = [[len(words) for words in own] for own in tokens]
        self._added: dict[tuple[int, int], np.ndarray] = {}
        self._closest: dict[int, int] = {}
        # Of each reference: its image, and its weight in the mean over all.
        image = np.repeat(np.arange(len(tokens)), [len(own) for own in tokens])
        share = np.repeat([1 / (len(own) * len(tokens)) for own in tokens], [len(own) for own in tokens])
        self._sum([words for own in tokens for words in own], image, share)
        self.within(np.arange(len(self.words)))

    def number(self, words: Sequence[str]) -> np.ndarray:
        """Numbers `(words,)` of words."""
        for word in words:
            if word not in self._numbers:
                self._numbers[word] = len(self.words)
                self.words.append(word)
        return np.array([self._numbers[word] for word in words], int)

    def _sum(self, tokens: list[list[str]], image: np.ndarray, share: np.ndarray) -> None:
        """What the k-th time of each n-gram in a caption adds: `first[n-gram] + k` is its row in the sums."""
        words = self.number([word for own in tokens for word in own])
        text = np.repeat(np.arange(len(tokens)), [len(own) for own in tokens])
        bigrams = np.maximum(np.bincount(text, minlength=len(tokens)) - 1, 0)
        starts, run, frequent = np.arange(len(words)), np.zeros(len(words), int), np.zeros(1, int)
        keys, self._sums, self._images, self._first = [], [], [], []
        for order in range(MAX_ORDER):
            inside = np.flatnonzero(starts + order < len(words))
            inside = inside[text[starts[inside]] == text[starts[inside] + order]]
            starts = starts[inside]
            runs, run = np.unique(run[inside] << 32 | words[starts + order], return_inverse=True)
            frequent = self._frequent.find(order, frequent[runs >> 32], runs & 0xFFFFFFFF)
            idf = self._idf[order][frequent]
            entries, counts = np.unique(text[starts] * len(runs) + run, return_counts=True)
            own, ngram = entries // max(len(runs), 1), entries % max(len(runs), 1)
            norms = np.sqrt(np.bincount(own, (counts * idf[ngram]) ** 2, minlength=len(tokens)))
            most = np.zeros(len(runs), int)
            np.maximum.at(most, ngram, counts)
            first = np.concatenate([[0], np.cumsum(most)])
            # One line for each time that a reference holds an n-gram.
            line = np.repeat(np.arange(len(entries)), counts)
            times = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
            row = first[ngram[line]] + times
            value = counts * idf[ngram] ** 2 * share[own] / np.maximum(norms[own], 1e-300)
            self._sums.append((row, bigrams[own[line]], value[line]))
            pairs = np.unique(image[own[line]] * (first[-1] + 1) + row) % (first[-1] + 1)
            self._images.append(np.append(np.bincount(pairs, minlength=first[-1]), 0))
            keys.append(runs)
            self._first.append(first)
        self._known = Trie(keys, [np.arange(len(own)) for own in keys])

    def _adds(self, order: int, length: int) -> np.ndarray:
        """What each row of the sums adds to CIDEr in a caption of some length, and 0 for what adds nothing."""
        if (order, length) not in self._added:
            row, lengths, value = self._sums[order]
            penalties = np.exp(-((lengths - max(length - 1, 0)) ** 2) / (2 * SIGMA**2))
            added = np.bincount(row, value * penalties, minlength=self._first[order][-1])
            self._added[order, length] = np.append(added, 0.0)
        return self._added[order, length]

    def _total_closest(self, length: int) -> int:
        """Summed lengths of each image's reference that is closest to a length, of two the shorter."""
        if length not in self._closest:
            closest = (min(own, key=lambda other: (abs(other - length), other)) for own in self._lengths)
            self._closest[length] = sum(closest)
        return self._closest[length]

    def within(self, words: np.ndarray) -> None:
        """From now on, captions of these words alone are scored."""
        self._tries = self._known.within(words), self._frequent.within(words)

    def __call__(self, captions: np.ndarray, metric: str) -> np.ndarray:
        """
        Scores captions.

        Args:
            captions (`np.ndarray` of shape `(captions, words)`):
                Numbers of their words; all of one length.
            metric (`str`):
                `"cider"` or `"bleu_1"` to `"bleu_4"`.

        Returns:
            `np.ndarray` of shape `(captions,)`: the scores.
        """
        length, images = captions.shape[1], len(self._lengths)
        total, matches = np.zeros(len(captions)), []
        known = frequent = np.zeros(captions.shape, int)
        same = captions[:, :, None] == captions[:, None]
        # Whether the n-gram at the first place stands at the second, an earlier one, too.
        repeated = same & np.tri(length, k=-1, dtype=bool)
        for order in range(MAX_ORDER):
            size, last = max(length - order, 0), captions[:, order:]
            if order:
                repeated = repeated[:, :size, :size] & same[:, order:, order:]
            times = repeated.sum(2)
            known = self._tries[0].find(order, known[:, :size], last)
            rows = self._rows(order, known, times)
            if metric == "cider":
                frequent = self._tries[1].find(order, frequent[:, :size], last)
                idf = self._idf[order][np.append(self._tries[1].origins[order], -1)[frequent]]
                # The square of a count is the sum of the first odd numbers.
                norms = np.sqrt((idf**2 * (2 * times + 1)).sum(1))
                adds = self._adds(order, length)[rows].sum(1)
                total += np.divide(adds, norms, out=np.zeros(len(captions)), where=norms > 0)
            else:
                matches.append(self._images[order][rows].sum(1))
        if metric == "cider":
            return 10 / MAX_ORDER * total
        sizes = [length, self._total_closest(length) / images, *(max(length - order, 0) for order in range(MAX_ORDER))]
        sizes = np.tile(np.array(sizes) * images, (len(captions), 1))
        statistics = np.concatenate([sizes[:, :2], np.stack(matches, axis=1), sizes[:, 2:]], axis=1)
        return bleu_from_statistics(statistics)[metric]

    def _rows(self, order: int, known: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Row of the sums for an n-gram of a caption that holds it `times` times before; -1 where nothing is added."""
        ngrams = np.append(self._tries[0].origins[order], -1)[known]
        first = self._first[order]
        rows = first[ngrams] + times
        return np.where((known >= 0) & (rows < first[ngrams + 1]), rows, -1)


__all__ = ["ConstantScores", "Trie"]
