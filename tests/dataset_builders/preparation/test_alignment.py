# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import math
import random
from itertools import pairwise

import numpy as np
import pytest

from dataset_builders.preparation.alignment import (
    LEBEL_CLOCK,
    Clock,
    bids_clock,
    narratives_clock,
    tang_clock,
    windows,
)
from dataset_builders.readers.words import Word


CLOCKS = {
    "lebel": LEBEL_CLOCK,
    "imagined": tang_clock("imagined_speech"),
    "narratives": narratives_clock(4.5),
    "bids": bids_clock(0.72, 0.36),
}


def seconds_of(clock, frame):
    """When a frame starts and ends, from the two numbers of the clock alone."""
    centre = clock.first_centre + clock.tr * frame
    return centre - clock.tr / 2, centre + clock.tr / 2


def speak(generator, start, end, pauses=0.3):
    """Words of 0.05 to 0.6 seconds with pauses between some of them, numbered in their order."""
    words, time = [], start
    while time < end:
        length = generator.uniform(0.05, 0.6)
        words.append(Word(f"w{len(words)}", time, time + length))
        time += length + (generator.expovariate(0.2) if generator.random() < pauses else 0.0)
    return words


class TestClocks:
    def test_lebel(self):
        """t(j) = 2j + 11: ten rows of 2 s were cut, and the sound starts 10 s after the scan."""
        scan_starts = 2.0 * np.arange(311)
        kept = scan_starts[10:-10] - 10 + 1
        np.testing.assert_array_equal(LEBEL_CLOCK.frame_centres(291), kept)

    def test_tang(self):
        """t(j) = 2j + 1, and 10 s later in the clock of all words that were heard."""
        for experiment, delay in {
            "imagined_speech": 0, "perceived_movie": 10, "perceived_multispeaker": 10, "perceived_speech": 10
        }.items():  # fmt: skip
            np.testing.assert_array_equal(tang_clock(experiment).frame_centres(30), 2 * np.arange(30) + 1 + delay)
        with pytest.raises(ValueError, match="experiment='perceived_movies': expected one of imagined_speech, perc"):
            tang_clock("perceived_movies")

    def test_narratives(self):
        """t(i) = 1.5 (i + 0.5) - t0."""
        np.testing.assert_array_equal(narratives_clock(12.0).centres([0, 8, 10]), [-11.25, 0.75, 3.75])

    def test_bids(self):
        """t(i) = StartTime + TR (i + 0.5)."""
        np.testing.assert_array_equal(bids_clock(2.0).centres([0, 1]), [1.0, 3.0])
        np.testing.assert_allclose(bids_clock(0.72, 0.355).centres([0, 100]), [0.355, 72.355], rtol=1e-15)

    @pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
    def test_a_lookup_agrees_with_a_search_through_all_frames(self, clock):
        generator = random.Random(0)
        frames = range(-60, 60)
        for _ in range(300):
            time = generator.uniform(-20, 20)
            holding = [f for f in frames if seconds_of(clock, f)[0] <= time < seconds_of(clock, f)[1]]
            assert [clock.frame_at(time)] == holding

    @pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
    def test_a_border_belongs_to_the_later_frame(self, clock):
        for frame in range(-50, 3000, 7):
            start, centre = clock.start(frame), float(clock.centres(frame))
            assert clock.frame_at(start) == frame
            assert clock.frame_at(start - 1e-3) == frame - 1
            assert centre == pytest.approx(start + clock.tr / 2)
            assert clock.end(frame) == pytest.approx(clock.start(frame - 1) + clock.tr)

    @pytest.mark.parametrize(("tr", "first"), [(0, 1), (-2, 1), (math.nan, 1), (math.inf, 1), (2, math.nan)])
    def test_impossible_clocks(self, tr, first):
        with pytest.raises(ValueError, match=f"tr={tr}, first_centre={first}: expected a positive number"):
            Clock(tr, first)


