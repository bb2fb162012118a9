# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Broken transcripts and tables, for `fuzzing.py`: seeds of each text format, their readers, and how to mutate them.

A mutation alters bytes or lines, the way that disks, editors and careless programs do. `TEXT_CASES` holds for each
format one sound file and a function that reads it and returns the number of things in it, where the file says how many
there are: a mutant that is read with another number than the seed has was silently misread.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from byte_mutations import mutate

from dataset_builders.readers.gentle import read_gentle
from dataset_builders.readers.text_files import read_tsv
from dataset_builders.readers.textgrid import read_textgrid
from dataset_builders.readers.transcripts import read_event_table, read_events, read_words_textgrid


@dataclass(frozen=True)
class TextCase:
    """A format: the name that its files need, a sound file, its reader, and what the file counts, if it does."""

    file_name: str
    seed: bytes
    read: Callable[[Path], object]
    count: Callable[[object], int] | None = None


WORDS = [(0.0, 0.4, "sp"), (0.4, 0.75, "Once"), (0.75, 1.0, 'a ""wolf""'), (1.0, 1.25, "sp"), (1.25, 2.5, "été\nnoir")]
PHONES = [(0.0, 0.4, "sp"), (0.4, 1.0, "W"), (1.0, 2.5, "AH0")]
TIERS = {"phone": PHONES, "word": WORDS}
POINTS = [(0.5, "click"), (1.5, "")]


def long_textgrid() -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", "xmax = 2.5 "]
    lines += ["tiers? <exists> ", "size = 3 ", "item []: "]
    for number, (name, intervals) in enumerate(TIERS.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        lines += ["        xmin = 0 ", "        xmax = 2.5 ", f"        intervals: size = {len(intervals)} "]
        for index, (start, end, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {start} ", f"            xmax = {end} "]
            lines.append(f'            text = "{text}" ')
    lines += ["    item [3]:", '        class = "TextTier" ', '        name = "noise" ']
    lines += ["        xmin = 0 ", "        xmax = 2.5 ", f"        points: size = {len(POINTS)} "]
    for index, (time, mark) in enumerate(POINTS, 1):
        lines += [f"        points [{index}]:", f"            number = {time} ", f'            mark = "{mark}" ']
    return "\n".join(lines) + "\n"


def short_textgrid() -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2.5", "<exists>", "3"]
    for name, intervals in TIERS.items():
        lines += ['"IntervalTier"', f'"{name}"', "0", "2.5", str(len(intervals))]
        for start, end, text in intervals:
            lines += [str(start), str(end), f'"{text}"']
    lines += ['"TextTier"', '"noise"', "0", "2.5", str(len(POINTS))]
    return "\n".join(lines + [f'{time}\n"{mark}"' for time, mark in POINTS]) + "\n"


def chronological_textgrid() -> str:
    lines = ['"Praat chronological TextGrid text file"', "0 2.5   ! Time domain.", "2   ! Number of tiers."]
    lines += [f'"IntervalTier" "{name}" 0 2.5' for name in TIERS]
    entries = [(start, n, end, text) for n, tier in enumerate(TIERS.values(), 1) for start, end, text in tier]
    for start, number, end, text in sorted(entries):
        lines += ["", f"! {list(TIERS)[number - 1]}:", f"{number} {start} {end}", f'"{text}"']
    return "\n".join(lines) + "\n"


def align_json() -> str:
    words, transcript = [], "Once, upon a wolf."
    for word, start in (("Once", 0.5), ("upon", None), ("a", 1.0), ("wolf", 1.25)):
        offset = transcript.index(word)
        entry: dict[str, object] = {"word": word, "startOffset": offset, "endOffset": offset + len(word)}
        if start is None:
            entry |= {"case": "not-found-in-audio"}
        else:
            entry |= {"case": "success", "alignedWord": word.lower(), "start": start, "end": start + 0.25}
        words.append(entry)
    return json.dumps({"transcript": transcript, "words": words}, sort_keys=True, indent=4)


ALIGN_CSV = "Once,once,0.5,0.75\r\nupon,,,\r\na,a,1.0,1.25\r\nwolf,<unk>,1.25,1.5\r\n"
EVENTS_TSV = "onset\tduration\ttrial_type\tword\n-1.5\t0\tn/a\tthe\n0.5\tn/a\tword\twolf\n3.25\t0.5\tfixation\tn/a\n"
CONFOUNDS_TSV = "csf\ttrans_x\tframewise_displacement\n12.5\t0.0\tn/a\n12.25\t-0.01\t0.125\n11.75\t0.02\t0.25\n"


def _num_intervals(grid) -> int:
    return sum(len(tier.intervals) for tier in grid.tiers)


TEXT_CASES = {
    "TextGrid, long": TextCase("a.TextGrid", long_textgrid().encode(), read_textgrid, _num_intervals),
    "TextGrid, short": TextCase("a.TextGrid", short_textgrid().encode(), read_textgrid, _num_intervals),
    "TextGrid, chronological": TextCase(
        "a.TextGrid", chronological_textgrid().encode(), read_textgrid, _num_intervals
    ),
    "TextGrid, UTF-16": TextCase("a.TextGrid", long_textgrid().encode("utf-16"), read_textgrid, _num_intervals),
    "TextGrid, Latin-1": TextCase("a.TextGrid", short_textgrid().encode("latin-1"), read_textgrid, _num_intervals),
    "words of a TextGrid": TextCase("a.TextGrid", long_textgrid().encode(), read_words_textgrid),
    "align.csv": TextCase("align.csv", ALIGN_CSV.encode(), read_gentle),
    "align.json": TextCase("align.json", align_json().encode(), partial(read_gentle, missing="interpolate")),
    "align.json, written": TextCase("align.json", align_json().encode(), partial(read_gentle, punctuation=True)),
    "events.tsv": TextCase("events.tsv", EVENTS_TSV.encode(), read_events),
    "events.tsv, rows": TextCase("events.tsv", EVENTS_TSV.encode(), read_event_table),
    "confounds.tsv": TextCase("confounds.tsv", CONFOUNDS_TSV.encode(), read_tsv),
}

#: What is put into a file in one place or another: ends of strings, odd numbers, marks of encodings, openings.
TOKENS = [
    b'"', b'""', b"'", b"\\", b"\t", b",", b"\r", b"\n", b"\r\n", b"\0", b"!", b"<exists>", b"<absent>", b"n/a", b"-",
    b"nan", b"inf", b"1e999", b"-1e999", b"1e-400", b"0x10", b"1_0", b"99999999999999999999", b"-1", b"9" * 400, b".",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\x80", b"\xe9", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8",
    b"[" * 5000, b"{" * 5000, b"null", b"true", b"[]", b"{}", b'"IntervalTier"', b"ooBinaryFile", b"/annex/objects/",
    b"<html>", b"\x1f\x8b", b"\xd9\xa3", b"\xc2\xb2", b" 7 ",
]  # fmt: skip
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "utf-7", "cp1252", "mac_roman"]


def _flip(raw: bytearray, generator: random.Random) -> None:
    for _ in range(generator.choice([1, 1, 2, 8])):
        raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)


