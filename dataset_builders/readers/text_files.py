# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Text as it lies on disk: byte-order marks, the encodings that transcripts come in, line ends, tables with tabs.

UTF-8 and UTF-16 are told from the bytes. Older files hold one byte a letter and do not say which alphabet is meant;
the alphabet is inferred only where the other one would make no sense, and asked for where both would.
"""

import codecs
import math
import re
from itertools import islice
from pathlib import Path

from .sources import check_source


#: Transcripts and tables have a few MB; a reader must not be kept busy by what is neither.
MAX_BYTES = 32 * 2**20

#: Alphabets of one byte a letter that Praat writes; Windows-1252 holds all letters of Latin-1 in the same places.
ONE_BYTE_ENCODINGS = ("cp1252", "mac_roman")

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_PUNCTUATION = frozenset("‘’‚“”„«»‹›–—…·¿¡\u00a0")
_WITHIN_WORDS = frozenset("’–—·\u00a0")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_JUDGED_CHARACTERS = 10_000
_LINE_END = re.compile(r"\r\n|\r|\n")


def _read_bytes(path: Path) -> bytes:
    size = check_source(path).stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes and a transcript has at most {MAX_BYTES}: is it another file?")
    return path.read_bytes()


def _decode(path: Path, raw: bytes, encoding: str) -> str:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not {encoding} text (byte {error.start}: {error.reason}): download it again, or save it as "
            "UTF-8"
        ) from error
    except LookupError as error:
        raise ValueError(f"encoding={encoding!r} is no encoding that Python knows: try 'utf-8' or 'cp1252'") from error
    if "\0" in text:
        raise ValueError(f"{path} holds zero bytes, which no text does: download it again")
    return text


def _implausible(text: str) -> int:
    """Number of characters that a transcript would not hold where they stand."""
    count = 0
    for match in islice(_NOT_ASCII.finditer(text), _JUDGED_CHARACTERS):
        letter, place = match[0], match.start()
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if letter.isalpha():
            inner_capital = before.islower() and letter.isupper()
            inner_small = before.isupper() and letter.islower() and after.isupper()
            count += inner_capital or inner_small
        else:
            within = before.isalpha() and after.isalpha()
            count += letter not in (_WITHIN_WORDS if within else _PUNCTUATION)
    return count


def _one_byte_encoding(path: Path, raw: bytes) -> str:
    """The only alphabet that makes sense of the bytes."""
    result = {}
    for encoding in ONE_BYTE_ENCODINGS:
        try:
            result[encoding] = _implausible(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    best = min(result.values())
    likely = [encoding for encoding, count in result.items() if count == best]
    if len(likely) > 1:
        raise ValueError(
            f"{path} is neither UTF-8 nor UTF-16, and could be {' or '.join(likely)}: pass the right one as encoding="
        )
    return likely[0]


def _find_encoding(path: Path, raw: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            return encoding
    if b"\0" in raw[:2]:  # the first character of every format read here is ASCII, so UTF-16 without a mark
        return "utf-16-be" if raw[:1] == b"\0" else "utf-16-le"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return _one_byte_encoding(path, raw)
    return "utf-8"


def read_text(path: str | Path, encoding: str | None = None) -> tuple[str, str]:
    """
    A text file, decoded.

    Args:
        path (`str` or `Path`):
            The file, of at most [`MAX_BYTES`].
        encoding (`str`, *optional*):
            A name that Python knows. By default UTF-8 and UTF-16 are recognised, with and without byte-order mark;
            of other files it is inferred whether they are Windows-1252 (Latin-1) or MacRoman.

    Returns:
        `tuple[str, str]`: the text without byte-order mark, line ends as they are, and the encoding used.

    Raises:
        FileNotFoundError, ValueError: as [`~dataset_builders.readers.sources.check_source`] does.
        ValueError: the file is too large, is not text, or could be in more than one encoding.
    """
    path = Path(path)
    raw = _read_bytes(path)
    encoding = encoding or _find_encoding(path, raw)
    return _decode(path, raw, encoding), encoding


def read_lines(path: str | Path) -> list[str]:
    """Lines of a UTF-8 file, without their ends of any system; blank lines at the end of the file are left out."""
    text, _ = read_text(path, "utf-8-sig")
    lines = _LINE_END.split(text)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def to_number(cell: str) -> float:
    """The number in a cell; NaN where it holds no finite decimal number (`float` itself takes `1_000` and `inf`)."""
    try:
        number = math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _unquoted(cell: str) -> str:
    """A cell without the quotation marks around it, if it was quoted: then those inside are doubled."""
    inside = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if quoted else cell


def read_tsv(path: str | Path, required: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """
    A table in the form of BIDS: UTF-8, one header line, cells divided by tabs.

    Many programs quote cells with quotation marks in them, as in tables with commas, and double these: such cells are
    unquoted. Blank lines at the end are left out.

    Args:
        path (`str` or `Path`):
            The file.
        required (`tuple[str, ...]`, *optional*, defaults to `()`):
            Columns that must be there.

    Returns:
        `list[dict[str, str]]`: for each row the cells by column, stripped of spaces. `n/a` stays as it is.

    Raises:
        FileNotFoundError, ValueError: as [`read_text`] does.
        ValueError: a required column is missing, a name stands twice, or a row has another number of cells.
    """
    lines = read_lines(path)
    header = [_unquoted(name.strip()) for name in lines[0].split("\t")] if lines else []
    missing = [name for name in required if name not in header]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}, only {header}: it needs {', '.join(required)}")
    if len(set(header)) < len(header):
        raise ValueError(f"{path} names a column twice in {header}: give each a name of its own")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = [_unquoted(cell.strip()) for cell in line.split("\t")]
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} cells, and the header names {len(header)}: cells are divided by "
                "one tab each, and a missing one is `n/a`"
            )
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


__all__ = ["MAX_BYTES", "ONE_BYTE_ENCODINGS", "read_lines", "read_text", "read_tsv", "to_number"]
