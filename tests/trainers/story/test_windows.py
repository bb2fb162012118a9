# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A story laid over frames again: hand-made rows, both ways of storing them, and what must not be guessed."""

import numpy as np
import pytest
from datasets import Dataset

from trainers.data.brain_format import with_brain_arrays
from trainers.story.windows import read_story


def make_rows(num_frames: int = 12, silent: tuple[int, ...] = (), delay: int = 1, subject: str = "s1") -> Dataset:
    """One word a second and two in each frame's window; frame i holds the number i."""
    rows = []
    for volume in range(num_frames - delay - 1):
        if volume in silent:
            continue
        frames = [volume + delay, volume + delay + 1]
        start = 10.0 + 2 * volume - 1  # frame 0 is measured from 9 to 11 s
        rows.append(
            {
                "sample_id": f"c/{subject}/tale/{volume}", "stimulus": "tale", "subject": subject,
                "words": [f"a{volume}", f"b{volume}"], "word_onsets": [start, start + 1.0],
                "frame_times": [10.0 + 2 * frame for frame in frames],
                "brain_values": [[float(frame), -float(frame)] for frame in frames],
            }
        )  # fmt: skip
    return Dataset.from_list(rows)


class TestReadStory:
    def test_windows_and_words(self):
        story = read_story(make_rows())
        assert (story.name, story.subject, story.start, story.end) == ("tale", "s1", 9.0, 29.0)
        assert [(window.start, window.end) for window in story.windows] == [(9 + 2 * i, 11 + 2 * i) for i in range(10)]
        np.testing.assert_array_equal(story.windows[3].brain_values, [[4, -4], [5, -5]])
        assert [word.text for word in story.words[:3]] == ["a0", "b0", "a1"]

    def test_silence_is_not_given_away(self):
        told, silent = read_story(make_rows()), read_story(make_rows(silent=(3, 7)))
        assert [window.start for window in silent.windows] == [window.start for window in told.windows]
        assert len(silent.words) == len(told.words) - 4

    def test_a_gap_of_the_recording_stays_one(self):
        story = read_story(make_rows(silent=(3, 4, 5)))  # frame 5 belongs to no row
        assert [window.start for window in story.windows] == [9, 11, 13, 21, 23, 25, 27]

    def test_longer_steps(self):
        rows = make_rows(num_frames=13).select([0, 2, 4, 6, 8])
        rows = rows.map(lambda row: {"frame_times": [*row["frame_times"], row["frame_times"][-1] + 2]})
        rows = rows.map(lambda row: {"brain_values": [*row["brain_values"], [0.0, 0.0]]})
        story = read_story(rows)
        assert [(window.start, window.end) for window in story.windows] == [(9 + 4 * i, 13 + 4 * i) for i in range(5)]

    def test_another_delay(self):
        assert read_story(make_rows(delay=3), delay=3).start == 9.0
        with pytest.raises(
            ValueError, match=r"tale/0' has a word at 9\.00 s, outside its window from 13\.00 .* `delay`"
        ):
            read_story(make_rows(delay=3))

    def test_values_as_the_corpus_has_them(self):
        story = read_story(with_brain_arrays(make_rows()))
        np.testing.assert_array_equal(story.windows[0].brain_values, [[1, -1], [2, -2]])

    def test_one_hearing_is_meant(self):
        rows = Dataset.from_list([*make_rows(), *make_rows(subject="s2")])
        assert read_story(rows, subject="s2").subject == "s2"
        with pytest.raises(ValueError, match=r"found 2\. Choose from: tale by s1 \(c/s1/tale\), tale by s2"):
            read_story(rows)
        with pytest.raises(ValueError, match="name='other'.* found 0"):
            read_story(rows, "other")

    def test_rows_without_times(self):
        rows = make_rows().map(lambda row: {"frame_times": [], "word_onsets": []})
        with pytest.raises(ValueError, match=r"\[0\] frame times"):
            read_story(rows)
