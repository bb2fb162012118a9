# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import random
from itertools import pairwise

import pytest
from layouts.transcripts import TEXTGRID_FORMS, write_textgrid

from dataset_builders.readers.text_files import MAX_BYTES
from dataset_builders.readers.textgrid import INTERVALS, POINTS, Interval, read_textgrid


PHONES = [(0.0124, 0.3, "sp"), (0.3, 0.55, "AY1"), (0.55, 0.9, "HH"), (0.9, 2.0, "")]
WORDS = [(0.0124, 0.3, "sp"), (0.3, 0.55, "I"), (0.55, 0.9, "have"), (0.9, 2.0, "{LG}")]
TIERS = {"phone": PHONES, "word": WORDS}
NEWLINES = ("\n", "\r\n", "\r")
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def content(grid):
    """Tiers as the writer takes them."""
    return [
        (
            tier.name,
            [(i.start, i.end, i.text) if tier.kind == INTERVALS else (i.start, i.text) for i in tier.intervals],
        )
        for tier in grid.tiers
    ]


def altered(path, old, new, form="long", tiers=TIERS):
    """A file with one text in place of another, which must be there."""
    write_textgrid(path, tiers, form)
    raw = path.read_text()
    assert old in raw
    path.write_text(raw.replace(old, new, 1))
    return path


def random_text(generator):
    pieces = [
        "word",
        '"',
        '""',
        "!",
        "! 3 0.5",
        "\n",
        " ",
        "<exists>",
        "7",
        "-1.5e3",
        "intervals [2]:",
        "é",
        "“ja”",
        "ß",
    ]
    return "".join(generator.choice(pieces) for _ in range(generator.randrange(6)))


def random_tiers(generator):
    """Tiers of both kinds with texts that look like syntax; times follow one another from 0 to 10 seconds."""
    tiers = []
    for _ in range(generator.randrange(1, 5)):
        times = sorted({0.0, 10.0, *(round(generator.uniform(0, 10), generator.randrange(1, 14)) for _ in range(8))})
        name = random_text(generator)
        if generator.random() < 0.3:
            tiers.append((name, [(time, random_text(generator)) for time in times]))
        else:
            tiers.append((name, [(a, b, random_text(generator)) for a, b in pairwise(times)]))
    return tiers


class TestForms:
    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    @pytest.mark.parametrize("newline", NEWLINES)
    def test_what_was_written_is_read(self, tmp_path, form, newline):
        path = write_textgrid(tmp_path / "a.TextGrid", TIERS, form, newline=newline)
        grid = read_textgrid(path)
        assert content(grid) == list(TIERS.items())
        assert (grid.path, grid.start, grid.end) == (path, 0.0124, 2.0)
        assert grid.tier("word") is grid.tier(1)
        assert grid.tier("word").intervals[1] == Interval(0.3, 0.55, "I")

    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    def test_random_content_survives_in_every_form_encoding_and_line_end(self, tmp_path, form):
        generator = random.Random(form)
        for number in range(40):
            tiers = random_tiers(generator)
            encoding = generator.choice(UNICODE)
            path = write_textgrid(tmp_path / f"{number}.TextGrid", tiers, form, start=0.0, end=10.0, encoding=encoding)
            assert content(read_textgrid(path)) == tiers

    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    def test_newlines_in_texts_are_those_of_the_file(self, tmp_path, form):
        tiers = {"word": [(0.0, 1.0, "one\ntwo")]}
        path = write_textgrid(tmp_path / "a.TextGrid", tiers, form, newline="\r\n")
        assert read_textgrid(path).tier("word").intervals[0].text == "one\r\ntwo"

    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    def test_points_are_intervals_without_length(self, tmp_path, form):
        path = write_textgrid(tmp_path / "a.TextGrid", {"clicks": [(0.5, "a"), (1.5, "b")]}, form, start=0.0)
        tier = read_textgrid(path).tier("clicks")
        assert (tier.kind, tier.start, tier.end) == (POINTS, 0.0, 1.5)
        assert tier.intervals == [Interval(0.5, 0.5, "a"), Interval(1.5, 1.5, "b")]

    def test_the_old_header_of_the_short_form(self, tmp_path):
        path = altered(tmp_path / "a.TextGrid", 'File type = "ooTextFile"', '"ooTextFile short"', "short")
        path.write_text(path.read_text().replace('Object class = "TextGrid"', '"TextGrid"'))
        assert content(read_textgrid(path)) == list(TIERS.items())

    def test_comments_flags_and_labels_are_no_data(self, tmp_path):
        path = altered(tmp_path / "a.TextGrid", "item []: ", 'item []: ! size = 7 "none" <exists>\n[5]: v6 - <> = ')
        assert content(read_textgrid(path)) == list(TIERS.items())

    def test_an_empty_tier_is_read(self, tmp_path):
        for form in ("long", "short"):
            path = write_textgrid(tmp_path / f"{form}.TextGrid", {"word": WORDS, "notes": []}, form)
            assert content(read_textgrid(path)) == [("word", WORDS), ("notes", [])]

    def test_gaps_and_differences_below_a_millisecond_are_kept_as_they_are(self, tmp_path):
        words = [(0.0, 0.5, "a"), (0.4995, 1.0, "b"), (1.5, 2.0, "c")]
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": words}, "long", end=1.9995)
        assert content(read_textgrid(path)) == [("word", words)]


