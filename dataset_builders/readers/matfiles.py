# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Reading MATLAB files of strangers: real numbers, text, cells and structs of version 5 (saved with -v6 or -v7).

SciPy's reader believes what a file says of itself. Of 8,000 small files with a few changed bytes 97 ended the process
that read them (SciPy 1.17), and a short file can ask for an array that fills any machine. So the wanted variables are
first inflated, within limits that the size of the file sets, and checked by [`MatElements`]. Only what has passed is
given to `scipy.io.loadmat`, uncompressed and behind a header of our own.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .mat_elements import COMPRESSED, MATRIX, MalformedError, MatElements
from .sources import check_source


_HEADER_BYTES = 128
#: Byte orders, and the version and mark of order that end the header.
_MARKS = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}
_MARK_OF_7_3 = b"\x00\x02IM"
# Flags, 32 dimensions and the longest name that MATLAB allows, with room to spare.
_HEAD_BYTES = 512
_PIECE_BYTES = 2**20

# Brain values deflate by less than two, labels by fifty; zlib could do 1,032, but small files are harmless.
_MOST_INFLATION = 100
_HARMLESS_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Variable:
    """Where the content of a variable lies in its file, how long it is there and once inflated, and its shape."""

    start: int
    stored: int
    size: int
    compressed: bool
    shape: tuple[int, ...]


def mat_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """
    Names and shapes of the variables in a MATLAB file. Reads their first bytes only.

    Args:
        path (`str` or `Path`):
            A file of version 5.

    Returns:
        `dict[str, tuple[int, ...]]`: as MATLAB sees them, with two dimensions or more; `()` for objects.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without content.
        ValueError: the file is damaged or not a MATLAB file of version 5.
    """
    path = check_source(path)
    try:
        with path.open("rb") as file:
            found = _variables(file, _byte_order(file))
    except MalformedError as problem:
        raise _refusal(path, problem) from None
    return {name: variable.shape for name, variable in found.items()}


