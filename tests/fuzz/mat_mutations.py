# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Broken MATLAB files, for `fuzzing.py`: sound files of each kind, their readers, and how to mutate them.

Compressed variables end with a checksum: a mutant of theirs is refused or read as before. What an uncompressed file
says of its values nobody can check, so there only crashes, hangs and foreign errors count.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.io import savemat
from text_mutations import TextCase

from dataset_builders.corpora.pereira.pereira2018_files import atlases, read_images, read_sentences, read_voxels
from dataset_builders.readers.matfiles import mat_shapes, read_mat


VARIABLES = ("examples", "meta", "labelsSentences", "keySentences", "keyPassages", "keyPassageCategory")
VARIABLES += ("labelsPassageForEachSentence", "labelsPassageCategory")


def _cell(entries: list) -> np.ndarray:
    cell = np.empty((len(entries), 1), object)
    cell[:, 0] = entries
    return cell


def pereira_mat(compressed: bool) -> bytes:
    """Two passages of three sentences, seven voxels: text, numbers, cells in cells and a struct."""
    mask, places = np.array([[0.0], [1], [2], [1], [0], [2], [1]]), np.arange(7)
    meta = {
        "colToCoord": np.stack([places + 1, places % 2 + 1, places % 3 + 1], 1) * 1.0,
        "dimx": 7.0, "dimy": 2.0, "dimz": 3.0,
        "roisAAL": _cell(["Precentral_L", "Precentral_R"]), "roiMultimaskAAL": mask,
        "roiColumnsAAL": _cell([mask[:3], mask[:2]]),
    }  # fmt: skip
    content = {
        "examples": np.random.default_rng(0).normal(size=(6, 7)),
        "keySentences": _cell([f"This is sentence number {number}." for number in range(6)]),
        "labelsSentences": np.arange(1.0, 7)[:, None],
        "labelsPassageForEachSentence": np.array([[1.0, 1, 1, 2, 2, 2]]),
        "keyPassages": _cell([_cell(["first"]), _cell(["second"])]),
        "labelsPassageCategory": np.array([[1.0], [2.0]]),
        "keyPassageCategory": _cell(["tool", "café"]).T,
        "meta": meta,
    }
    file = io.BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


def _read_corpus(path: Path) -> object:
    return read_images(path, "examples"), read_sentences(path), atlases(path, read_voxels(path, 7))


def checksum(value: object) -> int:
    """Of values that are nested in dictionaries and arrays of objects: their content, types and shapes."""
    if isinstance(value, dict):
        return zlib.crc32(repr([(name, checksum(value[name])) for name in sorted(value)]).encode())
    values = np.asarray(value)
    if values.dtype.kind == "O":
        return zlib.crc32(repr((values.shape, [checksum(entry) for entry in values.ravel()])).encode())
    return zlib.crc32(values.tobytes(), zlib.crc32(repr((values.shape, values.dtype.str)).encode()))


_read = partial(read_mat, names=VARIABLES)
MAT_CASES = {
    "MAT, compressed": TextCase("a.mat", pereira_mat(True), _read, checksum),
    "MAT, uncompressed": TextCase("a.mat", pereira_mat(False), _read),
    "MAT, headers": TextCase("a.mat", pereira_mat(True), mat_shapes),
    "MAT of a corpus": TextCase("a.mat", pereira_mat(False), _read_corpus),
}

#: What a size, a type, a class or a number may be made.
WORDS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 14, 15, 16, 17, 255, 2**16, 2**20, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1]
DOUBLES = [0.0, 0.5, 1.0, -1.0, 3.0, 1e300, float("nan"), float("inf")]


def _flip(raw: bytearray, generator: random.Random) -> None:
    for _ in range(generator.choice([1, 1, 2, 8])):
        raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)


def _word(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw)) & ~3
    raw[place : place + 4] = struct.pack("<I", generator.choice(WORDS))


def _double(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw)) & ~7
    raw[place : place + 8] = struct.pack("<d", generator.choice(DOUBLES))


def _copy(raw: bytearray, generator: random.Random) -> None:
    """Puts a stretch of the file in place of another."""
    source, target = (generator.randrange(len(raw)) & ~7 for _ in range(2))
    length = generator.choice([8, 16, 56, 200])
    raw[target : target + length] = raw[source : source + length]


def _cut(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw))
    del raw[place : place + generator.choice([1, 4, 8, 100, len(raw)])]


def _compress(raw: bytearray) -> None:
    """Compresses the first variable, with a checksum that is right, so that earlier mutations lie within."""
    if raw[128:132] == b"\x0e\0\0\0" and len(raw) >= 136:
        size = struct.unpack_from("<I", raw, 132)[0] + 8
        packed = zlib.compress(bytes(raw[128 : 128 + size]))
        raw[128 : 128 + size] = struct.pack("<II", 15, len(packed)) + packed


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [_flip, _word, _word, _double, _copy, _cut]


def mutate_mat(raw: bytes, generator: random.Random) -> bytes:
    """A broken copy of a MATLAB file: one mutation, sometimes several on top of one another."""
    mutant = bytearray(raw)
    for _ in range(generator.choice([1, 1, 1, 2, 4, 16])):
        if mutant:
            generator.choice(MUTATIONS)(mutant, generator)
    if generator.random() < 0.3:
        _compress(mutant)
    return bytes(mutant)


__all__ = ["MAT_CASES", "mutate_mat"]
