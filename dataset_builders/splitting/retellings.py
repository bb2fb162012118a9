# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
One story under two names: told again in capitals, with words exchanged, or with the words that one reader skipped.

Two texts about anything share short sequences of words, but in no order: of `m` that occur in both, the longest part
that rises in both has about `2 sqrt(m)` members (Vershik and Kerov 1977; Logan and Shepp 1977). What was told twice
shares them in order, however many words are missing. So a text is a retelling of another if many of their common
sequences stand in one order, far more than chance would put there.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from ..schema import SPLITS, Sample
from .fingerprints import words_of


# Words of a sequence. A reader who skips three words in ten shares one in eight of them with another such reader.
_SEQUENCE = 3
# Sequences in common order, at least: so many, so many times what chance gives, and this share of the shorter text (a
# quotation or the greeting of a series is no retelling).
_LEAST_IN_ORDER, _OF_CHANCE, _LEAST_SHARE = 24, 2.0, 0.05
# Of people who read one text in their own way, two stand for all; of many texts that hold a sequence, the first few.
_TELLINGS_OF_A_GROUP, _PARTNERS = 2, 8


@dataclass(frozen=True, slots=True, eq=False)
class Rendition:
    """What was heard or read in one go: where each sequence of its words occurs first."""

    group: str
    places: dict[tuple[str, ...], int]

    @classmethod
    def of(cls, group: str, words: Sequence[str]) -> "Rendition":
        """The rendition of these words, as [`~dataset_builders.splitting.fingerprints.words_of`] gives them."""
        places: dict[tuple[str, ...], int] = {}
        for place, sequence in enumerate(zip(*(words[start:] for start in range(_SEQUENCE)), strict=False)):
            places.setdefault(sequence, place)
        return cls(group, places)

    def retells(self, other: "Rendition") -> bool:
        """Whether both tell the same, whole or in part."""
        shared = [sequence for sequence in self.places if sequence in other.places]  # in our order
        least = max(_LEAST_IN_ORDER, _LEAST_SHARE * min(len(self.places), len(other.places)))
        least = max(least, _OF_CHANCE * 2 * np.sqrt(len(shared)))
        return len(shared) >= least and _longest_rise([other.places[sequence] for sequence in shared]) >= least


def _longest_rise(places: Sequence[int]) -> int:
    """Length of the longest rising part of some distinct numbers, by patience sorting."""
    ends: list[int] = []
    for place in places:
        where = bisect_left(ends, place)
        ends[where : where + 1] = [place]
    return len(ends)


def _candidates(some: Sequence[Rendition], others: Sequence[Rendition]) -> Iterator[tuple[int, int]]:
    """Pairs (of `some`, of `others`) of different groups that share enough to be compared, without trying all."""
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, rendition in enumerate(others):
        for sequence in rendition.places:
            if len(holders[sequence]) < _PARTNERS:
                holders[sequence].append(number)
    for number, rendition in enumerate(some):
        shared = Counter(held for sequence in rendition.places for held in holders.get(sequence, ()))
        for held, count in shared.items():
            if count >= _LEAST_IN_ORDER and others[held].group != rendition.group:
                yield number, held


def merge_retellings(texts: Sequence[Sequence[str]]) -> list[int]:
    """
    Which texts tell the same.

    Args:
        texts (`Sequence[Sequence[str]]`):
            The words of each.

    Returns:
        `list[int]`: for each text the number of the first one that it tells again, directly or by way of others.
    """
    numbers: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        numbers[tuple(words_of(" ".join(text)))].append(number)
    renditions = [Rendition.of(str(same[0]), words) for words, same in numbers.items()]
    first = [0] * len(texts)
    for same in numbers.values():
        for number in same:
            first[number] = same[0]
    for one, other in combinations(renditions, 2):
        roots = sorted((first[int(one.group)], first[int(other.group)]))
        if roots[0] != roots[1] and one.retells(other):
            first = [roots[0] if root == roots[1] else root for root in first]
    return first


def retold_rows(samples: Sequence[Sample], sides: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """For each pair of splits, rows of the later one whose story is told in the earlier one under another name."""
    rows = {split: [row for row in np.flatnonzero(sides == split) if not samples[row].references] for split in SPLITS}
    renditions = {split: list(_renditions(samples[row] for row in result)) for split, result in rows.items()}
    for earlier, later in combinations(SPLITS, 2):
        groups = set()
        for number, held in _candidates(renditions[later], renditions[earlier]):
            rendition = renditions[later][number]
            if rendition.group not in groups and rendition.retells(renditions[earlier][held]):
                groups.add(rendition.group)
        touched = [row for row in rows[later] if samples[row].group in groups]
        yield earlier, later, np.array(touched, dtype=np.int64)


def _renditions(samples: Iterable[Sample]) -> Iterator[Rendition]:
    """The longest renditions of each group, of texts in the order of their frames."""
    runs: defaultdict[str, defaultdict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        runs[sample.group][sample.recording].append(sample)
    for group, result in runs.items():
        # Rows of one sentence repeat its text; equal renditions of several people are one.
        texts = {tuple(text for text, _ in groupby(_texts(rows))) for rows in result.values()}
        for text in sorted(texts, key=lambda text: (-len(" ".join(text)), text))[:_TELLINGS_OF_A_GROUP]:
            words = words_of(" ".join(text))
            if len(words) >= _LEAST_IN_ORDER + _SEQUENCE - 1:
                yield Rendition.of(group, words)


def _texts(samples: Iterable[Sample]) -> list[str]:
    return [sample.text for sample in sorted(samples, key=lambda sample: min(sample.frames, default=0))]


__all__ = ["Rendition", "merge_retellings", "retold_rows"]
