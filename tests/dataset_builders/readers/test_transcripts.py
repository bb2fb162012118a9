# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import pytest
from layouts.transcripts import TEXTGRID_FORMS, fill_silences, write_events, write_textgrid

from dataset_builders.readers.transcripts import (
    NON_WORDS,
    Event,
    Word,
    check_last_word,
    read_event_table,
    read_events,
    read_words_textgrid,
)


#: What the Huth lab's code leaves out, as it may be spelled in a file.
NOISES = ("", " ", "sp", "{SP}", "{BR}", "{lg}", "LS", "{NS}", "SENTENCE_START", "sentence_end")
SPOKEN = [(0.5, 0.75, "I"), (0.75, 1.125, "{WASN'T}"), (1.5, 2.0, "there  \n yet")]


class TestWordsOfTextGrids:
    @pytest.mark.parametrize("form", TEXTGRID_FORMS)
    def test_words_are_what_was_spoken(self, tmp_path, form):
        intervals = fill_silences(SPOKEN, 0.0124, 3.0)
        path = write_textgrid(tmp_path / "a.TextGrid", {"phone": intervals[:1], "word": intervals}, form, end=3.0)
        if form == "chronological":
            path = write_textgrid(path, {"phone": [(0.0124, 3.0, "")], "word": intervals}, form)
        words = [Word("I", 0.5, 0.75), Word("WASN'T", 0.75, 1.125), Word("there yet", 1.5, 2.0)]
        assert read_words_textgrid(path) == words
        assert read_words_textgrid(path, tier=1) == words

    def test_noises_are_left_out_however_they_are_spelled(self, tmp_path):
        intervals = [(n / 10, (n + 1) / 10, text) for n, text in enumerate([*NOISES, "word"])]
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": intervals})
        assert read_words_textgrid(path) == [Word("word", 1.0, 1.1)]

    @pytest.mark.parametrize(
        ("label", "word"),
        [
            ("WORD{LG}", "WORD"),
            ("{LG}WORD", "WORD"),
            ("WORD {ns} TWO", "WORD TWO"),
            ("{WORD}", "WORD"),
            ("{WORD}S", "WORDS"),
            ("WORD{", "WORD"),
            ("{ LG }{SP}", None),
            ("{}", None),
        ],
    )
    def test_marks_in_braces(self, tmp_path, label, word):
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": [(0.0, 0.5, label), (0.5, 1.0, "last")]})
        expected = [Word("last", 0.5, 1.0)] if word is None else [Word(word, 0.0, 0.5), Word("last", 0.5, 1.0)]
        assert read_words_textgrid(path) == expected

    def test_a_stop_list_of_ones_own(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"w": [(0.0, 0.5, "UH"), (0.5, 1.0, "sp"), (1.0, 2.0, "ns")]})
        assert read_words_textgrid(path, 0, drop={"", "sp", "uh"}) == [Word("ns", 1.0, 2.0)]

    def test_no_tier_named_word(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"phone": [(0.0, 1.0, "AY1")], "words": SPOKEN})
        with pytest.raises(ValueError, match=r"0 tiers named 'word' among \['phone', 'words'\]"):
            read_words_textgrid(path)

    def test_no_word_left_after_the_filter(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": [(0.0, 1.0, "sp"), (1.0, 2.0, "{NS}")]})
        with pytest.raises(ValueError, match="none of the 2 labels of tier 'word' is a word: check the tier.*'sp'"):
            read_words_textgrid(path)

    def test_the_encoding_is_passed_on(self, tmp_path):
        path = write_textgrid(tmp_path / "a.TextGrid", {"word": [(0.0, 1.0, "l’eau")]}, encoding="cp1252")
        assert read_words_textgrid(path, encoding="cp1252") == [Word("l’eau", 0.0, 1.0)]

    def test_the_stop_list_is_that_of_the_lab(self):
        assert {"", "br", "lg", "ls", "ns", "sentence_end", "sentence_start", "sp"} == NON_WORDS


class TestLastWord:
    WORDS = [Word("late", 9.0, 12.0), Word("early", 1.0, 2.0)]

    def test_words_that_begin_before_the_end_are_fine(self):
        check_last_word(self.WORDS, 9.001, "a.TextGrid")
        check_last_word([], 0.0, "a.TextGrid")

    @pytest.mark.parametrize("scan_end", [9.0, 3.0])
    def test_a_word_after_the_end(self, scan_end):
        with pytest.raises(ValueError, match=r"^a\.TextGrid: the last word, 'late', starts at 9\.000 s"):
            check_last_word(self.WORDS, scan_end, "a.TextGrid")


ROWS = [
    {"onset": 3.25, "duration": 0.5, "trial_type": "word", "word": "fox"},
    {"onset": -1.5, "duration": 0, "trial_type": "word", "word": "the"},
    {"onset": 5, "duration": 2, "trial_type": "fixation", "word": None},
    {"onset": "2.5e-1", "duration": None, "trial_type": "word", "word": "n/a's"},
]
WORDS = [Word("the", -1.5, -1.5), Word("n/a's", 0.25, 0.25), Word("fox", 3.25, 3.75)]


class TestEvents:
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_words_are_sorted_and_other_events_left_out(self, tmp_path, newline, encoding):
        path = write_events(tmp_path / "events.tsv", ROWS, newline=newline, encoding=encoding)
        assert read_events(path) == (WORDS, "word")
        assert read_events(path, "word") == (WORDS, "word")

    def test_all_rows_with_their_cells(self, tmp_path):
        events = read_event_table(write_events(tmp_path / "events.tsv", ROWS))
        assert [event.onset for event in events] == [-1.5, 0.25, 3.25, 5.0]
        assert [str(event.duration) for event in events] == ["0.0", "nan", "0.5", "2.0"]
        cells = {"onset": "5", "duration": "2", "trial_type": "fixation", "word": "n/a"}
        assert events[-1] == Event(5.0, 2.0, cells)

    def test_rows_of_one_onset_keep_their_order(self, tmp_path):
        rows = [{"onset": 1.0, "duration": 0.1, "text": text} for text in ("b", "a", "c")]
        words, column = read_events(write_events(tmp_path / "events.tsv", rows))
        assert ([word.text for word in words], column) == (["b", "a", "c"], "text")

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"value": ("one", "two"), "word": ("a", "b")}, "word"),
            ({"word": ("word", "word"), "text": ("a", "b")}, "text"),  # a constant names a condition
            ({"stimulus": ("one.wav", "two.wav"), "value": ("a", "b")}, "value"),
            ({"value": ("1", "2"), "stimulus": ("l’eau", "n/a")}, None),
            ({"word": ("in", "the", "1940", "s")}, "word"),
            ({"trial_type": ("the", "fox")}, None),
            ({"stim_file": ("one", "two")}, None),
            ({"value": ("1", "b")}, None),
        ],
    )
    def test_the_column_is_found_or_asked_for(self, tmp_path, columns, expected):
        names = list(columns)
        cells = zip(*columns.values(), strict=True)
        rows = [{"onset": n, "duration": 1} | dict(zip(names, row, strict=True)) for n, row in enumerate(cells)]
        path = write_events(tmp_path / "events.tsv", rows)
        if expected:
            assert read_events(path)[1] == expected
        else:
            with pytest.raises(ValueError, match=r"none of the columns \['onset', .*\] is recognised .*text_column="):
                read_events(path)
        assert read_events(path, names[0])[1] == names[0]

    def test_a_column_that_is_not_there_or_holds_nothing(self, tmp_path):
        path = write_events(tmp_path / "events.tsv", [row | {"empty": None} for row in ROWS])
        with pytest.raises(ValueError, match=r"events\.tsv has no column 'wrd', only \['onset'"):
            read_events(path, "wrd")
        with pytest.raises(ValueError, match="none of the 4 rows has a word in column 'empty'"):
            read_events(path, "empty")

    def test_a_table_without_rows(self, tmp_path):
        path = tmp_path / "events.tsv"
        path.write_text("onset\tduration\tword\n")
        assert read_event_table(path) == []
        with pytest.raises(ValueError, match=r"none of the columns \[\] is recognised"):
            read_events(path)
        with pytest.raises(ValueError, match="none of the 0 rows has a word in column 'word'"):
            read_events(path, "word")

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("onset", "onest", r"no column 'onset', only \['onest', .*\]: it needs onset, duration"),
            ("duration", "length", "no column 'duration'"),
            ("trial_type", "word", "names a column twice"),
            ("3.25", "n/a", "1 words have the onset n/a"),
            ("3.25", "", "line 2: onset is ''"),
            ("3.25", "3_2", "line 2: onset is '3_2'"),
            ("3.25", "nan", "line 2: onset is 'nan'"),
            ("3.25", "1e999", "line 2: onset is '1e999'"),
            ("\t0.5\t", "\t-0.5\t", "line 2: duration is -0.5 s; expected at least 0"),
            ("\t0.5\t", "\tlong\t", "line 2: duration is 'long'; expected a number of seconds"),
            ("fox", "fox\t", "line 2: 5 cells, and the header names 4"),
            ("\tfox", "", "line 2: 3 cells, and the header names 4"),
            ("fox\n", "fox\n\n", "line 3: 1 cells, and the header names 4"),
            ("fox", "f\0x", "holds zero bytes"),
        ],
    )
    def test_the_file_the_line_and_the_fault_are_named(self, tmp_path, old, new, problem):
        path = write_events(tmp_path / "events.tsv", ROWS)
        raw = path.read_text()
        assert old in raw
        path.write_text(raw.replace(old, new, 1))
        with pytest.raises(ValueError, match=rf"events\.tsv.* {problem}"):
            read_events(path)

    def test_other_encodings_than_that_of_bids(self, tmp_path):
        path = write_events(tmp_path / "events.tsv", [ROWS[0] | {"word": "été"}], encoding="latin-1")
        with pytest.raises(ValueError, match="is not utf-8-sig text"):
            read_events(path)


