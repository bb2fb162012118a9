# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The classes of the library `evaluate`: by path without a network, by name, and equal to the functions."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import trainers.evaluate_metrics
from trainers.evaluate_metrics import (
    BertScore,
    BrainLLMScores,
    CaptionBleu,
    CaptionCider,
    CaptionMeteor,
    CaptionRouge,
    PerplexityGap,
    QuestionAnswering,
    Retrieval,
    SentenceSimilarity,
    TextScores,
)
from trainers.metrics import (
    Cider,
    DocumentFrequencies,
    EmbeddedTokens,
    bert_score,
    brainllm_scores,
    caption_bleu,
    caption_rouge_1,
    caption_rouge_l,
    corpus_bleu,
    corpus_perplexity_gap,
    corpus_word_error_rate,
    sentence_similarity,
    text_scores,
    two_way_identification,
    vqa_accuracy,
)


FOLDER = Path(trainers.evaluate_metrics.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "base"))
PREDICTIONS = ["a man rides a horse", "two dogs in a park"]
REFERENCES = [["a man on a horse", "a horse"], ["two dogs run in the park"]]
TRUTHS = [own[0] for own in REFERENCES]


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.array([[len(text), text.count("a"), text.count("o"), 1.0] for text in texts])


def embed_tokens(texts: Sequence[str]) -> list[EmbeddedTokens]:
    return [EmbeddedTokens(text.split(), embed(text.split()), np.zeros(len(text.split()), bool)) for text in texts]


@pytest.mark.slow
def test_every_metric_loads_by_its_file(tmp_path):
    """In a process of its own, offline, from another working folder."""
    program = """
import json, sys, evaluate
loaded = {name: evaluate.load(f"{sys.argv[1]}/{name}.py", cache_dir=sys.argv[2]) for name in sys.argv[3:]}
texts = {"predictions": ["a man", "a dog runs"], "references": [["a man"], ["a dog", "a cat"]]}
scores = loaded["caption_bleu"].compute(**texts)
print(json.dumps([{name: type(metric).__name__ for name, metric in loaded.items()}, scores]))
"""
    environment = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, FOLDER, tmp_path, *NAMES],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    classes, scores = json.loads(done.stdout.splitlines()[-1])
    assert sorted(classes.values()) == sorted(trainers.evaluate_metrics.__all__)
    assert scores == pytest.approx(caption_bleu(["a man", "a dog runs"], [["a man"], ["a dog", "a cat"]]))


class TestScores:
    def test_caption_bleu(self):
        found = CaptionBleu().compute(predictions=PREDICTIONS, references=REFERENCES)
        assert found == caption_bleu(PREDICTIONS, REFERENCES)

    def test_caption_rouge(self):
        found = CaptionRouge().compute(predictions=PREDICTIONS, references=REFERENCES)
        assert found["samples"]["rouge_1"] == caption_rouge_1(PREDICTIONS, REFERENCES).tolist()
        assert found["rouge_l"] == pytest.approx(caption_rouge_l(PREDICTIONS, REFERENCES).mean())

    def test_caption_cider(self):
        found = CaptionCider().compute(predictions=PREDICTIONS, references=REFERENCES)
        known = DocumentFrequencies.fit(REFERENCES)
        assert found["samples"]["cider"] == Cider(known)(PREDICTIONS, REFERENCES).tolist()
        assert found["samples"]["cider_plain"] == Cider(known, "cider")(PREDICTIONS, REFERENCES).tolist()
        other = DocumentFrequencies({"a": 3}, 4)
        given = CaptionCider().compute(predictions=PREDICTIONS, references=REFERENCES, frequencies=other)
        assert given["samples"]["cider"] == Cider(other)(PREDICTIONS, REFERENCES).tolist()

    def test_caption_meteor(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"meteor-1.5.jar is missing"):
            CaptionMeteor().compute(predictions=PREDICTIONS, references=REFERENCES, data=tmp_path)

    def test_text_scores(self):
        found = TextScores().compute(predictions=PREDICTIONS, references=TRUTHS)
        assert found["bleu_2"] == corpus_bleu(PREDICTIONS, TRUTHS, 2)
        assert found["wer"] == corpus_word_error_rate(PREDICTIONS, TRUTHS)
        each = text_scores(PREDICTIONS, TRUTHS)
        assert found["samples"] == {name: values for name, values in each.items() if "brainllm" not in name}

    def test_brainllm_scores(self):
        found = BrainLLMScores().compute(predictions=["The Cat"], references=["the cat"], lowercase=True)
        assert found["samples"] == brainllm_scores(["The Cat"], ["the cat"], lowercase=True)
        assert found["brainllm_wer"] == 0.0

    def test_bert_score(self):
        found = BertScore().compute(predictions=PREDICTIONS, references=REFERENCES, embed=embed_tokens, idf=True)
        expected = bert_score(PREDICTIONS, REFERENCES, embed_tokens, idf=True)
        assert found["samples"] == {name: values.tolist() for name, values in expected.items()}

    def test_sentence_similarity(self):
        found = SentenceSimilarity().compute(predictions=PREDICTIONS, references=REFERENCES, embed=embed)
        assert found["sentence_similarity"] == pytest.approx(
            sentence_similarity(PREDICTIONS, REFERENCES, embed).mean()
        )

    def test_question_answering(self):
        answers, kinds = [["a horse"] * 9 + ["pony"], ["2"] * 2 + ["three"] * 8], ["what", "how many"]
        found = QuestionAnswering().compute(predictions=["horse", "two"], references=answers, question_types=kinds)
        assert found["samples"]["vqa_accuracy"] == vqa_accuracy(["horse", "two"], answers).tolist()
        assert found["by_type"]["vqa_accuracy"] == pytest.approx({"what": 1.0, "how many": 0.6})
        assert found["by_type"]["exact_match"] == {"what": 1.0, "how many": 0.0}
        assert "by_type" not in QuestionAnswering().compute(predictions=["horse", "two"], references=answers)

    def test_retrieval(self):
        generator = np.random.default_rng(0)
        decoded, target, groups = generator.normal(size=(6, 3)), generator.normal(size=(6, 3)), [0, 0, 1, 1, 2, 2]
        found = Retrieval().compute(predictions=decoded, references=target, groups=groups, top=[1, 2])
        expected = two_way_identification(decoded, target, groups)
        assert found["samples"] == {"rank": expected.ranks.tolist(), "wins": expected.wins.tolist()}
        assert {name: value for name, value in found.items() if name != "samples"} == expected.summary([1, 2])

    def test_perplexity_gap(self):
        found = PerplexityGap().compute(predictions=[1.0, 2.0], references=[2.0, 2.5], num_tokens=[1, 3])
        assert found.pop("samples") == {"perplexity_gap": [1.0, 0.5]}
        assert found == corpus_perplexity_gap([2.0, 2.5], [1.0, 2.0], [1, 3])

    def test_batches_are_gathered(self):
        metric = CaptionBleu()
        for prediction, own in zip(PREDICTIONS, REFERENCES, strict=True):
            metric.add_batch(predictions=[prediction], references=[own])
        assert metric.compute() == caption_bleu(PREDICTIONS, REFERENCES)

    def test_the_description_is_the_class_s_own(self):
        assert CaptionBleu().description.startswith("BLEU-1 to BLEU-4 of a corpus of captions")
