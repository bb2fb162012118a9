# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The gate: a report without its evidence is not written, unless told by name, and then says so to all who read it."""

import inspect
import json

import pytest
from reading_table import ALLOW, RULES, make_report, make_samples

from trainers.reports.report import EvaluationReport
from trainers.reports.requirements import (
    NUM_RESAMPLES,
    Missing,
    describe_absent,
    find_missing,
    require_controls,
    require_encoder,
)
from trainers.scoring.rules import CAPTION_RULES, TEXT_RULES
from trainers.scoring.texts import score_texts
from trainers.statistics.resampling import cluster_bootstrap_ci, sign_flip_test


CONTROLS = TEXT_RULES.controls
BASELINES = ("constant", "shuffled")
CLEAN = {"policy": "passage", "leaks": []}
# A report with the baselines of ridge regression; those without are looked at one by one.
SETTINGS = {"num_resamples": 1_000, "ridge_baseline": True, "num_twins": 1}
NO_RIDGE = {"num_resamples": 1_000, "num_twins": 1}
LEAK = {"kind": "shared_text", "splits": ["train", "test"], "count": 3, "examples": ["x"]}


def rows(*arms: str, task: str = "sentence", texts: bool = False) -> list[dict]:
    return [{"task": task, "arm": arm} | ({"brainllm_bleu_1": 0.5} if texts else {}) for arm in arms]


def baselines(*names: str) -> list[dict]:
    return [{"task": "sentence", "arm": name} for name in names]


def lacking(rows: list[dict], beside: list[dict], settings: dict, split: dict, num_subjects: int) -> list[Missing]:
    rules = {row["task"]: TEXT_RULES for row in rows}
    return find_missing(rules, [*rows, *beside], settings, split, num_subjects > 1)


def names(missing) -> list[str]:
    return [item.name for item in missing]


FULL = rows("brain", *CONTROLS)


class TestTexts:
    def test_a_whole_report_lacks_nothing(self):
        texts = rows("brain", *CONTROLS, texts=True)
        assert lacking(FULL, [], SETTINGS, CLEAN, 1) == []
        assert lacking(texts, baselines(*BASELINES), SETTINGS, CLEAN, 1) == []

    @pytest.mark.parametrize("arm", CONTROLS)
    def test_each_control_is_missed_in_the_reading_that_lacks_it(self, arm):
        other = rows("brain", *(name for name in CONTROLS if name != arm), task="continuation")
        (missing,) = lacking([*FULL, *other], [], SETTINGS, CLEAN, 1)
        assert missing.name == arm
        assert "task `continuation`" in missing.why

    @pytest.mark.parametrize("arm", ["other_subject_same_stimulus", "other_subject_other_stimulus"])
    def test_another_subject_is_missed_where_there_is_one(self, arm):
        assert names(lacking(FULL, [], SETTINGS, CLEAN, 2)) == ["other_subject"]
        assert lacking([*FULL, *rows(arm)], [], SETTINGS, CLEAN, 2) == []

    def test_floors_are_missed_where_texts_were_written(self):
        texts = rows("brain", *CONTROLS, texts=True)
        assert names(lacking(texts, baselines("constant"), SETTINGS, CLEAN, 1)) == ["shuffled"]

    def test_the_floors_of_ridge_regression_are_missed_where_nobody_ran_it(self):
        """Leaving out the sentence encoder must not come for free."""
        assert names(lacking(FULL, [], NO_RIDGE, CLEAN, 1)) == ["ridge"]
        texts = rows("brain", *CONTROLS, texts=True)
        assert names(lacking(texts, baselines(*BASELINES), NO_RIDGE, CLEAN, 1)) == ["retrieval", "ridge"]
        settings = NO_RIDGE | {"absent_arms": {"sentence": dict.fromkeys(("ridge", "retrieval"), "no training rows")}}
        assert lacking(texts, baselines(*BASELINES), settings, CLEAN, 1) == []

    def test_an_arm_that_the_corpus_cannot_have_is_excused_in_its_reading_alone(self):
        arms = rows("brain", *CONTROLS[:-1])
        excuse = {"time_shift": "the rows have no `frame_times`"}
        settings = SETTINGS | {"absent_arms": {"sentence": excuse}}
        assert lacking(arms, [], settings, CLEAN, 1) == []
        settings = SETTINGS | {"absent_arms": {"continuation": excuse}}
        assert names(lacking(arms, [], settings, CLEAN, 1)) == ["time_shift"]

    def test_too_few_resamples_are_missed(self):
        missing = lacking(FULL, [], SETTINGS | {"num_resamples": 999}, CLEAN, 1)
        assert names(missing) == ["num_resamples"]
        assert "999; 1,000 are the least" in missing[0].why

    def test_an_unknown_split_and_each_kind_of_leak_are_missed(self):
        assert names(lacking(FULL, [], SETTINGS, {"evaluated": "test"}, 1)) == ["split"]
        leaks = [LEAK, LEAK | {"count": 4}, LEAK | {"kind": "shared_brain"}]
        missing = lacking(FULL, [], SETTINGS, CLEAN | {"leaks": leaks}, 1)
        assert names(missing) == ["leak:shared_text", "leak:shared_brain"]
        assert "(7 rows)" in missing[0].why


