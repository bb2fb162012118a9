# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which words of a caption stand for which words of a reference: the alignment of METEOR 1.5.

Four stages propose matches: equal words, equal stems, synonyms (two words share a meaning in WordNet), paraphrases.
Then each word takes part in one match at most, so that the matches cover the most words, in the fewest chunks, at the
smallest distance (Denkowski and Lavie 2014, section 2). The published program comes close to this by a beam, with
habits that decide one alignment in ten, and which are kept here:

- Words covered are weighed by the stage and cut to whole numbers: a lone match of one word by stem, synonym or
  paraphrase covers nothing and is taken only where it makes no new chunk, or has no rival at all.
- The distance of a match is charged to the paths that come after it, among them the one that leaves the word open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from nltk.stem.snowball import SnowballStemmer

from .meteor_data import MAX_PHRASE, MeteorData, phrase_key


# How much a word counts that was matched by equal words, stems, synonyms, paraphrases.
STAGE_WEIGHTS = (1.0, 0.6, 0.8, 0.6)
EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
BEAM = 40

Table = Mapping[int, Mapping[int, int]]


class Sentence:
    """
    A text as the stages see it.

    Args:
        words (`Sequence[str]`):
            Its words.
        data ([`MeteorData`]):
            What is known of English.
    """

    def __init__(self, words: Sequence[str], data: MeteorData):
        self.words = tuple(words)
        self.is_function = [word in data.function_words for word in self.words]
        self.stems = [_stem(word) for word in self.words]
        self.meanings = [data.meanings(word) for word in self.words]
        self.phrases: dict[int, list[tuple[int, int]]] = {}
        for start in range(len(self.words)):
            for length in range(1, min(MAX_PHRASE, len(self.words) - start) + 1):
                place = (start, length)
                self.phrases.setdefault(phrase_key(self.words[start : start + length]), []).append(place)


@lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    return _stemmer().stem(word)


@lru_cache(maxsize=1)
def _stemmer() -> SnowballStemmer:
    return SnowballStemmer("english")


class Match(NamedTuple):
    """Words of the reference and of the prediction that stand for each other, and the stage that says so."""

    start: int
    length: int
    prediction_start: int
    prediction_length: int
    stage: int


def propose(prediction: Sentence, reference: Sentence, paraphrases: Table) -> list[list[Match]]:
    """
    All matches of all stages.

    Args:
        prediction ([`Sentence`]):
            The caption.
        reference ([`Sentence`]):
            The reference.
        paraphrases (`Mapping[int, Mapping[int, int]]`):
            Of each phrase its paraphrases with their ranks, by their keys.

    Returns:
        `list[list[Match]]`: Those that begin at each word of the reference, stage after stage.
    """
    found: list[list[Match]] = [[] for _ in reference.words]
    pairs = [(place, other) for place in range(len(reference.words)) for other in range(len(prediction.words))]
    unequal = []
    for place, other in pairs:
        if reference.words[place] == prediction.words[other]:
            found[place].append(Match(place, 1, other, 1, EXACT))
        else:
            unequal.append((place, other))
    for place, other in unequal:
        if reference.stems[place] == prediction.stems[other]:
            found[place].append(Match(place, 1, other, 1, STEM))
    for place, other in unequal:
        if not reference.meanings[place].isdisjoint(prediction.meanings[other]):
            found[place].append(Match(place, 1, other, 1, SYNONYM))
    for start, length, other, other_length in _rephrased(reference, prediction, paraphrases):
        found[start].append(Match(start, length, other, other_length, PARAPHRASE))
    for other, other_length, start, length in _rephrased(prediction, reference, paraphrases):
        found[start].append(Match(start, length, other, other_length, PARAPHRASE))
    return found


def _rephrased(source: Sentence, target: Sentence, paraphrases: Table) -> list[tuple[int, int, int, int]]:
    """Start and length of each phrase of `source` and of its paraphrase in `target`, in order of the former."""
    found = []
    for key in source.phrases.keys() & paraphrases.keys():
        ranks = paraphrases[key]
        for other in ranks.keys() & target.phrases.keys():
            found += [(own, ranks[other], its) for own in source.phrases[key] for its in target.phrases[other]]
    return [(own[0], own[1], its[0], its[1]) for own, _, its in sorted(found)]


