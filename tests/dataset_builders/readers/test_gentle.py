# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter

import pytest
from layouts.transcripts import align_csv, align_json, write_gentle

from dataset_builders.readers.gentle import read_gentle
from dataset_builders.readers.words import Word


ROWS = [
    ("I", "i", 15.18, 15.26),
    ("saw", "saw", 15.26, 15.5),
    ("um", None, None, None),
    ("well", None, None, None),
    ("Jared's", "<unk>", 15.9, 16.4),
    ("café", "cafe", 16.4, 16.4),
]
TIMED = [Word(row[0], row[2], row[3]) for row in ROWS if row[1]]
TRANSCRIPT = '“I saw—um, well… "Jared\'s" café!”\n'
DROPPED = Counter({"words without times dropped": 2})


def change_json(folder, change):
    """Rewrites align.json after `change(content)`."""
    path = folder / "align.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


class TestWhatWasWrittenIsRead:
    @pytest.mark.parametrize(("csv", "json_file"), [(True, True), (True, False), (False, True)])
    def test_from_either_file_or_both(self, tmp_path, csv, json_file):
        assert read_gentle(write_gentle(tmp_path, ROWS, csv=csv, json_file=json_file)) == (TIMED, DROPPED)

    @pytest.mark.parametrize("name", ["align.csv", "align.json"])
    def test_from_a_named_file(self, tmp_path, name):
        assert read_gentle(write_gentle(tmp_path, ROWS) / name) == (TIMED, DROPPED)

    def test_words_with_commas_and_quotes(self, tmp_path):
        (tmp_path / "align.csv").write_bytes(b'"1,000",<unk>,0.5,1\r\n"5""",<unk>,1,2.5e0\r\n')
        assert read_gentle(tmp_path)[0] == [Word("1,000", 0.5, 1.0), Word('5"', 1.0, 2.5)]

    def test_sounds_that_are_not_in_the_transcript_are_no_words(self, tmp_path):
        noise = {"case": "not-found-in-transcript", "start": 1.0, "end": 1.1, "phones": []}
        change_json(write_gentle(tmp_path, ROWS), lambda content: content["words"].insert(2, noise))
        assert read_gentle(tmp_path) == (TIMED, DROPPED)

    def test_nothing_dropped_nothing_counted(self, tmp_path):
        assert read_gentle(write_gentle(tmp_path, ROWS[:2])) == (TIMED[:2], Counter())


class TestWordsWithoutTimes:
    def test_they_share_the_time_between_their_neighbours(self, tmp_path):
        words, counts = read_gentle(write_gentle(tmp_path, ROWS), missing="interpolate")
        assert counts == {"words without times interpolated": 2}
        assert [word.text for word in words] == [row[0] for row in ROWS]
        times = [time for word in words[2:4] for time in (word.onset, word.offset)]
        assert times == pytest.approx([15.5, 15.7, 15.7, 15.9])
        assert [word for word in words if word.text not in ("um", "well")] == TIMED

    def test_at_the_ends_there_is_no_time_to_share(self, tmp_path):
        lost = ("uh", None, None, None)
        words, counts = read_gentle(write_gentle(tmp_path, [lost, *ROWS, lost]), missing="interpolate")
        assert counts == {"words without times dropped": 2, "words without times interpolated": 2}
        assert len(words) == len(ROWS)

    def test_between_words_that_overlap_there_is_an_instant(self, tmp_path):
        rows = [("a", "a", 1.0, 3.0), ("b", None, None, None), ("c", "c", 2.0, 4.0)]
        words, _ = read_gentle(write_gentle(tmp_path, rows), missing="interpolate")
        assert words[1] == Word("b", 2.0, 2.0)

    def test_onsets_never_fall(self, tmp_path):
        rows = [(f"w{n}", "w", n / 3, n / 3 + 0.6) if n % 3 else (f"w{n}", None, None, None) for n in range(30)]
        words, _ = read_gentle(write_gentle(tmp_path, rows), missing="interpolate")
        onsets = [word.onset for word in words]
        assert onsets == sorted(onsets)
        assert all(word.onset <= word.offset for word in words)

    def test_too_many_and_all(self, tmp_path):
        lost = [("uh", None, None, None)] * 4
        write_gentle(tmp_path, [*ROWS[:2], *lost])
        with pytest.raises(ValueError, match=r"67% of 6 words have no time, more than 50%: .* or raise max_missing"):
            read_gentle(tmp_path)
        assert read_gentle(tmp_path, max_missing=0.7)[0] == TIMED[:2]
        with pytest.raises(ValueError, match="none of the 4 words has a time"):
            read_gentle(write_gentle(tmp_path, lost), max_missing=1.0)

    def test_an_unknown_policy(self, tmp_path):
        with pytest.raises(ValueError, match="missing='guess': expected 'drop' or 'interpolate'"):
            read_gentle(tmp_path, missing="guess")


