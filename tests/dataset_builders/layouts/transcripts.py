# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Transcripts in every form that the readers take, written from a known truth as plain text; no code of the readers'.

Tiers are lists of `(start, end, text)`, or of `(time, text)` for a tier of points. Times are written by `repr`, so
what is read is the very number.
"""

import json
from pathlib import Path


TEXTGRID_FORMS = ("long", "short", "chronological")

Intervals = list[tuple[float, float, str]] | list[tuple[float, str]]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _is_points(items) -> bool:
    return bool(items) and len(items[0]) == 2


def long_textgrid(tiers, start, end) -> str:
    """The form that Praat calls "text file": every value has a label."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", f"xmin = {start!r} ", f"xmax = {end!r} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, items) in enumerate(tiers, 1):
        kind, list_name, text_name = ("IntervalTier", "intervals", "text")
        if _is_points(items):
            kind, list_name, text_name = ("TextTier", "points", "mark")
        lines += [f"    item [{number}]:", f'        class = "{kind}" ', f"        name = {_quoted(name)} "]
        lines += [f"        xmin = {start!r} ", f"        xmax = {end!r} "]
        lines += [f"        {list_name}: size = {len(items)} "]
        for index, (*times, text) in enumerate(items, 1):
            lines.append(f"        {list_name} [{index}]:")
            labels = ("number",) if kind == "TextTier" else ("xmin", "xmax")
            lines += [f"            {label} = {time!r} " for label, time in zip(labels, times, strict=True)]
            lines.append(f"            {text_name} = {_quoted(text)} ")
    return "\n".join(lines) + "\n"


def short_textgrid(tiers, start, end) -> str:
    """The form that Praat calls "short text file": values alone, one a line."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", repr(start), repr(end), "<exists>"]
    lines.append(str(len(tiers)))
    for name, items in tiers:
        lines += ['"TextTier"' if _is_points(items) else '"IntervalTier"', _quoted(name), repr(start), repr(end)]
        lines.append(str(len(items)))
        for *times, text in items:
            lines += [*map(repr, times), _quoted(text)]
    return "\n".join(lines) + "\n"


def chronological_textgrid(tiers, start, end) -> str:
    """The form that Praat calls "chronological text file": intervals of all tiers by their start."""
    lines = ['"Praat chronological TextGrid text file"', f"{start!r} {end!r}   ! Time domain."]
    lines.append(f"{len(tiers)}   ! Number of tiers.")
    for name, items in tiers:
        kind = '"TextTier"' if _is_points(items) else '"IntervalTier"'
        lines.append(f"{kind} {_quoted(name)} {start!r} {end!r}")
    entries = [(items[0], number, name, items) for number, (name, tier) in enumerate(tiers, 1) for items in tier]
    for _, number, name, (*times, text) in sorted(entries, key=lambda entry: entry[:2]):
        one_line_name = name.replace("\n", " ")  # a comment ends with its line
        lines += ["", f"! {one_line_name}:", f"{number} {' '.join(map(repr, times))}", _quoted(text)]
    return "\n".join(lines) + "\n"


_WRITERS = {"long": long_textgrid, "short": short_textgrid, "chronological": chronological_textgrid}


def write_textgrid(
    path: Path,
    tiers: dict[str, Intervals] | list[tuple[str, Intervals]],
    form: str = "long",
    *,
    start: float | None = None,
    end: float | None = None,
    encoding: str = "utf-8",
    newline: str = "\n",
) -> Path:
    """
    Writes a TextGrid, making the folders above it.

    `start` and `end` are by default the first and the last time of all tiers. `encoding="utf-8-sig"` and `"utf-16"`
    write a byte-order mark. Line ends within texts are written as `newline` too.
    """
    tiers = list(tiers.items()) if isinstance(tiers, dict) else tiers
    times = [time for _, items in tiers for *spans, _ in items for time in spans]
    start, end = min(times) if start is None else start, max(times) if end is None else end
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_WRITERS[form](tiers, start, end).replace("\n", newline).encode(encoding))
    return path


def fill_silences(words: list[tuple[float, float, str]], start: float, end: float, silence: str = "sp"):
    """Intervals that follow one another from `start` to `end` without a gap, as Praat writes them."""
    filled, reached = [], start
    for onset, offset, text in words:
        if onset > reached:
            filled.append((reached, onset, silence))
        filled.append((onset, offset, text))
        reached = offset
    return [*filled, (reached, end, silence)] if end > reached else filled


Aligned = list[tuple[str, str | None, float | None, float | None]]


def align_csv(rows: Aligned) -> bytes:
    """`align.csv`: rows of `(word, aligned word, start, end)`, the last three `None` where a word was not found."""
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "".join(line + "\r\n" for line in lines).encode()


def align_json(rows: Aligned, transcript: str | None = None, offsets: str = "character") -> dict:
    """
    Content of `align.json`. Words stand in `transcript` in their order; by default it is the words with spaces.

    `offsets` is "character", or "byte" as in old versions.
    """
    transcript = " ".join(row[0] for row in rows) if transcript is None else transcript
    words, position = [], 0
    for word, aligned, start, end in rows:
        first = transcript.index(word, position)
        position = first + len(word)
        span = (first, position)
        if offsets == "byte":
            span = tuple(len(transcript[:place].encode()) for place in span)
        entry = {"word": word, "case": "not-found-in-audio", "startOffset": span[0], "endOffset": span[1]}
        if aligned is not None:
            phones = [{"duration": round(end - start, 2), "phone": "ay_S"}]
            entry |= {"case": "success", "alignedWord": aligned, "start": start, "end": end, "phones": phones}
        words.append(entry)
    return {"transcript": transcript, "words": words}


def write_gentle(
    folder: Path,
    rows: Aligned,
    *,
    transcript: str | None = None,
    offsets: str = "character",
    csv: bool = True,
    json_file: bool = True,
) -> Path:
    """Writes `align.csv` and `align.json` of one sound file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if csv:
        (folder / "align.csv").write_bytes(align_csv(rows))
    if json_file:
        content = align_json(rows, transcript, offsets)
        (folder / "align.json").write_text(json.dumps(content, sort_keys=True, indent=4))
    return folder


def write_events(path: Path, rows: list[dict[str, object]], *, newline: str = "\n", encoding: str = "utf-8") -> Path:
    """Writes an events.tsv with the columns of the first row; `None` is written as `n/a`."""
    lines = ["\t".join(rows[0])]
    lines += ["\t".join("n/a" if cell is None else str(cell) for cell in row.values()) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    return path
