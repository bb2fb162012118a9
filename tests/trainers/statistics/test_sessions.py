# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Permutations within sessions: no brain leaves its session where that can be, and everything else stays as it was."""

import numpy as np
import pytest

from trainers.statistics.permutations import permute_across_groups, within_sessions


def test_brains_stay_in_their_session():
    groups = [f"passage-{i // 3}" for i in range(60)]
    sessions = ["one" if i < 24 else "two" for i in range(60)]
    blocks = within_sessions(["P01"] * 60, sessions, groups)
    lent = permute_across_groups(groups, np.arange(60), 50, 0, blocks)
    assert np.isin(lent[:, :24], np.arange(24)).all()
    assert np.isin(lent[:, 24:], np.arange(24, 60)).all()
    assert (lent // 3 != np.arange(60) // 3).all()
    np.testing.assert_array_equal(np.sort(lent, axis=1), np.broadcast_to(np.arange(60), (50, 60)))


@pytest.mark.parametrize("sessions", [["", "a", "a", "a"], [None] * 4, ["a", "b", "b", "b"], ["a", "a", "a", "b"]])
def test_blocks_stay_where_a_session_cannot_be_permuted(sessions):
    """Of another subject the sessions are used all the same."""
    groups = ["g1", "g2", "g3", "g4"]
    found = within_sessions(["P01"] * 4 + ["P02"] * 4, [*sessions, *"aabb"], groups * 2)
    assert found == [("P01", None)] * 4 + [("P02", name) for name in "aabb"]
