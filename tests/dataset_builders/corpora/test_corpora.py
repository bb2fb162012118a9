# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest
from datasets import ClassLabel, load_from_disk
from huggingface_hub import DatasetCard

from dataset_builders import CORPORA, builder_class, load_corpus, prepare_corpus, push_corpus, save_corpus
from dataset_builders.corpora.info import CorpusInfo
from dataset_builders.schema import COLUMNS, Recording, row_features


REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def prepared(tmp_path):
    return prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", num_passages=10)


class TestEveryCorpus:
    @pytest.mark.parametrize("name", CORPORA)
    def test_builder_says_its_terms(self, name):
        cls = builder_class(name)
        assert cls.__doc__
        assert cls.LICENCE
        assert cls.REDISTRIBUTION
        assert isinstance(cls.CITATION, str)

    def test_unknown_corpus(self):
        with pytest.raises(
            ValueError, match="corpus 'pereira' is unknown: choose one of alice2016, bids, bids_trials, brainllm2025"
        ):
            load_corpus("pereira")

    def test_row(self, prepared):
        dataset = prepared.as_dataset_dict()
        assert dataset["train"].features == row_features(128)
        assert list(dataset["train"].features) == list(COLUMNS)
        assert not any(isinstance(feature, ClassLabel) for feature in dataset["train"].features.values())

    def test_importing_costs_neither_datasets_nor_torch(self):
        code = "import sys, dataset_builders; assert not {'datasets', 'torch', 'transformers'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


class TestCorpusInfo:
    def test_json_round_trip(self, prepared, tmp_path):
        info = prepared.corpus_info
        assert CorpusInfo.from_json(info.to_json()) == info
        info.save(tmp_path)
        assert CorpusInfo.load(tmp_path) == info

    def test_keys(self, prepared):
        content = json.loads(prepared.corpus_info.to_json())
        assert set(content) == {field.name for field in fields(CorpusInfo)}
        assert {"policy", "fold", "num_folds", "seed", "sizes", "leaks", "leak_allowed"} <= set(content["split"])

    def test_folder_without_corpus(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"corpus\.json is missing: prepare the corpus"):
            CorpusInfo.load(tmp_path)


