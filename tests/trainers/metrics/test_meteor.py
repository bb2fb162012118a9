# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""METEOR: counts that the jar of METEOR 1.5 printed, recorded; equations worked by hand; identities.

The oracle was `java -jar meteor-1.5.jar - - -stdio -l en -norm` of pycocoevalcap 1.2 under Java 17. Its lists of
English are not ours to ship: a folder of the same form, with the few entries that bear on the sentences, is written
here. With the package pycocoevalcap beside us, the real lists are read (still without Java).
"""

import gzip
import json
import pickle
import random
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from testing_utils import shared_path

from trainers.metrics import Meteor, MeteorData, classic_meteor, meteor_from_statistics
from trainers.metrics.meteor import meteor_words
from trainers.metrics.meteor_alignment import Sentence, align


FUNCTION_WORDS = ["the", "a", "of", "and", "in", "is", "on", "to", "two", "'", "s", "."]
# Some meanings of WordNet 3.0.
SYNSETS = {
    "bike": "02834778 03790512 01935476",
    "bicycle": "02834778 01935476",
    "horse": "02374451 03624767",
    "ride": "00307631 04088797",
    "dog": "02084071",
    "cat": "02121620",
    "big": "01382086 01111418",
    "large": "01382086 00386307",
    "goose": "01855672",
    "sofa": "04256520",
    "couch": "04256520 03115762",
}
EXCEPTIONS = {"goose": "geese"}
PARAPHRASES = [("street", "road"), ("bicycle", "bike"), ("a lot of", "many")]

# prediction, reference, counts of the jar: words and function words of both; then content and function words of both
# matched by equal words, stems, synonyms, paraphrases; chunks; words matched.
RECORDED = [
    ("a cat", "dogs run", "2 2 1 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0"),
    ("a bike on the street", "a bicycle on the road", "5 5 3 3  0 0 3 3  0 0 0 0  1 1 0 0  1 1 0 0  1 5 5"),
    ("in order to go", "to go", "4 2 2 1  1 1 1 1  0 0 0 0  0 0 0 0  0 0 0 0  1 2 2"),
    ("cats cats", "cats", "2 1 0 0  1 1 0 0  0 0 0 0  0 0 0 0  0 0 0 0  1 1 1"),
    # A lone match that two stages propose makes a chunk and is left ...
    ("horses", "horse", "1 1 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0"),
    ("horses cats", "horse cat", "2 2 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0  0 0 0"),
    ("a man is riding horses", "a man rides a horse", "5 5 2 2  1 1 1 1  0 0 0 0  0 0 0 0  0 0 0 0  1 2 2"),
    # ... one that has no rival, or makes no chunk, is taken.
    ("bicycles", "bike", "1 1 0 0  0 0 0 0  0 0 0 0  1 1 0 0  0 0 0 0  1 1 1"),
    ("run horses", "run horse", "2 2 0 0  1 1 0 0  1 1 0 0  0 0 0 0  0 0 0 0  1 2 2"),
    ("q horses run", "z horse run", "3 3 0 0  1 1 0 0  1 1 0 0  0 0 0 0  0 0 0 0  1 2 2"),
    ("two horses in the field", "a horse in a field", "5 5 3 3  1 1 1 1  1 1 0 0  0 0 0 0  0 0 0 0  2 3 3"),
    ("a man riding horses", "a man rides horses", "4 4 1 1  2 2 1 1  1 1 0 0  0 0 0 0  0 0 0 0  1 4 4"),
    ("dogs horses run cats", "dog horse run cat", "4 4 0 0  1 1 0 0  3 3 0 0  0 0 0 0  0 0 0 0  1 4 4"),
    ("a big dog", "a large dog", "3 3 1 1  1 1 1 1  0 0 0 0  1 1 0 0  0 0 0 0  1 3 3"),
    ("horse z run horses", "horse q run horse", "4 4 0 0  2 2 0 0  1 1 0 0  0 0 0 0  0 0 0 0  2 3 3"),
]
SCORES = {
    "a bike on the street": 0.8,
    "a big dog": 0.9142857142857143,
    "in order to go": 0.4153649234976744,
    "cats cats": 0.3478260869565218,
    "a man is riding horses": 0.1736980589172093,
    "a cat": 0.0,
}
JAR_SAMPLES = {
    0: 0.3498759354940685,
    1: 0.2166259964541511,
    2: 0.21271180252630728,
    1234: 0.2811113413280813,
    4999: 0.5177489292503793,
}
WORDS = ["a", "man", "cats", "cat", "horse", "horses", "big", "large", "on", "the", "street", "road", "bike"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """METEOR's files, in small."""
    folder = tmp_path_factory.mktemp("meteor")
    (folder / "data").mkdir()
    with zipfile.ZipFile(folder / "meteor-1.5.jar", "w") as jar:
        jar.writestr("function/english.words", "\n".join(FUNCTION_WORDS))
        for name, table in (("synsets", SYNSETS), ("exceptions", EXCEPTIONS)):
            jar.writestr(f"synonym/english.{name}", "\n".join(f"{key}\n{value}" for key, value in table.items()))
    with gzip.open(folder / "data" / "paraphrase-en.gz", "wt") as lines:
        lines.writelines(f"0.5\n{source}\n{target}\n" for source, target in PARAPHRASES)
    return folder


