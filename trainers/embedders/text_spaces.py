# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Which space texts are embedded into, told by where one sentence lies in it.

Encoders of equal width embed into spaces that have nothing to do with each other, and names tell little: folders move,
repositories are copied. A text encoder is known by a few coordinates of a fixed sentence instead, which any copy of it
repeats at any precision, and no other encoder does.
"""

from collections.abc import Callable, Sequence

import numpy as np


PROBE = "A man in a red jacket rides a brown horse along the beach."
_NUMBERS = 16
# Half precision moves the coordinates by about 0.01 of their length, another encoder by about 1.4.
_TOLERANCE = 0.1


def text_space(embed: Callable[[Sequence[str]], np.ndarray]) -> list[float]:
    """
    Coordinates by which a space is known again.

    Args:
        embed (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors `[texts, width]`, e.g. [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].

    Returns:
        `list[float]`: 16 coordinates (all, if there are fewer), evenly spaced, of the unit vector of [`PROBE`].
    """
    return coordinates_of(np.asarray(embed([PROBE]))[0])


def coordinates_of(vector: np.ndarray) -> list[float]:
    """The coordinates of [`text_space`] of the embedding `[width]` of [`PROBE`]."""
    unit = np.asarray(vector, float) / np.linalg.norm(vector)
    places = np.linspace(0, len(unit) - 1, min(_NUMBERS, len(unit))).round().astype(int)
    return unit[places].round(4).tolist()


def is_same_space(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether what [`text_space`] gave is of one encoder, at whatever precision."""
    if len(one) != len(other):
        return False
    return bool(np.linalg.norm(np.subtract(one, other)) <= _TOLERANCE * np.linalg.norm(one))


__all__ = ["PROBE", "coordinates_of", "is_same_space", "text_space"]
