# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A task that nobody foresaw is one class; controls, intervals, report, page and card follow from it."""

import inspect

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from trainers.data.collator import read_as
from trainers.evaluation.evaluate import evaluate
from trainers.evaluation.tasks import Task, choose_tasks, make_task
from trainers.reports.model_card import create_model_card
from trainers.reports.report import EvaluationReport


SHORT = {"num_beams": 1, "do_sample": False, "min_new_tokens": 1, "max_new_tokens": 4}
ALLOW = ["split", "deaf_twin"]


class Reversed(Task):
    """Says the sentence backwards."""

    name = "reversed"

    def rows(self, dataset):
        """The words of each sentence in reverse."""
        return read_as(dataset, "sentence").map(lambda row: {"completion": " ".join(row["completion"].split()[::-1])})


def test_a_new_task_is_one_class(make_model, make_processor, make_rows, tmp_path):
    assert len(inspect.getsource(Reversed).splitlines()) < 60
    model = make_model()
    model.config.text_model_id = "lab/llama"
    data = DatasetDict(train=make_rows(12, seed=1), test=make_rows(12))

    def colors(texts):
        return np.array(
            [[1e-3, *(float(color in text) for color in ("red", "blue", "green", "gold"))] for text in texts]
        )

    report = evaluate(
        model, make_processor(model), data, tasks=[Reversed()], generation=SHORT, embedder=colors, num_permutations=3,
        num_text_permutations=2, progress=False,
    )  # fmt: skip
    truths = {sample["sample_id"]: sample["references"][0] for sample in report.samples}
    for row in read_as(data["test"], "sentence"):
        assert truths[row["sample_id"]].split() == row["completion"].split()[::-1]
    arms = {row["arm"] for row in report.arms}
    assert {"brain", "permuted", "matched", "no_brain", "mean_brain", "deaf_twin", "zero", "voxel_shuffle"} <= arms
    assert {"noise", "constant", "shuffled", "retrieval", "structure"} <= arms
    assert {row["arm"] for row in report.identification} == {"brain", "ridge", "structure"}
    for control in ("permuted", "matched", "deaf_twin"):
        found = report.find("reversed", control, "pairwise_accuracy")
        assert 0 <= found["ci_low"] <= found["value"] <= found["ci_high"] <= 1
    assert report.find("reversed", "other_texts", "identification_likelihood_gain")
    assert [item.name for item in report.missing] == ["deaf_twin", "split"]
    report.save(tmp_path, ALLOW)
    assert EvaluationReport.load(tmp_path) == report
    page = (tmp_path / "report.html").read_text()
    assert "What the brain adds" in page
    assert "Against each control and baseline: reversed" in page
    card = create_model_card(model.config, report, model_id="lab/brain", license="mit")
    assert "What the brain adds** (reversed)" in card.text
    assert any("permuted (reversed)" in result.metric_name for result in card.data.eval_results)


def test_tasks_are_chosen_from_the_corpus():
    row = {"prompt": "", "completion": "a", "text": "a"}
    assert choose_tasks(Dataset.from_list([row])) == ["continuation", "sentence"]
    assert choose_tasks(Dataset.from_list([row | {"references": ["a cat"]}])) == ["caption"]
    asked = row | {"references": ["a cat"], "question": "What is it?", "answers": ["cat"] * 10}
    assert choose_tasks(Dataset.from_list([asked])) == ["continuation"]
    with pytest.raises(ValueError, match="The task 'poem' is unknown: choose from continuation, sentence, caption"):
        make_task("poem")