@pytest.fixture(scope="module")
def data(folder) -> MeteorData:
    return MeteorData.load(folder)


@pytest.fixture(scope="module")
def meteor(data) -> Meteor:
    return Meteor(data)


def draw(num: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    generator = random.Random(seed)

    def caption() -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(1, 9)))

    return [caption() for _ in range(num)], [[caption() for _ in range(generator.randint(1, 4))] for _ in range(num)]


class TestRecorded:
    @pytest.mark.parametrize(("prediction", "reference", "counts"), RECORDED)
    def test_counts_of_the_jar(self, meteor, prediction, reference, counts):
        expected = [int(count) for count in counts.split()]
        if expected[:2] == expected[21:] and expected[20] == 1:
            expected[20] = 0  # the jar forgets the only chunk of a whole match when it scores
        assert meteor.statistics([prediction], [[reference]])[0].tolist() == expected

    @pytest.mark.parametrize(("prediction", "score"), SCORES.items())
    def test_scores_of_the_jar(self, meteor, prediction, score):
        reference = next(other for own, other, _ in RECORDED if own == prediction)
        assert meteor([prediction], [[reference]])[0] == pytest.approx(score, rel=0, abs=1e-12)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("A flat screen T.V. in the U.S.", "a flat screen tv in the us"),
            ("at 10 a.m. on Elm St.", "at 10 am on elm st ."),
            ("Mr. Smith on St. Mark", "mr. smith on st. mark"),
            ("The No. 5 bus", "the no . 5 bus"),
            ("The dog's T-shirt.", "the dog ' s t shirt"),
            ("a black-and-white B-25", "a black and white b 25"),
            ("He doesn't park at 5:54pm", "he does n 't park at 5 : 54 pm"),
            ("3,000 men and 3.5 cups", "3,000 men and 3.5 cups"),
            ("2 1/2 cups", "2 1 / 2 cups"),
            ("(a man)", "-lrb- a man -rrb-"),
            ("Give 'em the '90s", "give ' em the ' 90s"),
            ("the 1990's", "the 1990 ' s"),
            ("日本語 sign", "日 本 語 sign"),
        ],
    )
    def test_words(self, text, words):
        assert " ".join(meteor_words(text)) == words


class TestEquation:
    def test_by_hand(self, meteor):
        """3 of 4 words in 2 chunks: P = R = (.75 * 2 + .25) / (.75 * 3 + .25), times 1 - .6 (2/3)^.2."""
        score = meteor(["a man x horse"], [["a man horse y"]])[0]
        assert score == pytest.approx((1 - 0.6 * (2 / 3) ** 0.2) * 1.75 / 2.5)

    def test_stages_count_less(self, meteor):
        """Equal 1, synonym .8: P = R = (.25 + .75 * (1 + .8)) / 1.75, in one chunk from end to end."""
        assert meteor(["a big dog"], [["a large dog"]])[0] == pytest.approx((0.25 + 0.75 * 1.8) / 1.75)

    def test_phrases_of_other_lengths(self, meteor):
        row = meteor.statistics(["many dogs run"], [["a lot of dogs run"]])[0]
        assert row[16:20].tolist() == [1, 1, 0, 2]  # "many" for "a lot of", of which "a" and "of" are function words
        assert row[20:].tolist() == [0, 3, 5]
        np.testing.assert_array_equal(
            meteor.statistics(["a lot of dogs run"], [["many dogs run"]])[0, 16:20], [1, 1, 2, 0]
        )

    def test_irregular_forms_share_meanings(self, data):
        assert data.meanings("geese") == data.meanings("goose") == frozenset({"01855672"})
        assert data.meanings("bikes") == data.meanings("bike")
        assert data.meanings("zzz") == frozenset()
        assert data.meanings("as") == frozenset()  # two letters have no ending


