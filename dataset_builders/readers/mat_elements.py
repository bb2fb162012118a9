# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The elements of a MATLAB file of version 5, checked before anybody believes them.

Every element must lie within its parent and hold exactly the bytes that its shape and number type need. What may be
read are real numbers, text, cells and structs. The format is that of "MAT-File Format" (The MathWorks, R2019b).
"""

import math
import re
import struct
from collections.abc import Collection
from dataclasses import dataclass


# Types of elements (table 1-1 of the format), and the bytes of one number or character.
_INT8, _INT32, _UINT32, MATRIX, COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_CHARACTER_BYTES = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}
# Classes of arrays (table 1-3); opaque objects came later.
_CELL, _STRUCT, _TEXT, _OPAQUE = 1, 2, 4, 17
_NUMBERS = range(6, 16)
_REFUSED = {3: "a MATLAB object", 5: "a sparse matrix", 16: "a function handle", _OPAQUE: "an opaque object"}
_COMPLEX = 1 << 11

# More than any recording has. To check so many takes a second.
_MOST_ARRAYS = 100_000
_MOST_LEVELS = 32
_MOST_DIMENSIONS = 32
_MOST_EMPTY = 2**24
_IDENTIFIER = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")


class MalformedError(Exception):
    """What is wrong with a file. The message says what; the caller knows which file."""


@dataclass(frozen=True, slots=True)
class Element:
    """A data element: its type, where its content begins, how long that is, and where the next element begins."""

    kind: int
    start: int
    size: int
    following: int


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an array says of itself at its beginning, and where its values begin."""

    array_class: int
    is_complex: bool
    shape: tuple[int, ...]
    name: bytes
    values: int


