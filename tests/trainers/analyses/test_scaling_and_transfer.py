# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Curves of size and matrices of transfer: a planted growth is found, what carries over is told from what does not."""

import numpy as np
import pytest

from trainers.analyses import scaling_curve, scaling_section, split_by_subject, transfer_matrix, transfer_section


def constant(gain: float):
    return lambda surprise: np.full_like(surprise, gain)


class TestScaling:
    def test_growth_is_found_and_described(self, make_samples):
        samples = {size: make_samples(constant(0.1 * np.log10(size)), seed=size) for size in (100, 1, 10)}
        curve = scaling_curve(samples, "training set", "group", "continuation")
        assert [row["x"] for row in curve.rows] == [1, 10, 100]
        found = curve.trends["gain"]
        assert found["ci_low"] < 0.1 < found["ci_high"]
        assert found["q"] < 0.01
        section = scaling_section(curve, "training_set_size", "Training-set size")
        assert "Pairwise accuracy grows: +" in section.text
        assert section.name == "training_set_size"

    def test_decoders_that_are_alike_show_none(self, make_samples):
        samples = {size: make_samples(constant(0.1), seed=size) for size in (10, 20, 40)}
        trends = scaling_curve(samples, "decoder", "parameter", "continuation").trends
        assert all(trend["q"] > 0.05 for trend in trends.values())

    def test_decoders_are_compared_on_the_same_samples(self, make_samples):
        samples = make_samples()
        with pytest.raises(ValueError, match="reports of sizes 1 and 2 are of different samples"):
            scaling_curve({1: samples, 2: samples[:-1]}, "decoder", "parameter", "continuation")
        with pytest.raises(ValueError, match=r"two sizes or more, all above 0; got \[0, 2\]"):
            scaling_curve({0: samples, 2: samples}, "decoder", "parameter", "continuation")


class TestTransfer:
    def test_what_carries_over_is_told_from_what_does_not(self, make_samples):
        cells = {
            ("alice", "alice"): make_samples(constant(0.3), seed=1),
            ("alice", "bob"): make_samples(constant(0.0), seed=5),
            ("bob", "alice"): make_samples(constant(0.15), seed=3),
            ("bob", "bob"): make_samples(constant(0.3), seed=4),
        }
        rows = transfer_matrix(cells, "continuation")
        assert [(row["train"], row["test"]) for row in rows] == list(cells)
        assert [row["q"] < 0.05 for row in rows] == [True, False, True, True]
        section = transfer_section(rows)
        assert "trained and tested on the same: 2 of 2 above chance" in section.text
        assert "on others: 1 of 2 above chance" in section.text
        assert "alice → bob" in section.figure

    def test_a_report_on_several_people_is_several_cells(self, make_samples):
        samples = [*make_samples(subject="s1"), *make_samples(subject="s2", num_groups=20)]
        cells = split_by_subject("s1", samples)
        assert {cell: len(rows) for cell, rows in cells.items()} == {("s1", "s1"): 240, ("s1", "s2"): 120}
        assert "on others: " in transfer_section(transfer_matrix(cells, "continuation")).text
