# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Structure columns, against counts made by hand and against an independent computation from the written rows."""

import numpy as np
import pytest

from dataset_builders import load_corpus
from dataset_builders.schema import STRUCTURE_COLUMNS, Sample, with_positions


def sample(frames, stimulus="a", recording="S/1", **more):
    names = ("sample_id", "corpus", "subject", "group", "topic", "brain_id", "prompt", "completion")
    return Sample(**dict.fromkeys(names, "x"), stimulus=stimulus, recording=recording, frames=frames, text="", **more)


class TestPositions:
    def test_places_are_counted_in_each_stimulus_of_each_recording(self):
        """Two rows of one brain share a place; rows may come in any order; an image has none."""
        samples = [
            *(sample((frame,)) for frame in (4, 4, 2, 9)),
            *(sample(frames, "b") for frames in ((3, 4), (1, 2))),
            sample((7,), recording="S/2"),
            sample((5,), references=("a dog",)),
        ]
        assert [one.position for one in with_positions(samples)] == [1, 1, 0, 3, 1, 0, 0, None]

    def test_other_fields_stay(self):
        assert with_positions([sample((1,), session="s")])[0].session == "s"


class TestWordRate:
    def test_words_over_the_time_they_took(self):
        """Three words from 10 to 11.5 s: two a second."""
        assert sample((0,), word_onsets=(10.0, 10.5, 11.0), word_offsets=(10.4, 10.9, 11.5)).words_per_second == 2

    @pytest.mark.parametrize("times", [{}, {"word_onsets": (1.0,), "word_offsets": (1.0,)}])
    def test_unknown_where_there_is_no_time(self, times):
        assert sample((0,), **times).words_per_second is None


@pytest.mark.parametrize(
    ("corpus", "options"),
    [
        ("synthetic_sentences", {"num_passages": 10}),
        ("synthetic_stories", {}),
        ("synthetic_images", {}),
    ],
)
def test_rows_hold_them(tmp_path, corpus, options):
    splits = load_corpus(corpus, cache_dir=tmp_path, **options)
    for rows in splits.values():
        assert set(STRUCTURE_COLUMNS) <= set(rows.column_names)
        for row in rows.remove_columns("brain_values"):
            assert row["num_words"] == row["text"].count(" ") + 1
            assert row["num_characters"] == sum(map(len, row["text"].split())) + row["num_words"] - 1
            assert (row["position"] is None) == bool(row["references"])
            if row["word_onsets"]:
                seconds = row["word_offsets"][-1] - row["word_onsets"][0]
                np.testing.assert_allclose(row["words_per_second"], len(row["words"]) / seconds, rtol=1e-4)
            else:
                assert row["words_per_second"] is None
