# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
from itertools import product

import numpy as np
import pytest
from datasets import concatenate_datasets

from dataset_builders import load_corpus, prepare_corpus
from dataset_builders.corpora.synthetic.sentences import CONTENT_WORDS, semantic_vector


def _load(tmp_path, **config):
    return load_corpus("synthetic_sentences", cache_dir=tmp_path, **config)


def _sentences(split):
    """Brain and meaning of each distinct sentence: [sentences, features], [sentences, content words]; its passage."""
    split = split.with_format("numpy")
    _, first = np.unique(np.array(list(split["brain_id"])), return_index=True)
    rows = split.select(first)
    brains = np.stack([np.asarray(brain).mean(0) for brain in rows["brain_values"]])
    return brains, np.stack([semantic_vector(text) for text in rows["text"]]), np.array(list(rows["group"]))


def _identification(dataset, penalty):
    """Share of pairs of sentences of different test passages that ridge regression tells apart, and their number."""
    brains, meanings, _ = _sentences(dataset["train"])
    test_brains, test_meanings, groups = _sentences(dataset["test"])
    centre, meaning_centre = brains.mean(0), meanings.mean(0)
    gram = (brains - centre).T @ (brains - centre) + penalty * np.eye(brains.shape[1])
    weights = np.linalg.solve(gram, (brains - centre).T @ (meanings - meaning_centre))
    predicted, true = (test_brains - centre) @ weights, test_meanings - meaning_centre
    predicted /= np.linalg.norm(predicted, axis=1, keepdims=True)
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    similarity = predicted @ true.T
    wins = np.diag(similarity)[:, None] > similarity
    other = groups[:, None] != groups[None, :]
    return wins[other].mean(), len(groups)


class TestPlantedSignal:
    def test_held_out_passages_are_identified(self, tmp_path):
        accuracy, _ = _identification(_load(tmp_path, signal_to_noise=1.0), penalty=30)
        assert accuracy > 0.85

    def test_held_out_topics_are_identified(self, tmp_path):
        accuracy, _ = _identification(_load(tmp_path, signal_to_noise=1.0, split="topic"), penalty=30)
        assert accuracy > 0.75

    def test_null_corpus_gives_chance(self, tmp_path):
        scores = [
            _identification(_load(tmp_path, signal_to_noise=0, corpus_seed=seed), penalty=30) for seed in range(8)
        ]
        accuracies = np.array([accuracy for accuracy, _ in scores])
        # Sentences are the independent units (pairs are not): their number bounds the spread from above by .5/sqrt(n).
        spread = 0.5 / np.sqrt(sum(number for _, number in scores))
        assert abs(accuracies.mean() - 0.5) < 3 * spread

    def test_more_signal_decodes_better(self, tmp_path):
        weak, strong = (_identification(_load(tmp_path, signal_to_noise=ratio), 30)[0] for ratio in (0.05, 4.0))
        assert strong > weak + 0.1

    @pytest.mark.parametrize("ratio", [0.0, 0.5, 3.0])
    def test_variance_and_ratio_are_as_stated(self, tmp_path, ratio):
        dataset = _load(tmp_path, signal_to_noise=ratio, num_frames=2, num_folds=2, validation_fraction=0)
        brains = np.concatenate([np.stack(list(s.with_format("numpy")["brain_values"])) for s in dataset.values()])
        assert brains.var() == pytest.approx(1, abs=0.03)
        # Frames of a sample share the signal and not the noise: their covariance is the signal's variance.
        assert (brains[:, 0] * brains[:, 1]).mean() == pytest.approx(ratio / (1 + ratio), abs=0.03)


class TestSentences:
    def test_grammar(self, tmp_path):
        dataset = _load(tmp_path)
        texts = {text for split in dataset.values() for text in split["text"]}
        vocabulary = {word for text in texts for word in text.split()}
        assert 300 <= len(texts) == sum(map(len, dataset.values())) / 2
        assert 100 <= len(vocabulary) <= 150
        assert {len(text.split()) for text in texts} <= set(range(8, 14))

    def test_prompt_and_completion_are_parts_of_the_sentence(self, tmp_path):
        for row in _load(tmp_path)["test"]:
            joined = f"{row['prompt']} {row['completion']}"
            assert row["text"].startswith(joined)
            assert (joined == row["text"]) == row["sample_id"].endswith("/2")

    def test_meaning_counts_content_words(self):
        vector = semantic_vector("the old wolf finds the red red anchor xyz")
        assert {CONTENT_WORDS[i]: vector[i] for i in vector.nonzero()[0]} == {
            "old": 1,
            "wolf": 1,
            "finds": 1,
            "red": 2,
            "anchor": 1,
        }
        assert len(set(CONTENT_WORDS)) == len(CONTENT_WORDS)

    def test_subjects_share_text_and_not_brains(self, tmp_path):
        builder = prepare_corpus("synthetic_sentences", cache_dir=tmp_path, num_subjects=2)
        assert builder.corpus_info.subjects == ["sub-01", "sub-02"]
        rows = {row["sample_id"]: row for split in builder.as_dataset_dict().values() for row in split}
        one, two = (rows[f"synthetic_sentences/sub-0{n}/000/0/1"] for n in (1, 2))
        assert one["text"] == two["text"]
        assert abs(np.corrcoef(one["brain_values"][0], two["brain_values"][0])[0, 1]) < 0.5

    @pytest.mark.parametrize("alignment", [0.0, 0.6, 1.0])
    def test_alignment_is_the_correlation_of_two_maps(self, tmp_path, alignment):
        """Brains without noise reveal each map; people of one corpus and of two are as like as stated."""
        options = {"signal_to_noise": 1e9, "alignment": alignment, "num_subjects": 2, "num_features": 96}
        maps = []
        for seed, subject in product((0, 5), ("sub-01", "sub-02")):
            splits = _load(tmp_path, corpus_seed=seed, subjects=[subject], num_folds=2, **options)
            brains, meanings, _ = _sentences(concatenate_datasets(list(splits.values())))
            maps.append(np.linalg.lstsq(meanings - meanings.mean(0, dtype=float), brains, rcond=None)[0].ravel())
        assert np.corrcoef(maps)[np.triu_indices(4, 1)] == pytest.approx(np.full(6, alignment), abs=0.05)

    def test_same_seed_same_corpus(self, tmp_path):
        prints = [
            prepare_corpus(
                "synthetic_sentences", cache_dir=tmp_path / str(n), corpus_seed=seed
            ).corpus_info.fingerprint
            for n, seed in enumerate((0, 0, 1))
        ]
        assert prints[0] == prints[1] != prints[2]

    @pytest.mark.parametrize(
        ("option", "value"), [("signal_to_noise", -1), ("num_frames", 0), ("num_passages", 0), ("alignment", 1.5)]
    )
    def test_bad_options(self, tmp_path, option, value):
        with pytest.raises(ValueError, match=f"{option}={value}"):
            _load(tmp_path, **{option: value})
