# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The tables of NSD contradict each other in every way that a mistake of one of them could bring about."""

import csv
import shutil

import numpy as np
import pytest
from layouts.nsd import TRIALS, coco_id, coco_split, write_nsd
from layouts.nsd_builders import listed
from scipy.io import loadmat, savemat

from dataset_builders.corpora.nsd.design import read_design, read_stimuli


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return write_nsd(tmp_path_factory.mktemp("release") / "nsd")


@pytest.fixture
def copy(truth, tmp_path):
    """A release to be damaged."""
    return shutil.copytree(truth.root, tmp_path / "nsd")


def design_path(root):
    return root / "nsddata/experiments/nsd/nsd_expdesign.mat"


def stimuli_path(root):
    return root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"


def responses_path(root):
    return root / "nsddata/ppdata/subj01/behav/responses.tsv"


def change_design(root, **changed):
    variables = loadmat(design_path(root))
    names = ("masterordering", "sharedix", "subjectim")
    savemat(design_path(root), {name: variables[name] for name in names} | changed)


def change_table(path, delimiter, change):
    """Rewrites a table after `change(header, rows)`; rows are lists of text."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    change(header, rows)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])


def shift(name, by):
    def change(header, rows):
        place = header.index(name)
        for row in rows:
            row[place] = str(int(row[place]) + by)

    return change


class TestReading:
    def test_design(self, truth):
        design = read_design(design_path(truth.root))
        for number, subject in enumerate(truth.planned, start=1):
            np.testing.assert_array_equal(design.shown(number, 3000), truth.planned[subject])
        assert design.shared() == set(truth.shared)
        assert design.shared(TRIALS) == set(truth.shared) & set(truth.shown("subj02", 1).tolist())

    def test_stimuli(self, truth):
        stimuli = read_stimuli(stimuli_path(truth.root), 2)
        images = range(1, 1401)
        assert stimuli.coco_ids.tolist() == [coco_id(image) for image in images]
        assert stimuli.coco_splits == [coco_split(image) for image in images]
        assert (np.flatnonzero(stimuli.shared) + 1).tolist() == truth.shared
        for row, planned in enumerate(truth.planned.values()):
            for image in (1, 700, 1400):
                trials = [trial for trial in stimuli.trials[image - 1, row].tolist() if trial]
                assert trials == (np.flatnonzero(planned == image) + 1).tolist()

    def test_responses_may_be_absent_and_that_is_noted(self, copy):
        responses_path(copy).unlink()
        builder, _, _ = listed(copy)
        assert builder.notes["subjects without responses.tsv, with which trials could not be compared"] == 1


class TestDesign:
    def test_missing(self, copy):
        design_path(copy).unlink()
        with pytest.raises(FileNotFoundError, match="nsd_expdesign.mat"):
            listed(copy)

    def test_a_variable_is_missing(self, copy):
        savemat(design_path(copy), {"masterordering": np.ones((1, 3))})
        with pytest.raises(ValueError, match="nsd_expdesign.mat.*subjectim"):
            listed(copy)

    @pytest.mark.parametrize("values", [np.full((1, 3000), 1.5), np.array([["text"]]), np.zeros((0, 0))])
    def test_no_whole_numbers(self, copy, values):
        change_design(copy, masterordering=values)
        with pytest.raises(ValueError, match="'masterordering' must hold whole numbers"):
            listed(copy)

    @pytest.mark.parametrize("by", [-1, 1])
    def test_places_that_count_from_0_or_go_past_the_list(self, copy, by):
        change_design(copy, masterordering=loadmat(design_path(copy))["masterordering"] + by)
        with pytest.raises(ValueError, match=f"must name places 1 to 1000 .* between {1 + by} and {1000 + by}"):
            listed(copy)

    def test_an_image_id_of_0(self, copy):
        change_design(copy, subjectim=loadmat(design_path(copy))["subjectim"] - 1)
        with pytest.raises(ValueError, match="an id below 1, or one twice"):
            listed(copy)

    def test_an_image_twice(self, copy):
        lists = loadmat(design_path(copy))["subjectim"]
        lists[1, 999] = lists[1, 998]
        change_design(copy, subjectim=lists)
        with pytest.raises(ValueError, match="a list of 'subjectim' has an id below 1, or one twice"):
            listed(copy)

    def test_lists_that_share_no_images(self, copy):
        lists = loadmat(design_path(copy))["subjectim"]
        change_design(copy, subjectim=np.stack([lists[0], lists[1, ::-1]]))
        with pytest.raises(ValueError, match="list 2 of 'subjectim' does not begin with the 600 images of 'sharedix'"):
            listed(copy)

    def test_the_design_of_another_release(self, copy):
        change_design(copy, masterordering=loadmat(design_path(copy))["masterordering"][:, :2000])
        with pytest.raises(ValueError, match="has 2 subjects and 2000 trials, and trial 3000 of subject 1"):
            listed(copy)


class TestStimuli:
    def test_missing(self, copy):
        stimuli_path(copy).unlink()
        with pytest.raises(FileNotFoundError, match="nsd_stim_info_merged.csv"):
            listed(copy)

    @pytest.mark.parametrize(
        "content", [b"\xff\xfe\x00\x01", b"x" * 200_000, b",cocoId\n", b",nsdId,nsdId\n0,0,0\n", b"\n\n"]
    )
    def test_no_table(self, copy, content):
        stimuli_path(copy).write_bytes(content)
        with pytest.raises(ValueError, match=r"nsd_stim_info_merged.csv( is not readable|: column|, line)"):
            listed(copy)

    def test_no_rows(self, copy):
        change_table(stimuli_path(copy), ",", lambda header, rows: rows.clear())
        with pytest.raises(ValueError, match="expected a table of whole numbers and found none"):
            listed(copy)

    def test_a_ragged_line(self, copy):
        change_table(stimuli_path(copy), ",", lambda header, rows: rows[8].pop())
        with pytest.raises(ValueError, match="line 10: 16 fields where the header has 17"):
            listed(copy)

    def test_text_in_place_of_a_number(self, copy):
        change_table(stimuli_path(copy), ",", lambda header, rows: rows[3].__setitem__(1, "12a"))
        with pytest.raises(ValueError, match="nsd_stim_info_merged.csv: expected a table of whole numbers"):
            listed(copy)

    def test_nsd_ids_that_count_from_1(self, copy):
        change_table(stimuli_path(copy), ",", shift("nsdId", 1))
        with pytest.raises(
            ValueError, match="'nsdId' must count 0, 1, 2, ... and goes from 1 to 1400 .* counts from 1"
        ):
            listed(copy)

    @pytest.mark.parametrize(("column", "value"), [(2, "test2017"), (8, "maybe")])
    def test_unknown_words(self, copy, column, value):
        change_table(stimuli_path(copy), ",", lambda header, rows: rows[0].__setitem__(column, value))
        with pytest.raises(ValueError, match=f"must be one of .* and is '{value}'"):
            listed(copy)

    def test_other_shared_images(self, copy):
        def change(header, rows):
            first = next(row for row in rows if row[8] == "True")
            first[8] = "False"

        change_table(stimuli_path(copy), ",", change)
        with pytest.raises(ValueError, match="marks 599 images, which are not the 600 shared ones"):
            listed(copy)

    def test_shared_images_off_by_one(self, copy):
        def change(header, rows):
            flags = [row[8] for row in rows]
            for row, flag in zip(rows, flags[1:] + flags[:1], strict=True):
                row[8] = flag

        change_table(stimuli_path(copy), ",", change)
        with pytest.raises(ValueError, match="which are not the 600 shared ones"):
            listed(copy)

    def test_trials_that_count_from_0(self, copy):
        def change(header, rows):
            for repeat in range(3):
                shift(f"subject1_rep{repeat}", -1)(header, rows)

        change_table(stimuli_path(copy), ",", change)
        with pytest.raises(ValueError, match="disagree on .* of 3000 trials of subject 1"):
            listed(copy)

    def test_rows_off_by_one(self, copy):
        """Every image has the trials of the next one: the shift that would pair brains with wrong captions."""

        def change(header, rows):
            trials = [row[11:] for row in rows]
            for row, moved in zip(rows, [*trials[1:], ["0"] * 6], strict=True):
                row[11:] = moved

        change_table(stimuli_path(copy), ",", change)
        with pytest.raises(ValueError, match="nsd_expdesign.mat disagree on"):
            listed(copy)

    def test_images_that_are_not_listed(self, copy):
        change_table(stimuli_path(copy), ",", lambda header, rows: rows.pop())
        with pytest.raises(ValueError, match="image 1400 is not among the 1399"):
            listed(copy)

    def test_trials_that_were_planned_and_never_done_are_no_contradiction(self, copy):
        """Subject 2 has three sessions; whether the table lists its fourth as planned or as never does not matter."""

        def change(header, rows):
            for row in rows:
                row[14:17] = ["0" if int(trial) > 3 * TRIALS else trial for trial in row[14:17]]

        change_table(stimuli_path(copy), ",", change)
        assert listed(copy)[2]


class TestResponses:
    @pytest.mark.parametrize(("column", "by"), [("73KID", -1), ("10KID", 1)])
    def test_ids_off_by_one(self, copy, column, by):
        change_table(responses_path(copy), "\t", shift(column, by))
        with pytest.raises(
            ValueError, match=f"'{column}' of session 1 differs .* in 750 of 750 trials: ids are off by"
        ):
            listed(copy)

    def test_one_other_image(self, copy):
        def change(header, rows):
            rows[TRIALS][4] = "1" if rows[TRIALS][4] != "1" else "2"

        change_table(responses_path(copy), "\t", change)
        with pytest.raises(ValueError, match="'73KID' of session 2 differs .* in 1 of 750 trials. Download"):
            listed(copy)

    def test_a_trial_is_missing(self, copy):
        change_table(responses_path(copy), "\t", lambda header, rows: rows.pop(800))
        with pytest.raises(ValueError, match="session 2 has 749 trials and not 750"):
            listed(copy)

    def test_the_file_of_another_subject(self, copy):
        shutil.copy(copy / "nsddata/ppdata/subj02/behav/responses.tsv", responses_path(copy))
        with pytest.raises(ValueError, match="1 as the number of the subject"):
            listed(copy)

    def test_a_column_is_missing(self, copy):
        change_table(responses_path(copy), "\t", lambda header, rows: header.__setitem__(4, "73K"))
        with pytest.raises(ValueError, match="column '73KID' is missing"):
            listed(copy)

    def test_withheld_sessions_may_be_missing(self, copy):
        def change(header, rows):
            del rows[2 * TRIALS :]

        change_table(responses_path(copy), "\t", change)
        assert listed(copy)[2]


class TestCaptions:
    def test_no_annotation_file(self, copy):
        (copy / "annotations/captions_val2017.json").unlink()
        with pytest.raises(FileNotFoundError, match="captions_val2017.json"):
            listed(copy)

    def test_an_image_without_captions(self, copy, truth):
        """The annotation files of another year know other photographs."""
        shutil.copy(copy / "annotations/captions_train2017.json", copy / "annotations/captions_val2017.json")
        with pytest.raises(ValueError, match=r"has no caption of \d+ image\(s\) of .*, such as 1009 \(73KID 3\)"):
            listed(copy)