class TestIdentities:
    def test_equal_texts_score_one(self, meteor):
        texts = draw(20)[0]
        np.testing.assert_array_equal(meteor(texts, [[text] for text in texts]), 1.0)

    def test_an_empty_caption_scores_nothing(self, meteor):
        assert meteor(["", "."], [["a man"], ["a man"]]).tolist() == [0.0, 0.0]

    def test_neighbours_and_the_order_of_references_do_not_matter(self, meteor):
        predictions, references = draw(30, 1)
        together = meteor(predictions, references)
        np.testing.assert_array_equal(meteor(predictions, [own[::-1] for own in references]), together)
        alone = [meteor([p], [own])[0] for p, own in zip(predictions, references, strict=True)]
        np.testing.assert_array_equal(alone, together)
        assert (together >= 0).all()
        assert (together <= 1).all()

    def test_the_best_reference_counts(self, meteor):
        predictions, references = draw(30, 2)
        each = [
            max(meteor([p] * len(own), [[r] for r in own])) for p, own in zip(predictions, references, strict=True)
        ]
        np.testing.assert_array_equal(meteor(predictions, references), each)

    def test_no_word_is_matched_twice(self, data):
        predictions, references = draw(60, 3)
        for prediction, own in zip(predictions, references, strict=True):
            pair = [Sentence(meteor_words(text), data) for text in (prediction, own[0])]
            table = data.paraphrases.among(np.array(sorted({*pair[0].phrases, *pair[1].phrases})))
            matches = align(*pair, table)
            ours = [i for m in matches for i in range(m.prediction_start, m.prediction_start + m.prediction_length)]
            theirs = [i for m in matches for i in range(m.start, m.start + m.length)]
            assert len(set(ours)) == len(ours)
            assert len(set(theirs)) == len(theirs)

    def test_statistics_of_a_resample_are_those_of_its_captions(self, meteor):
        predictions, references = draw(20, 4)
        statistics = meteor.statistics(predictions, references)
        drawn = np.random.default_rng(0).integers(20, size=(5, 20))
        resampled = meteor_from_statistics(np.stack([np.bincount(row, minlength=20) for row in drawn]) @ statistics)
        for row, score in zip(drawn, resampled, strict=True):
            again = meteor.statistics([predictions[i] for i in row], [references[i] for i in row]).sum(axis=0)
            assert score == meteor_from_statistics(again)
        np.testing.assert_array_equal(meteor_from_statistics(statistics), meteor(predictions, references))


class TestData:
    def test_a_copy_is_read_from_the_same_folder(self, data):
        copy = pickle.loads(pickle.dumps(data))
        assert copy.folder == data.folder
        assert copy.meanings("geese") == data.meanings("geese")

    def test_missing_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"meteor-1.5.jar is missing. METEOR's folder holds"):
            MeteorData.load(tmp_path)

    def test_no_folder_and_no_package(self):
        if find_spec("pycocoevalcap") is not None:
            pytest.skip("pycocoevalcap is installed, so METEOR's lists are found")
        with pytest.raises(FileNotFoundError, match="pip install pycocoevalcap"):
            MeteorData.load()

    @pytest.mark.parametrize(
        ("predictions", "references", "message"),
        [
            (["a"], [["a"], ["b"]], "equally many and at least one, found 1 and 2"),
            (["a", "b"], [["a"], []], r"found \[\] at position 1"),
        ],
    )
    def test_bad_input(self, meteor, predictions, references, message):
        with pytest.raises(ValueError, match=message):
            meteor(predictions, references)


class TestClassic:
    def test_by_hand(self):
        """All 3 words match, in 2 chunks: 1 - .5 (2/3)^3."""
        assert classic_meteor(["c a b"], ["a b c"]) == pytest.approx([1 - 0.5 * (2 / 3) ** 3])

    def test_a_stem_counts_as_its_word(self):
        """Two of three and two of four words match, in one chunk."""
        precision, recall = 2 / 3, 2 / 4
        mean = precision * recall / (0.9 * precision + 0.1 * recall)
        score = classic_meteor(["dogs bark loudly"], ["the dog barked then"])
        assert score == pytest.approx([mean * (1 - 0.5 * (1 / 2) ** 3)])

    def test_stems_match_and_synonyms_with_data(self, data):
        plain, rich = (classic_meteor(["sofa bikes run"], ["couch bike ran"], known)[0] for known in (None, data))
        assert plain == pytest.approx((1 - 0.5) / 3)  # "bikes" alone: P = R = 1/3
        assert rich == pytest.approx((1 - 0.5 * (1 / 2) ** 3) * 2 / 3)

    def test_an_empty_text_scores_nothing(self):
        assert classic_meteor([""], ["a"]) == [0.0]

    def test_unpaired_references_are_refused(self):
        with pytest.raises(ValueError, match="equally many"):
            classic_meteor(["a"], ["a", "b"])


@pytest.mark.slow
class TestPublishedProgram:
    """COCO val2017, each image's first caption against the others, by METEOR's own lists."""

    MEAN_OF_THE_FIRST_200 = 0.250168459848902

    def test_scores_of_the_jar(self):
        if find_spec("pycocoevalcap") is None:
            pytest.skip("SKIPPED FOR WANT OF DATA: METEOR's lists come with `pip install pycocoevalcap`")
        captions = json.loads(shared_path("data/coco_captions/captions_val2017.json").read_text())["annotations"]
        images: dict[int, list[str]] = {}
        for caption in captions:
            images.setdefault(caption["image_id"], []).append(caption["caption"])
        places = [*range(200), *JAR_SAMPLES]
        chosen = [list(images.values())[place] for place in places]
        scores = Meteor(MeteorData.load())([texts[0] for texts in chosen], [texts[1:] for texts in chosen])
        assert scores[:200].mean() == pytest.approx(self.MEAN_OF_THE_FIRST_200, rel=0, abs=1e-9)
        assert scores[200:] == pytest.approx(list(JAR_SAMPLES.values()), rel=0, abs=1e-9)
