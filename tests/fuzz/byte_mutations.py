# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Broken binary files, for `fuzzing.py`: what disks, downloads and hostile hands do to bytes."""

import gzip
import math
import random
import struct
from collections.abc import Callable, Sequence


Mutation = Callable[[bytearray, random.Random], None]
#: What a size, an offset or a code may be made.
NUMBERS = [0, 1, 2, 3, 7, 16, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]


def _flip(raw: bytearray, generator: random.Random) -> None:
    for _ in range(generator.choice([1, 1, 2, 8])):
        raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)


def _truncate(raw: bytearray, generator: random.Random) -> None:
    del raw[generator.randrange(len(raw)) :]


def _delete(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw))
    del raw[place : place + generator.choice([1, 2, 4, 8, 100, 1000])]


def _duplicate(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw))
    raw[place:place] = raw[place : place + generator.choice([1, 2, 4, 8, 100, 1000])]


def _number(raw: bytearray, generator: random.Random) -> None:
    """Writes a number that is likely to be believed, of some size and byte order, or a special real number."""
    order, letter = generator.choice("<>"), generator.choice("BHIQfd")
    special = generator.choice([0.0, -1.0, 1e38, math.nan, math.inf])
    limit = 256 ** struct.calcsize(letter)
    new = struct.pack(order + letter, special if letter in "fd" else generator.choice(NUMBERS) % limit)
    place = generator.randrange(len(raw)) // len(new) * len(new)
    raw[place : place + len(new)] = new


def _splice(raw: bytearray, generator: random.Random) -> None:
    """Overwrites a span with another one of the file."""
    source, target = generator.randrange(len(raw)), generator.randrange(len(raw))
    span = raw[source : source + generator.choice([2, 4, 8, 16, 64, 512])]
    raw[target : target + len(span)] = span


MUTATIONS = [_flip, _flip, _truncate, _delete, _duplicate, _number, _number, _splice]


def mutate(raw: bytes, generator: random.Random, mutations: Sequence[Mutation]) -> bytes:
    """A broken copy of a file: one mutation, sometimes several on top of one another."""
    mutant = bytearray(raw)
    for _ in range(generator.choice([1, 1, 1, 2, 4])):
        if mutant:
            generator.choice(mutations)(mutant, generator)
    return bytes(mutant)


def mutate_bytes(raw: bytes, generator: random.Random) -> bytes:
    """A broken copy of a binary file."""
    return mutate(raw, generator, MUTATIONS)


def mutate_within(raw: bytes, generator: random.Random) -> bytes:
    """Breaks what is compressed and compresses it again, so that no checksum tells."""
    return gzip.compress(mutate_bytes(gzip.decompress(raw), generator), mtime=0)


__all__ = ["Mutation", "mutate", "mutate_bytes", "mutate_within"]