class TestWindows:
    def test_a_story_worked_by_hand(self):
        """Frames of 2 s from 10 s on; the words of [8, 10) s precede the recording, their frames do not."""
        times = (5.0, 8.0, 9.9, 10.0, 12.5, 13.0, 18.0, 20.0, 31.0)
        words = [Word(text, time, time + 0.3) for text, time in zip("abcdefghi", times, strict=True)]
        found, dropped = windows(words, LEBEL_CLOCK, 8, delays=(1, 2), prompt_words=3)
        assert [(w.start, w.frames, w.completion_text, w.prompt_text) for w in found] == [
            (-1, (0, 1), "b c", "a"),
            (0, (1, 2), "d", "a b c"),
            (1, (2, 3), "e f", "b c d"),
            (4, (5, 6), "g", "d e f"),
            (5, (6, 7), "h", "e f g"),
        ]
        assert dropped == {
            "windows before the first frame": 1,
            "windows past the last frame": 1,
            "windows without words": 2,
        }

    @pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
    @pytest.mark.parametrize(
        ("delays", "length", "step"),
        [((1, 2, 3, 4), 1, 1), ((0,), 1, 1), ((2, 5), 4, 1), ((4, 5, 6, 7), 4, 4), ((1, 2), 2, 5), ((3,), 3, 2)],
    )
    def test_against_a_search_through_all_windows(self, clock, delays, length, step):
        generator = random.Random(f"{delays}{length}")
        num_frames, prompt_words = 60, 5
        start = clock.first_centre - 9
        words = speak(generator, start, start + clock.tr * 75)
        found, dropped = windows(
            words, clock, num_frames, delays=delays, length=length, step=step, prompt_words=prompt_words
        )
        expected, counts = [], {"before the first": 0, "past the last": 0, "without": 0}
        for first in range(-20 * step, 100 * step, step):
            begin, end = seconds_of(clock, first)[0], seconds_of(clock, first + length - 1)[1]
            spoken = [word for word in words if begin <= word.onset < end]
            frames = tuple(first + delay for delay in delays)
            if frames[0] < 0 or frames[-1] >= num_frames:
                counts["before the first" if frames[0] < 0 else "past the last"] += bool(spoken)
            elif spoken:
                before = [word for word in words if word.onset < begin]
                expected.append((first, frames, tuple(spoken), tuple(before[-prompt_words:])))
            else:
                counts["without"] += 1
        assert [(w.start, w.frames, w.words, w.prompt) for w in found] == expected
        assert {key: sum(n for name, n in dropped.items() if key in name) for key in counts} == counts
        assert found

    @pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
    @pytest.mark.parametrize("length", [1, 3])
    def test_no_frame_is_older_than_its_words_by_the_delay(self, clock, length):
        """Counted from the first volume; with a window of one volume no frame begins before a word of it."""
        delays = (1, 2, 3, 4)
        words = speak(random.Random(1), clock.first_centre, clock.first_centre + 100 * clock.tr)
        found, _ = windows(words, clock, 90, delays=delays, length=length)
        for window in found:
            starts = [clock.start(frame) for frame in window.frames]
            assert all(0 <= frame < 90 for frame in window.frames)
            assert min(starts) >= clock.start(window.start) + clock.tr * min(delays) - 1e-9
            assert all(word.onset < min(starts) + (length - 1) * clock.tr + 1e-9 for word in window.words)
            assert all(word.onset >= clock.start(window.start) - 1e-6 for word in window.words)
            assert all(word.onset < window.words[0].onset for word in window.prompt)

    def test_planted_words_are_recovered_once_each(self):
        """Windows side by side divide the story: no word is lost, and none is told twice."""
        words = speak(random.Random(2), 10.0, 200.0)
        found, dropped = windows(words, LEBEL_CLOCK, 95 + 4, prompt_words=1000)
        assert [word for window in found for word in window.words] == words
        assert set(dropped) == {"windows without words"}
        assert len(found) + dropped["windows without words"] == 99 - 4 + 1
        for window in found:
            assert [*window.prompt, *window.words] == words[: len(window.prompt) + len(window.words)]

    def test_the_frames_hold_the_answer_to_the_words(self):
        """A response of one frame's delay to the number of words is found in the first frame of each window."""
        words = speak(random.Random(3), 10.0, 120.0)
        response = np.zeros(60)
        for word in words:
            response[int((word.onset - 10) // 2) + 1] += 1
        found, _ = windows(words, LEBEL_CLOCK, 60)
        assert [response[window.frames[0]] for window in found] == [len(window.words) for window in found]

    def test_overlapping_windows_share_words(self):
        words = [Word("a", 10.5, 11), Word("b", 12.5, 13), Word("c", 14.5, 15)]
        found, _ = windows(words, LEBEL_CLOCK, 9, delays=(2, 3), length=2, prompt_words=0)
        assert [window.completion_text for window in found] == ["a", "a b", "b c", "c"]
        assert {window.prompt for window in found} == {()}

    def test_unsorted_words_are_put_in_order(self):
        words = speak(random.Random(4), 10.0, 60.0)
        shuffled = random.Random(5).sample(words, len(words))
        assert windows(shuffled, LEBEL_CLOCK, 30) == windows(words, LEBEL_CLOCK, 30)

    def test_nothing_to_say_and_words_of_another_time(self):
        assert windows([], LEBEL_CLOCK, 10) == ([], {"windows without words": 7})
        far = [Word("a", -1e9, 0), Word("b", 1e12, 1e12)]
        found, dropped = windows(far, LEBEL_CLOCK, 3)
        assert (found, dropped) == ([], {"windows before the first frame": 1, "windows past the last frame": 1})

    @pytest.mark.parametrize(
        ("option", "value", "problem"),
        [
            ("delays", (), "expected rising numbers of frames, none negative"),
            ("delays", (-1, 2), "expected rising"),
            ("delays", (2, 2), "expected rising"),
            ("length", 0, "expected at least 1"),
            ("step", 0, "expected at least 1"),
            ("prompt_words", -1, "expected at least 0"),
        ],
    )
    def test_impossible_options(self, option, value, problem):
        with pytest.raises(ValueError, match=f"{option}=.*: {problem}"):
            windows([], LEBEL_CLOCK, 10, **{option: value})
        with pytest.raises(ValueError, match="num_frames=0: expected at least 1"):
            windows([], LEBEL_CLOCK, 0)


def test_pairs_of_windows_follow_one_another():
    """Samples come in the order of time, so that a split by time is a split of rows."""
    found, _ = windows(speak(random.Random(6), 0.0, 300.0), LEBEL_CLOCK, 120, length=2)
    assert all(before.start < after.start and before.frames[0] < after.frames[0] for before, after in pairwise(found))
