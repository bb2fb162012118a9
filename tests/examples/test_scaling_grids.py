# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The grids of the analyses in small: cells, nulls and tables, and a folder that is gone on from."""

import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict
from repository import REPOSITORY

from trainers.scoring.table import to_arrow


# Behind the libraries: a script of ours bears the name of the library `evaluate`.
sys.path += [str(REPOSITORY / "examples"), str(REPOSITORY / "examples" / "benchmarks")]
import scaling_grids
from small_recipe import plain_sentences


def make_splits(**texts: list[str]) -> DatasetDict:
    return DatasetDict({name: Dataset.from_dict({"text": found}) for name, found in texts.items()})


def test_plain_text_holds_no_sentence_that_a_corpus_holds_out():
    corpora = [
        make_splits(train=["a"], validation=["b"], test=["c"]),
        make_splits(train=[], validation=["d"], test=[]),
    ]
    assert plain_sentences([["a", "b", "e"], ["c", "e", "f", "d"]], corpora) == ["a", "e", "f"]


def test_no_sentence_is_trained_on_in_one_corpus_and_tested_in_another():
    one, two = make_splits(train=["a"], test=["b"]), make_splits(train=["c"], test=["d"])
    scaling_grids.require_no_common_text([one, two])
    with pytest.raises(ValueError, match="1 sentences are trained on in one corpus and tested in another .first: 'b'"):
        scaling_grids.require_no_common_text([one, make_splits(train=["b"], test=["d"])])


def test_each_decoder_differs_from_the_middle_by_one_thing():
    middle = scaling_grids.Decoder()
    for decoders in scaling_grids.CURVES.values():
        assert middle in decoders
        for decoder in decoders:
            assert sum(vars(decoder)[name] != value for name, value in vars(middle).items()) == (decoder != middle)
    decoders = {decoder for found in scaling_grids.CURVES.values() for decoder in found}
    assert len({decoder.name for decoder in decoders}) == len(decoders) == 3 + 4 + 3 - 2


def test_a_cell_counts_the_own_brain_and_a_wrong_one(tmp_path):
    """Two trainings: the own brain beats all others in one and none in the other; a wrong one beats two of three."""
    for training, own in enumerate((0.0, 9.0)):
        (tmp_path / str(training)).mkdir()
        rows = [
            {"sample_id": f"{i}", "group": f"{i // 2}", "subject": "s", "brain_id": f"{i}", "task": "sentence",
             "losses": {"brain": own, "permuted": [2.0, 1.0, 3.0, 4.0]}}
            for i in range(12)
        ]  # fmt: skip
        pq.write_table(to_arrow(rows), tmp_path / str(training) / "samples.parquet")
    cell = scaling_grids.measure([tmp_path / "0", tmp_path / "1"])
    assert cell["accuracy_of_each_seed"] == [1, 0]
    assert (cell["accuracy"], cell["num_samples"], cell["num_groups"]) == (0.5, 24, 6)
    assert [cell[name] for name in ("null_accuracy", "null_low", "null_high")] == pytest.approx([2 / 3] * 3)
    (row,) = [
        line for line in scaling_grids.to_lines("Title", "Text", [{"cell": "x"} | cell]) if line.startswith("| x")
    ]
    assert "| 0.667 [0.667, 0.667] |" in row
    assert row.endswith("| 1.000, 0.000 |")


@pytest.mark.slow
def test_grids_in_small_and_again(tmp_path, monkeypatch, capsys):
    """Two sizes, one matrix and the noise: four decoders, which the second call finds; it prints the same tables."""
    curves = {"training_set_size": scaling_grids.CURVES["training_set_size"][1::2]}
    matrices = dict(list(scaling_grids.MATRICES.items())[:1])
    monkeypatch.setattr(scaling_grids, "CURVES", curves)
    monkeypatch.setattr(scaling_grids, "MATRICES", matrices)
    sizes = ("--num_passages", 48, "--num_plain_passages", 24, "--text_steps", 3)
    monkeypatch.setattr(sys, "argv", ["scaling_grids.py", *map(str, ("--output_dir", tmp_path / "grids", *sizes))])
    scaling_grids.main()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "grids").rglob("*.safetensors")}
    decoders = [path for path in written if path.parent.parent.name == "decoders" and path.name == "model.safetensors"]
    assert len(decoders) == 4
    tables = (tmp_path / "grids" / "tables.md").read_text()
    capsys.readouterr()
    scaling_grids.main()
    assert capsys.readouterr().out == tables
    assert {path: path.stat().st_mtime_ns for path in written} == written
    found = json.loads((tmp_path / "grids" / "tables.json").read_text())
    assert list(found) == ["Training-set size", *matrices, "Noise for a brain"]
    section, rows = found["Training-set size"]["section"], found["Training-set size"]["rows"]
    assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in section["rows"]]
    assert [row["cell"] for row in rows] == [f"{size:.0f} groups" for size in [row["x"] for row in section["rows"]]]
    assert [row["cell"] for row in found[next(iter(matrices))]["rows"]] == [
        f"sub-0{trained} → sub-0{tested}" for trained in (1, 2) for tested in (1, 2)
    ]
    cells = [row for part in found.values() for row in part["rows"]]
    assert np.all([row["null_low"] <= row["null_accuracy"] <= row["null_high"] for row in cells])
    assert section["text"] in tables
