# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""No reader dies of a broken file, hangs on it, or reads it as if it were sound; see `fuzzing.py`."""

import os

import pytest
from fuzzing import fuzz_reader, readers


FAULTS = ("crashes", "hangs", "silently_different", "foreign")
CASES = int(os.environ.get("BRAINLLM_FUZZ_CASES", "1000"))


@pytest.mark.parametrize("name", readers())
class TestBrokenFiles:
    def test_a_few_are_read_or_refused(self, name):
        report = fuzz_reader(name, 12, num_workers=1)
        assert {fault: report[fault] for fault in FAULTS if report[fault]} == {}
        assert report["ok_equal"] + report["refused"] + report["different_without_check"] == 12

    @pytest.mark.slow
    @pytest.mark.robustness
    def test_many_are_read_or_refused(self, name):
        report = fuzz_reader(name, CASES, seed=1)
        assert {fault: report[fault] for fault in FAULTS if report[fault]} == {}, report
        assert report["refused"] > 0
