# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Planted words: one word is another, brains are the same; a brain that carries the text speaks for the true word."""

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import LlamaForCausalLM

from trainers.analyses import plant_words, planted_curve, planted_section
from trainers.analyses.planted_words import planted_effects
from trainers.data.collator import BrainDataCollator
from trainers.evaluation.evaluate import evaluate as evaluate_model


OPTIONS = {
    "tasks": ["continuation"], "num_permutations": 4, "generate": False, "value_controls": (),
    "max_identification": 0, "progress": False,
}  # fmt: skip


@pytest.fixture
def setting(make_model, make_processor, make_rows):
    model = make_model()
    return model, make_processor(model), make_rows(24)


def plant(setting, **options) -> DatasetDict:
    model, processor, rows = setting
    return plant_words(model, processor, rows, **{"num_candidates": 4, **options})


class TestPlanting:
    def test_one_word_changes_and_nothing_else(self, setting):
        planted = plant(setting)
        assert list(planted) == ["true", "planted_0.00", "planted_0.50", "planted_1.00"]
        rows = setting[2]
        eligible = [any(len(word) > 3 for word in row["completion"].split()) for row in rows]
        assert planted["true"]["sample_id"] == [
            row["sample_id"] for row, one in zip(rows, eligible, strict=True) if one
        ]
        by_name = {row["sample_id"]: row for row in rows}
        for name in list(planted)[1:]:
            for row in planted[name]:
                before = by_name[row["sample_id"]]
                same = set(row) - {"completion", "text"}
                assert all(row[key] == before[key] for key in same)
                pairs = list(zip(row["completion"].split(), before["completion"].split(), strict=True))
                changed = [pair for pair in pairs if pair[0] != pair[1]]
                assert len(changed) == 1
                assert row["text"] == before["text"].replace(before["completion"], row["completion"])

    def test_rivals_come_from_other_groups(self, setting):
        rows = setting[2]
        for row in plant(setting)["planted_0.50"]:
            own = " ".join(other["completion"] for other in rows if other["group"] == row["group"]).split()
            true = next(other["completion"] for other in rows if other["sample_id"] == row["sample_id"]).split()
            new = [word for word in row["completion"].split() if word not in true]
            assert not set(new) & set(own)

    def test_the_language_model_alone_puts_them_in_order(self, setting, text_model):
        plain, tokenizer = LlamaForCausalLM.from_pretrained(text_model).eval(), setting[1].tokenizer
        planted = plant(setting)

        def loss(row) -> float:
            start = tokenizer(row["prompt"], return_tensors="pt").input_ids.shape[1]
            ids = tokenizer(f"{row['prompt']} {row['completion']}", return_tensors="pt").input_ids
            labels = ids.clone()
            labels[:, :start] = -100
            with torch.no_grad():
                return plain(ids, labels=labels).loss.item() * (ids.shape[1] - start)

        found = np.array([[loss(row) for row in planted[name]] for name in list(planted)[1:]])
        assert (np.diff(found, axis=0) >= -1e-4).all()
        assert (found[2] - found[0]).mean() > 0.1

    def test_capitals_and_punctuation_stay(self, make_model, make_processor, make_rows):
        model = make_model()
        rows = [row | {"completion": f'"{row["completion"].capitalize()}"'} for row in make_rows(24)]
        planted = plant((model, make_processor(model), Dataset.from_list(rows)), quantiles=(0.5,))
        for text in planted["planted_0.50"]["completion"]:
            assert text[0] == text[-1] == '"'
            assert text[1].isupper()

    def test_what_cannot_be_planted_is_refused(self, setting):
        with pytest.raises(ValueError, match=r"`quantiles` must lie between 0 and 1; got \[2.0\]"):
            plant(setting, quantiles=[2.0])
        model, processor, rows = setting
        short = rows.filter(lambda row: row["completion"] == "red .")
        with pytest.raises(ValueError, match="completions has a word of four letters or more"):
            plant((model, processor, short))


class TestEffects:
    def test_equation(self):
        """NLL are sums over tokens: 2 tokens in the true text, 4 in the planted one."""

        def sample(brain, permuted, no_brain, tokens):
            losses = {"brain": brain, "permuted": permuted, "no_brain": no_brain}
            return {"sample_id": "a", "group": "g", "num_tokens": tokens, "losses": losses}

        effects, surprise = planted_effects([sample(1.0, [2.0, 1.0], 1.5, 2)], [sample(3.0, [2.0, 4.0], 2.5, 4)])
        # P(own) = 12 - 2 = 10; P(others) = 8 - 4 = 4 and 16 - 2 = 14
        assert effects.gains.tolist() == [1.0]
        assert effects.wins.tolist() == [0.5]
        assert surprise.tolist() == [7.0]

    def test_other_rows_are_refused(self):
        with pytest.raises(ValueError, match="must hold the same samples in the same order; found 1 and 0"):
            planted_effects([{"sample_id": "a"}], [])


class TestOfAModel:
    def test_a_brain_that_decides_the_text_speaks_for_the_true_word(self, setting, make_rows):
        model, processor, _ = setting
        teach(model, processor, make_rows(64, seed=5))
        curves = {}
        for signal in (1.0, 0.0):
            rows = make_rows(32, signal=signal, seed=8)
            planted = plant((model, processor, rows), quantiles=(0.0, 1.0))
            samples = {
                name: evaluate_model(model, processor, planted, split=name, **OPTIONS).samples for name in planted
            }
            curves[signal] = planted_curve(samples, num_bins=3)
        assert all(row["accuracy_low"] > 0.5 for row in curves[1.0].rows)
        assert any(row["accuracy_low"] < 0.5 for row in curves[0.0].rows)
        assert all(row["accuracy"] < 0.65 for row in curves[0.0].rows)
        section = planted_section(curves[1.0])
        assert section.name == "planted_words"
        assert f"in {curves[1.0].rows[-1]['accuracy']:.3f} where it is most" in section.text


def teach(model, processor, rows) -> None:
    """A few steps on the brain modules, without a trainer."""
    batch = BrainDataCollator(processor)(list(rows))
    inputs = {name: value for name, value in batch.items() if name not in ("sample_id", "group", "subject")}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model.token_losses(**inputs)[0].mean().backward()
        optimizer.step()