@dataclass(slots=True)
class _Path:
    """An alignment of the first words of the reference; words in use are bits."""

    matches: tuple[Match, ...] = ()
    cover: int = 0
    prediction_cover: int = 0
    chunks: int = 0
    distance: int = 0
    chunk_end: int | None = None
    next_word: int = 0
    used: int = 0
    prediction_used: int = 0

    def rank(self) -> tuple[int, int, int]:
        return -(self.cover + self.prediction_cover), self.chunks, self.distance

    def reserve(self, match: Match) -> None:
        self.used |= _bits(match.start, match.length)
        self.prediction_used |= _bits(match.prediction_start, match.prediction_length)

    def is_free(self, match: Match) -> bool:
        return not (
            self.prediction_used & _bits(match.prediction_start, match.prediction_length)
            or self.used & _bits(match.start, match.length)
        )

    def take(self, match: Match) -> None:
        weight = STAGE_WEIGHTS[match.stage]
        self.matches += (match,)
        self.cover = int(self.cover + match.length * weight)
        self.prediction_cover = int(self.prediction_cover + match.prediction_length * weight)
        if self.chunk_end is not None and self.chunk_end != match.prediction_start:
            self.chunks += 1
        self.chunk_end = match.prediction_start + match.prediction_length
        self.next_word = match.start + match.length

    def end_chunk(self) -> None:
        self.chunks += self.chunk_end is not None
        self.chunk_end = None


def _bits(start: int, length: int) -> int:
    return (1 << length) - 1 << start


def align(prediction: Sentence, reference: Sentence, paraphrases: Table) -> tuple[Match, ...]:
    """
    The best alignment that the beam finds.

    Args:
        prediction ([`Sentence`]):
            The caption.
        reference ([`Sentence`]):
            The reference.
        paraphrases (`Mapping[int, Mapping[int, int]]`):
            Of each phrase its paraphrases with their ranks, by their keys.

    Returns:
        `tuple[Match, ...]`: Its matches, in the reference's order.
    """
    proposed = propose(prediction, reference, paraphrases)
    certain = _without_rival(proposed, len(prediction.words))
    first = _Path()
    for match in certain.values():
        first.reserve(match)
    paths = [first]
    for place, matches in enumerate(proposed):
        paths.sort(key=_Path.rank)
        # Where all paths are stuck behind words that a certain match has reserved, the best one goes on.
        paths = [new for path in paths[:BEAM] for new in _extend(path, place, matches, certain)] or paths[:1]
    paths.sort(key=_Path.rank)
    paths = paths[:BEAM]
    for path in paths:
        path.end_chunk()
    return min(paths, key=_Path.rank).matches


def _without_rival(proposed: list[list[Match]], num_words: int) -> dict[int, Match]:
    """Matches whose words are in no other match, by their place in the reference."""
    everything = [match for matches in proposed for match in matches]
    own, other = [0] * len(proposed), [0] * num_words
    for match in everything:
        for place in range(match.start, match.start + match.length):
            own[place] += 1
        for place in range(match.prediction_start, match.prediction_start + match.prediction_length):
            other[place] += 1
    return {
        match.start: match
        for match in everything
        if max(own[match.start : match.start + match.length]) == 1
        and max(other[match.prediction_start : match.prediction_start + match.prediction_length]) == 1
    }


def _extend(path: _Path, place: int, matches: list[Match], certain: dict[int, Match]) -> list[_Path]:
    """A path's continuations at one word of the reference: each free match in turn, and none."""
    if path.used >> place & 1:
        if place < path.next_word:
            return [path]
        if place not in certain:
            return []
        path.take(certain[place])
        path.distance += abs(place - certain[place].prediction_start)
        return [path]
    continued = []
    for match in matches:
        if path.is_free(match):
            taken = replace(path)
            taken.reserve(match)
            taken.take(match)
            continued.append(taken)
            path.distance += abs(match.start - match.prediction_start)
    path.end_chunk()
    path.next_word += 1
    return [*continued, path]


__all__ = ["EXACT", "PARAPHRASE", "STAGE_WEIGHTS", "STEM", "SYNONYM", "Match", "Sentence", "align", "propose"]
