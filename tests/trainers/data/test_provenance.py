# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The protocol of an evaluation is told from checkpoint and data, and cannot be chosen."""

import json

import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets, load_from_disk

from dataset_builders import prepare_corpus, save_corpus
from modeling_brainllm import BrainLlamaConfig
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits, shuffle_brains
from trainers.data.provenance import (
    copy_training_brains,
    count_brains,
    read_corpus_facts,
    record_training_brains,
    save_training_brains,
    terms_of,
)
from trainers.reports.provenance import describe_protocol, describe_split, find_protocol


def make_rows(counts: dict[str, int], images: str = "image") -> Dataset:
    """So many brain samples of each subject, with two rows each."""
    return Dataset.from_list(
        [
            {"subject": subject, "brain_id": f"{images}/{subject}/{i}", "group": f"{images}/{i}"}
            for subject, count in counts.items()
            for i in range(count)
            for _ in range(2)
        ]
    )


def find(train: dict[str, int] | None, test: dict[str, int], noted: dict | None = None, **split) -> dict:
    config, rows = BrainLlamaConfig(), make_rows(test, "tested")
    if noted is not None:
        record_training_brains(config, noted)
    dataset = DatasetDict(test=rows) if train is None else DatasetDict(test=rows, train=make_rows(train))
    return find_protocol(config, dataset, rows, {"split": split} if split else None)


PUSH = """
import sys
from pathlib import Path
from huggingface_hub import HfApi
from trainers.data.provenance import read_corpus_facts
for name, files in (("facts", ["corpus.json", "README.md"]), ("bare", ["README.md"])):
    HfApi().create_repo(f"lab/{name}", repo_type="dataset")
    for file in files:
        target = {"path_in_repo": file, "repo_id": f"lab/{name}", "repo_type": "dataset"}
        HfApi().upload_file(path_or_fileobj=Path(sys.argv[1], file), **target)
print(read_corpus_facts("lab/facts"), read_corpus_facts("lab/bare"), read_corpus_facts(sys.argv[1]))
"""


class TestCorpusFacts:
    FACTS = {"corpus": "nsd2022", "split": {"policy": "official", "leaks": []}}

    def test_from_the_hub_as_from_a_folder(self, local_hub, run_python, tmp_path):
        """Rows without them are those of no corpus builder, and not an error."""
        (tmp_path / "corpus.json").write_text(json.dumps(self.FACTS))
        (tmp_path / "README.md").write_text("# Rows")
        printed = run_python(PUSH, str(tmp_path), env=local_hub.environment(tmp_path / "home"))
        assert printed.splitlines()[-1] == f"{self.FACTS} None {self.FACTS}"

    def test_a_folder_without(self, tmp_path):
        assert read_corpus_facts(str(tmp_path)) is None


class TestSplit:
    SPLIT = {"corpus": "nsd2022", "policy": "official", "fold": 0, "num_folds": 1, "evaluated": "test", "leaks": []}

    def test_held_out_subjects_are_named(self):
        split = {**self.SPLIT, "sizes": {"train": 9, "test": 4}, "test_subjects": ["subj08"]}
        assert "(9 train, 4 test rows); held-out subjects subj08; evaluated on" in describe_split(split)
        adapted = describe_split({**split, "num_adaptation_groups": 50})
        assert "held-out subjects subj08, of whom 50 stimuli each were trained on; evaluated on" in adapted

    def test_no_subject_held_out(self):
        split = {**self.SPLIT, "sizes": {"train": 9, "test": 4}, "test_subjects": None, "num_adaptation_groups": 0}
        assert "(9 train, 4 test rows); evaluated on `test`; no leak was found." in describe_split(split)