def _insert(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw) + 1)
    raw[place:place] = generator.choice(TOKENS)


def _overwrite(raw: bytearray, generator: random.Random) -> None:
    token = generator.choice(TOKENS)
    place = generator.randrange(len(raw))
    raw[place : place + len(token)] = token


def _truncate(raw: bytearray, generator: random.Random) -> None:
    del raw[generator.randrange(len(raw)) :]


def _cut(raw: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(raw))
    del raw[place : place + generator.choice([1, 2, 10, 100])]


def _lines(raw: bytearray, generator: random.Random) -> None:
    """Deletes, doubles, swaps or moves whole lines."""
    lines = bytes(raw).split(b"\n")
    first, second = (generator.randrange(len(lines)) for _ in range(2))
    first, second = sorted((first, second))
    match generator.randrange(4):
        case 0:
            del lines[first : first + generator.choice([1, 1, 2, 3, 4])]
        case 1:
            length = generator.choice([1, 2, 3, 4])
            lines[second:second] = lines[first : first + length]
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            lines.insert(first, lines.pop(second))
    raw[:] = b"\n".join(lines)


def _number(raw: bytearray, generator: random.Random) -> None:
    """Puts another digit, sign or point where there is a digit."""
    digits = [place for place, byte in enumerate(raw) if 48 <= byte <= 57]
    if digits:
        raw[generator.choice(digits)] = generator.choice(b"0123456789-+.eE ")


def _recode(raw: bytearray, generator: random.Random) -> None:
    text = bytes(raw).decode("utf-8", errors="replace")
    encoding = generator.choice(
        ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "utf-7", "cp1252", "mac_roman"]
    )
    raw[:] = text.encode(encoding, errors="replace")


MUTATIONS = [_flip, _insert, _overwrite, _truncate, _cut, _lines, _number, _recode]


def mutate_text(raw: bytes, generator: random.Random) -> bytes:
    """A broken copy of a text file."""
    return mutate(raw, generator, MUTATIONS)


__all__ = ["TEXT_CASES", "TextCase", "mutate_text"]
