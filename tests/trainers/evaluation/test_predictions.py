# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Files of captions as people publish them: every form gives the same table, and what is wrong is named."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from repository import REPOSITORY

from trainers.evaluation.predictions import (
    EMPTY,
    SUBSET,
    fingerprint_files,
    make_table,
    read_predictions,
    read_references,
    read_systems,
)


CAPTIONS = {"0": "A dog on a bed.", "1": "Two boats.", "2": "a clock"}
REFERENCES = {"0": ["A dog.", "One dog lies. \n"], "1": ["Boats on a lake."], "2": ["A clock.", "a tower", "time"]}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestPredictions:
    @pytest.mark.parametrize(
        "content",
        [
            CAPTIONS,
            list(CAPTIONS.values()),
            [{"image_id": int(image), "caption": text} for image, text in CAPTIONS.items()],
        ],
        ids=["brainhub", "list", "coco_results"],
    )
    def test_every_form(self, content, tmp_path):
        assert read_predictions(write(tmp_path / "p.json", content)) == CAPTIONS

    def test_a_byte_order_mark_is_no_caption(self, tmp_path):
        (tmp_path / "p.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"0": "café"}).encode())
        assert read_predictions(tmp_path / "p.json") == {"0": "café"}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"0": "a", "1": "b", "0": "c"}', r"names '0' twice in one object"),
            ([{"image_id": 7, "caption": "a"}, {"image_id": 7, "caption": "b"}], "two predictions of image '7'"),
            ({"0": ["a", "b"]}, r"image '0' is list \['a', 'b'\], expected a string.*are references"),
            ({"0": 3}, "image '0' is int 3, expected a string"),
            (["a", None], "image '1' is NoneType None"),
            ({}, "holds no predictions: it is empty"),
            ([], "holds no predictions: it is empty"),
            ("a dog", r"is no JSON file \(Expecting value.*an object from image to caption"),
            ('"a dog"', "holds str 'a dog', expected predictions"),
            ({"annotations": [{"image_id": 1, "caption": "a"}]}, "annotations of COCO, which are references"),
            ([{"image_id": 1, "bbox": []}], "expected `image_id` and `caption`"),
        ],
    )
    def test_what_is_wrong_is_named(self, content, message, tmp_path):
        with pytest.raises(ValueError, match=message) as error:
            read_predictions(write(tmp_path / "p.json", content))
        assert "p.json" in str(error.value)

    def test_missing_files_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="p.json is missing, expected a JSON file of captions"):
            read_predictions(tmp_path / "p.json")


