# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Trials whose stimuli a table describes: frames against times that are planted in the values, and every defect."""

import shutil
from collections import Counter

import numpy as np
import pytest
from layouts.bids import SLOPE, START_TIME, TR
from layouts.listing import listed as list_corpus
from layouts.trials import SENTENCES, trial_dataset, write_stimuli, write_trials

from dataset_builders import prepare_corpus
from dataset_builders.corpora.bids.bids_trials import BidsTrials
from dataset_builders.corpora.bids.stimuli import Stimulus, group_stimuli


def _run(names, seed):
    """Trials every 10 to 14 s, at times that are no multiples of the TR."""
    onsets = 4 + np.cumsum(np.random.default_rng(seed).uniform(10, 14, len(names)).round(3)) - 10
    return list(zip(onsets.round(3).tolist(), names, strict=True))


#: Subject 02 sees all that subject 01 saw; every stimulus comes twice.
RUNS = {
    "sub-01_task-read_run-1": _run(["s1", "s2", "s1", "s2"], 1),
    "sub-01_task-read_run-2": _run(["s3", "s4", "s4", "s3"], 2),
    "sub-01_task-read_run-3": _run(["s5", "s6", "s5", "s6"], 3),
    "sub-01_task-read_run-4": _run(["s7", "s8", "s8", "s7"], 4),
    "sub-02_task-read_run-1": _run(["s8", "s1", "s3", "s5"], 5),
}
EVENTS = "sub-01/func/sub-01_task-read_run-1_events.tsv"
BETAS = {"betas": "betaseries", "num_folds": 4, "validation_fraction": 0.0, "standardize": "none"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("trials") / "ds"
    trial_dataset(root, RUNS)
    return root


@pytest.fixture
def copy(written, tmp_path):
    """A dataset to be damaged."""
    return shutil.copytree(written, tmp_path / "ds")


def listed(root, **options):
    """Builder, recordings and samples."""
    return list_corpus(BidsTrials, root, **options)


class TestWindows:
    @pytest.mark.parametrize(("delay", "num_frames"), [(4.0, 4), (0.0, 1), (5.5, 3)])
    def test_frames_are_the_first_whose_centres_lie_after_the_delay(self, written, delay, num_frames):
        _, recordings, samples = listed(written, delay=delay, num_frames=num_frames)
        centres = START_TIME + TR * np.arange(60)
        assert len(samples) == sum(map(len, RUNS.values()))
        for sample in samples:
            onset, name = RUNS[sample.recording.replace("/", "_", 1)][int(sample.sample_id.rsplit("/", 1)[1])]
            expected = np.flatnonzero(centres >= onset + delay)[:num_frames]
            assert sample.frames == tuple(expected)
            assert (sample.stimulus, sample.completion, sample.references) == (
                name,
                SENTENCES[name],
                (SENTENCES[name],),
            )
            planted = recordings[sample.recording].read()[expected]
            np.testing.assert_allclose(sample.frame_times, planted[:, 0], atol=SLOPE)
            np.testing.assert_array_equal(planted[:, 1], expected)

    def test_a_frame_at_the_very_moment_belongs_to_the_window(self, written, copy):
        write_trials(copy / EVENTS, [(START_TIME + 3 * TR, "s1"), (START_TIME + 9 * TR + 0.001, "s2")])
        first, second = [s for s in listed(copy, delay=0.0)[2] if s.recording == "sub-01/task-read_run-1"]
        assert (first.frames[0], second.frames[0]) == (3, 10)

    def test_windows_beyond_the_recording_are_left_out_and_counted(self, copy):
        write_trials(copy / EVENTS, [(10.0, "s1"), (112.0, "s2")])  # 4 s later four frames would end at 124.9 s
        builder, _, samples = listed(copy)
        assert len([s for s in samples if s.recording == "sub-01/task-read_run-1"]) == 1
        assert builder.notes["trials whose window reaches beyond the recording, left out"] == 1

    def test_rows_hold_the_windows(self, written, tmp_path):
        options = {"keep_runs": True, "num_folds": 4, "validation_fraction": 0.0, "standardize": "none"}
        with pytest.raises(ValueError, match="num_folds=4 needs as many groups"):  # subject 02 ties all runs together
            prepare_corpus("bids_trials", written, tmp_path, **options)
        builder = prepare_corpus("bids_trials", written, tmp_path, subjects=["sub-01"], store="rows", **options)
        splits = builder.as_dataset_dict()
        assert {name: len(rows) for name, rows in splits.items()} == {"train": 12, "test": 4}
        for row in (row for rows in splits.values() for row in rows):
            values = np.array(row["brain_values"])
            np.testing.assert_allclose(values[:, 0], row["frame_times"], atol=0.07)  # float16
            assert row["corpus"] == "bids-trials-trials"
            assert row["position"] is None

    def test_close_trials_of_one_run_are_not_divided(self, written, tmp_path):
        options = {"num_folds": 4, "validation_fraction": 0.0}
        with pytest.raises(ValueError, match=r"adjacent_frames: \d+ rows of test(.|\n)*raise gap_frames"):
            prepare_corpus("bids_trials", written, tmp_path, **options)
        splits = prepare_corpus("bids_trials", written, tmp_path, gap_frames=4, **options).as_dataset_dict()
        for test in splits["test"]:
            for train in splits["train"]:
                apart = np.abs(np.subtract.outer(test["frame_times"], train["frame_times"])).min()
                same_run = test["brain_values"]["recording"] == train["brain_values"]["recording"]
                assert not same_run or apart >= 8


class TestBetas:
    def test_one_volume_a_trial(self, written, tmp_path):
        splits = prepare_corpus("bids_trials", written, tmp_path, store="rows", **BETAS).as_dataset_dict()
        rows = [row for part in splits.values() for row in part]
        assert len(rows) == sum(map(len, RUNS.values()))
        for row in rows:
            _, subject, run, number = row["sample_id"].split("/")
            assert row["brain_values"][0][0] == int(number)
            assert row["stimulus"] == RUNS[f"{subject}_{run}"][int(number)][1]
            assert row["frame_times"] == []

    def test_repeats_and_other_subjects_stay_on_one_side(self, written, tmp_path):
        splits = prepare_corpus("bids_trials", written, tmp_path, **BETAS).as_dataset_dict()
        assert set(splits["train"]["stimulus"]).isdisjoint(splits["test"]["stimulus"])
        counts = Counter(name for trials in RUNS.values() for _, name in trials)
        assert all(Counter(splits["test"]["stimulus"])[name] == counts[name] for name in splits["test"]["stimulus"])

    def test_their_number_must_be_that_of_trials(self, copy):
        write_trials(copy / EVENTS, [(10.0, "s1"), (22.0, "s2"), (34.0, "s1")])
        message = (
            r"run-1_.*betaseries.nii.gz holds 4 volumes and .*run-1_events.tsv names 3 stimuli in column 'stim_id'"
        )
        with pytest.raises(ValueError, match=message):
            listed(copy, betas="betaseries")

    def test_there_must_be_some(self, written):
        with pytest.raises(FileNotFoundError, match=r"holds no series .*_lsa.nii.gz"):
            listed(written, betas="lsa")
        with pytest.raises(ValueError, match="betas='bold': expected the suffix of files with betas"):
            listed(written, betas="bold")


class TestTable:
    def test_columns_and_rows_give_further_texts(self, copy):
        rows = [(name, text, "n/a" if name == "s1" else f"{text} Again.") for name, text in SENTENCES.items()]
        rows.append(("s1", "A third way to say it.", ""))
        write_stimuli(copy / "stimuli/stimuli.tsv", rows, ("stimulus_id", "text", "more"))
        by_name = {s.stimulus: s.references for s in listed(copy, text_columns=["text", "more"])[2]}
        assert by_name["s1"] == (SENTENCES["s1"], "A third way to say it.")
        assert by_name["s2"] == (SENTENCES["s2"], f"{SENTENCES['s2']} Again.")

    def test_columns_say_what_belongs_together(self, copy, tmp_path):
        passage = {"s1": "p1", "s3": "p1", "s5": "p2", "s7": "p2"}
        tested = {name: "test" if name in ("s1", "s3") else "train" for name in SENTENCES}
        rows = [(name, text, passage.get(name, "n/a"), tested[name]) for name, text in SENTENCES.items()]
        write_stimuli(copy / "stimuli/stimuli.tsv", rows, ("stimulus_id", "text", "passage", "set"))
        columns = {"group_column": "passage", "topic_column": "passage", "split_column": "set"}
        samples = listed(copy, **columns)[2]
        groups = {s.stimulus: s.group for s in samples}
        assert groups["s1"] == groups["s3"] != groups["s5"] == groups["s7"]
        assert len(set(groups.values())) == 6
        assert {s.stimulus: s.topic for s in samples}["s5"] == "p2"
        options = columns | BETAS | {"split": "official", "num_folds": 5}
        splits = prepare_corpus("bids_trials", copy, tmp_path / "cache", **options).as_dataset_dict()
        assert set(splits["test"]["stimulus"]) == {"s1", "s3"}

    def test_one_sentence_under_two_names_stays_on_one_side(self, copy):
        texts = SENTENCES | {"s4": SENTENCES["s2"].upper(), "s6": SENTENCES["s7"].replace("raisin", "almond")}
        write_stimuli(copy / "stimuli/stimuli.tsv", texts.items())
        builder, _, samples = listed(copy)
        groups = {s.stimulus: s.group for s in samples}
        assert groups["s2"] == groups["s4"]
        assert groups["s6"] == groups["s7"]
        assert len(set(groups.values())) == 6
        assert sum(count for note, count in builder.notes.items() if "share their text" in note) == 2

    def test_short_texts_are_alike_only_when_equal(self):
        stimuli = {name: Stimulus((text,)) for name, text in {"a": "a dog", "b": "a cat", "c": "A dog."}.items()}
        assert group_stimuli(stimuli, (), Counter()) == {"a": "a", "b": "b", "c": "a"}

    @pytest.mark.parametrize(
        ("columns", "rows", "options", "message"),
        [
            (("id", "text"), [("s1", "x")], {}, r"stimuli.tsv has no column 'stimulus_id', only \['id', 'text'\]"),
            (("stimulus_id", "caption"), [("s1", "x")], {}, "stimuli.tsv has no column 'text'"),
            (("stimulus_id", "text"), [("n/a", "x")], {}, "stimuli.tsv, line 2: column 'stimulus_id' is 'n/a'"),
            (("stimulus_id", "text"), [("s1", "n/a")], {}, "stimuli.tsv: 1 stimuli have no text in column text"),
            (
                ("stimulus_id", "text", "set"),
                [("s1", "x", "dev")],
                {"split_column": "set"},
                "stimuli.tsv, line 2: column 'set' is 'dev'; expected train, test or n/a",
            ),
            (
                ("stimulus_id", "text", "of"),
                [("s1", "x", "p1"), ("s1", "y", "p2")],
                {"group_column": "of"},
                "stimuli.tsv, line 3: stimulus 's1' is {'group': 'p2'} here and {'group': 'p1'} in a row before",
            ),
        ],
    )
    def test_damaged_tables(self, copy, columns, rows, options, message):
        write_stimuli(copy / "stimuli/stimuli.tsv", rows, columns)
        with pytest.raises(ValueError, match=message):
            listed(copy, **options)

    def test_missing_table(self, copy):
        (copy / "stimuli/stimuli.tsv").unlink()
        with pytest.raises(FileNotFoundError, match=r"stimuli/stimuli.tsv"):
            listed(copy)

    def test_a_changed_table_gives_other_rows(self, copy, tmp_path):
        def said():
            splits = prepare_corpus("bids_trials", copy, tmp_path / "cache", **BETAS).as_dataset_dict()
            return {row["stimulus"]: row["completion"] for rows in splits.values() for row in rows}

        assert said() == SENTENCES
        write_stimuli(copy / "stimuli/stimuli.tsv", (SENTENCES | {"s1": "Something else."}).items())
        assert said()["s1"] == "Something else."


class TestEvents:
    def test_unknown_stimulus(self, copy):
        write_trials(copy / EVENTS, [(10.0, "s1"), (22.0, "s9")])
        message = r"run-1_events.tsv: column 'stim_id' names 's9' at 22 s, and column 'stimulus_id' of .*stimuli.tsv"
        with pytest.raises(ValueError, match=message):
            listed(copy)

    def test_missing_column(self, copy):
        with pytest.raises(ValueError, match=r"_events.tsv has no column 'image', only \['onset'.*stimulus_column="):
            listed(copy, stimulus_column="image")

    def test_no_trial(self, copy):
        path = copy / EVENTS
        path.write_text("onset\tduration\tstim_id\n1.0\t2\tn/a\n")
        with pytest.raises(ValueError, match="none of the 1 rows names a stimulus in column 'stim_id'"):
            listed(copy)

    def test_trial_at_no_time(self, copy):
        (copy / EVENTS).write_text("onset\tduration\tstim_id\nn/a\t2\ts1\n")
        with pytest.raises(ValueError, match="the trial of 's1' has the onset n/a"):
            listed(copy)

    def test_milliseconds(self, copy):
        write_trials(copy / EVENTS, [(10_000.0, "s1"), (22_000.0, "s2")])
        with pytest.raises(
            ValueError, match=r"the last trial, 's2', begins at 22000 s and the recording .* ends at 119.9"
        ):
            listed(copy)
