# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The process that lets libhdf5 look at files of strangers. [`hdf5`] starts it; nothing imports it.

libhdf5 crashes on some damaged files. So each request is served by a fork of this process, which touches one file and
ends; a crash or a hang costs the parent an error message and no more. A request is a line of JSON on standard input.
Its answer is a row of blocks on standard output, each a signed length and as many bytes: a negative length announces
the text of an error, and an empty block the end, written once the fork has ended well. When it has not, this process
ends too, and the parent finds its output closed.
"""

import json
import math
import os
import resource
import signal
import struct
import sys
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5p, h5s, h5t, h5z  # ty: ignore[import-not-found] - compiled modules without stubs


_MAX_OBJECTS = 10_000
_MAX_MEMORY = 4 << 30  # address space, most of which libraries only reserve
_MAX_INFLATION = 1032  # deflate's limit
# Filters that come with every libhdf5 and give back what went in.
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_LZF, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}


class RefusedError(Exception):
    """What a file holds is not allowed; the message says what."""


def inspect(file: h5py.File) -> Iterator[bytes]:
    """Yields one block: a description of every dataset, by name."""
    size = os.path.getsize(file.filename)
    yield json.dumps({name: _describe(name, dataset, size) for name, dataset in _walk(file)}).encode()


def read(file: h5py.File, name: str, slabs: list[list[list[int]]]) -> Iterator[bytes]:
    """Yields one block a slab of a dataset; a slab has a start, stop and step for each axis."""
    dataset = file[name]
    filters = _filters(dataset.id.get_create_plist())
    if dataset.chunks:
        expected = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        found = dataset.id.get_num_chunks()
        if found != expected:
            raise RefusedError(f"{found} of the {expected} chunks of {name!r}; the others were never written")
        # Where a chunk has fewer bytes than its shape needs, libhdf5 gives what happens to be in memory for the rest.
        if not filters:
            _check_stored_chunks(name, dataset)
    for slab in slabs:
        if filters:
            _check_packed_chunks(name, dataset, filters, slab)
        yield np.ascontiguousarray(dataset[tuple(slice(*axis) for axis in slab)]).tobytes()


def _check_stored_chunks(name: str, dataset: h5py.Dataset) -> None:
    """Raises unless every chunk of an uncompressed dataset has the bytes that its shape needs."""
    expected = math.prod(dataset.chunks) * dataset.dtype.itemsize
    found = dataset.id.chunk_iter(lambda chunk: None if chunk.size == expected else chunk.size)
    if found is not None:
        raise RefusedError(f"a chunk of {name!r} that has {found} bytes where its shape needs {expected}")


def _check_packed_chunks(
    name: str, dataset: h5py.Dataset, filters: dict[int, tuple[int, ...]], slab: list[list[int]]
) -> None:
    """Raises unless every chunk that a slab touches unpacks to the bytes that its shape needs."""
    expected = math.prod(dataset.chunks) * dataset.dtype.itemsize
    checksum_bytes = 4 if h5z.FILTER_FLETCHER32 in filters else 0
    axes = zip(slab, dataset.chunks, strict=True)
    for corner in product(*(range(start // size * size, stop, size) for (start, stop, _), size in axes)):
        skipped, raw = dataset.id.read_direct_chunk(corner)
        found = len(raw)
        for place, (code, values) in enumerate(filters.items()):
            if skipped >> place & 1:
                continue  # this chunk was stored without that filter
            if code == h5z.FILTER_DEFLATE:
                found = len(zlib.decompressobj().decompress(raw, expected + checksum_bytes + 1))
            elif code == h5z.FILTER_LZF:
                found = values[2]  # bytes of a chunk, as its writer knew them
        if found not in (expected, expected + checksum_bytes):
            raise RefusedError(f"a chunk of {name!r} that has {found} bytes where its shape needs {expected}")


def _filters(plan: h5p.PropDCID) -> dict[int, tuple[int, ...]]:
    """The values of each filter of a dataset by its code, in the order in which they pack."""
    return {code: values for code, _, values, _ in map(plan.get_filter, range(plan.get_nfilters()))}


def _walk(file: h5py.File) -> Iterator[tuple[str, h5d.DatasetID]]:
    """Every dataset that hard links lead to, once. No other link is followed."""
    groups, seen = [("", file.id)], set()
    while groups:
        prefix, group = groups.pop()
        for raw in group:
            name = f"{prefix}/{raw.decode(errors='surrogateescape')}"
            kind = group.links.get_info(raw).type
            if kind == h5l.TYPE_SOFT:
                continue  # what it names is in this file, and is found under its own name
            if kind != h5l.TYPE_HARD:
                raise RefusedError(f"{name!r}, a link to another file")
            item = h5o.open(group, raw)
            address = h5o.get_info(item).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MAX_OBJECTS:
                raise RefusedError(f"more than {_MAX_OBJECTS} groups and datasets")
            if isinstance(item, h5g.GroupID):
                groups.append((name, item))
            elif isinstance(item, h5d.DatasetID):
                yield name, item


def _describe(name: str, dataset: h5d.DatasetID, file_size: int) -> dict[str, Any]:
    """Shape, type and layout of a dataset, and why it is not to be read, if so."""
    # Where the values lie comes first: asking for the shape of a virtual dataset opens the files behind it.
    plan = dataset.get_create_plist()
    if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
        raise RefusedError(f"{name!r}, whose values lie in another file")
    filters = _filters(plan)
    chunks = plan.get_chunk() if plan.get_layout() == h5d.CHUNKED else None
    refusal = ""
    try:
        kind = dataset.get_type()
        dtype = kind.dtype
        plain = dtype.kind in "iuf" and dtype.itemsize <= 8 and kind == h5t.py_create(dtype)
    except TypeError:  # a type that NumPy has not
        dtype, plain = np.dtype(object), False
    if not plain:
        refusal = "its values are not plain integers or real numbers of up to 64 bits"
    elif dataset.get_space().get_simple_extent_type() == h5s.NULL:
        refusal = "it has no values"
    elif not filters.keys() <= _FILTERS or len(filters) < plan.get_nfilters():
        refusal = f"it is compressed by HDF5 filters {sorted(filters)}, and only gzip, lzf, shuffle and fletcher32 are"
    num_bytes = math.prod(dataset.shape or ()) * dtype.itemsize
    if not refusal and num_bytes > file_size * (_MAX_INFLATION if filters else 1):
        raise RefusedError(f"{name!r}, which declares {num_bytes} bytes in a file of {file_size}")
    offset = None
    if not refusal and plan.get_layout() == h5d.CONTIGUOUS:
        if dataset.get_storage_size() != num_bytes:
            refusal = "its values were never written"
        elif num_bytes:
            offset = dataset.get_offset()
    shape = None if dataset.shape is None else list(dataset.shape)
    return {"shape": shape or [], "dtype": dtype.str, "offset": offset, "chunks": chunks, "refusal": refusal}


def _answer(request: dict[str, Any]) -> None:
    """Serves a request in a process that ends with it."""
    signal.alarm(request.pop("seconds"))
    if sys.platform == "linux":
        _, most = resource.getrlimit(resource.RLIMIT_AS)  # a cluster may have set a limit, which cannot be raised
        memory = _MAX_MEMORY if most == resource.RLIM_INFINITY else min(most, _MAX_MEMORY)
        resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    serve, path = {"inspect": inspect, "read": read}[request.pop("serve")], request.pop("path")
    try:
        file = h5py.File(path, "r", locking=False)  # a file that is only read needs no lock, which some disks refuse
        for block in serve(file, **request):
            _write(block)
    except RefusedError as refusal:
        _write(f"it holds {refusal}".encode(), -1)
    except Exception as error:  # h5py raises almost anything on damaged files
        _write(f"{type(error).__name__}: {error}".encode(errors="replace"), -1)


def _write(block: bytes, sign: int = 1) -> None:
    sys.stdout.buffer.write(struct.pack("<q", sign * len(block)))
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def main() -> None:
    """Serves requests until standard input is closed."""
    _write(b"")  # ready
    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            status = 1
            try:
                _answer(json.loads(line))
                status = 0
            finally:
                os._exit(status)  # nothing of libhdf5 is closed or run again
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(1)
        _write(b"")


if __name__ == "__main__":
    main()