def read_mat(path: str | Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """
    Reads variables of a MATLAB file.

    Args:
        path (`str` or `Path`):
            A file of version 5.
        names (`Sequence[str]`, *optional*):
            Which variables. Defaults to all.

    Returns:
        `dict[str, Any]`: as `scipy.io.loadmat(..., simplify_cells=True)` gives them. Dimensions of length one are left
        out, and scalars are plain numbers; text is `str`, but an empty array if it is empty; a cell is an array of
        objects; a struct is a dictionary.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without content.
        ValueError: the file is damaged or not a MATLAB file of version 5, has no such variable, or a variable holds a
            function handle, an object, a sparse or a complex matrix, or is absurdly large for the size of the file.
    """
    path = check_source(path)
    try:
        with path.open("rb") as file:
            order = _byte_order(file)
            variables = _chosen(_variables(file, order), names)
            content = _checked_content(file, order, variables)
    except MalformedError as problem:
        raise _refusal(path, problem) from None
    return _load(path, content, order, variables)


def _refusal(path: Path, problem: object) -> ValueError:
    return ValueError(f"{path} cannot be read: {problem}. Compare it with what its publisher offers")


def _load(path: Path, content: BinaryIO, order: str, names: Iterable[str]) -> dict[str, Any]:
    from scipy.io import loadmat  # half a second of import that `mat_shapes` need not pay

    codec = "utf-16-le" if order == "<" else "utf-16-be"  # SciPy would read 16-bit characters as 8-bit ones
    try:
        loaded = loadmat(content, simplify_cells=True, uint16_codec=codec)
    except Exception as error:  # text in no known encoding, for instance; SciPy's reader may raise almost anything
        raise _refusal(path, f"{type(error).__name__}: {error}") from error
    return {name: loaded[name] for name in names}


def _byte_order(file: BinaryIO) -> str:
    """`"<"` or `">"`, by the file's header."""
    head = file.read(_HEADER_BYTES)
    if head.endswith(_MARK_OF_7_3) or head.startswith(b"\x89HDF"):
        raise MalformedError("it is of version 7.3 (HDF5); open it in MATLAB and save it again with -v7")
    for order, mark in _MARKS.items():
        if head.endswith(mark):
            return order
    raise MalformedError(f"it is no MATLAB file of version 5 (it begins with {head[:16]!r})")


def _variables(file: BinaryIO, order: str) -> dict[str, _Variable]:
    """The variables of a file by name, from their first bytes."""
    found: dict[str, _Variable] = {}
    num_bytes, at = file.seek(0, io.SEEK_END), _HEADER_BYTES
    while at < num_bytes:
        file.seek(at)
        kind, stored = _tag(file.read(8), order)
        at += 8
        if at + stored > num_bytes:
            raise MalformedError(f"it is cut short: a variable of {stored} bytes where {num_bytes - at} are left")
        name, variable = _variable(file, order, at, kind, stored)
        if name in found:
            raise MalformedError(f"two variables have the name {name}")
        if name:  # without one it is a workspace of function handles
            found[name] = variable
        at += stored
    return found


def _variable(file: BinaryIO, order: str, at: int, kind: int, stored: int) -> tuple[str, _Variable]:
    """The variable of this type and size whose content begins at `at`."""
    head, size, compressed = file.read(min(stored, _HEAD_BYTES)), stored, kind == COMPRESSED
    if compressed:
        head = _decompressed(zlib.decompressobj(), head, _HEAD_BYTES)
        kind, size = _tag(head[:8], order)
        head = head[8:]
    if kind != MATRIX:
        raise MalformedError(f"an element of type {kind} in place of a variable")
    header = MatElements(head, order).header(0, len(head))
    return header.name.decode("latin-1"), _Variable(at, stored, size, compressed, header.shape)


def _tag(content: bytes, order: str) -> tuple[int, int]:
    """Type and size of an element."""
    if len(content) < 8:
        raise MalformedError("it is cut short")
    return struct.unpack(f"{order}II", content)


def _decompressed(inflater: Any, packed: bytes, most: int) -> bytes:
    try:
        return inflater.decompress(packed, most)
    except zlib.error as error:
        raise MalformedError(f"compressed data are damaged ({error})") from None


def _chosen(found: dict[str, _Variable], names: Sequence[str] | None) -> dict[str, _Variable]:
    missing = [name for name in names or () if name not in found]
    if missing:
        raise MalformedError(f"it has no variable {', '.join(missing)}, but {', '.join(found) or 'none at all'}")
    return found if names is None else {name: found[name] for name in names}


def _checked_content(file: BinaryIO, order: str, variables: dict[str, _Variable]) -> BinaryIO:
    """A MATLAB file in memory: these variables, uncompressed and checked."""
    num_bytes, size = file.seek(0, io.SEEK_END), sum(variable.size for variable in variables.values())
    if size > max(_HARMLESS_BYTES, _MOST_INFLATION * num_bytes):
        raise MalformedError(f"its {num_bytes} bytes claim to be {size} once inflated, which no recording does")
    content = io.BytesIO()
    content.write(b"MATLAB 5.0 MAT-file".ljust(_HEADER_BYTES - 4) + _MARKS[order])
    for variable in variables.values():
        content.writelines(_pieces(file, variable))
    elements, at = MatElements(content.getbuffer(), order), _HEADER_BYTES
    for name in variables:
        try:
            at = elements.check(at, content.tell())
        except MalformedError as problem:
            raise MalformedError(f"variable {name} holds {problem}") from None
    content.seek(0)
    return content


def _pieces(file: BinaryIO, variable: _Variable) -> Iterator[bytes]:
    """A variable with its tag, uncompressed: exactly the bytes that it declares."""
    if not variable.compressed:
        file.seek(variable.start - 8)
        yield file.read(variable.stored + 8)
        return
    file.seek(variable.start)
    inflater, packed_left, left = zlib.decompressobj(), variable.stored, variable.size + 8
    while packed_left and left >= 0:
        packed = file.read(min(packed_left, _PIECE_BYTES))
        packed_left -= len(packed)
        piece = _decompressed(inflater, packed, left + 1)
        left -= len(piece)
        yield piece
    if left or packed_left or not inflater.eof or inflater.unused_data:  # at its end zlib compares the checksum
        raise MalformedError(f"a compressed variable is not of the {variable.size} bytes that it declares")


__all__ = ["mat_shapes", "read_mat"]
