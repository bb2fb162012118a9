# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Scenes that have captions but were never photographed, and what the words of a caption mean to a simulated brain.

A scene is some things of one colour in some relation to a thing of another colour, in a place. Five captions say so in
five ways. Scenes for testing combine a colour and a thing that no scene for training combines, though training has met
both: a model that has learnt whole phrases by heart fails on them.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np


_COUNTS = ("one", "two", "three", "four")
_QUALITIES = ("small", "large", "old", "shiny", "dirty", "striped")
_COLOURS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple")
_THINGS = (
    *("dog", "cat", "horse", "bird", "cow", "bear", "sheep", "elephant"),
    *("car", "boat", "train", "bicycle", "truck", "kite", "umbrella", "suitcase"),
    *("chair", "table", "clock", "vase", "bowl", "bottle", "cake", "pizza"),
)
_RELATIONS = (
    ("next to", "beside"),
    ("on top of", "above"),
    ("under", "below"),
    ("behind", "at the back of"),
    ("in front of", "ahead of"),
)
_PLACES = ("park", "kitchen", "street", "garden", "field", "market", "station", "garage")
#: The answer to a question about what is not in the picture.
NOT_THERE = "there is none"
#: Of so many pairs of a colour and a thing, one is kept for testing.
_ONE_IN = 5


@dataclass(frozen=True)
class Scene:
    """Numbers of the words of a scene in the lists above."""

    count: int
    quality: int
    colour: int
    thing: int
    relation: int
    other_colour: int
    other_thing: int
    place: int

    def captions(self) -> list[str]:
        """Five descriptions; each names the colour and the kind of the first things."""
        many = self.count > 0
        thing = _plural(_THINGS[self.thing]) if many else _THINGS[self.thing]
        count, quality, colour = _COUNTS[self.count], _QUALITIES[self.quality], _COLOURS[self.colour]
        near, beside = _RELATIONS[self.relation]
        other = f"{_COLOURS[self.other_colour]} {_THINGS[self.other_thing]}"
        other, place = f"{_article(other)} {other}", f"in the {_PLACES[self.place]}"
        some, are = (count, "are") if many else (_article(quality), "is")
        texts = (
            f"{some} {quality} {colour} {thing} {near} {other} {place}.",
            f"there {are} {count} {colour} {thing} {beside} {other}.",
            f"{place}, {count} {quality} {colour} {thing} {are} {near} {other}.",
            f"a picture of {some} {quality} {colour} {thing} {beside} {other}.",
            f"{other} with {some} {quality} {thing}, {colour}, {place}.",
        )
        return [text[0].upper() + text[1:] for text in texts]

    def questions(self) -> list[tuple[str, str, list[str]]]:
        """
        Type, question and ten answers about colour, number, kind, place, and whether something is so or is there.

        Of three questions for a colour one asks for that of a thing that is not there. People do not say everything in
        the same way, and one in ten of some answers is wrong.
        """
        drawn = np.random.default_rng([*astuple(self), 1])  # of this scene alone, whichever others are drawn
        thing, other, colour = _THINGS[self.thing], _THINGS[self.other_thing], _COLOURS[self.colour]
        absent = [name for name in _THINGS if name not in (thing, other)][drawn.integers(len(_THINGS) - 2)]
        wrong = [name for name in _COLOURS if name != colour][drawn.integers(len(_COLOURS) - 1)]
        about, answer = (absent, NOT_THERE) if drawn.integers(3) == 0 else (thing, colour)
        (said, so), (sought, there) = (
            (right, "yes") if drawn.integers(2) else (other_one, "no")
            for right, other_one in ((colour, wrong), (thing, absent))
        )
        near, place, many = _RELATIONS[self.relation][0], _PLACES[self.place], self.count > 0
        named, be = (_plural(thing), "are") if many else (thing, "is")
        numbers = [*[_COUNTS[self.count]] * 7, *[str(self.count + 1)] * 2, _COUNTS[(self.count + 1) % len(_COUNTS)]]
        kinds = [*[thing] * 6, *[_plural(thing)] * 2, *[f"{_article(thing)} {thing}"] * 2]
        return [
            ("what color", f"What color is the {about}?", [*[answer] * 9, wrong]),
            ("how many", f"How many {_plural(thing)} are there?", numbers),
            ("what is", f"What is {near} the {other}?", kinds),
            ("where", f"Where {be} the {named}?", [*[place] * 8, *[f"in the {place}"] * 2]),
            ("is the", f"{be.capitalize()} the {named} {said}?", [so] * 10),
            ("is there", f"Is there {_article(sought)} {sought}?", [there] * 10),
        ]


def _plural(thing: str) -> str:
    return thing if thing == "sheep" else f"{thing}s"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _for_testing(colour: int, thing: int) -> bool:
    return (colour + thing) % _ONE_IN == 0


def draw_scenes(number: int, generator: np.random.Generator, testing: bool) -> list[Scene]:
    """
    Scenes of which none occurs twice.

    Args:
        number (`int`):
            How many scenes.
        generator (`np.random.Generator`):
            Source of chance.
        testing (`bool`):
            Whether the first things have a combination of colour and kind that is kept for testing. All other
            combinations of a scene are those of training, always.

    Returns:
        `list[Scene]`: the scenes.
    """
    pairs = [(colour, thing) for colour in range(len(_COLOURS)) for thing in range(len(_THINGS))]
    common = [pair for pair in pairs if not _for_testing(*pair)]
    first = [pair for pair in pairs if _for_testing(*pair)] if testing else common
    scenes: dict[tuple, Scene] = {}
    while len(scenes) < number:
        colour, thing = first[generator.integers(len(first))]
        other_colour, other_thing = common[generator.integers(len(common))]
        count, quality, relation, place = (
            int(generator.integers(len(words))) for words in (_COUNTS, _QUALITIES, _RELATIONS, _PLACES)
        )
        scene = Scene(count, quality, colour, thing, relation, other_colour, other_thing, place)
        if thing != other_thing:
            scenes[astuple(scene)] = scene
    return list(scenes.values())


def hash_embedding(texts: Sequence[str], width: int = 128) -> np.ndarray:
    """
    The words of each text as a vector that needs no model: every word has a fixed random direction, and they add up.

    Texts with common words are alike, whatever their order; it is the same on every machine. Plural and singular count
    as one word.

    Args:
        texts (`Sequence[str]`):
            Texts.
        width (`int`, *optional*, defaults to 128):
            Length of a vector, a multiple of 8 and at most 512.

    Returns:
        `np.ndarray`: float32 `[texts, width]`, of length 1 each; 0 for a text without words.
    """
    vectors = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        for word in "".join(letter if letter.isalnum() else " " for letter in text.lower()).split():
            vectors[row] += _direction(word.removesuffix("s"), width)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


@lru_cache(maxsize=65_536)
def _direction(word: str, width: int) -> np.ndarray:
    """A vector `[width]` of -1 and 1, drawn by the word."""
    bits = np.unpackbits(np.frombuffer(blake2b(word.encode(), digest_size=width // 8).digest(), np.uint8))
    return bits.astype(np.float32) * 2 - 1


__all__ = ["NOT_THERE", "Scene", "draw_scenes", "hash_embedding"]
