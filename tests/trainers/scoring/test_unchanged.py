# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Tables of synthetic samples that were scored when texts, captions, predictions and stories had an evaluation each: the
one evaluation finds the same values, intervals and p.

What differs: names (below); intervals of shares end at 0 and 1; q is corrected over more comparisons (captions gained
their identification); `wilcoxon_p` of a score of a corpus never existed.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainers.metrics.captions import DocumentFrequencies
from trainers.scoring.arms import arm_scores, identification_scores
from trainers.scoring.caption_scorer import CaptionScorer
from trainers.scoring.captions import human_scores, references_of_images, score_captions
from trainers.scoring.comparisons import compare, compare_by_subject
from trainers.scoring.rules import CAPTION_RULES, TEXT_RULES
from trainers.scoring.table import from_arrow, to_arrow
from trainers.scoring.texts import score_texts
from trainers.statistics.resampling import Resampler
from trainers.story.evaluation import WindowGrid, score_story
from trainers.story.window_metrics import WINDOW_METRICS
from trainers.story.windows import TimedWord


BEFORE = json.loads((Path(__file__).parents[2] / "data" / "evaluation_before.json").read_text(encoding="utf-8"))
ARMS = {
    "real": "brain", "other_image": "permuted", "text_only": "mean_brain", "chance": "other_texts",
    "other_subject_same_image": "other_subject_same_stimulus",
}  # fmt: skip
NUMBERS = (
    *("value", "ci_low", "ci_high", "p", "wilcoxon_p", "subject_ci_low", "subject_ci_high"),
    *("num_samples", "num_groups", "num_subjects"),
)
WORDS = ["horse", "boat", "clock", "pizza", "park", "table", "station", "one", "photo"]


def embed(texts):
    return np.array([[1e-3] + [text.lower().count(word) for word in WORDS] for text in texts], float)


def renamed(arms: dict) -> dict:
    return {ARMS.get(arm, arm): value for arm, value in arms.items()}


def text_samples() -> list[dict]:
    samples = []
    for old in BEFORE["texts"]["samples"]:
        sample = {name: old[name] for name in ("sample_id", "subject", "group", "brain_id", "prompt", "num_tokens")}
        sample |= {"task": old["reading"], "references": [old["truth"]], "control_brains": old["donors"]}
        sample |= {"losses": renamed(old["losses"]), "texts": old["texts"]}
        if "identification" in old:
            ranks = old["identification"]
            sample["identification"] = {"brain": {"likelihood_gain": ranks["likelihood_gain"]}}
            sample["identification"]["ridge"] = {"cosine": ranks["ridge"]}
            sample["expected"] = {"brain": old["identification_expected"]}
        samples.append(sample)
    return samples


def caption_samples() -> list[dict]:
    samples = []
    for old in BEFORE["captions"]["samples"]:
        sample = {name: old[name] for name in ("sample_id", "subject", "group", "brain_id", "references")}
        texts = renamed(old["texts"])
        texts["permuted"], control_brains = [texts["permuted"]], {"permuted": [old["donors"]["other_image"]]}
        samples.append(sample | {"task": "caption", "texts": texts, "control_brains": control_brains})
    return samples


def predicted_samples() -> list[dict]:
    old, samples = BEFORE["predictions"], []
    for image, references in old["references"].items():
        texts = {name: captions[image] for name, captions in old["systems"].items()}
        sample = {"task": "predictions", "sample_id": image, "subject": "", "group": image, "brain_id": image}
        samples.append(sample | {"references": references, "texts": texts})
    return samples


def through_arrow(samples):
    again = from_arrow(to_arrow(samples))
    assert [row["sample_id"] for row in again] == [row["sample_id"] for row in samples]
    return again


def check_comparisons(old_rows, new_rows, *names):
    new = {tuple(row.get(name) for name in names): row for row in new_rows}
    assert old_rows
    for old in old_rows:
        metric = old["metric"] if "_gain" in old["metric"] or "accuracy" in old["metric"] else f"{old['metric']}_gain"
        arm = ARMS.get(old.get("arm", "brain"), old.get("arm", "brain"))
        if old["metric"].startswith("identification"):
            metric = old["metric"]
            if metric == "identification_ridge":
                arm, metric = "ridge", "identification_cosine"
        key = {"task": old.get("reading"), "arm": arm, "control": ARMS.get(old["control"], old["control"])}
        row = new[tuple((key | {"metric": metric, "subject": old.get("subject")})[name] for name in names)]
        for number in NUMBERS:
            if number in old:
                expected = old[number]
                if metric.startswith(("pairwise_accuracy", "identification")) and "ci" in number:
                    expected = min(max(expected, 0), 1)
                assert row[number] == pytest.approx(expected, rel=1e-12, abs=1e-12), (old, number)


