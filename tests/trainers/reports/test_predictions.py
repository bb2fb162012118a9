# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Evidence from captions alone: planted knowledge is found, its absence too; figures are those of the metrics."""

import json
from pathlib import Path

import numpy as np
import pytest
from remembered_baselines import remembered_baselines  # noqa: F401 - a fixture

from trainers.evaluation.predictions import evaluate_predictions
from trainers.metrics import EmbeddedTokens, Meteor, MeteorData, bert_score, meteor_from_statistics
from trainers.metrics.captions import DocumentFrequencies, caption_scores
from trainers.metrics.meteor_data import Paraphrases
from trainers.reports.report import EvaluationReport
from trainers.reports.requirements import EMPTY, SUBSET
from trainers.scoring.caption_scorer import CaptionScorer
from trainers.statistics.resampling import benjamini_hochberg, cluster_bootstrap_ci


THINGS = ("horse", "boat", "clock", "pizza", "kite", "vase", "bear", "train")
PLACES = ("in the park", "on a table", "at the station")
NUM_IMAGES = 24
OPTIONS = {"num_resamples": 1_000, "progress": False}


def captions_of(image: int) -> list[str]:
    thing, place = THINGS[image % 8], PLACES[image // 8 % 3]
    return [f"A {thing} {place}.", f"There is one {thing} {place}.", f"a photo of the {thing}"]


def predict(hits: float, seed: int) -> dict[str, str]:
    """Captions of the right image as often as `hits` says."""
    rng, found = np.random.default_rng(seed), {}
    for image in range(NUM_IMAGES):
        shown = image if rng.random() < hits else image + int(rng.integers(1, 8))
        found[str(image)] = f"one {captions_of(shown)[0][2:-1]}"
    return found


@pytest.fixture
def files(tmp_path):
    """Writes predictions by name, and references; returns their paths."""

    def write(references=None, **systems) -> tuple[list, object]:
        references = references or {str(image): captions_of(image) for image in range(NUM_IMAGES)}
        (tmp_path / "references.json").write_text(json.dumps(references))
        for name, captions in systems.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(captions))
        return [tmp_path / f"{name}.json" for name in systems], tmp_path / "references.json"

    return write


@pytest.fixture
def report(files) -> EvaluationReport:
    return evaluate_predictions(*files(good=predict(0.9, 1), bad=predict(0.0, 2)), **OPTIONS)


# METEOR's lists without synonyms and paraphrases: words match if they, or their stems, are equal.
PARAPHRASES = Paraphrases(np.empty(0, np.int64), np.empty(0, np.int64))
WORD_LISTS = MeteorData(Path("none"), frozenset(("a", "the", "in", "on", "of")), {}, {}, PARAPHRASES)


def embed_words(texts) -> list[EmbeddedTokens]:
    """A token for each word, whose vector is its letters: words of like letters are alike."""
    found = []
    for text in texts:
        words = text.lower().replace(".", "").split()
        vectors = np.array([[1e-3 + word.count(chr(97 + i)) for i in range(26)] for word in words])
        found.append(EmbeddedTokens(words, vectors, np.zeros(len(words), bool)))
    return found


