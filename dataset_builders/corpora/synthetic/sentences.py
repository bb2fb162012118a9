# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A corpus with a planted signal, for demonstrations, documentation and tests: no download, no license, a known answer.

Sentences come from a small grammar; their meaning is the bag of their content words; the brain is a fixed random
linear map of that meaning plus noise. At `signal_to_noise=0` the brain is noise alone: whatever is decoded then is an
error of the decoder or of its evaluation.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from ...schema import Recording, Sample
from ..base import BrainCorpusBuilder, BrainCorpusConfig


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_CONCEPTS = _words(
    "fisherman baker doctor farmer teacher singer soldier painter sailor miner nurse judge "
    "wolf horse eagle rabbit kitten beaver robot pilot tailor gardener monk thief"
)
_QUALITIES = _words("old young tired happy clever lonely brave quiet hungry nervous gentle proud")
_ACTIONS = _words(
    "carries finds hides paints repairs watches steals sells breaks cleans buries draws lifts remembers follows wants"
)
_COLOURS = _words("red blue green yellow black white golden silver")
_OBJECTS = _words(
    "basket ladder mirror violin lantern hammer blanket candle bottle wagon letter statue "
    "kettle anchor feather drum carpet clock ribbon shovel pillow trumpet coin map"
)
_PLACES = _words(
    "river forest market harbor castle desert garden bridge "
    "village mountain station church library island meadow tunnel"
)
_PREPOSITIONS = _words("near behind inside beyond beside above")
_TIMES = ("in the morning", "at night", "after the storm", "before winter", "every day", "")

#: The words that carry meaning, in the order of [`semantic_vector`].
CONTENT_WORDS = (*_CONCEPTS, *_QUALITIES, *_ACTIONS, *_COLOURS, *_OBJECTS, *_PLACES)

#: Sentences of a passage, each in three chunks.
_Passage = list[tuple[str, str, str]]
_COMMON_SEED = 2025
_POSITION = {word: index for index, word in enumerate(CONTENT_WORDS)}


def semantic_vector(sentence: str) -> np.ndarray:
    """
    The planted meaning of a sentence: how often each of [`CONTENT_WORDS`] occurs in it.

    Args:
        sentence (`str`):
            Any text; words outside the list count for nothing.

    Returns:
        `np.ndarray`: float32 `[content words]`.
    """
    vector = np.zeros(len(CONTENT_WORDS), dtype=np.float32)
    for word in sentence.lower().split():
        if word in _POSITION:
            vector[_POSITION[word]] += 1
    return vector


@dataclass
class SyntheticSentencesConfig(BrainCorpusConfig):
    """
    Choices for the synthetic corpus; see [`BrainCorpusConfig`] for those that all corpora share.

    Args:
        signal_to_noise (`float`, *optional*, defaults to 1.0):
            Variance of the planted signal over variance of the noise. 0 plants nothing.
        num_passages (`int`, *optional*, defaults to 96):
            Passages of 3 or 4 sentences about one concept; concepts (the topics) take turns.
        num_features (`int`, *optional*, defaults to 128):
            Width of a brain frame.
        num_frames (`int`, *optional*, defaults to 1):
            Frames of a brain sample: the same signal with fresh noise.
        num_subjects (`int`, *optional*, defaults to 1):
            Subjects who read the same sentences, each with a linear map of their own.
        alignment (`float`, *optional*, defaults to 0.0):
            Correlation of the maps of two subjects, of this corpus or of two of other seeds. 0 shares nothing; at 1
            all have one map.
        corpus_seed (`int`, *optional*, defaults to 0):
            Seed of sentences, maps and noise. The division has its own, `seed`.
    """

    dtype: str = "float32"
    signal_to_noise: float = 1.0
    num_passages: int = 96
    num_features: int = 128
    num_frames: int = 1
    num_subjects: int = 1
    alignment: float = 0.0
    corpus_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least(signal_to_noise=0, num_passages=1, num_features=1, num_frames=1, num_subjects=1)
        if not 0 <= self.alignment <= 1:
            raise ValueError(f"alignment={self.alignment}: choose from 0 (maps of their own) to 1 (one map for all)")


