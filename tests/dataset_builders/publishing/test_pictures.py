# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of subjects and the tables of the card, against what was planted and counted."""

from dataclasses import replace
from io import BytesIO

import matplotlib.image
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dataset_builders import prepare_corpus, save_corpus
from dataset_builders.publishing.card import dataset_card, people
from dataset_builders.publishing.pictures import subject_picture


@pytest.fixture
def prepared(tmp_path):
    return prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", num_passages=10)


def _pixels(path):
    return matplotlib.image.imread(BytesIO(subject_picture(path)))[..., :3]


class TestPictures:
    def test_what_is_shown_is_the_mean_of_training_frames(self, prepared, tmp_path):
        save_corpus(prepared, tmp_path / "out")
        mean, deviation = load_file(tmp_path / "out" / "subjects" / "sub-01.safetensors")["summary"]
        train = prepared.as_dataset_dict()["train"]
        brains = {row["brain_id"]: row["brain_values"][0] for row in train}  # a sentence has one frame and many rows
        values = np.array(list(brains.values()))
        np.testing.assert_allclose(mean, values.mean(0), atol=1e-5)
        np.testing.assert_allclose(deviation, values.std(0), atol=1e-5)

    def test_large_values_are_bright_where_they_lie(self, tmp_path):
        """In a cube whose right half is large, seen from the front: x grows to the right."""
        places = np.ascontiguousarray(np.argwhere(np.ones((12, 12, 12))), dtype=np.float32)
        large = places[:, 0] > 5.5
        state = {
            "summary": np.stack([large, large]).astype(np.float32),
            "geometry/coordinates": np.ascontiguousarray(places),
        }
        save_file(state, tmp_path / "s.safetensors")
        pixels = _pixels(tmp_path / "s.safetensors")
        bar = int(0.85 * pixels.shape[1])  # the scale of colors stands behind
        front = pixels[:, int(0.3 * pixels.shape[1]) : int(0.57 * pixels.shape[1])]
        yellow = (front[..., 0] > 0.8) & (front[..., 2] < 0.4)
        purple = (front[..., 0] < 0.4) & (front[..., 1] < 0.1) & (front[..., 2] > 0.25)
        assert bar > 0.57 * pixels.shape[1]
        assert min(yellow.sum(), purple.sum()) > 200
        assert np.nonzero(yellow)[1].min() > np.nonzero(purple)[1].max() - 4

    def test_equal_subjects_look_alike_and_others_do_not(self, tmp_path):
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            summary = np.random.default_rng(seed).standard_normal((2, 30)).astype(np.float32)
            save_file({"summary": summary}, tmp_path / f"{name}.safetensors")
        a, b, c = (subject_picture(tmp_path / f"{name}.safetensors") for name in "abc")
        assert a == b != c
        assert a.startswith(b"\x89PNG")
        assert len(a) < 100_000


class TestCard:
    def test_each_subject_has_a_row_and_a_picture(self, prepared, tmp_path):
        save_corpus(prepared, tmp_path / "out")
        facts = prepared.corpus_info.facts["subjects"]["sub-01"]
        (row,) = people(prepared.corpus_info)
        assert row == {"subject": "sub-01", "features": 128} | {
            name: facts[name] for name in ("recordings", "frames", "stories", "samples")
        }
        card = (tmp_path / "out" / "README.md").read_text()
        assert "![mean of sub-01](subjects/sub-01.png) |" in card
        assert (tmp_path / "out" / "subjects" / "sub-01.png").is_file()

    def test_what_was_left_out_is_a_table(self, prepared):
        facts = prepared.corpus_info.facts
        info = replace(
            prepared.corpus_info,
            not_taken={"CIFTI is not read": [f"run{number}.dtseries.nii" for number in range(25)]},
            facts=facts
            | {"notes": {"windows without words": 7}}
            | {"subjects": {"sub-01": facts["subjects"]["sub-01"] | {"dropped_empty_prompts": 3}}},
        )
        lines = dataset_card(prepared.as_dataset_dict(), info).partition("## Left out, and noticed")[2].splitlines()
        rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("|")]
        assert rows[0] == ["what", "how many", "which"]
        assert ["rows with empty prompts", "3"] in [row[:2] for row in rows]
        assert ["windows without words", "7"] in [row[:2] for row in rows]
        (files,) = (row for row in rows if row[0] == "files: CIFTI is not read")
        assert files[1] == "25"
        assert files[2].startswith("`run0.dtseries.nii`, `run1.dtseries.nii`")
        assert files[2].endswith("and 5 more")

    def test_nothing_left_out_is_no_table(self, prepared):
        assert "Left out" not in dataset_card(prepared.as_dataset_dict(), prepared.corpus_info)