class TestListsAndModels:
    @pytest.fixture
    def report(self, files) -> EvaluationReport:
        paths = files(good=predict(0.9, 1), bad=predict(0.0, 2))
        return evaluate_predictions(*paths, **OPTIONS, meteor=WORD_LISTS, embed_tokens=embed_words)

    def test_meteor_is_of_the_corpus_and_bert_score_a_mean(self, report):
        references = [captions_of(image) for image in range(NUM_IMAGES)]
        for name, captions in (("good", predict(0.9, 1)), ("bad", predict(0.0, 2))):
            texts = list(captions.values())
            counts = Meteor(WORD_LISTS).statistics(texts, references)
            assert report.score("predictions", name, "meteor") == pytest.approx(
                float(meteor_from_statistics(counts.sum(axis=0)))
            )
            expected = bert_score(texts, references, embed_words)["bert_f1"].mean()
            assert report.score("predictions", name, "bert_score") == pytest.approx(expected)

    def test_both_have_floors_a_ceiling_intervals_and_tests(self, report):
        assert {row["arm"] for row in (*report.arms, *report.ceilings) if {"meteor", "bert_score"} <= set(row)} == {
            "good", "bad",
            "constant", "shuffled:good", "shuffled:bad", "human",
        }  # fmt: skip
        for metric in ("meteor", "bert_score"):
            good, bad = (report.score("predictions", arm, metric) for arm in ("good", "bad"))
            better = report.find("predictions", "bad", f"{metric}_gain", arm="good")
            assert better["ci_low"] > 0
            assert better["q"] < 0.05
            assert better["value"] == pytest.approx(good - bad)
            low, high = next(row["intervals"][metric] for row in report.arms if row["arm"] == "good")
            assert low < report.score("predictions", "good", metric) < high
            assert report.find("predictions", "shuffled:bad", f"{metric}_gain", arm="bad")["p"] > 0.05
        assert "METEOR" in report.to_markdown()
        assert "BERTScore F1" in report.to_markdown()

    def test_the_ceiling_is_each_caption_against_the_others(self, report):
        own = [captions_of(image)[k] for image in range(NUM_IMAGES) for k in range(3)]
        others = [[t for j, t in enumerate(captions_of(i)) if j != k] for i in range(NUM_IMAGES) for k in range(3)]
        counts = Meteor(WORD_LISTS).statistics(own, others).sum(axis=0)
        assert report.score("predictions", "human", "meteor") == pytest.approx(float(meteor_from_statistics(counts)))

    def test_captions_without_knowledge_differ_by_neither(self, files):
        paths = files(one=predict(0.0, 3), two=predict(0.0, 4))
        report = evaluate_predictions(*paths, **OPTIONS, meteor=WORD_LISTS, embed_tokens=embed_words)
        for metric in ("meteor", "bert_score"):
            found = report.find("predictions", "two", f"{metric}_gain", arm="one")
            assert found["ci_low"] < 0 < found["ci_high"]
            assert found["p"] > 0.05


class TestFigures:
    def test_what_an_image_beats_under_any_caption_is_no_merit_of_its_own(self, report):
        rows = report.samples
        ranks = np.array([row["identification"]["good"]["cider"] for row in rows])
        wins = 1 - (ranks[:, 0] - 1) / (ranks[:, 1] - 1)
        expected = np.array([row["expected"]["good"]["cider"] for row in rows])
        references, texts = [row["references"] for row in rows], [row["texts"]["good"] for row in rows]
        scores = CaptionScorer(DocumentFrequencies.fit(references)).matrices(texts, references)["cider"]
        beaten = (scores[0] > scores[1:]).sum(axis=0) + 0.5 * (scores[0] == scores[1:]).sum(axis=0)
        assert expected[0] == pytest.approx(np.mean(beaten[1:]) / (NUM_IMAGES - 1))
        found = report.find("predictions", "other_texts", "identification_cider", arm="good")
        assert found["value"] == pytest.approx(wins.mean())
        centred = cluster_bootstrap_ci(
            wins - expected + expected.mean(), [row["group"] for row in rows], num_resamples=1_000
        )
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(np.clip(centred, 0, 1))

    def test_scores_are_those_of_the_metrics(self, report):
        references = [captions_of(image) for image in range(NUM_IMAGES)]
        for name, captions in (("good", predict(0.9, 1)), ("bad", predict(0.0, 2))):
            for metric, values in caption_scores(list(captions.values()), references).items():
                assert report.score("predictions", name, metric) == pytest.approx(np.mean(values), abs=1e-12)

    def test_knowledge_is_found_and_its_absence_too(self, report):
        assert "**What `good` knows**: something of what was perceived." in report.describe()
        assert "**What `bad` knows**: nothing that these samples can show." in report.describe()
        assert "**`good` minus `bad`**: `good` is better by CIDEr, ROUGE-L, BLEU-4." in report.describe()
        assert report.find("predictions", "other_texts", "identification_cider", arm="good")["q"] < 0.05
        assert report.find("predictions", "other_texts", "identification_cider", arm="bad")["q"] > 0.05
        for row in report.arms:
            for metric, (low, high) in row["intervals"].items():
                assert low - 1e-9 <= row[metric] <= high + 1e-9

    def test_a_system_does_not_differ_from_itself(self, files):
        paths, references = files(one=predict(0.5, 1), two=predict(0.5, 1))
        report = evaluate_predictions(paths, references, **OPTIONS)
        for metric in ("cider", "rouge_l", "bleu_4"):
            found = report.find("predictions", "two", f"{metric}_gain", arm="one")
            assert (found["value"], found["p"]) == (0, 1)
        assert "**`one` minus `two`**: no difference that these samples can show." in report.describe()

    def test_every_pair_is_compared_and_all_tests_are_one_family(self, files):
        names = ("a", "b", "c")
        paths, references = files(**{name: predict(0.3 * i, i) for i, name in enumerate(names)})
        report = evaluate_predictions(paths, references, **OPTIONS)
        pairs = {(row["arm"], row["control"]) for row in report.comparisons if row["control"] in names}
        assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}
        # Three scores against two baselines and the other systems, and identification against chance.
        assert len(report.comparisons) == 3 * (3 * 2 + 3) + 3
        expected = benjamini_hochberg([row["p"] for row in report.comparisons])
        assert [row["q"] for row in report.comparisons] == pytest.approx(expected)

    def test_subjects_share_images_which_are_the_unit(self, files, tmp_path):
        _, references = files()
        for system, hits in (("one", 0.9), ("two", 0.1)):
            for number, subject in enumerate(("sub01", "sub02")):
                path = tmp_path / system / f"{subject}_decoded_caption.json"
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(predict(hits, number)))
        report = evaluate_predictions([tmp_path / "one", tmp_path / "two"], references, **OPTIONS)
        found = report.find("predictions", "two", "cider_gain", arm="one")
        assert (found["num_samples"], found["num_groups"]) == (2 * NUM_IMAGES, NUM_IMAGES)
        assert "subjects sub01, sub02" in report.describe()
        row = report.identification[0]
        assert (row["num_queries"], row["num_candidates"]) == (2 * NUM_IMAGES, NUM_IMAGES)