class TestSaveCorpus:
    def test_folder_opens_with_datasets_alone(self, prepared, tmp_path):
        dataset, info = prepared.as_dataset_dict(), prepared.corpus_info
        save_corpus(prepared, tmp_path / "out")
        loaded = load_from_disk(str(tmp_path / "out"))
        assert {name: split.num_rows for name, split in loaded.items()} == info.split.sizes
        assert loaded["test"][0] == dataset["test"][0]
        assert CorpusInfo.load(tmp_path / "out") == info

    def test_card(self, prepared, tmp_path):
        save_corpus(prepared, tmp_path / "out")
        card = DatasetCard.load(tmp_path / "out" / "README.md")
        assert card.data.license == "apache-2.0"
        for text in ("Sentences of a small grammar", "No leak was found", "| train |", "`brain_values`"):
            assert text in card.text

    def test_card_names_leaks(self, tmp_path):
        builder = prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", split="paper")
        save_corpus(builder, tmp_path / "out")
        assert "**These splits leak.**" in (tmp_path / "out" / "README.md").read_text()

    def test_old_corpus_is_replaced_and_nothing_else(self, prepared, tmp_path):
        save_corpus(prepared, tmp_path / "out")
        options = {"num_passages": 10, "validation_fraction": 0}
        save_corpus(prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", **options), tmp_path / "out")
        assert sorted(load_from_disk(str(tmp_path / "out"))) == ["test", "train"]
        assert not (tmp_path / "out" / "validation").exists()
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        with pytest.raises(FileExistsError, match=r"files that no preparation wrote \('chapter\.txt'"):
            save_corpus(prepared, tmp_path / "thesis")
        assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"

    def test_what_lies_beside_a_corpus_is_not_lost(self, prepared, tmp_path):
        """A checkpoint that was trained into the folder of its corpus; caches of `datasets` are nobody's work."""
        save_corpus(prepared, tmp_path / "out")
        load_from_disk(str(tmp_path / "out"))["train"].map(lambda row: {"length": len(row["text"])})
        (tmp_path / "link").symlink_to(tmp_path / "out")
        save_corpus(prepared, tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        (tmp_path / "out" / "run").mkdir()
        (tmp_path / "out" / "run" / "model.safetensors").write_bytes(b"weights")
        with pytest.raises(FileExistsError, match=r"\('run/model\.safetensors' and 0 more\), which would be lost"):
            save_corpus(prepared, tmp_path / "out")
        assert (tmp_path / "out" / "run" / "model.safetensors").read_bytes() == b"weights"

    def test_two_preparations_into_one_folder(self, prepared, tmp_path):
        """One after the other, however they race: what is there in the end is whole."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: save_corpus(prepared, tmp_path / "out"), range(8)))
        done = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, check=False
        )
        assert done.returncode == 0
        assert load_from_disk(str(tmp_path / "out"))["train"][0] == prepared.as_dataset_dict()["train"][0]


class TestHub:
    def test_pushed_corpus_is_loaded_by_id(self, tmp_path, run_python, local_hub):
        """Pushed by one clean process, loaded by another with `datasets` alone and by our loader."""
        run_python(PUSH, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "pusher"))
        files = local_hub.files("lab/planted", "dataset")
        named = {"corpus.json", "subjects/sub-01.safetensors", "subjects/sub-01.png", "README.md"}
        assert named <= set(files)
        assert "Sentences of a small grammar" in files["README.md"].decode()
        printed = run_python(PULL, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "puller"))
        assert printed.split()[-1] == "equal"

    def test_a_corpus_is_pushed_again_and_again(self, tmp_path, run_python, local_hub):
        """Other rows, fewer splits, recordings no longer apart: the Hub always holds what was pushed, and no more."""
        printed = run_python(PUSH_AGAIN, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "pusher"))
        assert printed.split() == ["equal"] * 4

    def test_corpora_that_forbid_it_are_refused(self, tmp_path, sentences, write):
        folder = write(tmp_path / "data", "pereira", sentences())
        builder = prepare_corpus("brainllm2025", folder, tmp_path / "cache", verify_facts=False)
        save_corpus(builder, tmp_path / "out")
        with pytest.raises(PermissionError, match=r"brainllm2025-pereira may not be published.*do not publish rows"):
            push_corpus(tmp_path / "out", "lab/pereira")
        with pytest.raises(PermissionError, match=r"Nothing was pushed.*https://github.com.*share_samples=True"):
            push_corpus(tmp_path / "out", "lab/pereira", share_statistics=True, share_geometry=True)

    def test_rows_are_shared_by_name_and_the_card_says_so(self, tmp_path, local_hub, run_python):
        """And only in private; of subjects nothing but what was asked for."""
        printed = run_python(PUSH_BY_NAME, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "pusher"))
        assert printed.split()[-1] == "refused"
        assert local_hub.repositories() == {
            ("datasets", "lab/rows"): True, ("datasets", "lab/all"): True, ("datasets", "lab/public"): False
        }  # fmt: skip
        assert set(local_hub.files("lab/public", "dataset")) == set()
        rows, everything = (local_hub.files(f"lab/{name}", "dataset") for name in ("rows", "all"))
        assert not [name for name in rows if name.startswith("subjects/")]
        assert [name for name in everything if name.startswith("subjects/")]
        assert b"asked for it by name: samples." in rows["README.md"]
        assert b"asked for it by name: samples, statistics, geometry." in everything["README.md"]


PUSH = """
import sys
from dataset_builders import prepare_corpus, push_corpus, save_corpus
builder = prepare_corpus("synthetic_sentences", num_passages=10, num_frames=3, store="recordings")
save_corpus(builder, sys.argv[1])
print(push_corpus(sys.argv[1], "lab/planted"))
"""

PUSH_BY_NAME = """
import json, sys
from pathlib import Path
from huggingface_hub import create_repo
from dataset_builders import prepare_corpus, push_corpus, save_corpus
save_corpus(prepare_corpus("synthetic_sentences", num_passages=10), sys.argv[1])
facts = Path(sys.argv[1], "corpus.json")
facts.write_text(json.dumps(json.loads(facts.read_text()) | {"may_redistribute": False}))
push_corpus(sys.argv[1], "lab/rows", share_samples=True)
push_corpus(sys.argv[1], "lab/all", share_samples=True, share_statistics=True, share_geometry=True)
create_repo("lab/public", repo_type="dataset", private=False)
try:
    push_corpus(sys.argv[1], "lab/public", share_samples=True)
except PermissionError as error:
    print("refused" if "is public; nothing was pushed" in str(error) else error)
"""

PUSH_AGAIN = """
import sys
from datasets import load_dataset
from huggingface_hub import HfApi
from dataset_builders import prepare_corpus, push_corpus, save_corpus
for more in ({}, {"num_passages": 12}, {"validation_fraction": 0.0}, {"store": "rows"}):
    options = {"num_passages": 10, "num_frames": 3, "store": "recordings"} | more
    builder = prepare_corpus("synthetic_sentences", **options)
    save_corpus(builder, sys.argv[1])
    push_corpus(sys.argv[1], "lab/planted")
    rows = {name: split["sample_id"] for name, split in builder.as_dataset_dict().items()}
    for arguments in (("lab/planted",), ("lab/planted", "samples")):
        pulled = load_dataset(*arguments, download_mode="force_redownload")
        assert {name: split["sample_id"][:] for name, split in pulled.items()} == {n: s[:] for n, s in rows.items()}
    files = HfApi().list_repo_files("lab/planted", repo_type="dataset")
    assert any(file.startswith("recordings/") for file in files) == (options["store"] == "recordings")
    assert {file.split("/")[1].split("-")[0] for file in files if file.startswith("samples/")} == set(rows)
    print("equal")
"""

PULL = """
import sys
import numpy as np
from datasets import load_dataset
from trainers import DataArguments, load_corpus_splits
assert load_dataset("lab/planted", "samples").num_rows == load_dataset("lab/planted").num_rows
pulled = load_corpus_splits(DataArguments(dataset="lab/planted", dataset_config="samples"))
own = load_corpus_splits(DataArguments(dataset=sys.argv[1]))
for split in own:
    for row, same in zip(pulled[split], own[split], strict=True):
        np.testing.assert_array_equal(row.pop("brain_values"), same.pop("brain_values"))
        assert row == same
(person,) = load_dataset("lab/planted", "people")["train"]
assert (person["subject"], person["features"], person["picture"].size) == ("sub-01", 128, (480, 176))
print("equal")
"""


class TestExample:
    def _run(self, *arguments):
        command = [sys.executable, "examples/prepare_dataset.py", *map(str, arguments)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env={"PYTHONPATH": "."})

    def test_synthetic_with_config(self, tmp_path):
        (tmp_path / "small.yaml").write_text("num_passages: 12\nsplit: passage\n")
        run = self._run(
            *("--corpus", "synthetic_sentences", "--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache"),
            *("--config", tmp_path / "small.yaml", "--split", "paper", "--fold", 2),
        )
        assert run.returncode == 0, run.stderr
        assert "split 'paper', fold 2 of 5" in run.stdout
        assert "shared_brain" in run.stdout
        assert (
            len({row["stimulus"] for split in load_from_disk(str(tmp_path / "out")).values() for row in split}) == 12
        )

    def test_facts_can_be_waived(self, tmp_path, sentences, write):
        folder = write(tmp_path / "data", "pereira", sentences())
        arguments = ["--corpus", "brainllm2025", "--data_dir", folder, "--output_dir", tmp_path / "out"]
        arguments += ["--cache_dir", tmp_path / "cache"]
        strict, waived = self._run(*arguments), self._run(*arguments, "--no_verify_facts")
        assert strict.returncode != 0
        assert "samples expected 1254" in strict.stderr
        assert "differs from what is published: P01: stories expected 168, found 12" in waived.stdout
        assert "leaks: none" in waived.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--corpus", "brainllm2025"), "data_dir=None is not a folder"),
            (("--corpus", "bids", "--data_dir", "nowhere"), "data_dir='nowhere' is not a folder"),
            (("--corpus", "synthetic_sentences", "--fold", 9), "fold=9: choose from 0 to 4"),
            (("--corpus", "synthetic_sentences", "--config", "absent.yaml"), "absent.yaml"),
            (("--corpus", "synthetic_sentences", "--config", "LICENSE"), "--config LICENSE"),
            (("--corpus", "synthetic_sentences", "--config", "Makefile"), "--config Makefile is no YAML"),
        ],
    )
    def test_what_a_user_got_wrong_is_one_message(self, tmp_path, arguments, message):
        arguments = (*arguments, "--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
        run = self._run(*arguments)
        assert run.returncode == 1
        assert message in run.stderr
        assert "Traceback" not in run.stderr
        assert "Traceback" in self._run(*arguments, "--traceback").stderr


def test_force_builds_anew(tmp_path):
    """A cache that says something untrue is believed, until it is built anew."""
    options = {"cache_dir": tmp_path, "num_passages": 6, "num_frames": 2}
    first = prepare_corpus("synthetic_sentences", **options)
    true = first.corpus_info
    replace(true, fingerprint="stale").save(first.prepared_dir)
    assert prepare_corpus("synthetic_sentences", **options).corpus_info.fingerprint == "stale"
    assert prepare_corpus("synthetic_sentences", force=True, **options).corpus_info == true


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"subjects": "sub-01"}, r"subjects='sub-01' is of the wrong kind: .*; write \[sub-01\]"),
            ({"test_subjects": "sub-01"}, r"test_subjects='sub-01' is of the wrong kind"),
            ({"rois": "V1"}, r"rois='V1' is of the wrong kind: expected .*; write \[V1\]"),
            ({"num_folds": "4"}, "num_folds='4' is of the wrong kind: expected int"),
            ({"num_folds": True}, "num_folds=True is of the wrong kind: expected int"),
            ({"num_folds": 4.0}, "num_folds=4.0 is of the wrong kind: expected int"),
            ({"validation_fraction": "0.1"}, "validation_fraction='0.1' is of the wrong kind: expected float"),
            ({"verify_facts": "no"}, "verify_facts='no' is of the wrong kind: expected bool"),
            ({"num_passages": "ten"}, "num_passages='ten' is of the wrong kind: expected int"),
        ],
    )
    def test_kinds_are_checked(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            prepare_corpus("synthetic_sentences", cache_dir=tmp_path, **options)

    def test_what_is_meant_is_taken(self):
        config = builder_class("synthetic_sentences").BUILDER_CONFIG_CLASS
        assert config(subjects=[1, "02"], validation_fraction=0).subjects == ["1", "02"]


class TestIds:
    """Ids become paths below the cache: they are checked where they are made, in every corpus."""

    @pytest.mark.parametrize("run", ["../x", "/x", "a/../../x", "..", ".x", "", "a b", "a\\b", "a/b", "a:b", "a\nb"])
    def test_a_recording_may_not_leave_its_folder(self, run):
        with pytest.raises(ValueError, match="cannot name a recording of 'S1': expected <subject>/<run>"):
            Recording(f"S1/{run}", "S1", 1, 1, list)

    @pytest.mark.parametrize("subject", ["..", "../S1", "", "S2", ".S1"])
    def test_nor_may_a_subject(self, subject):
        with pytest.raises(ValueError, match="cannot name a recording"):
            Recording("S1/run" if subject == "S2" else f"{subject}/run", subject, 1, 1, list)

    @pytest.mark.parametrize("run", ["story", "ses-1_task-a+b_run-1", "001", "wheretheressmoke.v2", "geschichte_ä"])
    def test_names_of_the_corpora_are_taken(self, run):
        assert Recording(f"S1/{run}", "S1", 1, 1, list).recording_id == f"S1/{run}"

    @pytest.mark.parametrize("key", ["../../escaped", "/tmp/escaped", "a/b"])
    def test_keys_of_published_pickles(self, tmp_path, sentences, write, key):
        truth = sentences()
        truth = {subject: {1: stories[1], key: stories[2]} for subject, stories in truth.items()}
        folder = write(tmp_path / "data", "pereira", truth)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match=r"cannot name a recording of 'P01'.*rename it in .*P01.wq.pkl"):
            prepare_corpus("brainllm2025", folder, tmp_path / "cache", verify_facts=False)
        made = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)
        assert all(tmp_path / "cache" in path.parents for path in made)

    def test_two_keys_of_one_name(self, tmp_path, sentences, write):
        truth = sentences()
        truth = {subject: {**stories, "001": stories[1]} for subject, stories in truth.items()}
        folder = write(tmp_path / "data", "pereira", truth)
        with pytest.raises(ValueError, match="several keys mean the story '001': rename one"):
            prepare_corpus("brainllm2025", folder, tmp_path / "cache", verify_facts=False)
