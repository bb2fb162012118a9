# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Lent brains come from whom, what and when they say, and what is impossible is said."""

import numpy as np

from trainers.evaluation.control_brains import OTHER_STIMULUS, SAME_STIMULUS, assign_later_trials, draw_control_brains
from trainers.statistics.permutations import HAEMODYNAMIC_DELAY, NO_BRAIN, TIME_SHIFT


def brain(subject: str, group: str, place: int, **columns) -> dict:
    row = {"brain_id": f"{subject}/{group}/{place}", "subject": subject, "session": "1", "stimulus": group}
    return row | {"group": group, "text": f"{group} {place}", "brain_values": np.zeros((1, 3))} | columns


def test_another_subject_of_the_same_and_of_another_stimulus():
    brains = {b["brain_id"]: b for b in (brain(s, g, i) for s in ("s1", "s2", "s3") for g in "abc" for i in range(2))}
    control_brains, absent = draw_control_brains(list(brains.values()))
    for arm, same in ((SAME_STIMULUS, True), (OTHER_STIMULUS, False)):
        assert set(control_brains[arm]) == set(brains)
        for own, lent in control_brains[arm].items():
            assert brains[own]["subject"] != brains[lent]["subject"]
            assert (brains[own]["group"] == brains[lent]["group"]) is same
            assert (brains[own]["text"] == brains[lent]["text"]) is same
    assert absent == {TIME_SHIFT: "the rows have no `frame_times`"}


def test_donors_have_as_many_frames():
    brains = [brain(s, g, 0, brain_values=np.zeros((2 if g == "a" else 1, 3))) for s in ("s1", "s2") for g in "abc"]
    control_brains, _ = draw_control_brains(brains)
    assert set(control_brains[SAME_STIMULUS]) == {b["brain_id"] for b in brains}
    assert set(control_brains[OTHER_STIMULUS]) == {b["brain_id"] for b in brains if b["group"] != "a"}


def test_time_shift_stays_in_story_and_session():
    brains = [
        brain("s1", g, i, session=session, frame_times=[2.0 * i], brain_id=f"{g}/{session}/{i}")
        for g in "ab"
        for session in "12"
        for i in range(15)
    ]
    control_brains, absent = draw_control_brains(brains)
    assert set(absent) == {SAME_STIMULUS, OTHER_STIMULUS}
    for own, lent in control_brains[TIME_SHIFT].items():
        assert own.rpartition("/")[0] == lent.rpartition("/")[0]
        assert abs(int(own.split("/")[2]) - int(lent.split("/")[2])) >= 6


def test_reasons():
    alone = draw_control_brains([brain("s1", g, i, frame_times=[0.0]) for g in "ab" for i in range(2)])
    assert alone[0] == {}
    assert set(alone[1].values()) == {
        "the split holds one subject",
        "no run is long enough to be shifted by twice the haemodynamic delay",
    }
    apart = draw_control_brains([brain(s, g, 0) for s, g in (("s1", "a"), ("s2", "b"))])
    assert apart[1][SAME_STIMULUS] == "nobody else perceived the same text with as many frames"


def trial(subject: str, session: str, number: int, image: str) -> dict:
    place = f"nsd2022/{subject}/{session}/{number}"
    row = {"sample_id": place, "brain_id": place, "subject": subject, "session": session, "stimulus": image}
    return row | {"group": image, "references": [f"a picture of {image}"], "frame_times": []}


class TestTrialsOfImages:
    def test_the_run_is_the_session_and_the_clock_counts_trials(self):
        """Each image is shown once a session, to two people: a run of one story would be one trial long."""
        rows = [
            trial(subject, f"session{session:02d}", 5 * (place + session) % 101, f"image/{place}")
            for subject in ("subj01", "subj02")
            for session in (1, 2)
            for place in range(20)
        ]
        later, _ = assign_later_trials(rows)
        assert NO_BRAIN not in later
        for own, lent in zip(rows, (rows[i] for i in later), strict=True):
            assert (lent["subject"], lent["session"]) == (own["subject"], own["session"])
            assert lent["group"] != own["group"]
            numbers = [int(row["sample_id"].rpartition("/")[2]) for row in (own, lent)]
            assert 4 * abs(numbers[0] - numbers[1]) >= 2 * HAEMODYNAMIC_DELAY

    def test_nobody_gets_a_repeat_of_the_own_image(self):
        rows = [trial("subj01", "session01", number, f"image/{number % 10}") for number in range(0, 100, 5)]
        seeds = [assign_later_trials(rows, seed)[0] for seed in range(20)]
        assert any((later == NO_BRAIN).any() for later in seeds)
        for later in seeds:
            pairs = [(own, rows[i]) for own, i in zip(rows, later, strict=True) if i != NO_BRAIN]
            assert all(own["group"] != lent["group"] for own, lent in pairs)

    def test_what_has_no_moment_says_why(self):
        averages = [trial("subj01", "average", i, f"image/{i}") for i in range(30)]
        later, why = assign_later_trials(averages)
        assert (later == NO_BRAIN).all()
        assert why == "each brain is the mean of repeats of several sessions"
        unnumbered = [row | {"sample_id": "a/b/c/x", "session": "session01"} for row in averages]
        assert assign_later_trials(unnumbered)[1] == "the rows have no `frame_times`"
        mixed, _ = assign_later_trials(
            averages + [trial("subj01", "session01", 3 * i, f"image/{i}") for i in range(30)]
        )
        assert (mixed[:30] == NO_BRAIN).all()
        assert (mixed[30:] >= 30).all()
