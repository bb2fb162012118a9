# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Baselines of caption scores: the search never loses to what it began with, and every table is that of its captions.
"""

import json
from itertools import product

import numpy as np
import pytest
from testing_utils import shared_path

from trainers.metrics import (
    Cider,
    DocumentFrequencies,
    best_constant_caption,
    best_constant_captions,
    caption_bleu,
    caption_scores,
    human_ceiling,
)
from trainers.metrics.cider import caption_words


OBJECTS = ("cat", "dog", "bird", "horse")
PLACES = ("mat", "table", "street")
METRICS = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4")
# Half of all images show a man; the other half, each another thing in another place.
PAIRS = list(product(OBJECTS, PLACES))
REFERENCES = [[f"A {thing} on the {place}.", f"the {place} has a {thing}"] for thing, place in PAIRS]
REFERENCES += [[f"a man stands on the {place}", "A man, a man."] for place in PLACES for _ in OBJECTS]


def score(caption: str, metric: str, references: list[list[str]] = REFERENCES) -> float:
    captions = [caption] * len(references)
    if metric == "cider":
        return float(Cider(DocumentFrequencies.fit(references))(captions, references).mean())
    return caption_bleu(captions, references)[metric]


class TestBestConstant:
    @pytest.mark.parametrize("metric", METRICS)
    def test_it_beats_every_reference(self, metric):
        best = score(best_constant_caption(REFERENCES, metric), metric)
        assert best >= max(score(text, metric) for texts in REFERENCES for text in texts) - 1e-12

    def test_words_are_changed_where_that_helps(self):
        """The beginning is poor; only the search can leave it."""
        assert score(best_constant_caption(REFERENCES, candidates=["the street"]), "cider") > 3 * score(
            "the street", "cider"
        )

    @pytest.mark.parametrize("metric", METRICS)
    def test_no_single_word_makes_it_better(self, metric):
        words = best_constant_caption(REFERENCES, metric).split()
        vocabulary = {*OBJECTS, *PLACES, "a", "the", "man", "on", "has", "stands"}
        best = score(" ".join(words), metric)
        for place in range(len(words)):
            for word in vocabulary:
                changed = [*words[:place], word, *words[place + 1 :]]
                assert score(" ".join(changed), metric) <= best + 1e-12

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_the_search_written_down(self, metric, seed):
        """Every caption of every round scored as any caption is, all changes of all kept captions in each round."""
        references = np.random.default_rng(seed).permutation(np.array(REFERENCES, object))[:9].tolist()
        texts = sorted({" ".join(caption_words(text)) for own in references for text in own})
        words = sorted({word for text in texts for word in text.split()})
        assert len(words) <= 150

        def changes(text):
            own = text.split()
            for place in range(len(own) + 1):
                for word in words:
                    yield " ".join([*own[:place], word, *own[place:]])
                    yield " ".join([*own[:place], word, *own[place + 1 :]])
                if len(own) > 1 and place < len(own):
                    yield " ".join([*own[:place], *own[place + 1 :]])

        known, kept, pool = {}, [], texts
        while True:
            known |= {text: round(score(text, metric, references), 12) for text in set(pool) - known.keys()}
            best = sorted(pool, key=lambda text: (-known[text], text.split()))[:3]
            if best == kept:
                break
            kept, pool = best, {*best, *(new for text in best for new in changes(text))}
        assert best_constant_caption(references, metric) == kept[0]

    def test_all_metrics_at_once(self):
        assert best_constant_captions(REFERENCES) == {
            name: best_constant_caption(REFERENCES, name) for name in METRICS
        }

    def test_order_does_not_matter(self):
        assert best_constant_caption(REFERENCES[::-1]) == best_constant_caption(REFERENCES)

    def test_frequencies_of_another_corpus_count(self):
        """Where red cats are everywhere, they are no news."""
        references = [["red cat"]] * 3 + [["blue dog"]] * 2
        cats = DocumentFrequencies.fit([["red cat"], ["red cat"]])
        assert best_constant_caption(references) == "red cat"
        assert best_constant_caption(references, frequencies=cats) == "blue dog"

    def test_bad_input(self):
        with pytest.raises(ValueError, match="'cider' or one of .*, found 'rouge_l'"):
            best_constant_caption(REFERENCES, "rouge_l")
        with pytest.raises(ValueError, match="`candidates` holds no caption with a word"):
            best_constant_caption(REFERENCES, candidates=["", "..."])
        with pytest.raises(ValueError, match=r"found \[\] at position 1"):
            best_constant_caption([["a cat"], []])

    @pytest.mark.slow
    def test_published_captions(self):
        """Above the constant captions that were picked by hand for a published table, on another draw of images."""
        captions = json.loads(shared_path("data/coco_captions/captions_val2017.json").read_text())["annotations"]
        images: dict[int, list[str]] = {}
        for caption in captions:
            images.setdefault(caption["image_id"], []).append(caption["caption"])
        references = list(images.values())[:150]
        found = score(best_constant_caption(references), "cider", references)
        for caption in ("a man sitting on top of a table with a", "A man riding a wave on top of a surfboard."):
            assert found > 1.3 * score(caption, "cider", references)


class TestHumanCeiling:
    def test_each_caption_takes_its_turn(self):
        table = human_ceiling(REFERENCES)
        first, second = ([texts[turn] for texts in REFERENCES] for turn in (0, 1))
        frequencies = DocumentFrequencies.fit(REFERENCES)
        turns = [
            caption_scores(own, [[text] for text in other], frequencies)
            for own, other in ((first, second), (second, first))
        ]
        for name in table:
            np.testing.assert_allclose(table[name], (turns[0][name] + turns[1][name]) / 2)

    def test_people_who_agree_reach_the_top(self):
        agreed = [[f"a {thing} sits on the {place} now"] * 3 for thing, place in PAIRS]
        table = human_ceiling(agreed)
        assert np.mean(table["cider"]) == pytest.approx(10)
        assert table["bleu_4"] == pytest.approx(1)

    def test_a_single_caption_cannot_be_left_out(self):
        with pytest.raises(ValueError, match=r"a single caption for 1 of 2 images, the first at position 1"):
            human_ceiling([["a cat", "a dog"], ["a man"]])
