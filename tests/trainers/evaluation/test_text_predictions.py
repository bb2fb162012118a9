# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Texts of any system for the rows of a corpus: what knows its brain is found, what does not is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict

from trainers.evaluation.text_predictions import evaluate_texts
from trainers.metrics import best_constant_text
from trainers.reports.report import EvaluationReport


def embed(texts):
    return np.array([[len(text), *(text.count(letter) for letter in "aeio"), 1.0] for text in texts])


@pytest.fixture
def splits(make_rows):
    return DatasetDict(train=make_rows(24, seed=1), test=make_rows(24))


@pytest.fixture
def write(tmp_path):
    def to_file(name: str, texts: dict[str, str]) -> Path:
        (tmp_path / name).write_text(json.dumps(texts))
        return tmp_path / name

    return to_file


@pytest.mark.parametrize("task", ["sentence", "continuation"])
def test_systems_stand_beside_the_baselines_of_the_corpus(splits, write, task, tmp_path):
    rows = splits["test"]
    if task == "sentence":
        rows = rows.select(range(0, len(rows), 2)).map(lambda row: {"completion": row["text"]})
    truth = dict(zip(rows["sample_id"], rows["completion"], strict=True))
    train = splits["train"]["text" if task == "sentence" else "completion"]
    same = dict.fromkeys(truth, best_constant_text(train))
    files = [write("knows.json", truth), write("same.json", same)]
    report = evaluate_texts(files, splits, task, embedder=embed, num_resamples=1000)
    for baseline in ("constant", "shuffled:knows", "retrieval", "structure"):
        found = report.find(task, baseline, "brainllm_bleu_1_gain", "knows")
        assert found["ci_low"] > 0, baseline
    assert report.score(task, "knows", "brainllm_bleu_1") == 1
    for baseline in ("constant", "shuffled:same"):
        found = report.find(task, baseline, "brainllm_bleu_1_gain", "same")
        assert (found["value"], found["ci_low"], found["ci_high"]) == (0, 0, 0)
    assert report.find(task, "same", "text_similarity_gain", "knows")["value"] > 0
    assert [item.name for item in report.missing] == ["split"]
    report.save(tmp_path / "report", allow=("split",))
    assert EvaluationReport.load(tmp_path / "report").describe() == report.describe()
    assert "**What `knows` knows**: something of what was perceived." in report.describe()


def test_files_that_do_not_fit_the_rows(splits, write):
    texts = dict.fromkeys(splits["test"]["sample_id"], "red")
    first = next(iter(texts))
    for changed, message in (
        ({name: text for name, text in texts.items() if name != first}, rf"'bad' lack 1 of 48 rows .* \('{first}'"),
        (texts | {"other": "red"}, r"'bad' hold what the split has not: 1 of 48 rows .* \('other'"),
        (texts | {first: " "}, rf"'bad' are empty for 1 rows \('{first}'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_texts([write("bad.json", changed)], splits, "continuation", num_resamples=1000)
    file = write("empty.json", texts | {first: " "})
    report = evaluate_texts([file], splits, "continuation", allow=("empty",), num_resamples=1000)
    assert "1 texts are empty" in " ".join(item.why for item in report.missing)