class TestReferences:
    @pytest.mark.parametrize(
        "content",
        [
            REFERENCES,
            REFERENCES | {"1": "Boats on a lake."},
            list(REFERENCES.values()),
            {
                "info": {},
                "annotations": [
                    {"image_id": int(image), "id": 5, "caption": text}
                    for image, texts in REFERENCES.items()
                    for text in texts
                ],
            },
        ],
        ids=["brainhub", "one_string", "list", "coco_annotations"],
    )
    def test_every_form(self, content, tmp_path):
        assert read_references(write(tmp_path / "r.json", content)) == REFERENCES

    def test_of_coco(self):
        shared = Path(os.environ.get("BRAINLLM_SHARED", REPOSITORY.parent / "shared"))
        path = shared / "data" / "coco_captions" / "captions_val2017.json"
        if not path.is_file():
            pytest.skip(
                f"THE PUBLISHED CAPTIONS ARE NOT READ: {path} is absent; set BRAINLLM_SHARED to the data folder"
            )
        found = read_references(path)
        assert (len(found), sum(map(len, found.values()))) == (5_000, 25_014)
        assert "A black Honda motorcycle parked in front of a garage." in found["179765"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"0": []}, r"image '0' are list \[\]"),
            ({"0": ["a", "  "]}, r"image '0' are list \['a', '  '\].*none of them empty"),
            ({"0": ["a", 3]}, r"image '0' are list \['a', 3\]"),
            ({"0": {"a": 1}}, "image '0' are dict"),
            ({"annotations": []}, "holds no references: it is empty"),
            ({"annotations": [{"image_id": 1, "category_id": 2}]}, "Boxes and other annotations"),
        ],
    )
    def test_what_is_wrong_is_named(self, content, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            read_references(write(tmp_path / "r.json", content))


class TestSystems:
    def test_files(self, tmp_path):
        one, two = write(tmp_path / "one.json", CAPTIONS), write(tmp_path / "b" / "two.json", CAPTIONS)
        assert read_systems([one]) == {"one": {("", image): text for image, text in CAPTIONS.items()}}
        assert list(read_systems([one, two])) == ["one", "b/two"]

    def test_files_of_one_name_are_told_apart_by_their_folders(self, tmp_path):
        names = [write(tmp_path / name / "sub01_decoded_caption.json", CAPTIONS) for name in ("umbrae", "sdrecon")]
        assert list(read_systems(names)) == ["umbrae", "sdrecon"]

    def test_brainhub_has_a_folder_of_each_system_and_a_file_of_each_subject(self, tmp_path):
        for system, subjects in (("umbrae", ("sub01", "sub02")), ("onellm", ("sub01",))):
            for subject in subjects:
                write(tmp_path / system / f"{subject}_decoded_caption.json", CAPTIONS | {"0": f"{system} {subject}"})
        found = read_systems([tmp_path / "umbrae", tmp_path / "onellm"])
        assert found["umbrae"]["sub02", "0"] == "umbrae sub02"
        rows = make_table(found, REFERENCES)
        assert [row["sample_id"] for row in rows[2:4]] == ["sub01/2", "sub02/0"]
        assert rows[0]["texts"] == {"umbrae": "umbrae sub01", "onellm": "onellm sub01"}
        assert rows[3]["texts"] == {"umbrae": "umbrae sub02"}
        assert (rows[3]["subject"], rows[3]["group"], rows[3]["references"]) == ("sub02", "0", REFERENCES["0"])

    def test_what_is_wrong_is_named(self, tmp_path):
        one = write(tmp_path / "folder" / "sub01_a.json", CAPTIONS)
        write(tmp_path / "folder" / "sub01_b.json", CAPTIONS)
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="two files of the subject 'sub01': sub01_a.json and sub01_b.json"):
            read_systems([tmp_path / "folder"])
        with pytest.raises(ValueError, match="holds no .json file"):
            read_systems([tmp_path / "empty"])
        with pytest.raises(ValueError, match="mixes folders"):
            read_systems([tmp_path / "empty", one])
        for paths in ([one, tmp_path / "folder" / ".." / "folder" / "sub01_a.json"], []):
            with pytest.raises(ValueError, match="must name different files"):
                read_systems(paths)

    def test_fingerprints_are_of_the_bytes(self, tmp_path):
        one, two = write(tmp_path / "a.json", CAPTIONS), write(tmp_path / "f" / "sub01.json", CAPTIONS)
        expected = hashlib.sha256(one.read_bytes()).hexdigest()
        assert fingerprint_files([one, tmp_path / "f"]) == {one.as_posix(): expected, two.as_posix(): expected}


def as_system(captions: dict[str, str]) -> dict[tuple[str, str], str]:
    return {("", image): text for image, text in captions.items()}


class TestTable:
    def test_rows_have_the_order_of_the_references(self):
        rows = make_table({"a": as_system(dict(reversed(CAPTIONS.items())))}, REFERENCES)
        assert [(row["sample_id"], row["texts"]["a"]) for row in rows] == list(CAPTIONS.items())

    def test_images_must_be_the_same(self):
        fewer = {image: text for image, text in CAPTIONS.items() if image != "1"}
        with pytest.raises(ValueError, match=r"predictions 'a' lack 1 of 3 images with references \('1'\)"):
            make_table({"a": as_system(fewer)}, REFERENCES)
        with pytest.raises(ValueError, match=r"references lack 1 of 4 images of the predictions 'a' \('9'\)"):
            make_table({"a": as_system(CAPTIONS | {"9": "a cat"})}, REFERENCES)
        with pytest.raises(ValueError, match="'a' of the subject 's2' lack 3 of 3 images"):
            make_table({"a": {("s2", f"n{i}"): "x" for i in range(3)}}, REFERENCES)

    def test_a_subset_is_scored_when_allowed_by_name(self):
        systems = {"a": as_system(CAPTIONS), "b": as_system({"0": "x", "2": "y", "9": "z"})}
        rows = make_table(systems, REFERENCES, [SUBSET])
        assert [(row["group"], list(row["texts"])) for row in rows] == [("0", ["a", "b"]), ("2", ["a", "b"])]
        with pytest.raises(ValueError, match=r"share 0 image\(s\).*references: '0', '1', '2'"):
            make_table({"a": as_system({"x": "a", "y": "b"})}, REFERENCES, [SUBSET])

    def test_empty_captions_count_when_allowed_by_name(self):
        systems = {"a": as_system(CAPTIONS | {"1": " "})}
        with pytest.raises(ValueError, match=r"predictions 'a' are empty for 1 images \('1'\)"):
            make_table(systems, REFERENCES)
        assert make_table(systems, REFERENCES, [EMPTY])[1]["texts"] == {"a": " "}