class TestCaptions:
    ARMS = (*CAPTION_RULES.controls, "retrieval")
    RIDGE = ({"arm": "brain", "score": "cider"}, {"arm": "ridge", "score": "cosine"})

    def missing(self, arms=ARMS, bounds=BASELINES, identification=RIDGE, absent=None) -> list[str]:
        found = [{"task": "caption", "cider": 1.0} | row for row in identification]
        found += [{"task": "caption", "arm": name, "cider": 1.0} for name in (*arms, *bounds)]
        settings = NO_RIDGE | {"absent_arms": {"caption": absent or {}}}
        return names(find_missing({"caption": CAPTION_RULES}, found, settings, CLEAN, True))

    def test_a_whole_report_lacks_nothing(self):
        assert self.missing() == []
        assert self.missing([*self.ARMS[:-2], "other_subject_other_stimulus", "retrieval"]) == []

    @pytest.mark.parametrize("arm", ARMS)
    def test_each_control_is_missed_unless_the_corpus_cannot_have_it(self, arm):
        others = [name for name in self.ARMS if name != arm]
        assert self.missing(others) == [arm]
        assert self.missing(others, absent={arm: "a reason"}) == []

    def test_floors_are_missed(self):
        assert self.missing(bounds=["constant"]) == ["shuffled"]
        assert self.missing(identification=self.RIDGE[:1]) == ["ridge"]
        assert self.missing(identification=self.RIDGE[:1], absent={"ridge": "there are no training rows"}) == []


def test_number_of_resamples_is_that_of_the_tests():
    defaults = [inspect.signature(f).parameters for f in (cluster_bootstrap_ci, sign_flip_test)]
    assert defaults[0]["num_resamples"].default == NUM_RESAMPLES
    assert defaults[1]["num_permutations"].default == NUM_RESAMPLES - 1


def test_absent_arms_are_told_with_their_reason():
    absent = {"sentence": {"time_shift": "no clock"}, "continuation": {}}
    assert describe_absent({"absent_arms": absent}) == [
        "Controls that are absent (sentence): `time_shift` (no clock)."
    ]
    assert describe_absent({}) == []


def test_floors_of_an_encoder_are_asked_for_before_the_work():
    require_encoder("minilm", ["retrieval", "ridge"], [])
    require_encoder(None, ["retrieval", "ridge"], ["ridge", "retrieval"])
    with pytest.raises(ValueError, match="would miss retrieval, .*--sentence_encoder.*--allow retrieval`"):
        require_encoder(None, ["retrieval", "ridge"], ["ridge"])


def test_the_refusal_names_everything_and_the_way_out():
    missing = lacking(rows("brain", "permuted"), [], NO_RIDGE, CLEAN | {"leaks": [LEAK]}, 1)
    with pytest.raises(ValueError, match="The report is not written") as refusal:
        require_controls(missing, allow=["no_brain"])
    told = str(refusal.value)
    told_missing = [
        "matched",
        "mean_brain",
        "deaf_twin",
        "zero",
        "voxel_shuffle",
        "noise",
        "time_shift",
        "ridge",
        "leak:shared_text",
    ]
    assert f"allow={told_missing}" in told
    assert all(item.why in told for item in missing if item.name != "no_brain")
    require_controls(missing, allow=names(missing))


class TestSave:
    def test_nothing_is_written_without_leave(self, tmp_path):
        with pytest.raises(
            ValueError,
            match="would miss matched, mean_brain, zero, voxel_shuffle, noise, time_shift, retrieval, ridge",
        ):
            make_report(0.3).save(tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_what_was_allowed_stands_at_the_top_of_every_form(self, tmp_path):
        report = make_report(0.3, leaks=[LEAK])
        report.save(tmp_path, allow=[*ALLOW, "leak:shared_text"])
        fields = json.loads((tmp_path / "report.json").read_text())
        assert next(iter(fields)) == "missing"
        assert [item["name"] for item in fields["missing"]] == names(report.missing)
        assert (tmp_path / "report.md").read_text().startswith("**This report is incomplete")
        page = (tmp_path / "report.html").read_text()
        assert page.index("The split leaks") < page.index("What the brain adds")

    def test_a_whole_report_says_nothing_of_the_kind(self, tmp_path):
        samples = make_samples(0.3)
        for sample in samples:
            own = sample["losses"]["no_brain"]
            sample["losses"] |= dict.fromkeys(CONTROLS, own) | {"permuted": sample["losses"]["permuted"]}
        split = CLEAN | {"corpus": "toy", "fold": 0, "num_folds": 5, "sizes": {"test": 60}, "evaluated": "test"}
        settings = {"seed": 0, "ridge_baseline": True, "num_twins": 1, "deaf_twin": {"sentence": "twin_1"}}
        report = EvaluationReport.from_samples(
            score_texts(samples), rules=RULES, split=split, settings=settings, versions={}, fingerprint={}
        )
        report.save(tmp_path)
        assert json.loads((tmp_path / "report.json").read_text())["missing"] == []
        for name in ("report.md", "report.html"):
            assert "incomplete" not in (tmp_path / name).read_text()
