# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Narratives with each of the defects that its files may have."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from layouts.listing import listed as list_corpus
from layouts.narratives import TR, narratives, write_events, write_surface

from dataset_builders.corpora.bids.narratives2021 import Narratives2021


VERTICES = 16
SCANS = {
    "sub-002_task-pieman_run-1": "",
    "sub-002_task-pieman_run-2": "",
    "sub-002_task-milkyway": "vodka",
    "sub-034_task-lucy": "",
    "sub-034_task-sherlock": "",
}
LUCY_EVENTS = "sub-034/func/sub-034_task-lucy_events.tsv"
LUCY = "derivatives/afni-nosmooth/sub-034/func/sub-034_task-lucy_space-fsaverage6_hemi-{}_desc-clean.func.gii"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("narratives") / "ds002345"
    narratives(root, SCANS, vertices=VERTICES)
    return root


@pytest.fixture
def root(written, tmp_path):
    """A dataset to be damaged."""
    return shutil.copytree(written, tmp_path / "ds002345")


def listed(root, **options):
    """Builder, recordings and samples; the tree is smaller than what is published."""
    return list_corpus(Narratives2021, root, **{"verify_facts": False, **options})


def rewrite(path, change):
    """Replaces the values [frames, vertices] of a surface by what `change` makes of them."""
    write_surface(path, change(np.stack([array.data for array in nib.load(path).darrays])))


class TestFolders:
    def test_no_transcripts(self, root):
        shutil.rmtree(root / "stimuli")
        with pytest.raises(FileNotFoundError, match="datalad get stimuli/gentle"):
            listed(root)

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="is not a folder"):
            listed(tmp_path / "nowhere")

    def test_no_such_derivative(self, root):
        with pytest.raises(FileNotFoundError, match="fmriprep is missing: it holds afni-nosmooth"):
            listed(root, derivative="fmriprep")

    def test_no_such_form(self, root):
        message = r"no series with space='fsaverage5', desc='clean': it has space-fsaverage6_desc-clean\.func\.gii"
        with pytest.raises(ValueError, match=message):
            listed(root, space="fsaverage5")

    def test_no_such_task(self, root):
        with pytest.raises(ValueError, match="no task-tunnel: choose from lucy, milkyway, pieman, sherlock"):
            listed(root, tasks=["tunnel"])

    def test_no_such_subject(self, root):
        with pytest.raises(ValueError, match="no sub-999: choose from 002, 034"):
            listed(root, subjects=["sub-999"])

    def test_unknown_task(self, root):
        for path in [*root.rglob("*task-lucy*")]:
            path.rename(path.with_name(path.name.replace("lucy", "mystery")))
        assert listed(root)[0].notes["runs without transcript, task mystery"] == 1
        with pytest.raises(ValueError, match="task 'mystery' is unknown; expected one of 21styear, "):
            listed(root, tasks=["mystery"])


class TestSurfaces:
    def test_hemispheres_differ_in_frames(self, root):
        rewrite(root / LUCY.format("R"), lambda values: values[:-1])
        with pytest.raises(ValueError, match=r"hemi-L.* has 40 frames and .*hemi-R.* has 39"):
            listed(root)

    def test_hemispheres_differ_in_vertices(self, root):
        rewrite(root / LUCY.format("R"), lambda values: values[:, 1:])
        with pytest.raises(ValueError, match=r"has 16 vertices and .* has 15"):
            listed(root)

    def test_missing_hemisphere(self, root):
        (root / LUCY.format("R")).unlink()
        with pytest.raises(ValueError, match="expected one file of hemi-L and one of hemi-R"):
            listed(root)

    def test_annex_link_without_content(self, root):
        path = root / LUCY.format("L")
        path.unlink()
        path.symlink_to("../../../.git/annex/objects/aa/bb/MD5E-s9--0/MD5E-s9--0.func.gii")
        with pytest.raises(FileNotFoundError, match="datalad get"):
            listed(root)

    def test_nan_that_comes_and_goes(self, root):
        def spoil(values):
            values[3, 2] = np.nan
            return values

        rewrite(root / LUCY.format("L"), spoil)
        _, recordings, _ = listed(root)
        with pytest.raises(ValueError, match="1 vertices are NaN in some frames and not in others"):
            recordings["sub-034/task-lucy"].read()

    def test_another_medial_wall(self, tmp_path):
        scans = {"sub-002_task-pieman_run-1": ""}
        narratives(tmp_path / "d", scans, derivative="fmriprep", desc="", medial_wall=np.nan, vertices=VERTICES)
        _, recordings, _ = listed(tmp_path / "d", derivative="fmriprep", desc="", verify_facts=True)
        with pytest.raises(ValueError, match="3 vertices have no value, expected the 3486 of the medial wall"):
            recordings["sub-002/task-pieman_run-1"].read()