def check_arms(old_rows, new_rows):
    new = {(row["task"], row["arm"]): row for row in new_rows}
    for old in old_rows:
        row = new[old.get("reading", new_rows[0]["task"]), ARMS.get(old["arm"], old["arm"])]
        for name, value in old.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=1e-12, abs=1e-12), (old["arm"], name)
        for name, ends in old.get("intervals", {}).items():
            assert row["intervals"][name] == pytest.approx(ends, rel=1e-12, abs=1e-12), (old["arm"], name)


def check_identification(old_rows, new_rows):
    new = {(row["task"], row["arm"], row["score"]): row for row in new_rows}
    for old in old_rows:
        key = (
            old.get("reading", new_rows[0]["task"]),
            ARMS.get(old.get("arm", "brain"), old.get("arm")),
            old["score"],
        )
        if "reading" in old:
            key = (
                (old["reading"], "brain", old["score"])
                if old["score"] != "ridge"
                else (old["reading"], "ridge", "cosine")
            )
        for name, value in old.items():
            if isinstance(value, float):
                assert new[key][name] == pytest.approx(value, rel=1e-12, abs=1e-12)


def test_texts():
    samples = through_arrow(score_texts(text_samples()))
    rules, old = {"sentence": TEXT_RULES, "continuation": TEXT_RULES}, BEFORE["texts"]
    arms = arm_scores(samples, Resampler(seed=3))
    check_arms(old["arms"], arms)
    scores = {(row["task"], row["arm"]): row for row in arms}
    for row in old["baselines"]:
        arm = row.get("floor") or row["baseline"]
        assert scores[row["reading"], arm][row["metric"]] == pytest.approx(row["value"], abs=1e-12)
    check_comparisons(
        old["comparisons"], compare(samples, rules, Resampler(seed=3)), "task", "arm", "control", "metric"
    )
    by_subject = compare_by_subject(samples, rules, Resampler(seed=3))
    check_comparisons(old["by_subject"], by_subject, "task", "arm", "control", "metric", "subject")
    check_identification(old["identification"], identification_scores(samples))


def scored(samples, systems=("brain",)):
    scorer = CaptionScorer(DocumentFrequencies.fit(references_of_images(samples)), embed)
    return through_arrow(score_captions(samples, scorer, systems, 8, 3)), human_scores(samples, scorer)


def check_captions(samples, humans, rules, old, task):
    arms = arm_scores(samples, Resampler(2000, 3))
    check_arms(old["arms"], arms)
    check_arms(old["baselines"], arms + humans)
    for row in old["comparisons"]:
        row["reading"] = task
    check_comparisons(
        old["comparisons"], compare(samples, rules, Resampler(2000, 3)), "task", "arm", "control", "metric"
    )
    check_identification(old["identification"], identification_scores(samples))


def test_captions():
    samples, humans = scored(caption_samples())
    rules = {"caption": CAPTION_RULES}
    check_captions(samples, humans, rules, BEFORE["captions"], "caption")
    by_subject = compare_by_subject(samples, rules, Resampler(2000, 3))
    check_comparisons(BEFORE["captions"]["by_subject"], by_subject, "arm", "control", "metric", "subject")


def test_predictions():
    samples, humans = scored(predicted_samples(), ("ours", "theirs"))
    rules = {"predictions": replace(CAPTION_RULES, systems=("ours", "theirs"))}
    check_captions(samples, humans, rules, BEFORE["predictions"], "predictions")


def test_stories():
    old = BEFORE["story"]

    def words(pairs):
        return [TimedWord(text, onset) for text, onset in pairs]

    found = score_story(
        words(old["heard"]), words(old["told"]), [words(told) for told in old["others"]],
        [words(told) for told in old["random"]], WindowGrid.over(0.0, 160.0, 5.0),
        {name: WINDOW_METRICS[name] for name in old["metrics"]},
    )  # fmt: skip
    for name, expected in old["scores"].items():
        summary = found[name].summary()
        assert found[name].windows == pytest.approx(expected["windows"], abs=1e-12)
        assert found[name].shifts == pytest.approx(expected["shifts"], abs=1e-12)
        for number, value in expected.items():
            if isinstance(value, float):
                assert summary[number] == pytest.approx(value, abs=1e-12)
