# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Files that stand in place of the data: links without content, web pages, downloads cut short, compressed bombs.

Corpora come through git-annex, web servers and half-finished copies. Every reader of this package calls
[`check_source`] first, so that each of these mistakes is named, with its remedy, instead of failing inside a format.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path


#: Deflate cannot inflate more than this: 258 bytes from two bits (Gailly and Adler, zlib's technical details).
MAX_INFLATION = 1032

# A git-annex pointer is a short text; real data of this size cannot hold one by accident at its start.
_POINTER_BYTES = 32_768
_ANNEX_KEY = re.compile(r"(MD5E?|SHA256E?)-s(\d+)--([0-9a-f]+)", re.ASCII)
# The first element, after declarations and comments, tells an error page from the XML of a data format.
_FIRST_ELEMENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?:<!--.*?-->|<[?!](?!--)[^>]*>)\s*)*+<([a-z]+)", re.IGNORECASE | re.DOTALL
)
_PAGE_ELEMENTS = {b"html", b"head", b"body", b"title", b"meta", b"script", b"error", b"listbucketresult"}


@dataclass(frozen=True, slots=True)
class AnnexKey:
    """What git-annex knows of a file without its content: bytes, and the digest under "MD5" or "SHA256"."""

    size: int
    algorithm: str
    digest: str


def annex_key(path: str | Path) -> AnnexKey | None:
    """
    The key in the target of a git-annex link, or `None` for any other file.

    The back-ends MD5E and SHA256E of OpenNeuro are known. The content need not be there.
    """
    path = Path(path)
    found = _ANNEX_KEY.match(path.readlink().name) if path.is_symlink() else None
    if found is None:
        return None
    return AnnexKey(size=int(found[2]), algorithm=found[1].removesuffix("E"), digest=found[3])


def check_source(path: str | Path, *, size: int | None = None, md5: str | None = None) -> Path:
    """
    The path of a file whose content is really there.

    Args:
        path (`str` or `Path`):
            The file. If it is a git-annex link, its size must be the one that the link names.
        size (`int`, *optional*):
            Bytes that the publisher names.
        md5 (`str`, *optional*):
            MD5 in hexadecimal that the publisher names. The whole file is read only if this is given.

    Raises:
        FileNotFoundError: there is no such file, or it is a git-annex link without its content.
        ValueError: the file is empty, a git-annex pointer or an error page saved as data, or its size or MD5 differs.
    """
    path = Path(path)
    _check_exists(path)
    found_size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
    if b"/annex/objects/" in head and found_size < _POINTER_BYTES:
        raise ValueError(f"{path} is a git-annex pointer, not the data: run `datalad get {path}`")
    first = _FIRST_ELEMENT.match(head)
    if first and first[1].lower() in _PAGE_ELEMENTS:
        raise ValueError(
            f"{path} is a web page saved as data (it holds <{first[1].decode()}>): download the file itself again"
        )
    key = annex_key(path)
    for expected, source in ((size, "the publisher"), (key and key.size, "its git-annex link")):
        if expected is not None and found_size != expected:
            raise ValueError(
                f"{path} has {found_size} bytes and {source} says {expected}: the download was cut short or the "
                "release differs. Download it again"
            )
    if found_size == 0:
        raise ValueError(f"{path} is empty: download it again")
    if md5 is not None and (found := md5_of(path)) != md5.lower():
        raise ValueError(f"{path} has the MD5 {found} and the publisher says {md5.lower()}: download it again")
    return path


def _check_exists(path: Path) -> None:
    if path.is_file():
        return
    if path.is_symlink() and not path.exists():
        target = path.readlink()
        if "annex" in target.parts or annex_key(path):
            raise FileNotFoundError(f"{path} is a git-annex link without its content: run `datalad get {path}`")
        raise FileNotFoundError(f"{path} is a link to {target}, which does not exist: mend the link")
    raise FileNotFoundError(f"{path} does not exist or is not a file: check the folder and the name")


def md5_of(path: Path) -> str:
    """MD5 of a whole file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_compressed(path: str | Path) -> bool:
    """Whether a file is gzip's, by its first bytes: names deceive after a download."""
    with Path(path).open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def max_content_size(path: str | Path) -> int:
    """Bytes that a file can hold at most once it is unpacked, known without unpacking it."""
    size = Path(path).stat().st_size
    return size * MAX_INFLATION if is_compressed(path) else size


@contextmanager
def open_source(path: str | Path) -> Generator[BufferedIOBase]:
    """
    Opens a file for reading, unpacked on the fly if it is compressed by gzip.

    Raises:
        FileNotFoundError, ValueError: as [`check_source`] does.
        ValueError: while reading, where the compressed data are cut short or damaged.
    """
    path = check_source(path)
    opener = gzip.open if is_compressed(path) else open
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is compressed data cut short or damaged ({error}): download it again") from error


__all__ = [
    "MAX_INFLATION",
    "AnnexKey",
    "annex_key",
    "check_source",
    "is_compressed",
    "max_content_size",
    "md5_of",
    "open_source",
]
