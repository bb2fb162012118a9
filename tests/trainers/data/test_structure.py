# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Structure stands in the place of a brain: its numbers, and that a brain of structure adds nothing over it."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from trainers.data.structure import Structure, brains_of_structure
from trainers.evaluation.evaluate import evaluate


def row(text: str, session: str | None = None, position: int | None = None, rate: float | None = None) -> dict:
    return {"text": text, "session": session, "position": position, "words_per_second": rate}


def standardized(values: list[float], train: list[float]) -> np.ndarray:
    return (np.array(values) - np.mean(train)) / np.std(train)


def test_numbers_are_counts_in_units_of_training():
    train = [row("a", "x", 0), row("a bb", "y", 1), row("a bb c", "x", 1)]
    found = Structure(train)([row("one two three four", "y", 0)])
    words, characters, squares = [1, 2, 3], [1, 4, 6], [1, 4, 9]
    session, first, second = [0, 1, 0], [1, 0, 0], [0, 1, 1]
    columns = ((4, words), (18, characters), (16, squares), (1, session), (1, first), (0, second))
    assert found == pytest.approx(np.array([[standardized([v], t)[0] for v, t in columns]]))


def test_many_positions_are_a_number_and_what_does_not_vary_is_left_out():
    train = [row("a b", position=place, rate=1.0) for place in range(20)]
    places = list(range(20))
    expected = [standardized([30], places)[0], standardized([900], [place**2 for place in places])[0]]
    assert Structure(train)([row("a b", position=30)]) == pytest.approx(np.array([expected]))


def test_texts_without_any_structure():
    train = Dataset.from_list([row("a b", "x", 0), row("c d", "x", 0)])
    assert not Structure(list(train)).varies
    assert Structure(list(train))(list(train)).tolist() == [[0.0], [0.0]]
    with pytest.raises(ValueError, match="All 2 training rows have texts of one length"):
        brains_of_structure({"train": train})


@pytest.fixture
def splits(make_rows):
    """Rows whose brains, one frame of 64 features, hold the structure of their texts and nothing else."""
    texts = ("the cat", "the dog is red", "a bird is very blue and", "the red dog is a cat and")
    plain = DatasetDict(
        {
            name: Dataset.from_list(
                [
                    r | {"text": texts[i // 2 % 4], "session": f"{i // 2 % 3}", "position": i // 2 % 2}
                    for i, r in enumerate(rows)
                ]
            )
            for name, rows in (("train", make_rows(8, seed=1)), ("test", make_rows(12)))
        }
    )
    found = brains_of_structure(plain)
    numbers = np.array(found["train"]["brain_values"])
    assert numbers.shape[:2] == (len(plain["train"]), 1)
    assert numbers[:, 0].mean(0) == pytest.approx(np.zeros(numbers.shape[2]), abs=1e-6)
    return found


def test_a_brain_that_knows_structure_alone_adds_nothing_over_it(splits, make_model, make_processor):
    """The twin is the model itself: given the same numbers from the texts, it says the same of every text."""
    width = np.shape(splits["train"][0]["brain_values"])[1]
    model = make_model(num_features=width, num_frames=1)
    processor = make_processor(model)
    options = {"num_permutations": 2, "generate": False, "value_controls": (), "progress": False}
    report = evaluate(model, processor, splits, structure_twin=(model, processor), **options)
    for task in ("sentence", "continuation"):
        found = report.find(task, "structure_twin", "nats_gain")
        assert (found["value"], found["ci_low"], found["ci_high"]) == pytest.approx((0, 0, 0), abs=1e-5)
        assert "Over a twin that is given length, place and session" in report.describe_effect(task)
    other = make_model(num_features=width, num_frames=1, initializer_range=0.6)
    report = evaluate(model, processor, splits, structure_twin=(other, processor), **options)
    assert abs(report.find("sentence", "structure_twin", "nats_gain")["value"]) > 1e-4