def _write_passage(concept: str, generator: np.random.Generator, written: set[str]) -> _Passage:
    """Three or four sentences about a concept in one place, each in three chunks. None is ever repeated."""

    def maybe(words: tuple[str, ...]) -> str:
        return generator.choice(words) if generator.random() < 0.75 else ""

    passage: _Passage = []
    length = int(generator.integers(3, 5))
    place = generator.choice(_PLACES)
    while len(passage) < length:
        parts = (
            f"the {maybe(_QUALITIES)} {concept}",
            f"{generator.choice(_ACTIONS)} the {maybe(_COLOURS)} {generator.choice(_OBJECTS)}",
            f"{generator.choice(_PREPOSITIONS)} the {place} {generator.choice(_TIMES)}",
        )
        subject, action, setting = (" ".join(part.split()) for part in parts)
        if f"{subject} {action} {setting}" not in written:
            written.add(f"{subject} {action} {setting}")
            passage.append((subject, action, setting))
    return passage


def _plant(meanings: np.ndarray, config: SyntheticSentencesConfig, generator: np.random.Generator) -> np.ndarray:
    """
    One subject's recording, float32 `[sentences * num_frames, features]`.

    `values = sqrt(s / (1 + s)) * z(meaning @ map) + sqrt(1 / (1 + s)) * noise` for the signal-to-noise ratio `s`:
    every feature has a variance of about one, whatever the ratio, so that the null corpus looks the same from outside.
    `map = sqrt(a) * common + sqrt(1 - a) * own` for the alignment `a`; what is common has a seed that no option sets.
    """
    shape = (meanings.shape[1], config.num_features)
    common = np.random.default_rng(_COMMON_SEED).standard_normal(shape)
    own = generator.standard_normal(shape)
    signal = meanings @ (np.sqrt(config.alignment) * common + np.sqrt(1 - config.alignment) * own)
    signal = np.repeat((signal - signal.mean(0)) / signal.std(0), config.num_frames, axis=0)
    noise = generator.standard_normal(signal.shape)
    share = config.signal_to_noise / (1 + config.signal_to_noise)
    return (np.sqrt(share) * signal + np.sqrt(1 - share) * noise).astype(np.float32)


class SyntheticSentences(BrainCorpusBuilder):
    """
    Sentences of a small grammar with a planted brain.

    Each passage holds 3 or 4 sentences of 8 to 13 words, lower-case and without punctuation, about one of 24 concepts;
    the vocabulary has 117 words. As in Pereira's data a sentence has one brain sample and is cut in three chunks, of
    which the second and the third are decoded. No sentence occurs twice, so whole passages can be held out without a
    leak. The brain is simulated: scores on this corpus show that code works, and say nothing about brains.
    """

    config: SyntheticSentencesConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = SyntheticSentencesConfig
    LICENCE = "Apache 2.0"
    CITATION: ClassVar[str] = ""
    HOMEPAGE: ClassVar[str] = ""
    REDISTRIBUTION = "Free: nothing in it was recorded."
    MAY_REDISTRIBUTE = True

    @property
    def corpus_name(self) -> str:
        return "synthetic_sentences"

    def list_recordings(self) -> list[Recording]:
        config = self.config
        generator = np.random.default_rng(config.corpus_seed)
        written: set[str] = set()
        self._topics = [_CONCEPTS[index % len(_CONCEPTS)] for index in range(config.num_passages)]
        self._passages = [_write_passage(topic, generator, written) for topic in self._topics]
        meanings = np.stack([semantic_vector(" ".join(chunks)) for passage in self._passages for chunks in passage])
        recordings = []
        for number in range(1, config.num_subjects + 1):
            values = _plant(meanings, config, generator)
            subject = f"sub-{number:02d}"
            read = partial(np.asarray, values)
            recordings.append(Recording(f"{subject}/sentences", subject, len(values), config.num_features, read))
        return recordings

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        return [sample for recording in recordings for sample in self._samples(recording)]

    def _samples(self, recording: Recording) -> list[Sample]:
        corpus, num_frames, subject = self.corpus_name, self.config.num_frames, recording.subject
        places = [(story, index) for story, passage in enumerate(self._passages) for index in range(len(passage))]
        return [
            Sample(
                sample_id=f"{corpus}/{subject}/{story:03d}/{index}/{k}",
                corpus=corpus,
                subject=subject,
                stimulus=f"{story:03d}",
                group=f"{story:03d}",
                topic=self._topics[story],
                brain_id=f"{corpus}/{subject}/{story:03d}/{index}",
                prompt=" ".join(self._passages[story][index][:k]),
                completion=self._passages[story][index][k],
                text=" ".join(self._passages[story][index]),
                recording=recording.recording_id,
                frames=tuple(range(row * num_frames, (row + 1) * num_frames)),
            )
            for row, (story, index) in enumerate(places)
            for k in (1, 2)
        ]


__all__ = ["CONTENT_WORDS", "SyntheticSentences", "SyntheticSentencesConfig", "semantic_vector"]
