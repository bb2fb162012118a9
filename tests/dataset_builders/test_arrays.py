# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A corpus from arrays holds what was given, divided as every corpus is, and refuses what it cannot hold."""

import re

import numpy as np
import pytest
from repository import REPOSITORY

from dataset_builders import corpus_from_arrays, push_corpus, save_corpus
from dataset_builders.splitting.leaks import LeakageError


WORDS = (
    *("river", "stone", "lantern", "meadow", "harbor", "engine"),
    *("violin", "copper", "winter", "garden", "signal", "orchard"),
)


def given(num_passages: int = 24, num_sentences: int = 3, num_features: int = 6, frames: int = 2):
    """Brains, distinct texts and passages."""
    generator = np.random.default_rng(0)
    count = num_passages * num_sentences
    brains = generator.standard_normal((count, frames, num_features)).astype(np.float32)
    texts = [" ".join([*generator.choice(WORDS, 6), f"number{place}"]) for place in range(count)]
    return brains, texts, [f"passage-{place // num_sentences}" for place in range(count)]


def test_rows_hold_the_arrays_and_texts_and_passages_stay_whole(tmp_path):
    brains, texts, groups = given()
    splits = corpus_from_arrays("mine", brains, texts, groups, cache_dir=tmp_path).as_dataset_dict()
    by_text = dict(zip(texts, brains, strict=True))
    sides = {name: set(rows["group"]) for name, rows in splits.items()}
    assert set().union(*sides.values()) == set(groups)
    assert sum(map(len, sides.values())) == len(set(groups))
    for row in (row for rows in splits.values() for row in rows):
        np.testing.assert_array_equal(np.asarray(row["brain_values"], np.float32), by_text[row["text"]])
        assert f"{row['prompt']} {row['completion']}" in row["text"]
    assert sum(map(len, splits.values())) == 2 * len(texts)


def test_descriptions_are_decoded_whole(tmp_path):
    brains, texts, groups = given()
    splits = corpus_from_arrays("mine", brains[:, 0], texts, groups, num_parts=1, cache_dir=tmp_path).as_dataset_dict()
    rows = [row for split in splits.values() for row in split]
    assert sorted(row["completion"] for row in rows) == sorted(texts)
    assert {row["prompt"] for row in rows} == {""}


def test_subjects_keep_features_of_their_own_and_the_card_says_the_terms(tmp_path):
    brains, texts, groups = given()
    both = [*brains, *np.concatenate([brains, brains], axis=2) * 0.5]
    builder = corpus_from_arrays(
        "mine", both, texts * 2, groups * 2, subjects=["anna"] * len(texts) + ["bert"] * len(texts),
        terms={"license": "CC BY 4.0"}, cache_dir=tmp_path / "cache",
    )  # fmt: skip
    save_corpus(builder, tmp_path / "rows")
    assert "cc-by-4.0" in (tmp_path / "rows" / "README.md").read_text()
    assert builder.corpus_info.subjects == ["anna", "bert"]
    with pytest.raises(PermissionError):  # nobody said that it may be passed on
        push_corpus(tmp_path / "rows", "someone/mine")


def test_other_arrays_are_never_taken_from_the_cache(tmp_path):
    brains, texts, groups = given()
    corpus_from_arrays("mine", brains, texts, groups, cache_dir=tmp_path)
    splits = corpus_from_arrays("mine", brains + 1, texts, groups, cache_dir=tmp_path).as_dataset_dict()
    place = texts.index(splits["test"][0]["text"])
    np.testing.assert_array_equal(np.asarray(splits["test"][0]["brain_values"], np.float32), brains[place] + 1)


def test_a_sentence_in_two_passages_is_found_as_a_leak(tmp_path):
    brains, texts, groups = given()
    with pytest.raises(LeakageError):
        corpus_from_arrays(
            "mine", brains, [text.split("number")[0] for text in texts[:3]] * 24, groups, cache_dir=tmp_path
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": ["one"]}, "`texts` has 1 entries for 72 brains"),
        ({"brains": np.full((72, 6), np.nan)}, r"brains\[0\] holds NaN"),
        ({"brains": [*np.ones((71, 6)), np.ones(5)]}, r"brains\[71\] has 5 features"),
        ({"texts": [""] * 72}, r"texts\[0\] is empty"),
        ({"name": "a b"}, "name='a b'"),
        ({"terms": {"licence": "x"}}, "terms has no entry licence"),
    ],
)
def test_what_cannot_be_a_corpus_is_named(tmp_path, change, message):
    brains, texts, groups = given()
    arguments = {"name": "mine", "brains": brains, "texts": texts, "groups": groups, "cache_dir": tmp_path} | change
    with pytest.raises(ValueError, match=message):
        corpus_from_arrays(**arguments)


def test_the_guide_runs_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "own_data.md").read_text(), re.DOTALL)
    exec(snippet, {})
    assert {"README.md", "corpus.json"} <= {path.name for path in (tmp_path / "runs" / "my_corpus").iterdir()}