class TestEvents:
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([(0.0, 13.0, "music", "lucy")], "no row of trial_type story, only music"),
            ([], "no row of trial_type story, only none at all"),
            ([(3.0, 9, "story", "lucy")] * 2, "has 2 rows of trial_type story, expected 1"),
            ([(2.0, 9, "story", "lucy")], r"starts at 2.0 s, expected 3.0 s as in version 1\.1\.4"),
            ([(-1.5, 9, "story", "lucy")], r"starts at -1.5 s, expected 3.0 s"),
            ([(3.0, 59, "story", "lucy")], r"lasts 59.0 s, and the scan has 40 frames of 1.5 s"),
            ([("n/a", 9, "story", "lucy")], "onset is 'n/a'"),
        ],
    )
    def test_events(self, root, rows, message):
        write_events(root / LUCY_EVENTS, rows)
        with pytest.raises(ValueError, match=message):
            listed(root, verify_facts=True)

    def test_events_without_duration(self, root):
        path = root / LUCY_EVENTS
        path.write_text("onset\ttrial_type\tstim_file\n3.0\tstory\tlucy_audio.wav\n")
        with pytest.raises(ValueError, match="no column 'duration'"):
            listed(root)

    def test_events_missing(self, root):
        (root / LUCY_EVENTS).unlink()
        with pytest.raises(
            FileNotFoundError, match="no events of sub-034_task-lucy; those of sub-034 are sub-034_task-s"
        ):
            listed(root)

    def test_sound_that_starts_before_the_scan(self, root):
        """Even unverified: only four known scans began late."""
        write_events(root / "sub-034" / "func" / "sub-034_task-sherlock_events.tsv", [(15.0, 9, "story", "sherlock")])
        with pytest.raises(ValueError, match="15.0 s of the scan and 29.0 s of its sound file"):
            listed(root)

    def test_differences_are_counted_when_unverified(self, root):
        path = root / LUCY_EVENTS
        write_events(path, [(6.0, 90, "story", "lucy")])
        builder, _, samples = listed(root)
        assert builder.notes["stories that start elsewhere than published"] == 1
        assert builder.notes["stories longer than their scan"] == 1
        sample = next(sample for sample in samples if sample.stimulus == "lucy")
        assert sample.frame_times[0] == pytest.approx(TR * (sample.frames[0] + 0.5) - 6.0)


class TestOthers:
    def test_another_repetition_time(self, root):
        (root / "task-lucy_bold.json").write_text(json.dumps({"RepetitionTime": 2.0}))
        with pytest.raises(ValueError, match=r"RepetitionTime is 2.0, expected 1.5 s"):
            listed(root)

    def test_words_within_the_music_are_dropped(self, root):
        path = root / "stimuli" / "gentle" / "pieman" / "align.csv"
        path.write_bytes(b"Well,well,2.5,2.8\r\n" + path.read_bytes())
        (path.parent / "align.json").unlink()
        builder, _, samples = listed(root)
        assert builder.notes["words timed before their story"] == 2  # in each of two runs
        assert "Well" not in {word for sample in samples for word in sample.words}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda text: text.replace("affair", "secret").replace("vodka", "gin"), "condition 'gin' is unknown"),
            (
                lambda text: text.replace("vodka", "synonyms"),
                "stim_file is 'milkywayvodka', and participants.tsv says",
            ),
            (lambda text: text.replace("sub-002", "sub-003"), "does not list sub-002"),
            (lambda text: text.replace("n/a,vodka", "vodka"), "sub-002 has tasks"),
            (lambda text: text.replace("condition", "group"), "no column 'condition'"),
        ],
    )
    def test_participants(self, root, change, message):
        path = root / "participants.tsv"
        path.write_text(change(path.read_text()))
        with pytest.raises(ValueError, match=message):
            listed(root)

    def test_unknown_story_of_schema(self, tmp_path):
        narratives(tmp_path / "d", {"sub-049_task-schema_run-1": ""}, vertices=4)
        path = tmp_path / "d" / "sub-049" / "func" / "sub-049_task-schema_run-1_events.tsv"
        path.write_text(path.read_text().replace("friends", "strangers"))
        with pytest.raises(ValueError, match="stim_file 'strangers' is no story of schema"):
            listed(tmp_path / "d")
