# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows of questions and dialogues about planted images, and whether a brain answers more than the question alone."""

from collections import Counter

import numpy as np
import pytest
from huggingface_hub import DatasetCard

from dataset_builders import prepare_corpus, save_corpus
from dataset_builders.corpora.info import CorpusInfo
from dataset_builders.corpora.synthetic.scenes import NOT_THERE
from trainers.metrics import best_constant_answers, vqa_accuracy


# Types that are not answered by yes or no.
DECODABLE = ("how many", "what is", "where", "what color")
KINDS = {*DECODABLE, "is the", "is there"}
SMALL = {"num_subjects": 2, "num_voxels": 60, "num_sessions": 2, "trials_per_session": 60, "num_shared": 8}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    options = {"target": "questions", "store": "recordings", **SMALL}
    return prepare_corpus("synthetic_images", cache_dir=folder, **options)


class TestRows:
    def test_a_row_is_a_question_about_the_image_of_a_trial(self, asked, tmp_path):
        trials = prepare_corpus("synthetic_images", cache_dir=tmp_path, **SMALL).as_dataset_dict()
        for name, rows in asked.as_dataset_dict().items():
            by_trial = {row["sample_id"]: row for row in trials[name]}
            assert len(rows) == 6 * len(by_trial)
            for row in rows:
                trial = by_trial[row["sample_id"].rpartition("/")[0]]
                same = ("stimulus", "group", "brain_id", "references", "text", "subject", "session")
                assert {key: row[key] for key in same} == {key: trial[key] for key in same}
                assert Counter(row["answers"]).most_common(1)[0][0] == row["completion"]
                assert (len(row["answers"]), row["question"][-1], row["dialogue"]) == (10, "?", [])
            assert set(rows["question_type"]) == KINDS

    def test_rows_without_questions_have_empty_columns(self, tmp_path):
        row = prepare_corpus("synthetic_images", cache_dir=tmp_path, **SMALL).as_dataset_dict()["test"][0]
        assert (row["question"], row["answers"], row["question_type"], row["dialogue"]) == ("", [], "", [])

    def test_answers_are_counted_on_training_questions_alone(self, asked):
        train = asked.as_dataset_dict()["train"]
        once = {(row["stimulus"], row["question"]): row for row in train}
        found = asked.corpus_info.answers
        assert set(found) == KINDS
        for kind, told in found.items():
            own = [row for row in once.values() if row["question_type"] == kind]
            counts = Counter(answer for row in own for answer in row["answers"])
            assert told == {"questions": len(own), "answers": dict(counts)}
            assert list(told["answers"].values()) == sorted(counts.values(), reverse=True)

    def test_the_card_shows_the_guess_of_each_type(self, asked, tmp_path):
        save_corpus(asked, tmp_path / "saved")
        assert CorpusInfo.load(tmp_path / "saved").answers == asked.corpus_info.answers
        content = DatasetCard.load(tmp_path / "saved" / "README.md").content
        assert "| is the | " in content.partition("## Questions")[2]

    def test_dialogues(self, asked, tmp_path):
        options = {"target": "dialogues", "store": "recordings", **SMALL}
        rows = prepare_corpus("synthetic_images", cache_dir=tmp_path, **options).as_dataset_dict()["test"]
        questions = {}
        for row in asked.as_dataset_dict()["test"]:
            questions.setdefault(row["stimulus"], {})[row["question"]] = row["answers"][0]
        for row in rows:
            assert [turn["role"] for turn in row["dialogue"]] == ["user", "assistant"] * 6
            said = [turn["content"] for turn in row["dialogue"]]
            assert dict(zip(said[::2], said[1::2], strict=True)) == questions[row["stimulus"]]
            assert row["completion"] == said[-1]

    def test_a_table_takes_the_place_of_vqa(self, tmp_path):
        from dataset_builders.corpora.synthetic.images import Dials, write_synthetic_nsd

        folder = write_synthetic_nsd(tmp_path / "nsd", Dials(**SMALL))
        lines = [f"{image}\tIs it day?\t{said}\n" for image in range(1001, 1041) for said in ("yes", "yes", "no")]
        (folder / "asked.tsv").write_text("".join(["image_id\tquestion\tanswer\n", *lines]))
        options = {"target": "questions", "question_table": "asked.tsv"}
        builder = prepare_corpus("synthetic_images", folder, tmp_path / "cache", **options)
        rows = [row for part in builder.as_dataset_dict().values() for row in part]
        assert {row["stimulus"] for row in rows} == {f"nsd/{image}" for image in range(1, 41)}
        told = {(row["question"], row["question_type"], *row["answers"]) for row in rows}
        assert told == {("Is it day?", "is it", "yes", "yes", "no")}
        left_out = builder.corpus_info.facts["notes"]["images without questions, left out"]
        assert left_out == builder.facts.num_images - 40
        (folder / "asked.tsv").write_text("image_id\tquestion\tanswer\n7\tIs it day?\tyes\n")
        with pytest.raises(ValueError, match=r"asked.tsv: none of the 72 images that were seen has questions: images"):
            prepare_corpus("synthetic_images", folder, tmp_path / "cache", **options)

    def test_what_cannot_be(self, tmp_path):
        with pytest.raises(ValueError, match="question_table='a.csv' needs target='questions', not 'captions'"):
            prepare_corpus("synthetic_images", cache_dir=tmp_path, question_table="a.csv")
        with pytest.raises(ValueError, match="target='answers' is unknown: choose one of captions, questions, dialo"):
            prepare_corpus("synthetic_images", cache_dir=tmp_path, target="answers")


