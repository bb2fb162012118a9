# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
GIFTI files (`.func.gii`) that hold series of values on a surface.

Our own parser, on Python's expat: a GIFTI file may name another file in place of its values, may define entities that
grow without bound, and may hold compressed values of any size. None of these is followed. Nothing of a GIFTI file is
read but numbers.
"""

import base64
import binascii
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.parsers import expat

import numpy as np

from .sources import open_source


_TYPES = {
    "NIFTI_TYPE_UINT8": "u1",
    "NIFTI_TYPE_INT8": "i1",
    "NIFTI_TYPE_INT16": "i2",
    "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_INT32": "i4",
    "NIFTI_TYPE_UINT32": "u4",
    "NIFTI_TYPE_FLOAT32": "f4",
    "NIFTI_TYPE_FLOAT64": "f8",
}
_BYTE_ORDERS: dict[str, Literal["<", ">"]] = {"LittleEndian": "<", "BigEndian": ">"}
_ENCODINGS = ("ASCII", "Base64Binary", "GZipBase64Binary")
# What expat decodes by itself; other names would reach Python's codecs.
_CHARACTER_SETS = ("UTF-8", "UTF-16", "ISO-8859-1", "US-ASCII")
_AXIS_ORDERS: dict[str, Literal["C", "F"]] = {"RowMajorOrder": "C", "ColumnMajorOrder": "F"}
# Vertices of one hemisphere of fsaverage4 to 6 and of fsaverage.
_STANDARD_SURFACES = (2562, 10242, 40962, 163842)
# Scans that last longer have finer surfaces than they have frames.
_MANY_FRAMES = 2000
_MESH_INTENTS = ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE")
_CHUNK = 1 << 20


def read_gifti_series(path: str | Path) -> np.ndarray:
    """
    Reads a series of values on the vertices of a surface.

    A file has one data array a frame, as fMRIPrep and AFNI write it, or one array for all frames. In the latter, the
    standard gives the first axis to the vertices; it is the second one where only that has a size of fsaverage.

    Returns:
        `np.ndarray` of shape `(frames, vertices)`: float32, with NaN where the file has it.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without its content.
        ValueError: the file is not GIFTI, is cut short or damaged, holds a mesh and no series, refers to another file,
            defines entities, or has frames with different numbers of vertices.
    """
    path = Path(path)
    arrays = _parse(path)
    if len(arrays) == 1 and arrays[0].ndim == 2:
        series = arrays[0]
        standard = any(size in _STANDARD_SURFACES for size in series.shape)
        if not standard and series.shape[1] > max(series.shape[0], _MANY_FRAMES):
            raise ValueError(
                f"{path} holds one array of {series.shape}, in which the first axis stands for vertices by the GIFTI "
                f"standard: {series.shape[1]} frames of {series.shape[0]} vertices. Is it transposed? Write one data "
                "array a frame"
            )
        vertices_are_last = series.shape[1] in _STANDARD_SURFACES and series.shape[0] not in _STANDARD_SURFACES
        return np.ascontiguousarray(series if vertices_are_last else series.T)
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"{path} has data arrays of shapes {shapes}: expected one array of [vertices] a frame, all of one length, "
            "or a single one of [vertices, frames]. Check that it is a series"
        )
    return np.stack(arrays)


@dataclass(slots=True)
class _Reader:
    """What the parser calls: collects the text of each `Data` element and turns it into an array at its end."""

    path: Path
    arrays: list[np.ndarray] = field(default_factory=list)
    declared: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    text: list[str] | None = None
    depth: int = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1:
            if name != "GIFTI":
                raise self.error(f"its first element is <{name}> and not <GIFTI>")
            self.declared = _whole_number(attributes.get("NumberOfDataArrays", ""))
        elif name == "DataArray":
            self.attributes = attributes
        elif name == "Data":
            self.text = []

    def characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, name: str) -> None:
        self.depth -= 1
        if name == "Data" and self.text is not None:
            self.arrays.append(self.array("".join(self.text)))
            self.text = None

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() not in _CHARACTER_SETS:
            raise self.error(f"it declares the encoding {encoding!r}; expected one of {', '.join(_CHARACTER_SETS)}")

    def doctype(self, name: str, system: str | None, public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise self.error("it defines entities, which may grow without bound; no GIFTI file needs them")

    def array(self, text: str) -> np.ndarray:
        """The numbers of one data array, float32, in the shape that its attributes give."""
        of = self.attributes
        shape, stored = self.shape(), _TYPES.get(of.get("DataType", ""))
        order, encoding = _AXIS_ORDERS.get(of.get("ArrayIndexingOrder", "")), of.get("Encoding", "")
        if of.get("Intent") in _MESH_INTENTS:
            raise self.error("it holds the mesh of a surface and no series")
        if stored is None or order is None or encoding not in _ENCODINGS:
            raise self.error(
                f"a data array of type {of.get('DataType')}, order {of.get('ArrayIndexingOrder')} and encoding "
                f"{encoding or None} is not read (values in another file never are)"
            )
        if encoding == "ASCII":
            values = self.plain_numbers(text, math.prod(shape))
        else:
            dtype = np.dtype(stored).newbyteorder(self.byte_order())
            raw = self.raw(text, encoding, math.prod(shape) * dtype.itemsize)
            values = np.frombuffer(raw, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float32).reshape(shape, order=order)

    def shape(self) -> tuple[int, ...]:
        num_axes = _whole_number(self.attributes.get("Dimensionality", ""))
        axes = range(num_axes) if num_axes in (1, 2) else ()
        sizes = [_whole_number(self.attributes.get(f"Dim{axis}", "")) for axis in axes]
        if not sizes or not all(sizes):
            raise self.error(f"a data array has the dimensions {sizes or num_axes}; expected one or two, not empty")
        return tuple(size for size in sizes if size)

    def byte_order(self) -> Literal["<", ">"]:
        name = self.attributes.get("Endian", "")
        if name not in _BYTE_ORDERS:
            raise self.error(f"a data array has the byte order {name!r}")
        return _BYTE_ORDERS[name]

    def plain_numbers(self, text: str, count: int) -> np.ndarray:
        numbers = text.split(maxsplit=count)
        if len(numbers) != count:
            raise self.error(f"a data array has {len(numbers)} or more numbers where {count} are declared")
        try:
            return np.array(numbers, dtype=np.float64)
        except ValueError as error:
            raise self.error(f"a data array has a value that is no number ({error})") from error

    def raw(self, text: str, encoding: str, size: int) -> bytes:
        """Exactly `size` bytes; compressed data are never inflated further."""
        try:
            raw = base64.b64decode("".join(text.split()).encode(), validate=True)
            if encoding == "GZipBase64Binary":
                inflater = zlib.decompressobj()
                raw = inflater.decompress(raw, size + 1)
                if not inflater.eof and len(raw) == size:
                    raw += inflater.decompress(inflater.unconsumed_tail, 1)  # reads the checksum
                if not inflater.eof:
                    raise self.error(f"a data array is cut short or holds more than the {size} bytes declared")
        except (binascii.Error, zlib.error) as error:
            raise self.error(f"a data array cannot be decoded ({error})") from error
        if len(raw) != size:
            raise self.error(f"a data array has {len(raw)} bytes where {size} are declared")
        return raw

    def error(self, what: str) -> ValueError:
        return ValueError(f"{self.path} cannot be read as a GIFTI series: {what}. Check the file or download it again")


def _parse(path: Path) -> list[np.ndarray]:
    reader, parser = _Reader(path), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.XmlDeclHandler = reader.declaration
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        with open_source(path) as file:
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise reader.error(f"it is cut short or no XML ({error})") from error
    if not reader.arrays or len(reader.arrays) != reader.declared:
        raise reader.error(f"it has {len(reader.arrays)} data arrays and declares {reader.declared}")
    return reader.arrays


def _whole_number(text: str) -> int | None:
    """`None` for anything but a number that a dimension can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


__all__ = ["read_gifti_series"]