class TestPunctuation:
    WRITTEN = ["“I", "saw—", "um,", "well…", '"Jared\'s"', "café!”"]

    @pytest.mark.parametrize("offsets", ["character", "byte"])
    def test_words_as_they_stand_in_the_transcript(self, tmp_path, offsets):
        write_gentle(tmp_path, ROWS, transcript=TRANSCRIPT, offsets=offsets)
        words, _ = read_gentle(tmp_path, missing="interpolate", punctuation=True)
        assert [word.text for word in words] == self.WRITTEN
        assert [word.text for word in read_gentle(tmp_path, punctuation=True)[0]] == [
            text for text, row in zip(self.WRITTEN, ROWS, strict=True) if row[1]
        ]

    @pytest.mark.parametrize("offsets", ["character", "byte"])
    def test_marks_that_stand_alone_belong_to_no_word(self, tmp_path, offsets):
        write_gentle(tmp_path, ROWS[:2], transcript="— I – ¿saw ! ", offsets=offsets)
        assert [word.text for word in read_gentle(tmp_path, punctuation=True)[0]] == ["I", "¿saw"]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"startOffset": 1}, r"'saw' does not stand at \[1, 5\] of the transcript"),
            ({"endOffset": 10**30}, r"'saw' does not stand at \[2, 1000"),
            ({"startOffset": -3}, r"startOffset and endOffset are \[-3, 5\]; expected whole numbers"),
            ({"startOffset": True}, r"startOffset and endOffset are \[True, 5\]"),
            ({"endOffset": None}, r"startOffset and endOffset are \[2, None\]"),
        ],
    )
    def test_offsets_that_do_not_fit(self, tmp_path, change, problem):
        write_gentle(tmp_path, ROWS[:2])
        change_json(tmp_path, lambda content: content["words"][1].update(change))
        with pytest.raises(ValueError, match=rf"align\.json, word 2: {problem}"):
            read_gentle(tmp_path, punctuation=True)

    def test_a_clipped_last_word_is_noticed(self, tmp_path):
        change_json(write_gentle(tmp_path, ROWS[:2]), lambda content: content["words"][1].update(endOffset=6))
        with pytest.raises(ValueError, match=r"'saw' does not stand at \[2, 6\]"):
            read_gentle(tmp_path, punctuation=True)

    def test_it_needs_the_transcript(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"punctuation is told by align\.json only"):
            read_gentle(write_gentle(tmp_path, ROWS, json_file=False), punctuation=True)


class TestTwoFiles:
    @pytest.mark.parametrize(
        ("index", "change"),
        [
            (0, ("You", "i", 15.18, 15.26)),
            (1, ("saw", "saw", 15.262, 15.5)),
            (1, ("saw", "saw", 15.26, 15.51)),
            (1, ("saw", None, None, None)),
            (2, ("um", "um", 15.5, 15.5)),
        ],
    )
    def test_a_difference_is_noticed(self, tmp_path, index, change):
        write_gentle(tmp_path, ROWS)
        rows = [*ROWS[:index], change, *ROWS[index + 1 :]]
        (tmp_path / "align.csv").write_bytes(align_csv(rows))
        place = rf"align\.csv, line {index + 1} says .*, and .*align\.json, word {index + 1} says"
        with pytest.raises(ValueError, match=rf"{place} .*: remove the file that is out of date"):
            read_gentle(tmp_path)
        assert read_gentle(tmp_path / "align.json") == (TIMED, DROPPED)

    def test_one_file_is_shorter(self, tmp_path):
        (write_gentle(tmp_path, ROWS) / "align.csv").write_bytes(align_csv(ROWS[:-1]))
        with pytest.raises(ValueError, match=r"align\.csv has 5 words and align\.json 6: align again"):
            read_gentle(tmp_path)

    def test_neither_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"has neither align\.csv nor align\.json"):
            read_gentle(tmp_path)
        with pytest.raises(FileNotFoundError, match="expected output of gentle"):
            read_gentle(tmp_path / "align.csv")

    def test_a_link_without_its_content(self, tmp_path):
        (tmp_path / "align.csv").symlink_to(".git/annex/objects/MD5E-s3--00.csv")
        with pytest.raises(FileNotFoundError, match="git-annex link without its content: run `datalad get"):
            read_gentle(tmp_path)