class TestEncodings:
    @pytest.mark.parametrize("encoding", [*UNICODE, "cp1252", "mac_roman"])
    @pytest.mark.parametrize("text", ["café señor naïve", "“Über” – où l’été", "DÉJÀ VU"])
    def test_letters_beyond_ascii(self, tmp_path, encoding, text):
        words = [(0.0, 1.0, text), (1.0, 2.0, "end")]
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": words}, encoding=encoding)
        assert content(read_textgrid(path)) == [("word", words)]

    def test_latin_1_is_read_as_the_encoding_that_contains_it(self, tmp_path):
        words = [(0.0, 1.0, "Grüße aus Málaga")]
        grid = read_textgrid(write_textgrid(tmp_path / "a.TextGrid", {"word": words}, encoding="latin-1"))
        assert content(grid) == [("word", words)]
        assert grid.encoding == "cp1252"

    def test_what_both_alphabets_could_mean_is_asked_for(self, tmp_path):
        """0x92 is an apostrophe in Windows-1252 and an í in MacRoman."""
        words = [(0.0, 1.0, "l’eau")]
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": words}, encoding="cp1252")
        with pytest.raises(ValueError, match=r"could be cp1252 or mac_roman: pass the right one as encoding="):
            read_textgrid(path)
        assert content(read_textgrid(path, "cp1252")) == [("word", words)]
        assert read_textgrid(path, "mac_roman").tiers[0].intervals[0].text == "líeau"

    def test_a_wrong_encoding_is_refused(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": [(0.0, 1.0, "é")]}, encoding="latin-1")
        with pytest.raises(ValueError, match=r"a\.TextGrid is not utf-8 text \(byte \d+"):
            read_textgrid(path, "utf-8")
        with pytest.raises(ValueError, match="encoding='utf-9' is no encoding"):
            read_textgrid(path, "utf-9")


class TestWrongFiles:
    def test_absent_empty_annexed_and_web_pages(self, tmp_path):
        path = tmp_path / "a.TextGrid"
        with pytest.raises(FileNotFoundError, match=r"a\.TextGrid does not exist"):
            read_textgrid(path)
        for raw, problem in (
            (b"", r"a\.TextGrid is empty"),
            (b"/annex/objects/MD5E-s1--0.TextGrid\n", r"run `datalad get"),
            (b"<!DOCTYPE html><html></html>", "a web page saved as data"),
        ):
            path.write_bytes(raw)
            with pytest.raises(ValueError, match=problem):
                read_textgrid(path)

    @pytest.mark.parametrize(
        ("raw", "problem"),
        [
            (b"\n \n", "ends where the header of a TextGrid should follow"),
            (b"word,word,0.1,0.2\n", "ends where the header of a TextGrid should follow"),
            (
                b'File type = "ooBinaryFile"',
                "begins with 'ooTextFile' or 'Praat chron.*, and this with 'ooBinary",
            ),
            (b"ooBinaryFile\x08TextGrid", "binary TextGrid: open it in Praat"),
            (b'"ooTextFile"\n"PitchTier"\n', "line 2: the file holds a Praat PitchTier, not a TextGrid"),
            (b"12 13", r"line 1: the header of a TextGrid \(a string\) is expected, and '12' is found"),
            (b'"oo\0TextFile"', "holds zero bytes"),
        ],
    )
    def test_an_unknown_header(self, tmp_path, raw, problem):
        (tmp_path / "a.TextGrid").write_bytes(raw)
        with pytest.raises(ValueError, match=problem):
            read_textgrid(tmp_path / "a.TextGrid")

    def test_a_file_too_large_for_a_transcript(self, tmp_path):
        path = tmp_path / "a.TextGrid"
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        with pytest.raises(ValueError, match=f"has {MAX_BYTES + 1} bytes and a transcript has at most"):
            read_textgrid(path)

    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    def test_every_truncation_is_noticed(self, tmp_path, form):
        path = write_textgrid(tmp_path / "a.TextGrid", {"clicks": [(0.0, "a")], "word": WORDS[2:]}, form)
        raw = path.read_bytes()
        for size in range(1, len(raw.rstrip())):
            path.write_bytes(raw[:size])
            with pytest.raises(ValueError, match="a.TextGrid"):
                read_textgrid(path)

    def test_the_line_of_a_truncation_is_the_last(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", TIERS, newline="\r\n")
        lines = path.read_bytes().split(b"\r\n")
        path.write_bytes(b"\r\n".join(lines[:20]))
        with pytest.raises(ValueError, match=r"line 20: the file ends where .* should follow: it is cut short"):
            read_textgrid(path)


class TestWrongContent:
    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("size = 2 ", "size = 3 ", "line 52: the file ends where the class of tier 3"),
            ("size = 2 ", "size = 1 ", "line 32: more follows than the counts"),
            ("intervals: size = 4", "intervals: size = 5", r"the start of interval 5 of tier 'phone' \(a number\)"),
            ("intervals: size = 4", "intervals: size = 3", r"the class of tier 2 \(a string\) is expected, and '0.9'"),
            ("intervals: size = 4", "intervals: size = -4", "intervals of tier 'phone' is -4, which is no number"),
            ("intervals: size = 4", "intervals: size = 4.5", "intervals of tier 'phone' is 4.5, which is no number"),
            ("<exists>", "<absent>", "says that it has no tiers"),
            ("size = 2 ", "size = 0 ", "says that it has no tiers"),
            ('"IntervalTier"', '"PitchTier"', "tier 1 is a 'PitchTier'; expected IntervalTier or TextTier"),
            ("xmax = 0.55", "xmax = 0.55h", "line 21: '0.55h' is no number; the end of interval 2 of tier 'phone'"),
            ("xmax = 0.55", "xmax = nan", r"the end of interval 2 of tier 'phone' \(a number\) is expected"),
            ("xmax = 0.55", "xmax = 1e999", "the end of interval 2 of tier 'phone' is inf, which is no time"),
            ("xmax = 0.55", "xmax = 0.25", "interval 2 of tier 'phone' ends at 0.25 s, before its start at 0.3 s"),
            ("xmax = 0.55", "xmax = 0.65", "interval 3 of tier 'phone' starts at 0.55 s, before 0.65 s"),
            ("xmin = 0.55", "xmin = 0.1", "interval 3 of tier 'phone' starts at 0.1 s, before 0.55 s"),
            ("2.0 \n            text", "2.1 \n            text", "ends at 2.1 s, past the end of its tier at 2.0 s"),
            ("2.0 \n        intervals", "3.0 \n        intervals", "tier 'phone' lasts from 0.0124 to 3.0 s"),
            ("xmax = 2.0", "xmax = -2.0", "the file ends at -2.0 s, before its start"),
            ('"AY1" ', '"AY1 ', "line 22: a quoted text has no end"),
            ('"AY1" ', '"AY1"x ', "line 22: a quoted text has no end"),
            ('"AY1" ', '"A"Y1" ', "line 22: a quoted text has no end"),
            ('"AY1" ', "7 ", r"line 22: the text of interval 2 of tier 'phone' \(a string\) is expected, and '7'"),
        ],
    )  # fmt: skip
    def test_the_file_the_line_and_the_fault_are_named(self, tmp_path, old, new, problem):
        path = altered(tmp_path / "a.TextGrid", old, new)
        with pytest.raises(ValueError, match=rf"a\.TextGrid, .*{problem}"):
            read_textgrid(path)

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("2   !", "0   !", "file says that it has no tiers"),
            ("2   !", "3   !", r"the class of tier 3 \(a string\) is expected"),
            ("2   !", "1   !", r"the tier of the next interval \(a number\) is expected, and '\"IntervalTier\"'"),
            ("\n1 0.3 0.55", "\n3 0.3 0.55", "an interval belongs to tier 3, and there are 2 tiers"),
            ("\n1 0.3 0.55", "\n0 0.3 0.55", "an interval belongs to tier 0, and there are 2 tiers"),
            ("\n1 0.3 0.55", "\n2 0.3 0.55", "interval 3 of tier 'word' starts at 0.3 s, before 0.55 s"),
            (
                "\n1 0.3 0.55",
                "\n1 0.4 0.55",
                "tier 'phone', which .* has no interval from 0.3 to 0.4 s",
            ),
            ("\n1 0.3 0.55", "\n1 0.3", r"the end of interval 2 of tier 'phone' \(a number\) is expected"),
            (
                "\n2 0.9 2.0",
                "\n2 0.9 1.5",
                "tier 'word', which lasts until 2.0 s, has no interval from 1.5 to 2.0 s",
            ),
        ],
    )
    def test_the_chronological_form(self, tmp_path, old, new, problem):
        path = altered(tmp_path / "a.TextGrid", old, new, "chronological")
        with pytest.raises(
            ValueError, match=rf"a\.TextGrid, line \d+: {problem}|a\.TextGrid, line \d+: the {problem}"
        ):
            read_textgrid(path)

    def test_points_out_of_order(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"clicks": [(1.0, "a"), (0.5, "b")]}, start=0.0, end=1.0)
        with pytest.raises(ValueError, match=r"interval 2 of tier 'clicks' starts at 0\.5 s, before 1\.0 s"):
            read_textgrid(path)


