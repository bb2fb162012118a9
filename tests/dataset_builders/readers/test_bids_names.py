# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from dataset_builders.readers.bids_names import (
    RUN_ENTITIES,
    join,
    parse_name,
    parse_names,
    pick,
    read_metadata,
    sidecars,
)


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "entities", "suffix", "extension"),
        [
            (
                "sub-01_ses-2_task-story_acq-hi_dir-AP_run-3_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz",
                {
                    "sub": "01",
                    "ses": "2",
                    "task": "story",
                    "acq": "hi",
                    "dir": "AP",
                    "run": "3",
                    "space": "MNI152NLin2009cAsym",
                    "res": "2",
                    "desc": "preproc",
                },
                "bold",
                ".nii.gz",
            ),
            ("sub-01_task-a_echo-01_bold.nii", {"sub": "01", "task": "a", "echo": "1"}, "bold", ".nii"),
            # fMRIPrep 20.0 gave surfaces no suffix
            (
                "sub-001_task-pieman_run-1_space-fsaverage6_hemi-L.func.gii",
                {"sub": "001", "task": "pieman", "run": "1", "space": "fsaverage6", "hemi": "L"},
                "",
                ".func.gii",
            ),
            ("sub-1_space-x+y_bold.dtseries.nii", {"sub": "1", "space": "x+y"}, "bold", ".dtseries.nii"),
            ("task-story_bold.json", {"task": "story"}, "bold", ".json"),
            ("bold.json", {}, "bold", ".json"),
            ("events.tsv", {}, "events", ".tsv"),
        ],
    )
    def test_parts(self, name, entities, suffix, extension):
        parsed = parse_name(Path("anywhere") / name)
        assert dict(parsed.entities) == entities
        assert list(parsed.entities) == list(entities)
        assert (parsed.suffix, parsed.extension) == (suffix, extension)
        assert parsed.path == Path("anywhere") / name

    @pytest.mark.parametrize(
        "name", ["sub-1_sub-2_bold.nii", "sub-1__bold.nii", "sub-_bold.nii", "sub-1_notes_bold.nii", "a-b-c_bold.nii"]
    )
    def test_other_names_are_none(self, name):
        assert parse_name(Path(name)) is None

    def test_leading_zeros_of_a_run_do_not_count(self):
        one, padded = parse_name(Path("sub-01_run-1_bold.nii")), parse_name(Path("sub-01_run-01_bold.nii"))
        assert one.entities == padded.entities
        # those of a subject do: sub-1 and sub-01 are two people
        assert parse_name(Path("sub-1_bold.nii")).entities != parse_name(Path("sub-01_bold.nii")).entities

    def test_names_are_sorted_and_others_left_out(self):
        paths = [Path("sub-02_bold.nii"), Path("read me.txt"), Path("sub-01_bold.nii")]
        assert [name.path.name for name in parse_names(paths)] == ["sub-01_bold.nii", "sub-02_bold.nii"]

    def test_pick_keeps_the_order_of_the_standard(self):
        entities = {"run": "1", "space": "T1w", "sub": "01", "task": "a"}
        assert join(pick(entities, RUN_ENTITIES)) == "sub-01_task-a_run-1"


class TestInheritance:
    entities = {"sub": "01", "ses": "2", "task": "a", "run": "1", "space": "T1w", "desc": "preproc"}

    def test_from_the_root_down(self, tmp_path):
        _touch(
            tmp_path,
            "bold.json",
            "task-a_bold.json",
            "task-b_bold.json",
            "sub-01/sub-01_bold.json",
            "sub-01/ses-2/sub-01_ses-2_task-a_bold.json",
            "sub-01/ses-2/func/sub-01_ses-2_task-a_run-01_bold.json",
            "sub-01/ses-2/func/sub-01_ses-2_task-a_run-02_bold.json",
            "sub-01/ses-2/func/sub-01_ses-2_task-a_run-01_echo-1_bold.json",
            "sub-01/ses-2/func/sub-01_ses-2_task-a_run-01_sbref.json",
            "sub-01/func/sub-01_task-a_bold.json",  # of a session-less subject: no place of this run
        )
        found = sidecars(tmp_path, self.entities, "bold", ".json")
        assert [path.name for path in found] == [
            "bold.json",
            "task-a_bold.json",
            "sub-01_bold.json",
            "sub-01_ses-2_task-a_bold.json",
            "sub-01_ses-2_task-a_run-01_bold.json",
        ]

    def test_nearer_fields_override(self, tmp_path):
        far, near = tmp_path / "bold.json", tmp_path / "task-a_bold.json"
        far.write_text(json.dumps({"RepetitionTime": 2.0, "TaskName": "a"}))
        near.write_text(json.dumps({"RepetitionTime": 1.5}))
        assert read_metadata([far, near]) == {"RepetitionTime": 1.5, "TaskName": "a"}
        assert read_metadata([]) == {}

    def test_two_spellings_of_a_run_are_an_error(self, tmp_path):
        folder = "sub-01/ses-2/func/sub-01_ses-2_task-a"
        _touch(tmp_path, f"{folder}_run-1_events.tsv", f"{folder}_run-01_events.tsv")
        with pytest.raises(ValueError, match="run-01_events.tsv, .*run-1_events.tsv apply alike to sub-01_ses-2"):
            sidecars(tmp_path, self.entities, "events", ".tsv")

    @pytest.mark.parametrize("content", [b"{", b'{"RepetitionTime": }', b"[" * 100_000])
    def test_damaged_json(self, tmp_path, content):
        path = tmp_path / "bold.json"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bold\.json is not JSON"):
            read_metadata([path])

    def test_json_without_fields(self, tmp_path):
        path = tmp_path / "bold.json"
        path.write_text("[1, 2]")
        with pytest.raises(ValueError, match="expected fields in braces, found list"):
            read_metadata([path])

    def test_a_pointer_in_place_of_json(self, tmp_path):
        path = tmp_path / "bold.json"
        path.write_text("/annex/objects/MD5E-s120--0123456789abcdef.json")
        with pytest.raises(ValueError, match="datalad get"):
            read_metadata([path])