class TestWrongTables:
    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ("I,i,1,2,3\n", "line 1: 5 columns; gentle writes 4"),
            ("I,i,1,2\nsaw,saw,2\n", "line 2: 3 columns"),
            ("I,i,1,2\n\nsaw,saw,2,3\n", "line 2: 0 columns"),
            ("word,alignedWord,start,end\nI,i,1,2\n", "line 1: a header; gentle writes none"),
            ("I,i,one,2\n", r"line 1: start and end must be numbers of seconds, and are \['one', '2'\]"),
            ("I,i,1_0,20\n", "line 1: start and end must be"),
            ("I,i,1,\n", r"line 1: start and end must be .* \['1', ''\]"),
            ("I,i,,\n", r"line 1: start and end must be .* \['', ''\]"),
            ("I,,1,2\nI,i,nan,2\n", "line 2: start and end must be"),
            ("I,i,1,inf\n", "line 1: start and end must be"),
            ("I,i,2,1.5\n", "line 1: the word ends at 1.5 s, before its start at 2.0 s"),
            ("I,i,2,3\nuh,,,\nsaw,saw,1.9,3\n", "line 3: 'saw' starts at 1.9 s, and 'I' before it at 2.0 s"),
            (",i,1,2\n", "line 1: the word is empty"),
            ('"I,i,1,2\n', "line 1: no cells divided by commas"),
            ("I,i,1,2\n\"saw\nsaw\",saw,2,3\n", "line 2: no cells divided by commas"),
            ('"I"x,i,1,2\n', "line 1: no cells divided by commas"),
            ("I,i,1,2\0\n", "zero bytes"),
            ("x" * 200_000 + ",i,1,2\n", "line 1: no cells divided by commas"),
        ],
    )  # fmt: skip
    def test_the_line_and_the_fault_are_named(self, tmp_path, table, problem):
        (tmp_path / "align.csv").write_text(table)
        with pytest.raises(ValueError, match=rf"align\.csv.* {problem}"):
            read_gentle(tmp_path)


class TestWrongJSON:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("{", r"is not JSON \(Expecting"),
            ("[" * 100_000, r"is not JSON \(maximum recursion"),
            ('{"transcript": "", "words": [NaN]}', "is not JSON .NaN is no number"),
            ("9" * 5000, r"is not JSON \(Exceeds the limit"),
            ("[]", "has no text under 'transcript'"),
            ('{"transcript": null, "words": []}', "has no text under 'transcript'"),
            ('{"transcript": ""}', "has no list of words under 'words'"),
            ('{"transcript": "", "words": ["I"]}', "has no list of words under 'words'"),
            ('{"transcript": "", "words": []}', "none of the 0 words has a time"),
        ],
    )
    def test_other_content(self, tmp_path, text, problem):
        (tmp_path / "align.json").write_text(text)
        with pytest.raises(ValueError, match=problem):
            read_gentle(tmp_path)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"case": "done"}, "case is 'done'; expected 'success'"),
            ({"case": ["success"]}, r"case is \['success'\]"),
            ({"word": ""}, "the word is ''; expected a text"),
            ({"word": 7}, "the word is 7; expected a text"),
            ({"start": None}, r"start and end must be numbers of seconds, and are \[None, 15.5\]"),
            ({"start": True}, r"start and end must be numbers of seconds, and are \[True, 15.5\]"),
            ({"start": [1]}, "start and end must be numbers of seconds"),
            ({"end": 10**400}, "start and end must be numbers of seconds"),
            ({"end": 15.0}, "the word ends at 15.0 s, before its start at 15.26 s"),
            ({"start": 15.0}, "'saw' starts at 15.0 s, and 'I' before it at 15.18 s"),
        ],
    )
    def test_the_word_and_the_fault_are_named(self, tmp_path, change, problem):
        write_gentle(tmp_path, ROWS[:2], csv=False)
        change_json(tmp_path, lambda content: content["words"][1].update(change))
        with pytest.raises(ValueError, match=rf"align\.json, word 2: {problem}"):
            read_gentle(tmp_path)


def test_the_writer_counts_bytes_and_characters():
    """The words of the transcript, cut by the offsets that the fixture writes."""
    raw = TRANSCRIPT.encode()
    words = align_json(ROWS, TRANSCRIPT, "byte")["words"]
    by_byte = [raw[word["startOffset"] : word["endOffset"]].decode() for word in words]
    assert by_byte == [row[0] for row in ROWS]
    words = align_json(ROWS, TRANSCRIPT)["words"]
    assert [TRANSCRIPT[word["startOffset"] : word["endOffset"]] for word in words] == by_byte