class TestProtocol:
    def test_within_subject(self):
        assert find({"s1": 9}, {"s1": 4})["name"] == "within_subject"

    def test_held_out_subject(self):
        found = find({"s1": 9, "s2": 9}, {"s8": 4}, policy="official", test_subjects=["s8"], num_adaptation_groups=0)
        assert found["name"] == "held_out_subject"
        assert found["training_brains"] == {"s1": 9, "s2": 9}
        assert (found["num_images"], found["seen_images"]) == (4, 0)

    def test_few_shot(self):
        adapted = {"policy": "official", "test_subjects": ["s8"], "num_adaptation_groups": 2}
        assert find({"s1": 9, "s8": 2}, {"s8": 4}, **adapted)["name"] == "few_shot"
        assert find({"s1": 9, "s8": 2}, {"s1": 4}, **adapted)["name"] == "within_subject"

    def test_a_checkpoint_that_has_seen_more_than_the_corpus_says(self):
        adapted = {"policy": "official", "test_subjects": ["s8"], "num_adaptation_groups": 2}
        everyone = {"s1": 9, "s8": 40}
        assert find({"s1": 9, "s8": 2}, {"s8": 4}, noted=everyone, **adapted)["name"] == "within_subject"
        assert find({"s1": 9}, {"s8": 4}, noted=everyone)["name"] == "within_subject"

    def test_a_checkpoint_that_has_seen_less_than_the_corpus_holds(self):
        found = find({"s1": 9, "s8": 9}, {"s8": 4}, noted={"s1": 9})
        assert (found["name"], found["source"]) == ("held_out_subject", "checkpoint")

    def test_several_subjects(self):
        assert find({"s1": 9, "s2": 9}, {"s1": 4, "s2": 4})["name"] == "within_subject"
        assert find({"s1": 9, "s2": 9}, {"s1": 4, "s8": 4})["name"] == "mixed"

    def test_nothing_is_known(self):
        found = find(None, {"s1": 4})
        assert found["name"] is None
        assert describe_protocol(found).startswith("Protocol: unknown")

    def test_images_that_were_trained_on_are_counted(self):
        rows = make_rows({"s8": 4})
        dataset = DatasetDict(test=rows, train=make_rows({"s1": 3}))
        found = find_protocol(BrainLlamaConfig(), dataset, rows)
        assert (found["num_images"], found["seen_images"]) == (4, 3)
        assert describe_protocol(found).endswith("4 stimuli, of which 3 are in the train split.")


class TestTrainingBrains:
    def test_are_saved_with_the_configuration(self, tmp_path):
        config = BrainLlamaConfig()
        record_training_brains(config, count_brains(make_rows({"s1": 5, "s2": 3})))
        config.save_pretrained(tmp_path)
        loaded = BrainLlamaConfig.from_pretrained(tmp_path)
        assert loaded.training_brains == {"s1": 5, "s2": 3}

    @pytest.mark.parametrize("second", [{"s1": 4, "s8": 2}, {"s8": 2}])
    def test_of_several_stages_the_largest_counts(self, second):
        config = BrainLlamaConfig()
        record_training_brains(config, {"s1": 5, "s2": 3})
        record_training_brains(config, second)
        assert config.training_brains == {"s1": 5, "s2": 3, "s8": 2}


class TestAdapters:
    """An adapter may know other brains than the checkpoint below it, and saves no configuration of the model."""

    def test_brains_of_the_adapter_count(self, tmp_path):
        adapted, below = BrainLlamaConfig(), BrainLlamaConfig()
        record_training_brains(adapted, {"s1": 5, "s8": 40})
        save_training_brains(adapted, tmp_path)
        record_training_brains(below, {"s1": 9})
        copy_training_brains(below, tmp_path)
        assert below.training_brains == {"s1": 9, "s8": 40}

    def test_an_adapter_that_says_nothing(self, tmp_path):
        rows, below = make_rows({"s8": 4}, "tested"), BrainLlamaConfig()
        record_training_brains(below, {"s1": 9})
        copy_training_brains(below, tmp_path)
        assert find_protocol(below, DatasetDict(test=rows), rows)["name"] is None


class TestTerms:
    def test_terms_travel_with_rows(self, tmp_path):
        """Through everything that is done to rows, however they are loaded; of a corpus prepared before, too."""
        prepared = prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", num_passages=10)
        save_corpus(prepared, tmp_path / "out")
        facts = json.loads((tmp_path / "out" / "corpus.json").read_text())
        expected = {name: facts[name] for name in ("corpus", "license", "may_redistribute", "subjects", "url")}
        assert facts["license_id"] == "apache-2.0"
        rows = load_from_disk(str(tmp_path / "out"))["train"]
        by_hand = rows.select(range(5)).map(lambda row: {"text": row["text"].upper()}).add_column("n", list(range(5)))
        joined = concatenate_datasets([rows.shuffle(seed=0).select(range(3)), rows.filter(lambda row: True)])
        loaded = load_corpus_splits(DataArguments(dataset=str(tmp_path / "out")))["train"]
        for some in (rows, by_hand, joined, loaded, shuffle_brains(loaded, seed=0)):
            (terms,) = terms_of(some)
            assert {name: terms[name] for name in expected} == expected
        assert terms_of(Dataset.from_list([{"a": 1}])) == []
