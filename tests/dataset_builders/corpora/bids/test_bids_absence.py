# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What looks like a recording and is not taken: it is named with its reason, and nobody vanishes silently."""

import shutil

import pytest
from layouts.bids import SPACE, bids, write_words
from layouts.listing import listed as list_corpus

from dataset_builders import prepare_corpus, save_corpus
from dataset_builders.corpora.bids.bids import Bids


RUNS = {"sub-01_task-a_run-1": 1, "sub-01_task-b_run-1": 2, "sub-02_task-a_run-1": 3}
FUNC = "derivatives/fmriprep/sub-{}/func"
TAIL = f"{SPACE}_desc-preproc_bold.nii.gz"


@pytest.fixture
def root(tmp_path):
    bids(tmp_path / "ds", RUNS)
    return tmp_path / "ds"


#: Other names of the second run of subject 01, and why they are not taken.
NAMES = {
    f"sub-01_task-b_run-01_{SPACE}_desc-preproc_bold.nii.GZ": "its extension is written .nii.GZ: rename it to .nii.gz",
    f"sub-01_task-b_run-1.0_{TAIL}": "its name does not follow BIDS",
    f"sub-01_task-b_long_run-01_{TAIL}": "its name does not follow BIDS",
    f"sub-01_task-b_run-01_{SPACE}_desc-preproc_BOLD.nii.gz": "it ends with BOLD.nii.gz",
    f"sub-01_task-b_run-01_{SPACE}_bold.dtseries.nii": "CIFTI is not read",
    f"sub-01_task-b_run-01_{SPACE}_desc-preproc_bold.nii.bz2": "it ends with bold.nii.bz2",
    "sub-01_task-b_run-01_space-T1w_desc-preproc_bold.nii.gz": "its run is not there in the chosen form",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_not_taken_is_named(root, tmp_path, name):
    folder = root / FUNC.format("01")
    (folder / f"sub-01_task-b_run-01_{TAIL}").rename(folder / name)
    options = {"space": "MNI152NLin2009cAsym", "res": "2"}
    builder, recordings, _ = list_corpus(Bids, root, **options)
    assert set(recordings) == {"sub-01/task-a_run-1", "sub-02/task-a_run-1"}
    ((reason, files),) = builder.not_taken.items()
    assert reason.startswith(NAMES[name])
    assert files == [f"sub-01/func/{name}"]
    prepared = prepare_corpus("bids", root, tmp_path / "cache", num_folds=2, validation_fraction=0.0, **options)
    save_corpus(prepared, tmp_path / "out")
    assert prepared.corpus_info.not_taken == {reason: files}
    assert f"| files: {reason} | 1 | `{files[0]}` |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("name", [name for name in NAMES if "T1w" not in name])
def test_a_subject_without_any_is_an_error(root, name):
    folder = root / FUNC.format("02")
    name = name.replace("sub-01_task-b", "sub-02_task-a")
    (folder / f"sub-02_task-a_run-01_{TAIL}").rename(folder / name)
    with pytest.raises(ValueError, match=r"sub-02 holds no recording that can be taken \(sub-02_task-a.*subjects="):
        list_corpus(Bids, root)
    assert len(list_corpus(Bids, root, subjects=["sub-01"])[1]) == 2


def test_a_subject_whose_folder_is_empty(root):
    shutil.rmtree(root / FUNC.format("02"))
    with pytest.raises(ValueError, match=r"sub-02 holds no recording that can be taken \(it has none\)"):
        list_corpus(Bids, root)


def test_what_the_user_left_out_is_no_error(root):
    builder, recordings, _ = list_corpus(Bids, root, tasks=["b"])
    assert list(recordings) == ["sub-01/task-b_run-1"]
    assert {reason: len(files) for reason, files in builder.not_taken.items()} == {"another task was chosen": 2}
    assert list_corpus(Bids, root)[0].not_taken == {}


@pytest.mark.parametrize(("entity", "values"), [("echo", ("1", "2")), ("rec", ("norm", "raw"))])
def test_echoes_and_reconstructions_are_chosen_by_name(root, entity, values):
    """A run stays one run; its events and its JSON are those of the raw run, whichever echo they name."""
    for path in list(root.rglob("*_bold.*")):
        for value in values:
            name = path.name.replace("_space", f"_{entity}-{value}_space")
            shutil.copy(path, path.with_name(name))
        path.unlink()
    with pytest.raises(ValueError, match=r"holds 2 forms of its series: .*Choose one by space, res, desc, echo, rec"):
        list_corpus(Bids, root)
    _, recordings, samples = list_corpus(Bids, root, **{entity: values[1]}, **_mask(root))
    assert len(recordings) == 3
    assert all(f"{entity}-{values[1]}" in str(recording.sources[0]) for recording in recordings.values())
    assert len(samples) > 30


def _mask(root):
    """A mask for all, because each series has another name now."""
    result = min(root.rglob("*_mask.nii.gz"))
    shutil.copy(result, root / "mask.nii.gz")
    return {"mask": "mask.nii.gz"}


class TestEvents:
    def test_conditions_are_no_words(self, root):
        path = root / "sub-01" / "func" / "sub-01_task-a_run-1_events.tsv"
        words = [(("face", "house", "tool")[number % 3], 2.0 * number + 1, 2.0 * number + 2) for number in range(30)]
        write_words(path, words, column="stimulus")
        with pytest.raises(ValueError, match="texts of which a few recur are conditions"):
            list_corpus(Bids, root, tasks=["a"], subjects=["sub-01"])
        samples = list_corpus(Bids, root, tasks=["a"], subjects=["sub-01"], text_column="stimulus")[2]
        assert {word for sample in samples for word in sample.words} == {"face", "house", "tool"}
