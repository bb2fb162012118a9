# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from datasets import ClassLabel, load_from_disk
from huggingface_hub import DatasetCard

from dataset_builders import CORPORA, builder_class, load_corpus, prepare_corpus, push_corpus, save_corpus
from dataset_builders.corpora.info import CorpusInfo
from dataset_builders.schema import COLUMNS, row_features


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
        with pytest.raises(ValueError, match="corpus 'pereira' is unknown: choose one of bids, brainllm2025"):
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
        with pytest.raises(FileExistsError, match="holds no prepared corpus"):
            save_corpus(prepared, tmp_path / "thesis")
        assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


class TestHub:
    def test_pushed_corpus_is_loaded_by_id(self, tmp_path, run_python, local_hub):
        """Pushed by one clean process, loaded by another with `datasets` alone and by our loader."""
        run_python(PUSH, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "pusher"))
        files = local_hub.files("lab/planted", "dataset")
        assert {"corpus.json", "subjects/sub-01.safetensors", "README.md"} <= set(files)
        assert "Sentences of a small grammar" in files["README.md"].decode()
        printed = run_python(PULL, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "puller"))
        assert printed.split()[-1] == "equal"

    def test_corpora_that_forbid_it_are_refused(self, tmp_path, sentences, write):
        folder = write(tmp_path / "data", "pereira", sentences())
        builder = prepare_corpus("brainllm2025", folder, tmp_path / "cache", verify_facts=False)
        save_corpus(builder, tmp_path / "out")
        with pytest.raises(PermissionError, match=r"brainllm2025-pereira may not be published.*do not publish rows"):
            push_corpus(tmp_path / "out", "lab/pereira")


PUSH = """
import sys
from dataset_builders import prepare_corpus, push_corpus, save_corpus
builder = prepare_corpus("synthetic_sentences", num_passages=10, num_frames=3, store="recordings")
save_corpus(builder, sys.argv[1])
print(push_corpus(sys.argv[1], "lab/planted"))
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
