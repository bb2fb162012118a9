# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""CIDEr with document frequencies that are fixed once, so that a caption's score never depends on its neighbours.

CIDEr weighs an n-gram by how few images' references hold it. The usual program counts these document frequencies anew
at each call, over the images of that call: on the completions of one prompt, the usual batch of reward tuning, every
weight is then log(1 / 1) = 0, and an exact match scores nothing. Here they are counted once, over a corpus.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from .ptb_tokenization import ptb_tokens


MAX_ORDER = 4
# Width, in words, of the penalty on another length than the reference's; CIDEr-D.
SIGMA = 6.0
_FORMAT = "brainllm document frequencies 1"


def check_captions(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raises a `ValueError` unless each prediction has a list of one reference text or more.

    Args:
        predictions (`Sequence[str]`):
            Captions.
        references (`Sequence[Sequence[str]]`):
            All reference texts of each.
    """
    if len(predictions) != len(references) or not len(references):
        raise ValueError(
            f"`predictions` and `references` must be equally many and at least one, found {len(predictions)} and "
            f"{len(references)}. Pass one prediction per image, in the same order; an empty text is a prediction."
        )
    for position, texts in enumerate(references):
        if isinstance(texts, str) or not len(texts) or not all(text.strip() for text in texts):
            raise ValueError(
                f"`references` must hold a list of non-empty captions for each image, found {texts!r} at position "
                f"{position}. Drop images without captions."
            )


def caption_words(text: str) -> list[str]:
    """Words of which n-grams are made: the tokens, a mixed fraction ("2 1/2" is one token) cut at its space."""
    return " ".join(ptb_tokens(text)).split()


def ngrams(words: list[str]) -> list[list[str]]:
    """All runs of 1, 2, 3 and 4 words, each joined by spaces, in their order."""
    runs = [words]
    for order in range(1, MAX_ORDER):
        runs.append([f"{run} {word}" for run, word in zip(runs[-1], words[order:], strict=False)])
    return runs


class DocumentFrequencies:
    """
    In how many documents each n-gram occurs; one document is all references of one image.

    Args:
        counts (`dict[str, int]`):
            Documents of each n-gram of 1 to 4 words. Those of a single document need not be listed: CIDEr weighs them
            as it weighs n-grams that it never met.
        num_documents (`int`):
            Documents in all, at least 2: with one, every n-gram would weigh nothing.

    Raises:
        ValueError: there are fewer than two documents.
    """

    def __init__(self, counts: dict[str, int], num_documents: int):
        if num_documents < 2:
            raise ValueError(
                f"Document frequencies need the references of two images or more, found {num_documents}: an n-gram "
                "that all images share weighs nothing. Fit them on the training corpus."
            )
        self.counts = counts
        self.num_documents = num_documents

    @classmethod
    def fit(cls, references: Iterable[Sequence[str]]) -> "DocumentFrequencies":
        """
        Counts documents.

        Args:
            references (`Iterable[Sequence[str]]`):
                All reference captions of each image, each image once.

        Raises:
            ValueError: an image has no captions or an empty one, or there are fewer than two.
        """
        documents = list(references)
        if documents:
            check_captions([""] * len(documents), documents)
        counts: Counter[str] = Counter()
        for texts in documents:
            counts.update({ngram for text in texts for runs in ngrams(caption_words(text)) for ngram in runs})
        return cls({ngram: count for ngram, count in counts.items() if count > 1}, len(documents))

    def save(self, path: str | Path) -> None:
        """Writes one JSON file."""
        content = {"format": _FORMAT, "num_documents": self.num_documents, "counts": self.counts}
        Path(path).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "DocumentFrequencies":
        """
        Reads what `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no JSON file ({error}). Save it by `DocumentFrequencies.save`.") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"{path} holds no document frequencies. Save them by `DocumentFrequencies.save`.")
        return cls(content["counts"], content["num_documents"])


class Cider:
    r"""
    CIDEr of captions, sample by sample, on the published scale of 0 to 10.

    $$\frac{10}{4 m} \sum_{j=1}^m \sum_{n=1}^4 e^{-\delta_j^2 / 2 \sigma^2}
    \frac{\min(c_n, r_{jn}) \cdot r_{jn}}{\lVert c_n \rVert \lVert r_{jn} \rVert}$$

    $c_n$ and $r_{jn}$ hold, for each n-gram of the caption and of its j-th reference, its number times
    $\log(N / \mathrm{df})$, and $\delta_j$ is the difference in length. This is CIDEr-D of Vedantam et al. (2015),
    eq. 4 and 5, which pycocoevalcap and every published table call CIDEr. A caption equal to its only reference scores
    10 if it has 4 words or more and is not made of n-grams that all images share.

    Args:
        frequencies ([`DocumentFrequencies`]):
            Document frequencies, fixed.
        variant (`str`, *optional*, defaults to `"cider_d"`):
            `"cider"` for eq. 1 to 3 of the paper, without the penalty on length and without the minimum, which a
            caption that repeats rare words exploits.

    Raises:
        ValueError: the variant is unknown.
    """

    def __init__(self, frequencies: DocumentFrequencies, variant: Literal["cider", "cider_d"] = "cider_d"):
        if variant not in ("cider", "cider_d"):
            raise ValueError(f"`variant` must be 'cider' or 'cider_d', found {variant!r}.")
        self.frequencies = frequencies
        self.variant = variant
        self._table = NgramTable(frequencies)

    def __call__(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """
        Scores captions.

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
        texts = list(dict.fromkeys([*predictions, *(text for own in references for text in own)]))
        place = {text: number for number, text in enumerate(texts)}
        counts = np.array([len(own) for own in references])
        captions = np.repeat([place[text] for text in predictions], counts)
        others = np.array([place[text] for own in references for text in own])
        similarity = self._similarity(texts, captions, others)
        return 10 / MAX_ORDER * np.add.reduceat(similarity, np.cumsum(counts) - counts) / counts

    def matrix(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """
        Scores every caption on every image, at the cost of a product of sparse matrices.

        Args:
            captions (`Sequence[str]`):
                Captions; an empty one scores 0.
            references (`Sequence[Sequence[str]]`):
                All reference captions of each image.

        Returns:
            `np.ndarray` of shape `(images, captions)`: The scores.

        Raises:
            ValueError: an image has no references, or an empty one.
        """
        check_captions([""] * len(references), references)
        texts = list(dict.fromkeys([*captions, *(text for own in references for text in own)]))
        place = {text: number for number, text in enumerate(texts)}
        columns = np.array([place[text] for text in captions])
        rows = np.array([place[text] for own in references for text in own])
        counts = np.array([len(own) for own in references])
        tokens = [caption_words(text) for text in texts]
        similarity = sum(
            of_captions[columns] @ of_references[rows].T
            for of_captions, of_references in (
                vectors.factors(len(texts), clip=self.variant == "cider_d") for vectors in self._table.vectors(tokens)
            )
        ).toarray()
        if self.variant == "cider_d":
            lengths = np.array([max(len(words), 1) for words in tokens])
            similarity *= np.exp(-((lengths[columns][:, None] - lengths[rows]) ** 2) / (2 * SIGMA**2))
        return (10 / MAX_ORDER * np.add.reduceat(similarity, np.cumsum(counts) - counts, axis=1) / counts).T

    def _similarity(self, texts: list[str], captions: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Sum over orders of the cosines of pairs of texts, given by their places, with the penalty on length."""
        tokens = [caption_words(text) for text in texts]
        lengths = np.array([max(len(words), 1) for words in tokens])
        total, pairs = np.zeros(len(captions)), np.arange(len(captions))
        for vectors in self._table.vectors(tokens):
            # A pair that shares no n-gram shares no longer one either.
            pairs, products = _products(vectors, captions, others, pairs, clip=self.variant == "cider_d")
            norms = vectors.norms[captions[pairs]] * vectors.norms[others[pairs]]
            total[pairs] += np.divide(products, norms, out=np.zeros(len(products)), where=norms > 0)
        if self.variant == "cider":
            return total
        return total * np.exp(-((lengths[captions] - lengths[others]) ** 2) / (2 * SIGMA**2))


@dataclass(frozen=True)
class _Vectors:
    """Weighted n-grams of one order of all texts, sorted by text and n-gram: `keys = text * size + n-gram`."""

    keys: np.ndarray
    weights: np.ndarray
    counts: np.ndarray
    size: int
    norms: np.ndarray

    def factors(self, num_texts: int, clip: bool) -> tuple[csr_matrix, csr_matrix]:
        """Two matrices `(texts, parts)`; rows of the first times rows of the second are the cosines of the texts."""
        text, ngram = self.keys // self.size, self.keys % self.size
        unit = np.divide(1.0, self.norms, out=np.zeros(num_texts), where=self.norms > 0)[text]
        own = other = self.weights * unit
        if clip:
            # The lesser of two counts is the number of k that neither is below: a part for each n-gram and k.
            entry = np.repeat(np.arange(len(self.keys)), self.counts)
            times = np.arange(len(entry)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
            own, other = unit[entry], (self.weights**2 / self.counts * unit)[entry]
            text, ngram = text[entry], ngram[entry] + self.size * times
        shape = (num_texts, int(ngram.max(initial=0)) + 1)
        first, second = (csr_matrix((values, (text, ngram)), shape) for values in (own, other))
        return first, second

    def rows(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the n-grams of some texts, one text after the other, and how many each has."""
        first, last = (np.searchsorted(self.keys, (texts + end) * self.size) for end in (0, 1))
        counts = last - first
        return np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum()), counts


def _products(
    vectors: _Vectors, captions: np.ndarray, others: np.ndarray, pairs: np.ndarray, clip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scalar products of those `pairs` of captions and references that share an n-gram, and which these are."""
    rows, counts = vectors.rows(captions[pairs])
    pair = np.repeat(np.arange(len(pairs)), counts)
    wanted = others[pairs][pair] * vectors.size + vectors.keys[rows] % vectors.size
    places = np.searchsorted(vectors.keys, wanted)
    found = np.flatnonzero(vectors.keys[np.minimum(places, len(vectors.keys) - 1)] == wanted)
    own, other = vectors.weights[rows[found]], vectors.weights[places[found]]
    products = np.bincount(pair[found], (np.minimum(own, other) if clip else own) * other, minlength=len(pairs))
    shared = np.unique(pair[found])
    return pairs[shared], products[shared]


class NgramTable:
    """
    Weights of the n-grams of a corpus; a longer one by the numbers of its beginning and its last word.

    Args:
        frequencies ([`DocumentFrequencies`]):
            Document frequencies.
    """

    def __init__(self, frequencies: DocumentFrequencies):
        self.unseen = math.log(frequencies.num_documents)
        orders: list[list[str]] = [[] for _ in range(MAX_ORDER)]
        for ngram in frequencies.counts:
            orders[ngram.count(" ")].append(ngram)
        self.words = {word: number for number, word in enumerate(orders[0])}
        self.keys, self.idf, numbers = [], [], {"": 0}
        for known in orders:
            parts = [ngram.rpartition(" ") for ngram in known]
            keys = np.array([numbers[begin] << 32 | self.words[last] for begin, _, last in parts], int)
            ranked = [known[place] for place in np.argsort(keys)]
            numbers = {ngram: number for number, ngram in enumerate(ranked)}
            # One entry more, larger than any: whatever is looked up has a place.
            self.keys.append(np.append(np.sort(keys), np.iinfo(int).max))
            self.idf.append(self.unseen - np.log([*(frequencies.counts[ngram] for ngram in ranked), 1]))

    def vectors(self, tokens: list[list[str]]) -> Iterator[_Vectors]:
        """Vectors of all texts, order by order."""
        text = np.repeat(np.arange(len(tokens)), [len(words) for words in tokens])
        strange: dict[str, int] = {}
        words = np.array([self._number(word, strange) for own in tokens for word in own], int)
        # Where n-grams start; which is which, among those of the texts; their numbers in the table, or -1.
        starts, run, known = np.arange(len(words)), np.zeros(len(words), int), np.zeros(1, int)
        for order in range(MAX_ORDER):
            inside = np.flatnonzero(starts + order < len(words))
            inside = inside[text[starts[inside]] == text[starts[inside] + order]]
            starts = starts[inside]
            runs, run = np.unique(run[inside] << 32 | words[starts + order], return_inverse=True)
            wanted = known[runs >> 32] << 32 | runs & 0xFFFFFFFF
            places = np.searchsorted(self.keys[order], wanted)
            known = np.where(self.keys[order][places] == wanted, places, -1)
            yield self._weigh(order, text[starts], run, known, len(tokens))

    def _number(self, word: str, strange: dict[str, int]) -> int:
        number = self.words.get(word)
        return strange.setdefault(word, len(self.words) + len(strange)) if number is None else number

    def _weigh(self, order: int, text: np.ndarray, run: np.ndarray, known: np.ndarray, num_texts: int) -> _Vectors:
        """Counts the n-grams of each text, and weighs them."""
        size = len(known)
        keys, counts = np.unique(text * size + run, return_counts=True)
        idf = np.where(known >= 0, self.idf[order][known], self.unseen)
        weights = counts * idf[keys % size]
        norms = np.sqrt(np.bincount(keys // size, weights**2, minlength=num_texts))
        return _Vectors(keys, weights, counts, size, norms)


__all__ = ["Cider", "DocumentFrequencies", "NgramTable", "caption_words", "check_captions", "ngrams"]