def _scores(train, test, kind):
    """Answers of a type, and how much each test brain speaks for each, by ridge regression on what was answered."""
    own = train.filter(lambda row: row["question_type"] == kind and row["completion"] != NOT_THERE)
    known, target = np.unique(own["completion"], return_inverse=True)
    brains, others = (np.array(part["brain_values"])[:, 0].astype(np.float64) for part in (own, test))
    gram, wanted = brains.T @ brains + 300 * np.eye(brains.shape[1]), np.eye(len(known))[target]
    return known, others @ np.linalg.solve(gram, brains.T @ (wanted - wanted.mean(0)))


def _answers(train, test, kind):
    """What the brain says; a thing that is asked for and that it speaks little for is said not to be there."""
    known, scores = _scores(train, test, kind)
    said = known[scores.argmax(1)]
    if kind == "what color":
        things, present = _scores(train, test, "what is")
        asked = [text.split()[-1].removesuffix("?") for text in test["question"]]
        rank = [(own > own[things == thing]).sum() for own, thing in zip(present, asked, strict=True)]
        said = np.where(np.array(rank) < len(things) / 4, said, NOT_THERE)
    return said.tolist()


def _gains(folder, signal_to_noise):
    """For each type the accuracy of what the brain says over that of the best guess, for each test question."""
    dials = {"num_subjects": 1, "num_voxels": 300, "num_sessions": 10, "trials_per_session": 180, "num_shared": 150}
    builder = prepare_corpus(
        "synthetic_images", cache_dir=folder, target="questions", signal_to_noise=signal_to_noise, **dials
    )
    splits = builder.as_dataset_dict()
    train = splits["train"]
    best = best_constant_answers(train["question_type"], train["answers"])
    gains = {}
    for kind in DECODABLE:
        test = splits["test"].filter(lambda row: row["question_type"] == kind)  # noqa: B023
        guess = vqa_accuracy([best[kind]] * len(test), test["answers"])
        gains[kind] = vqa_accuracy(_answers(train, test, kind), test["answers"]) - guess
    return gains


def _interval(values):
    """95 % interval of the mean over images, each of which has one such question, by resampling."""
    means = np.random.default_rng(0).choice(values, (4000, len(values))).mean(1)
    return np.percentile(means, [2.5, 97.5])


class TestWhatTheBrainAnswers:
    def test_more_than_the_question_alone_on_planted_brains(self, tmp_path):
        for kind, gain in _gains(tmp_path, signal_to_noise=3.0).items():
            assert _interval(gain)[0] > 0.02, kind

    def test_nothing_on_noise(self, tmp_path):
        for kind, gain in _gains(tmp_path, signal_to_noise=0.0).items():
            assert _interval(gain)[0] < 0, kind
