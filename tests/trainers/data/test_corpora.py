# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows as they are chosen and shuffled: a twin's training rows hold every brain, none beside its own text."""

import numpy as np
import pytest

from dataset_builders import prepare_corpus, save_corpus
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits, shuffle_brains


class TestShuffledBrains:
    def test_brains_move_whole_and_far(self, make_rows):
        rows = make_rows(16)
        shuffled = shuffle_brains(rows, seed=1)
        assert shuffled.features == rows.features
        assert shuffled.remove_columns("brain_values").to_list() == rows.remove_columns("brain_values").to_list()
        group_of = {np.asarray(row["brain_values"]).tobytes(): row["group"] for row in rows}
        for before, after in zip(rows, shuffled, strict=True):
            assert group_of[np.asarray(after["brain_values"]).tobytes()] != before["group"]
        # Samples of one brain still share one.
        assert len({np.asarray(row["brain_values"]).tobytes() for row in shuffled if row["brain_id"] == "tiny/0"}) == 1
        assert sorted(group_of.values()) == sorted(
            group_of[value] for value in {np.asarray(row["brain_values"]).tobytes() for row in shuffled}
        )

    def test_brains_that_lie_in_recordings(self, tmp_path):
        builder = prepare_corpus(
            "synthetic_stories", cache_dir=tmp_path / "cache", num_subjects=2, story_frames=60, num_voxels=16
        )
        save_corpus(builder, tmp_path / "corpus")
        rows = load_corpus_splits(DataArguments(dataset=str(tmp_path / "corpus")))["train"]
        shuffled = shuffle_brains(rows, seed=1)
        where = {row["brain_values"].tobytes(): (row["subject"], row["group"]) for row in rows}
        for before, after in zip(rows, shuffled, strict=True):
            subject, group = where[after["brain_values"].tobytes()]
            assert subject == before["subject"]
            assert group != before["group"]

    def test_seeds_differ(self, make_rows):
        rows = make_rows(16)
        one, two, again = (shuffle_brains(rows, seed)["brain_values"][:] for seed in (1, 2, 1))
        assert one == again != two

    def test_a_single_group(self, make_rows):
        rows = make_rows(8).map(lambda row: {"group": "0"})
        with pytest.raises(ValueError, match="group"):
            shuffle_brains(rows, seed=0)


@pytest.mark.parametrize("number", [4, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.robustness])])
def test_every_damage_to_every_file_of_a_corpus_is_noticed(tmp_path, number):
    """Before Arrow reads the file: a flipped bit of a recording could end the process."""
    options = {"num_subjects": 1, "story_frames": 60, "num_voxels": 16}
    builder = prepare_corpus("synthetic_stories", cache_dir=tmp_path / "cache", **options)
    save_corpus(builder, tmp_path / "corpus")
    data = DataArguments(dataset=str(tmp_path / "corpus"))
    load_corpus_splits(data)
    files = [path for path in (tmp_path / "corpus").rglob("*") if path.is_file() and path.name != "README.md"]
    assert {path.suffix for path in files} >= {".arrow", ".json", ".safetensors"}
    rng = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        for _ in range(number):
            place, bit = int(rng.integers(len(whole))), 1 << int(rng.integers(8))
            flipped = bytearray(whole)
            flipped[place] ^= bit
            zeroed = whole[:place] + bytes(len(whole[place : place + 512])) + whole[place + 512 :]
            for damaged in (bytes(flipped), zeroed, whole[:place]):
                path.write_bytes(damaged)
                if damaged != whole:
                    with pytest.raises(ValueError, match=rf"{path.name} (is not what was saved|is damaged)"):
                        load_corpus_splits(data)
        path.write_bytes(whole)
    load_corpus_splits(data)
