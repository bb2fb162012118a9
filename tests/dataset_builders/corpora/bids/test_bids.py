# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Any BIDS dataset, from a small tree written without any code of the reader, and from each of its defects."""

import json
import pickle
import shutil

import nibabel as nib
import numpy as np
import pytest
from layouts.bids import SHAPE, SLOPE, SPACE, START_TIME, TR, affine, bids, write_mask, write_series, write_words
from layouts.listing import listed as list_corpus

from dataset_builders import prepare_corpus
from dataset_builders.corpora.bids.bids import Bids


#: Subject 02 heard in run 1 what subject 01 heard in run 2.
RUNS = {
    "sub-01_ses-a_task-story_run-1": 1,
    "sub-01_ses-a_task-story_run-2": 2,
    "sub-01_ses-b_task-other": 3,
    "sub-02_ses-a_task-story_run-1": 2,
}
FUNC = "derivatives/fmriprep/sub-01/ses-a/func/sub-01_ses-a_task-story_run-01"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("bids") / "ds"
    return root, bids(root, RUNS)


@pytest.fixture
def copy(written, tmp_path):
    """A dataset to be damaged, and its truth."""
    return shutil.copytree(written[0], tmp_path / "ds"), written[1]


def listed(root, **options):
    """Builder, recordings and samples."""
    return list_corpus(Bids, root, **options)


def within(truth, stem):
    """Values of a run in the voxels that all runs of its subject share."""
    subject = stem.split("_")[0]
    mask = np.logical_and.reduce([found for name, found in truth.masks.items() if name.startswith(subject)])
    return truth.values[stem][:, mask[truth.masks[stem]]], mask