class TestGaps:
    def test_one_reference_makes_no_ceiling(self, files):
        references = {str(image): captions_of(image)[:1] for image in range(NUM_IMAGES)}
        paths, path = files(references, good=predict(0.9, 1))
        report = evaluate_predictions(paths, path, **OPTIONS)
        assert "No human ceiling: with one reference for each image" in report.describe()
        assert [row["arm"] for row in report.arms] == ["good", "constant", "shuffled:good"]
        assert report.ceilings == []
        some = references | {"3": captions_of(3), "4": captions_of(4)}
        report = evaluate_predictions(*files(some, good=predict(0.9, 1)), **OPTIONS)
        assert "The human ceiling leaves out 22 images with a single reference." in report.describe()

    def test_what_was_allowed_stands_at_the_top(self, files, tmp_path):
        some = {image: text for image, text in predict(0.9, 1).items() if int(image) >= 4} | {"23": ""}
        paths, references = files(good=some)
        report = evaluate_predictions(paths, references, allow=[SUBSET, EMPTY], **OPTIONS)
        with pytest.raises(ValueError, match=r"would miss subset, empty"):
            report.save(tmp_path / "out")
        report.save(tmp_path / "out", [SUBSET, EMPTY])
        text = (tmp_path / "out" / "report.md").read_text()
        told = ("Scored are 20 of 24 images", "1 captions are empty", "What `good` knows")
        assert [text.index(sentence) for sentence in told] == sorted(text.index(sentence) for sentence in told)

    def test_few_resamples_are_refused(self, files, tmp_path):
        paths, references = files(good=predict(0.9, 1))
        report = evaluate_predictions(paths, references, num_resamples=100, progress=False)
        with pytest.raises(ValueError, match="`num_resamples` = 100; 1,000 are the least"):
            report.save(tmp_path / "out")

    def test_round_trip(self, report, tmp_path):
        report.save(tmp_path / "out")
        assert EvaluationReport.load(tmp_path / "out") == report
        assert report.fingerprint.keys() == {str(tmp_path / f"{name}.json") for name in ("good", "bad", "references")}
        assert "“a horse" not in report.to_markdown()
        assert "one photo" not in report.to_html()
        assert captions_of(0)[1] in report.to_html()