class TestTiers:
    def test_no_tier_of_this_name_or_place(self, tmp_path):
        grid = read_textgrid(write_textgrid(tmp_path / "a.TextGrid", TIERS))
        with pytest.raises(ValueError, match=r"a\.TextGrid has 0 tiers named 'words' among \['phone', 'word'\]"):
            grid.tier("words")
        for position in (2, -1):
            with pytest.raises(ValueError, match=f"has 2 tiers .*, so none at position {position}"):
                grid.tier(position)

    def test_two_tiers_of_one_name_are_told_apart_by_place(self, tmp_path):
        grid = read_textgrid(write_textgrid(tmp_path / "a.TextGrid", [("word", PHONES), ("word", WORDS)]))
        with pytest.raises(ValueError, match="has 2 tiers named 'word'"):
            grid.tier("word")
        assert grid.tier(1).intervals[1].text == "I"


def test_a_long_story_is_read_in_a_moment(tmp_path):
    """As many phones and words as a story of a quarter of an hour."""
    phones = [(n / 10, (n + 1) / 10, "AY1") for n in range(9000)]
    words = [(n * 0.15, (n + 1) * 0.15, "word") for n in range(6000)]
    path = write_textgrid(tmp_path / "a.TextGrid", {"phone": phones, "word": words})
    assert len(read_textgrid(path).tier("word").intervals) == 6000
