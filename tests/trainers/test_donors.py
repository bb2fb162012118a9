# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Lent brains come from whom, what and when they say, and what is impossible is said."""

import numpy as np

from trainers.donors import OTHER_STIMULUS, SAME_STIMULUS, TIME_SHIFT, find_donors


def brain(subject: str, group: str, place: int, **columns) -> dict:
    row = {"brain_id": f"{subject}/{group}/{place}", "subject": subject, "session": "1", "story": group}
    return row | {"group": group, "text": f"{group} {place}", "brain_values": np.zeros((1, 3))} | columns


def test_another_subject_of_the_same_and_of_another_stimulus():
    brains = {b["brain_id"]: b for b in (brain(s, g, i) for s in ("s1", "s2", "s3") for g in "abc" for i in range(2))}
    donors, absent = find_donors(list(brains.values()))
    for arm, same in ((SAME_STIMULUS, True), (OTHER_STIMULUS, False)):
        assert set(donors[arm]) == set(brains)
        for own, lent in donors[arm].items():
            assert brains[own]["subject"] != brains[lent]["subject"]
            assert (brains[own]["group"] == brains[lent]["group"]) is same
            assert (brains[own]["text"] == brains[lent]["text"]) is same
    assert absent == {TIME_SHIFT: "the rows have no `frame_times`"}


def test_donors_have_as_many_frames():
    brains = [brain(s, g, 0, brain_values=np.zeros((2 if g == "a" else 1, 3))) for s in ("s1", "s2") for g in "abc"]
    donors, _ = find_donors(brains)
    assert set(donors[SAME_STIMULUS]) == {b["brain_id"] for b in brains}
    assert set(donors[OTHER_STIMULUS]) == {b["brain_id"] for b in brains if b["group"] != "a"}


def test_time_shift_stays_in_story_and_session():
    brains = [
        brain("s1", g, i, session=session, frame_times=[2.0 * i], brain_id=f"{g}/{session}/{i}")
        for g in "ab"
        for session in "12"
        for i in range(15)
    ]
    donors, absent = find_donors(brains)
    assert set(absent) == {SAME_STIMULUS, OTHER_STIMULUS}
    for own, lent in donors[TIME_SHIFT].items():
        assert own.rpartition("/")[0] == lent.rpartition("/")[0]
        assert abs(int(own.split("/")[2]) - int(lent.split("/")[2])) >= 6


def test_reasons():
    alone = find_donors([brain("s1", g, i, frame_times=[0.0]) for g in "ab" for i in range(2)])
    assert alone[0] == {}
    assert set(alone[1].values()) == {
        "the split holds one subject",
        "no run is long enough to be shifted by twice the haemodynamic delay",
    }
    apart = find_donors([brain(s, g, 0) for s, g in (("s1", "a"), ("s2", "b"))])
    assert apart[1][SAME_STIMULUS] == "nobody else perceived the same text with as many frames"
