# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Narratives, from a small tree that was written without any code of the reader."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from layouts.listing import listed as list_corpus
from layouts.narratives import TR, narratives, write_cortex_mask, write_events, write_volume

from dataset_builders import prepare_corpus
from dataset_builders.corpora.bids.narratives2021 import Narratives2021
from dataset_builders.corpora.bids.narratives2021_facts import EXCLUDED_SCANS, LATE_SCANS, TASKS, story_group
from dataset_builders.corpora.bids.surfaces import gifti_shape


VERTICES = 16
SCANS = {
    "sub-002_task-pieman_run-1": "",
    "sub-002_task-pieman_run-2": "",
    "sub-002_task-milkyway": "vodka",
    "sub-034_task-milkyway": "original",
    "sub-034_task-lucy": "",
    "sub-034_task-sherlock": "",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("narratives") / "ds002345"
    return root, narratives(root, SCANS, vertices=VERTICES)


@pytest.fixture
def copy(written, tmp_path):
    """A dataset to be damaged, and its truth."""
    return shutil.copytree(written[0], tmp_path / "ds002345"), written[1]


def listed(root, **options):
    """Builder, recordings and samples; the tree is smaller than what is published."""
    return list_corpus(Narratives2021, root, **{"verify_facts": False, **options})


def surface(root, stem, side):
    """The file of one hemisphere."""
    subject, _ = stem.split("_", 1)
    name = f"{stem}_space-fsaverage6_hemi-{side}_desc-clean.func.gii"
    return root / "derivatives" / "afni-nosmooth" / subject / "func" / name


def expected_samples(words, start, num_frames):
    """Id of the first frame -> (prompt, completion, words) by a second, plain reading of the rule."""
    by_volume = {}
    for word in words:
        by_volume.setdefault(int((word[1] + start) // TR), []).append(word)
    return {
        volume + 1: (
            " ".join(text for text, onset, _ in [w for w in words if (w[1] + start) // TR < volume][-32:]),
            " ".join(text for text, _, _ in spoken),
            spoken,
        )
        for volume, spoken in by_volume.items()
        if volume + 4 < num_frames
    }


def story_of(stem):
    task = stem.split("_task-")[1].split("_")[0]
    return f"milkyway{SCANS[stem]}" if task == "milkyway" else task


class TestReadBackEqualsTruth:
    def test_values(self, written):
        root, truth = written
        _, recordings, _ = listed(root)
        assert set(recordings) == {stem.replace("_", "/", 1) for stem in SCANS}
        for stem, values in truth.values.items():
            recording = recordings[stem.replace("_", "/", 1)]
            assert (recording.num_frames, recording.num_features) == values.shape
            assert recording.subject == stem.split("_")[0]
            found = recording.read()
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, values)

    def test_samples(self, written):
        root, truth = written
        _, _, samples = listed(root)
        for stem, values in truth.values.items():
            story = story_of(stem)
            expected = expected_samples(truth.words[story], truth.audio_starts[stem], len(values))
            recording_id = stem.replace("_", "/", 1)
            found = {sample.frames[0]: sample for sample in samples if sample.recording == recording_id}
            assert found.keys() == expected.keys()
            for first, (prompt, completion, spoken) in expected.items():
                sample = found[first]
                assert sample.sample_id == f"narratives2021/{recording_id}/{first}"
                assert (sample.prompt, sample.completion, sample.text) == (prompt, completion, completion)
                assert sample.frames == tuple(range(first, first + 4))
                assert list(zip(sample.words, sample.word_onsets, sample.word_offsets, strict=True)) == spoken
                assert (sample.stimulus, sample.subject) == (story, stem.split("_")[0])

    def test_frame_times_are_those_planted_in_the_values(self, written):
        """The writer put the second of the sound file into the first vertex of every frame."""
        root, truth = written
        _, _, samples = listed(root)
        for sample in samples:
            planted = truth.values[sample.recording.replace("/", "_")][list(sample.frames), 0]
            np.testing.assert_allclose(sample.frame_times, planted, atol=1e-4)
            assert min(sample.word_onsets) >= sample.frame_times[0] - 1.5 * TR - 1e-6
            assert max(sample.word_onsets) < sample.frame_times[0] - 0.5 * TR
        assert len({sample.sample_id for sample in samples}) == len(samples)

    def test_words_without_time_are_dropped_and_counted(self, written):
        builder, _, samples = listed(written[0])
        assert "um" not in {word for sample in samples for word in sample.words}
        assert "Jared's" in {word for sample in samples for word in sample.words}  # <unk> to the aligner, but timed
        # once for each alignment: pieman, two wordings of milkyway, lucy, sherlock
        assert builder.notes["words without times dropped"] == 5

    def test_words_without_time_can_be_interpolated(self, written):
        builder, _, samples = listed(written[0], missing_times="interpolate")
        assert "um" in {word for sample in samples for word in sample.words}
        assert builder.notes["words without times interpolated"] == 5

    def test_punctuation(self, written):
        _, _, samples = listed(written[0], punctuation=True)
        assert all(word.endswith(",") for sample in samples for word in sample.words)

    def test_tasks_and_subjects(self, written):
        _, recordings, _ = listed(written[0], tasks=["milkyway"], subjects=["sub-034"])
        assert set(recordings) == {"sub-034/task-milkyway"}

    def test_groups_keep_like_stories_together(self, written):
        _, _, samples = listed(written[0])
        groups = {sample.stimulus: sample.group for sample in samples}
        assert groups == {
            "pieman": "pieman",
            "milkywayvodka": "milkyway",
            "milkywayoriginal": "milkyway",
            "lucy": "lucy",
            "sherlock": "sherlock",
        }
        assert story_group("piemanpni") == "pieman"

    def test_geometry_is_the_number_of_the_vertex(self, written):
        builder, _, _ = listed(written[0])
        geometry = builder.geometry("sub-002")
        assert (geometry.space, geometry.grid_shape, geometry.coordinates) == ("fsaverage6", (2, VERTICES), None)
        assert geometry.grid_index.tolist() == list(range(2 * VERTICES))
        assert geometry.roi_labels == {}

    def test_cortex_mask_is_a_region(self, copy):
        root, _ = copy
        write_cortex_mask(root, "afni-nosmooth", VERTICES)
        geometry = listed(root)[0].geometry("sub-002")
        wall = np.flatnonzero(geometry.roi_labels["cortex"] == 0)
        assert wall.tolist() == [VERTICES - 3, VERTICES - 2, VERTICES - 1, 2 * VERTICES - 2, 2 * VERTICES - 1]
        assert geometry.roi_names == {"cortex": ["cortex"]}

    def test_fmriprep_surfaces_have_nan_in_the_medial_wall(self, tmp_path):
        scans = {"sub-002_task-pieman_run-1": ""}
        truth = narratives(
            tmp_path / "d", scans, derivative="fmriprep", desc="", medial_wall=np.nan, vertices=VERTICES
        )
        _, recordings, _ = listed(tmp_path / "d", derivative="fmriprep", desc="")
        values = recordings["sub-002/task-pieman_run-1"].read()
        np.testing.assert_array_equal(values, truth.values["sub-002_task-pieman_run-1"])
        assert np.isnan(values).any(0).sum() == 5

    @pytest.mark.parametrize("vertices_first", [True, False])
    def test_one_array_for_all_frames(self, copy, vertices_first):
        """The standard puts vertices first; some write frames first, which only a known surface size can tell."""
        root, _ = copy
        num_vertices = VERTICES if vertices_first else 2562
        values = np.random.default_rng(0).standard_normal((45, num_vertices)).astype(np.float32)
        for side in "LR":
            array = nib.gifti.GiftiDataArray(np.ascontiguousarray(values.T) if vertices_first else values)
            path = surface(root, "sub-034_task-lucy", side)
            nib.save(nib.gifti.GiftiImage(darrays=[array]), path)
            assert gifti_shape(path) == (45, num_vertices)
        _, recordings, _ = listed(root, tasks=["lucy"])
        np.testing.assert_array_equal(recordings["sub-034/task-lucy"].read(), np.hstack([values, values]))

    def test_shape_of_a_published_file(self):
        """One that comes with nibabel: 10 arrays of 642 vertices."""
        path = Path(nib.__file__).parent / "gifti" / "tests" / "data" / "task.func.gii"
        assert gifti_shape(path) == (10, 642)

    def test_volumes_within_the_mask_of_the_task(self, copy):
        root, _ = copy
        generator = np.random.default_rng(0)
        mask = generator.random((4, 5, 3)) < 0.5
        affine = np.diag([3.0, 3.0, 4.0, 1.0])
        values = generator.standard_normal((60, int(mask.sum()))).astype(np.float32)
        folder = root / "derivatives" / "afni-nosmooth"
        name = "sub-034_task-lucy_space-MNI152NLin2009cAsym_res-native_desc-clean_bold.nii.gz"
        write_volume(folder / "sub-034" / "func" / name, values, mask, affine)
        tpl = folder / "tpl-MNI152NLin2009cAsym" / "tpl-MNI152NLin2009cAsym_res-lucy_desc-brain_mask.nii.gz"
        options = {"space": "MNI152NLin2009cAsym", "res": "native", "tasks": ["lucy"]}
        with pytest.raises(FileNotFoundError, match=r"res-lucy_desc-brain_mask\.nii\.gz is missing"):
            listed(root, **options)
        tpl.parent.mkdir()
        nib.save(nib.Nifti1Image(mask.astype(np.int8), affine), tpl)
        builder, recordings, _ = listed(root, **options)
        np.testing.assert_array_equal(recordings["sub-034/task-lucy"].read(), values)
        geometry = builder.geometry("sub-034")
        np.testing.assert_array_equal(geometry.coordinates, np.argwhere(mask) * [3, 3, 4])


class TestSeveralStoriesInAScan:
    def test_slumlordreach(self, tmp_path):
        stem = "sub-016_task-slumlordreach"
        truth = narratives(tmp_path / "d", {stem: ""}, vertices=4)
        _, _, samples = listed(tmp_path / "d")
        for story, early in (("slumlord", True), ("reach", False)):
            words = [word for word in truth.words["slumlordreach"] if (word[1] <= 950) == early]
            expected = expected_samples(words, 4.5, len(truth.values[stem]))
            found = {sample.frames[0]: sample for sample in samples if sample.stimulus == story}
            assert {first: (s.prompt, s.completion) for first, s in found.items()} == {
                first: (prompt, completion) for first, (prompt, completion, _) in expected.items()
            }
            assert found[min(found)].prompt == ""  # a story does not continue the one before it

    def test_schema_names_its_stories_row_by_row(self, tmp_path):
        stem = "sub-049_task-schema_run-1"
        truth = narratives(tmp_path / "d", {stem: ""}, vertices=4)
        _, _, samples = listed(tmp_path / "d")
        num_frames = len(truth.values[stem])
        for story, onset in (("friends", 30.93), ("bigbang", 85.61)):
            expected = expected_samples(truth.words[story], onset, num_frames)
            found = {sample.frames[0]: sample for sample in samples if sample.stimulus == story}
            assert {first: sample.completion for first, sample in found.items()} == {
                first: completion for first, (_, completion, _) in expected.items()
            }
            first = min(found)
            np.testing.assert_allclose(found[first].frame_times[0], TR * (first + 0.5) - onset, atol=1e-9)


class TestScansThatAreLeftOut:
    SCANS = {"sub-038_task-milkyway": "vodka", "sub-034_task-lucy": "", "sub-001_task-pieman_run-1": ""}

    @pytest.fixture
    def late(self, tmp_path):
        """sub-038's scan began when the music was playing already."""
        root = tmp_path / "d"
        narratives(root, self.SCANS, vertices=4)
        rows = [(0.0, 18.0, "music", "milkywayvodka"), (15.0, 45.0, "story", "milkywayvodka")]
        write_events(root / "sub-038" / "func" / "sub-038_task-milkyway_events.tsv", rows)
        return root

    def test_by_default(self, late):
        builder, recordings, _ = listed(late)
        assert set(recordings) == {"sub-034/task-lucy"}
        assert builder.notes["excluded scans"] == 2

    def test_not_if_wanted(self, late):
        """The music began 6 s before the scan, so audio time 6 s is scan time 0."""
        _, recordings, samples = listed(late, exclude_scans=False)
        assert set(recordings) == {stem.replace("_", "/", 1) for stem in self.SCANS}
        first = next(sample for sample in samples if sample.subject == "sub-038")
        np.testing.assert_allclose(first.frame_times[0], TR * (first.frames[0] + 0.5) + 6.0)

    def test_zeros_before_the_run_do_not_count(self, tmp_path):
        narratives(tmp_path / "d", {"sub-001_task-pieman_run-1": "", "sub-034_task-lucy": ""}, vertices=4)
        for path in (tmp_path / "d" / "derivatives").rglob("*run-1*"):
            path.rename(path.with_name(path.name.replace("run-1", "run-01")))
        assert set(listed(tmp_path / "d")[1]) == {"sub-034/task-lucy"}

    def test_table(self):
        """27 of 891 scans; the late ones are among them."""
        assert len(EXCLUDED_SCANS) == 27
        assert set(LATE_SCANS) < EXCLUDED_SCANS
        assert all(stem.split("_task-")[1].split("_")[0] in TASKS for stem in EXCLUDED_SCANS)

    def test_tasks_without_transcript_are_counted(self, copy):
        root, _ = copy
        shutil.rmtree(root / "stimuli" / "gentle" / "sherlock")
        builder, recordings, _ = listed(root)
        assert "sub-034/task-sherlock" not in recordings
        assert builder.notes["runs without transcript, task sherlock"] == 1
        with pytest.raises(FileNotFoundError, match="sherlock"):
            listed(root, tasks=["sherlock"])


class TestPrepared:
    """Through the base: split, statistics, Arrow."""

    OPTIONS = {"num_folds": 2, "validation_fraction": 0.0, "verify_facts": False}

    def test_rows_hold_the_frames_of_the_files(self, written, tmp_path):
        root, truth = written
        builder = prepare_corpus(
            "narratives2021", root, tmp_path, standardize="none", dtype="float32", store="rows", **self.OPTIONS
        )
        rows = [row for split in builder.as_dataset_dict().with_format("numpy").values() for row in split]
        kept = np.setdiff1d(np.arange(2 * VERTICES), [13, 14, 15, 30, 31])  # the medial wall never varies
        assert len(rows) > 100
        for row in rows:
            _, subject, run, first = row["sample_id"].split("/")
            values = truth.values[f"{subject}_{run}"][int(first) : int(first) + 4]
            np.testing.assert_array_equal(row["brain_values"], values[:, kept])

    def test_what_is_said_of_the_corpus(self, written, tmp_path):
        builder = prepare_corpus("narratives2021", written[0], tmp_path, **self.OPTIONS)
        info = builder.corpus_info
        assert "sub-034: features expected 81924, found 32" in info.facts["differences"]
        assert info.facts["notes"]["words without times dropped"] == 5
        assert info.facts["subjects"]["sub-034"]["stories"] == 3
        assert not info.may_redistribute
        assert info.split.leaks == []
        assert info.preprocessing["standardize"] == "recording"

    def test_stories_that_share_words_stay_together(self, written, tmp_path):
        dataset = prepare_corpus("narratives2021", written[0], tmp_path, **self.OPTIONS).as_dataset_dict()
        groups = {name: set(split["group"]) for name, split in dataset.items()}
        assert not groups["train"] & groups["test"]
        assert groups["train"] | groups["test"] == {"pieman", "milkyway", "lucy", "sherlock"}

    def test_a_smaller_surface_is_an_error(self, written, tmp_path):
        with pytest.raises(ValueError, match="sub-002: features expected 81924, found 32"):
            prepare_corpus("narratives2021", written[0], tmp_path, num_folds=2)
