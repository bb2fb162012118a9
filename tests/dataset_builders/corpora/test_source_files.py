# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The cache forgets rows once a file has changed that they were built from: so each file that is read must be known.

By Python's own record of what is opened, so that a file read tomorrow is missed today. (Formats that a library opens
by itself are not on it.)
"""

import os
import sys

import pytest
from layouts.huth_builders import FRAMES, TANG_FRAMES, TANG_VOXELS, VOXELS, SmallLebel, SmallTang
from layouts.lebel import lebel, write_raw_names
from layouts.narratives import narratives, write_cortex_mask
from layouts.tang import tang

from dataset_builders.corpora.bids.narratives2021 import Narratives2021


def _lebel(root):
    lebel(root, FRAMES, VOXELS)
    return SmallLebel, {}


def _tang(root):
    tang(root, TANG_VOXELS, TANG_FRAMES)
    return SmallTang, {}


def _narratives(root):
    narratives(root, {"sub-002_task-pieman_run-1": "", "sub-034_task-milkyway": "original"}, vertices=16)
    write_cortex_mask(root, "afni-nosmooth", 16)
    return Narratives2021, {"verify_facts": False}


@pytest.mark.parametrize("write", [_lebel, _tang, _narratives])
def test_every_file_that_is_opened_is_known(tmp_path, write):
    root, opened, is_on = tmp_path / "ds", set(), [True]
    root.mkdir()
    cls, options = write(root)
    builder = cls(data_dir=root, cache_dir=str(tmp_path / "cache"), **options)

    def record(event, arguments):
        if event == "open" and is_on[0] and str(arguments[0]).startswith(f"{root}{os.sep}"):
            opened.add(str(arguments[0]))

    sys.addaudithook(record)  # for good; but it looks away after this test
    recordings = builder.list_recordings()
    assert builder.list_samples(recordings)
    for recording in recordings:
        recording.read()
        builder.geometry(recording.subject)
    is_on[0] = False
    assert len(opened) > 3
    assert opened <= {str(path) for path in cls.source_files(root)}


def test_names_that_say_something_are_known(tmp_path):
    """Sessions of LeBel are read from the names of raw files, which may be links to nowhere."""
    root = tmp_path / "ds"
    lebel(root, FRAMES, VOXELS)
    prints = [SmallLebel(data_dir=root, cache_dir=str(tmp_path)).config.source_fingerprint]
    write_raw_names(root, "UTS01", {"2": ["souls"]})
    prints.append(SmallLebel(data_dir=root, cache_dir=str(tmp_path)).config.source_fingerprint)
    folder = root / "sub-UTS01" / "ses-2" / "func"
    (folder / "sub-UTS01_ses-2_task-legacy_bold.nii.gz").symlink_to("../../../.git/annex/objects/none")
    prints.append(SmallLebel(data_dir=root, cache_dir=str(tmp_path)).config.source_fingerprint)
    assert len(set(prints)) == 3