class MatElements:
    """
    Elements in memory.

    Args:
        content (`bytes` or `memoryview`):
            What holds them, uncompressed.
        order (`str`):
            Byte order, `"<"` or `">"`.
    """

    def __init__(self, content: bytes | memoryview, order: str):
        self._content = content
        self._order = order
        self._num_arrays = 0

    def header(self, at: int, end: int) -> ArrayHeader:
        """
        Flags, shape and name of the array whose content begins at `at`.

        Raises:
            MalformedError: they are not as the format has them.
        """
        flags = self._expect(at, end, [_UINT32], "array flags")
        if flags.size != 8:
            raise MalformedError(f"array flags of {flags.size} bytes in place of 8")
        bits = self._integers(flags)[0]
        array_class, is_complex = bits & 0xFF, bool(bits & _COMPLEX)
        shape, at = (), flags.following
        if array_class != _OPAQUE:  # which has a name, but no shape
            element = self._expect(at, end, [_INT32, _UINT32], "a shape")
            shape, at = self._integers(element), element.following
            if not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
                raise MalformedError(f"an array of shape {shape}")
        name = self._expect(at, end, [_INT8, _UTF8], "a name")
        return ArrayHeader(array_class, is_complex, shape, self._bytes(name), name.following)

    def check(self, at: int, end: int) -> int:
        """
        Checks the array whose tag begins at `at`, and all within it.

        Returns:
            `int`: where it ends.

        Raises:
            MalformedError: it is not as the format has it, holds what is not read, or is absurdly large.
        """
        return self._check_arrays(1, at, end, level=0)

    def _element(self, at: int, end: int) -> Element:
        """The element that begins at `at` and must end by `end`."""
        if at + 8 > end:
            raise MalformedError("an element that is cut short")
        kind, size = struct.unpack_from(f"{self._order}II", self._content, at)
        if kind >> 16:  # a small element: type, size and content share eight bytes
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise MalformedError(f"a small element of {size} bytes, where 4 have room")
            return Element(kind, at + 4, size, at + 8)
        following = at + 8 + size + -size % 8
        if following > end:
            raise MalformedError(f"an element of {size} bytes where {end - at - 8} are left")
        return Element(kind, at + 8, size, following)

    def _expect(self, at: int, end: int, kinds: Collection[int], what: str) -> Element:
        """The element at `at`, which must be of one of these types."""
        element = self._element(at, end)
        if element.kind not in kinds:
            raise MalformedError(f"an element of type {element.kind} in place of {what}")
        return element

    def _integers(self, element: Element) -> tuple[int, ...]:
        if element.size % 4:
            raise MalformedError(f"{element.size} bytes in place of 32-bit integers")
        return struct.unpack_from(f"{self._order}{element.size // 4}i", self._content, element.start)

    def _bytes(self, element: Element) -> bytes:
        return bytes(self._content[element.start : element.start + element.size])

    def _check_arrays(self, number: int, at: int, end: int, level: int) -> int:
        """Checks `number` arrays, one after the other, and returns where they end."""
        if number * 8 > end - at:
            raise MalformedError(f"{number} arrays in {end - at} bytes")
        self._num_arrays += number
        if self._num_arrays > _MOST_ARRAYS or level > _MOST_LEVELS:
            raise MalformedError(f"more than {_MOST_ARRAYS} cells and fields, or {_MOST_LEVELS} levels of them")
        for _ in range(number):
            element = self._expect(at, end, [MATRIX], "an array")
            if element.size:  # MATLAB writes an empty cell as an array without content
                self._check_array(element.start, element.start + element.size, level)
            at = element.following
        return at

    def _check_array(self, at: int, end: int, level: int) -> None:
        header = self.header(at, end)
        if header.array_class in _REFUSED:
            raise MalformedError(
                f"{_REFUSED[header.array_class]}, where only real numbers, text, cells and structs are read"
            )
        length = math.prod(header.shape)
        if not length and math.prod(size for size in header.shape if size) > _MOST_EMPTY:
            raise MalformedError(f"an empty array of shape {header.shape}")
        if header.array_class == _CELL:
            reached = self._check_arrays(length, header.values, end, level + 1)
        elif header.array_class == _STRUCT:
            reached = self._check_structs(length, header.values, end, level)
        elif header.array_class == _TEXT:
            reached = self._check_text(length, header.values, end)
        elif header.array_class in _NUMBERS:
            reached = self._check_numbers(header, length, end)
        else:
            raise MalformedError(f"an array of the unknown class {header.array_class}")
        if reached != end:
            raise MalformedError(f"{end - reached} bytes after the end of an array")

    def _check_structs(self, length: int, at: int, end: int, level: int) -> int:
        width = self._expect(at, end, [_INT32], "the length of field names")
        (longest,) = self._integers(width) if width.size == 4 else (0,)
        names = self._expect(width.following, end, [_INT8], "field names")
        if longest < 1 or names.size % longest:
            raise MalformedError(f"{names.size} bytes of field names of {longest} bytes each")
        text = self._bytes(names)
        fields = [text[start : start + longest].partition(b"\0")[0] for start in range(0, len(text), longest)]
        if len(set(fields)) < len(fields) or not all(map(_IDENTIFIER.fullmatch, fields)):
            raise MalformedError("field names that are not distinct names")
        if not fields and length > 1:
            raise MalformedError(f"{length} structs without fields")
        return self._check_arrays(length * len(fields), names.following, end, level + 1)

    def _check_text(self, length: int, at: int, end: int) -> int:
        text = self._expect(at, end, _CHARACTER_BYTES, "text")
        least = length * _CHARACTER_BYTES[text.kind]
        most = 4 * length if text.kind == _UTF8 else least
        blank = not text.size and length == 1  # MATLAB's empty string
        if not blank and not least <= text.size <= most:
            raise MalformedError(f"{length} characters in {text.size} bytes")
        return text.following

    def _check_numbers(self, header: ArrayHeader, length: int, end: int) -> int:
        if header.is_complex:
            raise MalformedError("complex numbers, where only real ones are read")
        numbers = self._expect(header.values, end, _NUMBER_BYTES, "numbers")
        width = _NUMBER_BYTES[numbers.kind]
        if numbers.size != length * width:
            raise MalformedError(f"{length} numbers of {width} bytes in {numbers.size} bytes")
        return numbers.following


__all__ = ["COMPRESSED", "MATRIX", "ArrayHeader", "Element", "MalformedError", "MatElements"]
