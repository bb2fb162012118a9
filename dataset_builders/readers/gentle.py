# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Output of gentle, the forced aligner behind Narratives: which word of a transcript was spoken when.

gentle writes the same alignment twice. `align.csv` has no header and four columns: word, word as the aligner knew it
(`<unk>` where it did not), start and end in seconds of the sound file; the last three are empty for a word that was
not found in the sound. `align.json` adds the transcript, and where in it each word stands. Both are written with
words bare of punctuation. (lowerquality/gentle, `gentle/transcription.py`)
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .text_files import read_lines, read_text, to_number
from .textgrid import TOLERANCE_SECONDS
from .words import Word


#: What to do with words to which gentle gave no times.
DROP, INTERPOLATE = "drop", "interpolate"
#: A transcript of which a larger share was not found in the sound is the transcript of something else.
MAX_MISSING = 0.5

CSV_FILE, JSON_FILE = "align.csv", "align.json"
_ALIGNED, _NOT_IN_AUDIO, _NOT_IN_TRANSCRIPT = "success", "not-found-in-audio", "not-found-in-transcript"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One word as gentle has it; NaN where it was not found in the sound. `place` is for error messages."""

    text: str
    place: str
    onset: float = math.nan
    offset: float = math.nan

    @property
    def timed(self) -> bool:
        return not math.isnan(self.onset)


def _times(cells: Sequence[Any], place: str) -> tuple[float, float]:
    onset, offset = (to_number(str(cell)) for cell in cells)
    if math.isnan(onset) or math.isnan(offset):
        raise ValueError(f"{place}: start and end must be numbers of seconds, and are {list(cells)}")
    if offset < onset:
        raise ValueError(f"{place}: the word ends at {offset} s, before its start at {onset} s: correct its times")
    return onset, offset


def _read_csv(path: Path) -> list[_Entry]:
    entries = []
    for number, line in enumerate(read_lines(path), 1):
        place = f"{path}, line {number}"
        try:
            cells = next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise ValueError(f"{place}: no cells divided by commas ({error}): download the file again") from error
        if len(cells) != 4:
            raise ValueError(f"{place}: {len(cells)} columns; gentle writes 4: word, aligned word, start and end")
        if number == 1 and cells[2:] == ["start", "end"]:
            raise ValueError(f"{place}: a header; gentle writes none, so the file was changed: delete this line")
        if not cells[0]:
            raise ValueError(f"{place}: the word is empty")
        times = _times(cells[2:], place) if any(cells[1:]) else ()
        entries.append(_Entry(cells[0], place, *times))
    return entries


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _load_json(path: Path) -> dict[str, Any]:
    text, _ = read_text(path, "utf-8-sig")
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): download it again") from error
    if not isinstance(content, dict) or not isinstance(content.get("transcript"), str):
        raise ValueError(f"{path} has no text under 'transcript': expected gentle's align.json")
    words = content.get("words")
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise ValueError(f"{path} has no list of words under 'words': expected gentle's align.json")
    return content


@dataclass(frozen=True, slots=True)
class _Transcript:
    """Content of `align.json`; `spans[n]` is where word n stands in the text, as the file counts."""

    text: str
    entries: list[_Entry]
    spans: list[tuple[Any, Any]]


def _read_json(path: Path) -> _Transcript:
    content = _load_json(path)
    entries, spans = [], []
    for number, word in enumerate(content["words"], 1):
        place, case = f"{path}, word {number}", word.get("case")
        if case == _NOT_IN_TRANSCRIPT:  # a sound between words; gentle leaves it out of align.csv too
            continue
        if case not in (_ALIGNED, _NOT_IN_AUDIO):
            raise ValueError(f"{place}: case is {case!r}; expected {_ALIGNED!r} or {_NOT_IN_AUDIO!r}")
        if not isinstance(word.get("word"), str) or not word["word"]:
            raise ValueError(f"{place}: the word is {word.get('word')!r}; expected a text")
        times = _times((word.get("start"), word.get("end")), place) if case == _ALIGNED else ()
        entries.append(_Entry(word["word"], place, *times))
        spans.append((word.get("startOffset"), word.get("endOffset")))
    return _Transcript(content["transcript"], entries, spans)


def _stands(text: str | bytes, words: Sequence[str | bytes], spans: list[tuple[int, int]]) -> list[bool]:
    """For each word whether it is what stands at its span of the text."""
    return [end <= len(text) and text[start:end] == word for word, (start, end) in zip(words, spans, strict=True)]


def _character_spans(transcript: _Transcript) -> list[tuple[int, int]]:
    """Where each word stands in the transcript, in characters; older versions of gentle count bytes of UTF-8."""
    entries, spans = transcript.entries, transcript.spans
    for entry, span in zip(entries, spans, strict=True):
        if not all(type(offset) is int and offset >= 0 for offset in span):
            raise ValueError(f"{entry.place}: startOffset and endOffset are {list(span)}; expected whole numbers")
    by_character = _stands(transcript.text, [entry.text for entry in entries], spans)
    if all(by_character):
        return spans
    raw = transcript.text.encode(errors="surrogatepass")
    by_byte = _stands(raw, [entry.text.encode(errors="surrogatepass") for entry in entries], spans)
    if all(by_byte):
        begins = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80  # the first byte of each character
        characters = np.concatenate([[0], np.cumsum(begins)])
        return [(int(characters[start]), int(characters[end])) for start, end in spans]
    wrong = next((n for n in range(len(spans)) if not by_character[n] and not by_byte[n]), by_character.index(False))
    raise ValueError(
        f"{entries[wrong].place}: {entries[wrong].text!r} does not stand at {list(spans[wrong])} of the transcript, "
        "counted in characters or in bytes: transcript and words are from different runs of gentle"
    )


def _with_punctuation(transcript: _Transcript) -> list[_Entry]:
    """Words with the punctuation that touches them; what touches two words belongs to the first of them."""
    text, places = transcript.text, _character_spans(transcript)
    following = [start for start, _ in places[1:]] + [len(text)]
    before = text[: places[0][0]] if places else ""
    entries = []
    for entry, (start, end), limit in zip(transcript.entries, places, following, strict=True):
        gap = text[end:limit]
        opening = before.split()[-1] if before and not before[-1].isspace() else ""
        closing = gap.split()[0] if gap and not gap[0].isspace() else ""
        entries.append(replace(entry, text=opening + text[start:end] + closing))
        before = gap[len(closing) :]
    return entries


def _check_agreement(path: Path, by_csv: list[_Entry], by_json: list[_Entry]) -> None:
    """Raises unless the two files of one folder say the same."""
    if len(by_csv) != len(by_json):
        raise ValueError(f"{path}: align.csv has {len(by_csv)} words and align.json {len(by_json)}: align again")
    for one, other in zip(by_csv, by_json, strict=True):
        pairs = ((one.onset, other.onset), (one.offset, other.offset))
        near = all(abs(a - b) <= TOLERANCE_SECONDS for a, b in pairs) if one.timed and other.timed else False
        if one.text != other.text or one.timed != other.timed or (one.timed and not near):
            raise ValueError(
                f"{one.place} says {one.text!r} at {one.onset} to {one.offset} s, and {other.place} says "
                f"{other.text!r} at {other.onset} to {other.offset} s: remove the file that is out of date"
            )


def _check_alignment(path: Path, entries: list[_Entry], max_missing: float) -> None:
    timed = [entry for entry in entries if entry.timed]
    if not timed:
        raise ValueError(f"{path}: none of the {len(entries)} words has a time: align the transcript again")
    missing = 1 - len(timed) / len(entries)
    if missing > max_missing:
        raise ValueError(
            f"{path}: {missing:.0%} of {len(entries)} words have no time, more than {max_missing:.0%}: check that the "
            "transcript belongs to the sound, or raise max_missing"
        )
    for before, after in pairwise(timed):
        if after.onset < before.onset:
            raise ValueError(
                f"{after.place}: {after.text!r} starts at {after.onset} s, and {before.text!r} before it at "
                f"{before.onset} s: correct the times of one of them"
            )


def _interpolated(entries: list[_Entry]) -> list[_Entry]:
    """Words without times share the time between their neighbours evenly; at either end there is none to share."""
    known = [index for index, entry in enumerate(entries) if entry.timed]
    filled = list(entries)
    for left, right in pairwise(known):
        start = entries[left].offset
        step = max(entries[right].onset - start, 0.0) / max(right - left - 1, 1)
        start = min(start, entries[right].onset)
        for n, index in enumerate(range(left + 1, right)):
            filled[index] = replace(entries[index], onset=start + n * step, offset=start + (n + 1) * step)
    return filled


def _read_entries(path: Path, punctuation: bool) -> list[_Entry]:
    """All words of the files that are there, once they are found to agree."""
    folder = path if path.is_dir() else path.parent
    names = (CSV_FILE, JSON_FILE) if path.is_dir() else (path.name,)
    files = {name: folder / name for name in names if (folder / name).is_file() or (folder / name).is_symlink()}
    if not files:
        raise FileNotFoundError(f"{path} has neither {CSV_FILE} nor {JSON_FILE}: expected output of gentle")
    if punctuation and JSON_FILE not in files:
        raise FileNotFoundError(f"{path}: punctuation is told by {JSON_FILE} only, which is not there")
    by_csv = [] if CSV_FILE not in files else _read_csv(files[CSV_FILE])
    if JSON_FILE not in files:
        return by_csv
    transcript = _read_json(files[JSON_FILE])
    if CSV_FILE in files:
        _check_agreement(folder, by_csv, transcript.entries)
    return _with_punctuation(transcript) if punctuation else transcript.entries


def read_gentle(
    path: str | Path, *, missing: str = DROP, max_missing: float = MAX_MISSING, punctuation: bool = False
) -> tuple[list[Word], Counter[str]]:
    """
    The words of an alignment by gentle.

    Args:
        path (`str` or `Path`):
            A folder with `align.csv`, `align.json` or both, or one of these files. Both must say the same.
        missing (`str`, *optional*, defaults to `"drop"`):
            What becomes of words without times: `"drop"`, or `"interpolate"` between their neighbours, where words at
            either end of the transcript are dropped.
        max_missing (`float`, *optional*, defaults to 0.5):
            Largest share of words without times.
        punctuation (`bool`, *optional*, defaults to `False`):
            Whether words carry the punctuation that touches them in the transcript. Needs `align.json`.

    Returns:
        `tuple[list[Word], Counter[str]]`: words in the order of the transcript, in seconds of the sound file, and how
        many words without times were dropped or interpolated.

    Raises:
        FileNotFoundError: there is neither file, or `punctuation` is wanted and `align.json` is not there.
        ValueError: a file is not gentle's, a time is no number, a word ends before it starts or starts before the one
            before it, no word or too few have times, the offsets of words do not fit the transcript, or the two files
            disagree.
    """
    if missing not in (DROP, INTERPOLATE):
        raise ValueError(f"missing={missing!r}: expected {DROP!r} or {INTERPOLATE!r}")
    path = Path(path)
    entries = _read_entries(path, punctuation)
    _check_alignment(path, entries, max_missing)
    filled = _interpolated(entries) if missing == INTERPOLATE else entries
    words = [Word(entry.text, entry.onset, entry.offset) for entry in filled if entry.timed]
    untimed = sum(not entry.timed for entry in entries)
    dropped = len(entries) - len(words)
    counts = {"words without times dropped": dropped, "words without times interpolated": untimed - dropped}
    return words, Counter({name: count for name, count in counts.items() if count})


__all__ = ["DROP", "INTERPOLATE", "MAX_MISSING", "read_gentle"]