class TestCells:
    """Tables as programs write them: with quotation marks, blank lines and unknown onsets."""

    @pytest.mark.parametrize(
        ("cell", "text"),
        [
            ('"""Stop"', '"Stop'),
            ('"Stop"', "Stop"),
            ('"say ""yes"" now"', 'say "yes" now'),
            ('"', '"'),
            ('5" screen', '5" screen'),
            ('"a" and "b"', '"a" and "b"'),
            ('""', "n/a"),
        ],
    )
    def test_quotation_marks(self, tmp_path, cell, text):
        path = tmp_path / "events.tsv"
        path.write_text(f'onset\tduration\t"word"\n1.0\t0.5\t{cell}\n2.0\t0.5\tlast\n')
        words = [word.text for word in read_events(path, "word")[0]]
        assert words == (["last"] if text == "n/a" else [text, "last"])

    @pytest.mark.parametrize("blank", ["\n", " \n", "\t\t\n", "\n\n  \t\n"])
    def test_blank_lines(self, tmp_path, blank):
        path = tmp_path / "events.tsv"
        path.write_text(f"onset\tduration\tword\n1.0\t0.5\tone\n2.0\t0.5\ttwo\n{blank}")
        assert read_events(path)[0] == [Word("one", 1.0, 1.5), Word("two", 2.0, 2.5)]

    def test_an_event_at_no_known_time(self, tmp_path):
        """It is another event, if it has no word; a word must have its time."""
        path = tmp_path / "events.tsv"
        path.write_text("onset\tduration\tword\nn/a\tn/a\tn/a\n2.0\t0.5\ttwo\n1.0\t0.5\tone\n")
        assert [word.text for word in read_events(path)[0]] == ["one", "two"]
        path.write_text("onset\tduration\tword\nn/a\t0.5\tlost\n2.0\t0.5\ttwo\n1.0\t0.5\tone\n")
        with pytest.raises(ValueError, match="1 words have the onset n/a .the first is 'lost'.: give them times"):
            read_events(path)