class TestReadBackEqualsTruth:
    def test_values_lie_in_the_voxels_that_all_runs_share(self, written):
        root, truth = written
        _, recordings, _ = listed(root)
        assert set(recordings) == {stem.replace("_", "/", 1) for stem in RUNS}
        for stem in RUNS:
            recording = recordings[stem.replace("_", "/", 1)]
            values, _ = within(truth, stem)
            assert (recording.num_frames, recording.num_features) == values.shape
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(recording)).read(), values.astype(np.float32))
            assert recording.session == stem.split("_")[1].removeprefix("ses-")

    def test_samples(self, written):
        """Words of a volume, read from the four volumes after it; frames were measured 0.9 s into each volume."""
        root, truth = written
        _, _, samples = listed(root)
        start = START_TIME - TR / 2
        for stem, words in truth.words.items():
            volumes = {}
            for word in words:
                volumes.setdefault(int((word[1] - start) // TR), []).append(word)
            expected = {volume + 1: spoken for volume, spoken in volumes.items() if volume + 4 < 40}
            found = {s.frames[0]: s for s in samples if s.recording == stem.replace("_", "/", 1)}
            assert found.keys() == expected.keys()
            for first, spoken in expected.items():
                sample = found[first]
                before = [text for text, onset, _ in words if onset < spoken[0][1]]
                assert sample.sample_id == f"bids-in-small/{stem.replace('_', '/', 1)}/{first}"
                assert sample.completion == " ".join(text for text, _, _ in spoken)
                assert sample.prompt == " ".join(before[-32:])
                np.testing.assert_allclose(sample.word_onsets, [onset for _, onset, _ in spoken])
                np.testing.assert_allclose(sample.word_offsets, [end for _, _, end in spoken])

    def test_frame_times_are_those_planted_in_the_values(self, written):
        root, truth = written
        for sample in listed(root)[2]:
            planted = truth.values[sample.recording.replace("/", "_", 1)][list(sample.frames), 0]
            np.testing.assert_allclose(sample.frame_times, planted, atol=SLOPE)

    def test_without_a_start_time_frames_lie_in_the_middle(self, tmp_path):
        bids(tmp_path / "ds", {"sub-01_task-story_run-1": 1}, json_fields={})
        sample = listed(tmp_path / "ds")[2][0]
        np.testing.assert_allclose(sample.frame_times, TR * (np.array(sample.frames) + 0.5))

    def test_a_story_is_its_words(self, written):
        stories = {sample.recording: sample.stimulus for sample in listed(written[0])[2]}
        assert stories["sub-01/ses-a_task-story_run-2"] == stories["sub-02/ses-a_task-story_run-1"]
        assert len(set(stories.values())) == 3
        assert stories["sub-01/ses-b_task-other"].startswith("other-")

    def test_a_story_can_be_named_by_entities(self, written):
        stories = {s.recording: (s.stimulus, s.group) for s in listed(written[0], story_entities=["task", "run"])[2]}
        # Named as the user wants it, and held together with the run that has the same words.
        assert stories["sub-02/ses-a_task-story_run-1"] == ("task-story_run-1", "task-story_run-2")
        assert stories["sub-01/ses-a_task-story_run-1"] == ("task-story_run-1", "task-story_run-1")
        assert stories["sub-01/ses-b_task-other"] == ("task-other", "task-other")
        with pytest.raises(ValueError, match=r"has none of story_entities=\['acq'\]: choose from sub, ses, task"):
            listed(written[0], story_entities=["acq"])

    def test_geometry(self, written):
        root, truth = written
        geometry = listed(root)[0].geometry("sub-01")
        _, mask = within(truth, "sub-01_ses-a_task-story_run-1")
        places = np.argwhere(mask)
        expected = [affine() @ [*place, 1] for place in places]
        np.testing.assert_allclose(geometry.coordinates, np.array(expected)[:, :3])
        assert (geometry.space, geometry.grid_shape) == ("MNI152NLin2009cAsym", SHAPE)
        np.testing.assert_array_equal(np.unravel_index(geometry.grid_index, SHAPE), places.T)
        np.testing.assert_array_equal(geometry.affine, affine())

    def test_text_column_is_found_and_named(self, copy):
        root, truth = copy
        before = [sample.completion for sample in listed(root)[2]]
        for stem, words in truth.words.items():
            subject, session = stem.split("_")[:2]
            write_words(root / subject / session / "func" / f"{stem}_events.tsv", words, column="text")
        builder, _, samples = listed(root)
        assert builder.notes["runs with words in column 'text'"] == 4
        assert [sample.completion for sample in samples] == before
        with pytest.raises(ValueError, match="no column 'word'"):
            listed(root, text_column="word")

    def test_events_are_inherited(self, copy):
        root, _ = copy
        before = listed(root)[2]
        events = root / "sub-01" / "ses-b" / "func" / "sub-01_ses-b_task-other_events.tsv"
        events.rename(root / "task-other_events.tsv")
        assert [sample.completion for sample in listed(root)[2]] == [sample.completion for sample in before]

    def test_surfaces(self, copy):
        """GIFTI files in a space of the subject; their TR is in JSON only."""
        root, _ = copy
        stem = "sub-01_ses-b_task-other"
        sides = np.random.default_rng(0).standard_normal((2, 40, 7)).astype(np.float32)
        folder = root / "derivatives" / "fmriprep" / "sub-01" / "ses-b" / "func"
        for side, values in zip("LR", sides, strict=True):
            arrays = [nib.gifti.GiftiDataArray(frame) for frame in values]
            nib.save(nib.gifti.GiftiImage(darrays=arrays), folder / f"{stem}_hemi-{side}_space-fsnative_bold.func.gii")
        options = {"space": "fsnative", "tasks": ["other"]}
        with pytest.raises(ValueError, match="neither a JSON sidecar .* states the TR: pass tr="):
            listed(root, **options)
        (root / "bold.json").write_text(json.dumps({"RepetitionTime": TR}))
        builder, recordings, samples = listed(root, **options)
        np.testing.assert_array_equal(recordings["sub-01/ses-b_task-other"].read(), np.hstack(sides))
        assert builder.geometry("sub-01").grid_shape == (2, 7)
        assert builder.expected_facts == {}  # nobody knows how many vertices a subject has
        assert len(samples) > 20

    def test_prepared_rows(self, written, tmp_path):
        root, truth = written
        options = {"num_folds": 2, "validation_fraction": 0.0, "store": "rows", "dtype": "float32"}
        builder = prepare_corpus("bids", root, tmp_path, standardize="none", **options)
        rows = [row for split in builder.as_dataset_dict().with_format("numpy").values() for row in split]
        assert len(rows) > 100
        for row in rows:
            _, subject, run, first = row["sample_id"].split("/")
            values, _ = within(truth, f"{subject}_{run}")
            np.testing.assert_array_equal(row["brain_values"], values[int(first) : int(first) + 4])
        assert builder.corpus_info.facts["notes"]["runs with words in column 'word'"] == 4
        assert not builder.corpus_info.may_redistribute


class TestChoices:
    def test_several_derivatives(self, copy):
        root, _ = copy
        (root / "derivatives" / "other" / "sub-01").mkdir(parents=True)
        (root / "derivatives" / "logs").mkdir()
        with pytest.raises(ValueError, match="holds fmriprep, other: choose one by derivative="):
            listed(root)
        assert len(listed(root, derivative="fmriprep")[1]) == 4

    def test_no_derivative(self, copy):
        root, _ = copy
        shutil.rmtree(root / "derivatives")
        with pytest.raises(FileNotFoundError, match="no folder there holds subjects"):
            listed(root)

    def test_a_derivative_without_series(self, copy):
        root, _ = copy
        (root / "derivatives" / "other" / "sub-01" / "func").mkdir(parents=True)
        with pytest.raises(FileNotFoundError, match="holds no series"):
            listed(root, derivative="other")

    @pytest.mark.parametrize(
        ("form", "option", "value"),
        [
            ("space-T1w_desc-preproc", "space", "T1w"),
            ("space-MNI152NLin2009cAsym_res-1_desc-preproc", "res", "1"),
            (f"{SPACE}_desc-smooth", "desc", "smooth"),
            ("desc-preproc", "space", ""),
        ],
    )
    def test_several_forms(self, copy, form, option, value):
        root, _ = copy
        for path in list((root / "derivatives").rglob("*_desc-preproc_bold.*")):
            shutil.copy(path, path.with_name(path.name.replace(f"{SPACE}_desc-preproc", form)))
        with pytest.raises(
            ValueError, match=r"holds 2 forms of its series: .*\. Choose one by space, res, desc"
        ) as error:
            listed(root)
        assert f"{form}_bold.nii.gz" in str(error.value)
        assert f"{SPACE}_desc-preproc_bold.nii.gz" in str(error.value)
        mask = root / "mask.nii.gz"
        write_mask(mask, np.ones(SHAPE, bool))
        _, recordings, _ = listed(root, **{option: value}, mask="mask.nii.gz")
        assert all(form in recording.sources[0].name for recording in recordings.values())

    def test_two_spellings_of_a_run(self, copy):
        root, _ = copy
        shutil.copy(
            root / f"{FUNC}_{SPACE}_desc-preproc_bold.nii.gz",
            root / f"{FUNC.replace('run-01', 'run-1')}_{SPACE}_desc-preproc_bold.nii.gz",
        )
        with pytest.raises(ValueError, match="run-1 has 2 series .*: run-1 and run-01 are the same, keep one"):
            listed(root)

    def test_mask_of_the_user(self, copy):
        root, truth = copy
        mask = np.zeros(SHAPE, bool)
        mask[2:4, 2, :2] = True
        write_mask(root / "roi.nii.gz", mask)
        _, recordings, _ = listed(root, mask="roi.nii.gz")
        stem = "sub-01_ses-a_task-story_run-1"
        values = truth.values[stem][:, mask[truth.masks[stem]]]
        np.testing.assert_array_equal(recordings[stem.replace("_", "/", 1)].read(), values)

    def test_repetition_time(self, copy):
        """What JSON and header say, if they agree; the option overrules them."""
        root, _ = copy

        def tr(**options):
            sample = listed(root, tasks=["story"], subjects=["sub-02"], **options)[2][0]
            return np.diff(sample.frame_times)[0]

        assert tr(tr=3.0) == 3.0
        for path in (root / "derivatives").rglob("*.json"):
            path.unlink()
        (root / "task-story_bold.json").write_text('{"RepetitionTime": 2.5}')
        with pytest.raises(
            ValueError, match=r"2\.5 s by the JSON of the raw run, 2 s by the header: mend .* pass tr="
        ):
            tr()
        assert tr(tr=2.5) == 2.5
        (root / "task-story_bold.json").unlink()
        assert tr() == TR

    def test_repetition_time_in_milliseconds(self, copy):
        """The header may say so, with its unit; JSON may not."""
        root, truth = copy
        stem = "sub-02_ses-a_task-story_run-1"
        func = root / "derivatives" / "fmriprep" / "sub-02" / "ses-a" / "func"
        name = f"{stem.replace('run-1', 'run-01')}_{SPACE}_desc-preproc_bold"
        write_series(func / f"{name}.nii.gz", truth.values[stem], truth.masks[stem], unit="msec")
        (func / f"{name}.json").unlink()
        sample = listed(root, subjects=["sub-02"])[2][0]
        np.testing.assert_allclose(np.diff(sample.frame_times), TR)
        write_series(func / f"{name}.nii.gz", truth.values[stem], truth.masks[stem], unit="unknown")
        with pytest.raises(ValueError, match="neither a JSON sidecar .* nor its header states the TR: pass tr="):
            listed(root, subjects=["sub-02"])
        (func / f"{name}.json").write_text('{"RepetitionTime": 2000}')
        with pytest.raises(ValueError, match=r"TR is said to be 2000; expected up to 20 seconds \(not milliseconds\)"):
            listed(root, subjects=["sub-02"])


class TestErrors:
    def test_a_single_volume(self, copy):
        root, _ = copy
        path = root / f"{FUNC}_{SPACE}_desc-preproc_bold.nii.gz"
        write_mask(path, np.ones(SHAPE, bool))
        with pytest.raises(ValueError, match=r"4 axes \(x, y, z, time\), found \(5, 4, 3\)"):
            listed(root)

    def test_no_mask(self, copy):
        root, _ = copy
        (root / f"{FUNC}_{SPACE}_desc-brain_mask.nii.gz").unlink()
        with pytest.raises(FileNotFoundError, match=r"no file _desc-brain_mask\.nii\.gz beside it"):
            listed(root)

    def test_mask_of_another_shape(self, copy):
        root, _ = copy
        write_mask(root / f"{FUNC}_{SPACE}_desc-brain_mask.nii.gz", np.ones((5, 4, 4), bool))
        with pytest.raises(ValueError, match=r"\(5, 4, 4\)"):
            listed(root)

    def test_mask_in_another_place(self, copy):
        root, _ = copy
        moved = affine()
        moved[0, 3] += 2
        write_mask(root / f"{FUNC}_{SPACE}_desc-brain_mask.nii.gz", np.ones(SHAPE, bool), moved)
        with pytest.raises(ValueError, match="affine"):
            listed(root)

    def test_masks_without_a_common_voxel(self, copy):
        root, truth = copy
        write_mask(root / f"{FUNC}_{SPACE}_desc-brain_mask.nii.gz", ~np.logical_or.reduce(list(truth.masks.values())))
        with pytest.raises(ValueError, match="no voxel lies in all of"):
            listed(root)

    def test_runs_on_different_grids(self, copy):
        root, _ = copy
        mask = np.ones((6, 4, 3), bool)
        values = np.random.default_rng(0).standard_normal((40, mask.sum()))
        write_series(root / f"{FUNC}_{SPACE}_desc-preproc_bold.nii.gz", values, mask)
        write_mask(root / f"{FUNC}_{SPACE}_desc-brain_mask.nii.gz", mask)
        with pytest.raises(ValueError, match="lie on different grids .*: choose tasks or a resolution with one grid"):
            listed(root)

    def test_no_events(self, copy):
        root, _ = copy
        (root / "sub-01" / "ses-b" / "func" / "sub-01_ses-b_task-other_events.tsv").unlink()
        message = "no events of sub-01_ses-b_task-other; those of sub-01 are sub-01_ses-a_task-story_run-1_events"
        with pytest.raises(FileNotFoundError, match=message):
            listed(root)

    def test_no_column_of_words(self, copy):
        root, truth = copy
        write_words(
            root / "sub-01" / "ses-b" / "func" / "sub-01_ses-b_task-other_events.tsv",
            truth.words["sub-01_ses-b_task-other"],
            column="response_time",
        )
        with pytest.raises(ValueError, match="pass text_column="):
            listed(root)

    def test_words_after_the_scan(self, copy):
        root, truth = copy
        words = [*truth.words["sub-01_ses-b_task-other"], ("late", 95.0, 95.2)]
        write_words(root / "sub-01" / "ses-b" / "func" / "sub-01_ses-b_task-other_events.tsv", words)
        with pytest.raises(ValueError, match="'late', starts at 95.000 s and the recording ends at 79.900 s"):
            listed(root)

    @pytest.mark.parametrize("value", [True, "0.9", 2.0, -0.1])
    def test_start_time_outside_of_a_frame(self, copy, value):
        root, _ = copy
        path = root / f"{FUNC}_{SPACE}_desc-preproc_bold.json"
        path.write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": value}))
        with pytest.raises(ValueError, match="its JSON says StartTime="):
            listed(root)

    @pytest.mark.parametrize("value", [True, "2", 0, -2.0, float("nan")])
    def test_repetition_time_that_is_none(self, copy, value):
        root, _ = copy
        path = root / f"{FUNC}_{SPACE}_desc-preproc_bold.json"
        path.write_text(json.dumps({"RepetitionTime": value}))
        with pytest.raises(ValueError, match="the TR is said to be"):
            listed(root)

    def test_numbers_of_a_window(self, written):
        with pytest.raises(ValueError, match="num_frames=0: at least 1 is needed"):
            listed(written[0], num_frames=0)
