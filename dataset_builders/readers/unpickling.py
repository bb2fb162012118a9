# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Reading pickles of strangers: dictionaries, lists, text, numbers and plain NumPy arrays, and nothing else.

A pickle is a program. `pickle.load` runs whatever it names, so a file from the internet may do anything that its
reader may do. Here a pickle can name five things only, none of which is NumPy itself: each is a stand-in of this
module that checks what it is given (a number type, a shape, as many bytes as that shape needs) before an array is
made. Object arrays, records and sub-arrays are refused: they are not plain numbers, and NumPy's own unpickling trusts
their state.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from .sources import check_source


_NUMBER_TYPE = re.compile(r"b1|[iu][1248]|f[248]")


class _RefusedError(Exception):
    """What a pickle asked for is not allowed; the message says what."""


class _Constructor:
    """A function that a pickle may call but, unlike a bare function, cannot alter by its BUILD instruction."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedError("an instruction that rewrites a function")


class _NumberType:
    """Stands for `numpy.dtype`: a boolean, integer or floating-point type and its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any):
        if not isinstance(code, str) or not _NUMBER_TYPE.fullmatch(code):
            raise _RefusedError(f"an array of type {code!r}, which is not plain numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, byte_order, *nested = state[:5]
        if byte_order not in ("<", ">", "|", "=") or nested != [None, None, None]:
            raise _RefusedError("an array of records or sub-arrays, which is not plain numbers")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _CheckedArray(np.ndarray):
    """An array whose pickled state is checked before NumPy sees it."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, number_type, column_major, raw = state
        _check_size(shape, number_type, raw)
        state = (1, shape, number_type.dtype, bool(column_major), raw)
        super().__setstate__(state)  # ty: ignore[invalid-argument-type] - NumPy's stub wants its own boolean


def _check_size(shape: Any, number_type: Any, raw: Any) -> None:
    """Raises unless `raw` is exactly the bytes of an array of this shape and type."""
    if not isinstance(number_type, _NumberType) or not isinstance(raw, (bytes, bytearray)):
        raise _RefusedError("an array of Python objects, which is not plain numbers")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise _RefusedError(f"an array of shape {shape!r}")
    expected = math.prod(shape) * number_type.dtype.itemsize
    if len(raw) != expected:
        raise _RefusedError(f"an array of shape {shape} that needs {expected} bytes and has {len(raw)}")


def _empty_array(*_: Any) -> np.ndarray:
    return np.ndarray.__new__(_CheckedArray, (0,), np.int8)


def _array_from_buffer(raw: Any, number_type: Any, shape: Any, order: str) -> np.ndarray:
    _check_size(shape, number_type, raw)
    array = np.frombuffer(raw, number_type.dtype).reshape(shape, order="F" if order == "F" else "C")
    return array.view(_CheckedArray)


def _scalar(number_type: Any, raw: Any) -> np.generic:
    _check_size((), number_type, raw)
    return np.frombuffer(raw, number_type.dtype)[0]


_ALLOWED = {
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct, which ignores it
    ("numpy", "dtype"): _Constructor(_NumberType),
    ("numpy.core.multiarray", "_reconstruct"): _Constructor(_empty_array),
    ("numpy.core.multiarray", "scalar"): _Constructor(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Constructor(_array_from_buffer),
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # NumPy 2 renamed numpy.core; files of both generations are about.
        key = (module.replace("numpy._core", "numpy.core", 1), name)
        if key not in _ALLOWED:
            named = f"{module}.{name}"
            raise _RefusedError(f"the global {named!r}")
        return _ALLOWED[key]


def _check_is_pickle(path: Path) -> None:
    """Raises if `path` holds no pickle, or one of the things that are commonly found in place of the data."""
    with check_source(path).open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\x1f\x8b"):
        raise ValueError(f"{path} is still compressed: run gunzip on it first")
    if len(head) < 2 or head[0] != 0x80:
        raise ValueError(f"{path} is not a pickle (it starts with {head!r}): download the file again")


def _check_memo(file: BinaryIO, num_bytes: int) -> None:
    """
    Raises if an instruction asks for a place in the memo that no file of this size can fill.

    Python allocates the memo up to the largest place named: ten bytes could ask for 32 GB.
    """
    for instruction, argument, _ in pickletools.genops(file):
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > num_bytes:
            raise _RefusedError(f"an instruction to remember {argument} objects in {num_bytes} bytes")
    file.seek(0)


def load_pickle(path: str | Path) -> Any:
    """
    Reads a pickle that may hold only containers, text, numbers and plain NumPy arrays.

    Args:
        path (`str` or `Path`):
            A pickle of protocol 3 or later.

    Returns:
        What was pickled. Arrays are instances of `np.ndarray` with boolean, integer or floating-point entries.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without content.
        ValueError: the file is not a pickle, is cut short or damaged, or names anything but plain arrays. Nothing that
            it names has been imported or run.
    """
    path = Path(path)
    _check_is_pickle(path)
    try:
        with path.open("rb") as file:
            _check_memo(file, path.stat().st_size)
            return _RestrictedUnpickler(file).load()
    except _RefusedError as refusal:
        raise ValueError(
            f"{path} was refused: it holds {refusal}. Only dictionaries, lists, text, numbers and NumPy arrays of "
            "plain numbers are read, because unpickling anything else can run code. Do not open this file with "
            "pickle; download it again from its publisher, and report it if it stays so"
        ) from None
    except Exception as error:  # a damaged pickle may raise almost any exception, as Python's documentation warns
        raise ValueError(
            f"{path} is cut short or damaged ({type(error).__name__}: {error}) after {path.stat().st_size} bytes: "
            "download it again and compare its size with the publisher's"
        ) from error


__all__ = ["load_pickle"]
