# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows of a corpus, cut to the subjects that are wanted."""

from itertools import pairwise

import pytest
from datasets import Dataset, DatasetDict

from trainers.data.corpora import keep_groups, keep_subjects


SPLITS = DatasetDict(
    train=Dataset.from_dict({"subject": ["s1", "s2", "s1"], "place": [0, 1, 2]}),
    test=Dataset.from_dict({"subject": ["s8", "s1"], "place": [3, 4]}),
)


def test_rows_of_the_subject_alone_are_kept():
    kept = keep_subjects(SPLITS, ["s1"])
    assert {name: rows["place"][:] for name, rows in kept.items()} == {"train": [0, 2], "test": [4]}


def test_a_held_out_subject_has_no_training_rows():
    kept = keep_subjects(SPLITS, ["s8"])
    assert {name: rows["place"][:] for name, rows in kept.items()} == {"train": [], "test": [3]}


def test_an_unknown_subject_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"no subject s3, s4; it has s1, s2, s8"):
        keep_subjects(SPLITS, ["s1", "s4", "s3"])


class TestGroups:
    ROWS = Dataset.from_dict({"group": list("aabbccddee"), "place": list(range(10))})

    def test_are_kept_whole_and_nested(self):
        kept = [set(keep_groups(self.ROWS, count)["place"][:]) for count in range(1, 6)]
        assert [len(places) for places in kept] == [2, 4, 6, 8, 10]
        assert all(smaller < larger for smaller, larger in pairwise(kept))
        assert all({place ^ 1 for place in places} == places for places in kept)

    @pytest.mark.parametrize("count", [0, 6])
    def test_a_number_that_there_is_not_is_refused(self, count):
        with pytest.raises(ValueError, match=f"`max_train_groups={count}` must lie between 1 and the 5 groups"):
            keep_groups(self.ROWS, count)
