# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The collator: which tokens are labels, which brains are shared, what is cut."""

import numpy as np
import pytest
import torch

from trainers.data.collator import BrainDataCollator, read_as


@pytest.fixture
def model(make_model):
    return make_model(config_kwargs={"tokens_per_embedding": 2})


@pytest.fixture
def processor(make_processor, model):
    return make_processor(model)


def tokens(processor, ids) -> list[str]:
    return processor.tokenizer.convert_ids_to_tokens([int(i) for i in ids])


class TestLayout:
    def test_by_hand(self, processor, make_rows):
        row = {**make_rows(1)[0], "prompt": "the cat is", "completion": "red ."}
        batch = BrainDataCollator(processor)([row])
        expected = [
            "<s>",
            "<|brain_start|>",
            "<|brain|>",
            "<|brain|>",
            "<|brain_end|>",
            "the",
            "cat",
            "is",
            "red",
            ".",
        ]
        assert tokens(processor, batch["input_ids"][0]) == expected
        assert batch["labels"][0].tolist() == [-100] * 8 + batch["input_ids"][0, 8:].tolist()

    def test_labels_are_the_completion_tokenized_apart(self, processor, make_rows):
        rows = list(make_rows(6))
        batch = BrainDataCollator(processor)(rows)
        for row, labels in zip(rows, batch["labels"], strict=True):
            apart = processor.tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
            assert labels[labels != -100].tolist() == apart

    def test_padding_is_never_a_label(self, processor, make_rows):
        rows = [{**make_rows(1)[0], "completion": c} for c in ("red .", "red and very very blue .")]
        batch = BrainDataCollator(processor)(rows)
        assert batch["labels"][0].ne(-100).sum() == 2
        assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()

    def test_append_eos(self, processor, make_rows):
        batch = BrainDataCollator(processor, append_eos=True)([make_rows(1)[0]])
        assert batch["labels"][0, -1] == processor.tokenizer.eos_token_id
        assert batch["labels"].ne(-100).sum() == 3

    def test_no_prompt(self, processor, make_rows):
        batch = BrainDataCollator(processor)([{**make_rows(1)[0], "prompt": ""}])
        assert tokens(processor, batch["input_ids"][0])[5:] == tokens(processor, batch["labels"][0, 5:])

    def test_without_brain(self, processor, make_rows):
        batch = BrainDataCollator(processor, with_brain=False)(list(make_rows(2)))
        assert batch["input_ids"].max() < len(processor.tokenizer) - 3
        assert not [name for name in batch if name.startswith("brain")]

    def test_left_padding_side_of_the_tokenizer(self, processor, make_rows):
        processor.tokenizer.padding_side = "left"
        rows = list(make_rows(4))
        batch = BrainDataCollator(processor)(rows)
        apart = [processor.tokenizer(r["completion"], add_special_tokens=False)["input_ids"] for r in rows]
        assert [row[row != -100].tolist() for row in batch["labels"]] == apart


class TestBrains:
    def test_shared_brain_enters_once(self, processor, make_rows):
        rows = list(make_rows(3))
        batch = BrainDataCollator(processor)([rows[i] for i in (4, 0, 5, 1)])
        assert batch["brain_index"].tolist() == [0, 1, 0, 1]
        expected = np.array([rows[4]["brain_values"], rows[0]["brain_values"]], dtype=np.float32)
        torch.testing.assert_close(batch["brain_values"], torch.from_numpy(expected))

    def test_semantic_embeddings_in_place_of_brains(self, processor, make_rows):
        rows = [
            {k: v for k, v in row.items() if k != "brain_values"} | {"semantic_embedding": [float(i // 2)] * 16}
            for i, row in enumerate(make_rows(2))
        ]
        batch = BrainDataCollator(processor)(rows)
        assert batch["encoder_outputs"].shape == (2, 1, 16)
        assert batch["brain_index"].tolist() == [0, 0, 1, 1]
        assert "brain_values" not in batch
        assert tokens(processor, batch["input_ids"][0])[:5].count("<|brain|>") == 2

    def test_one_embedding_for_each_encoder_token(self, processor, make_rows):
        row = {**make_rows(1)[0], "semantic_embedding": [[0.0] * 16, [1.0] * 16]}
        batch = BrainDataCollator(processor)([row])
        assert batch["encoder_outputs"][0, :, 0].tolist() == [0.0, 1.0]
        assert tokens(processor, batch["input_ids"][0]).count("<|brain|>") == 2 * 2

    def test_donors(self, processor, make_rows):
        rows = list(make_rows(4))
        batch = BrainDataCollator(processor)([{**rows[0], "control_brains": [rows[6], rows[2]]}])
        assert batch["control_index"].tolist() == [[1, 2]]
        torch.testing.assert_close(batch["brain_values"][1], torch.tensor(rows[6]["brain_values"]))

    def test_several_subjects_stand_one_after_the_other(self, processor, make_rows):
        """The order in which a voxel encoder returns brains, so that no index needs translation."""
        rows = [{**row, "subject": f"s{i // 2 % 2}"} for i, row in enumerate(make_rows(4))]
        batch = BrainDataCollator(processor)([{**rows[i], "control_brains": [rows[(i + 4) % 8]]} for i in (0, 2, 4)])
        expected = torch.tensor([rows[i]["brain_values"] for i in (0, 4, 2, 6)])
        torch.testing.assert_close(batch["brain_values"], expected)
        assert batch["brain_index"].tolist() == [0, 2, 1]
        assert batch["control_index"].tolist() == [[1], [3], [0]]

    def test_a_brain_of_another_size_is_named(self, processor, make_rows):
        rows = list(make_rows(3))
        message = "Brain sample 'tiny/1/1' of subject 's1' must have 6 features in each frame; found 5"
        with pytest.raises(ValueError, match=message):
            BrainDataCollator(processor)([*rows[:2], {**rows[2], "brain_values": [[0.0] * 5]}])

    def test_frames_of_different_number(self, make_model, make_processor, make_rows):
        processor = make_processor(make_model(num_frames=3))
        rows = [make_rows(1)[0], {**make_rows(1, num_frames=3)[0], "brain_id": "other"}]
        batch = BrainDataCollator(processor)(rows)
        placeholders = (batch["input_ids"] == processor.brain_token_id).sum(1)
        assert placeholders.tolist() == [1, 3]
        assert batch["brain_attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]

    def test_one_brain_id_of_two_subjects_is_refused(self, processor, make_rows):
        one, other = make_rows(2)[0], {**make_rows(2)[0], "subject": "s2"}
        with pytest.raises(ValueError, match=r"'tiny/0' is given to subjects 's1' and 's2'"):
            BrainDataCollator(processor)([one, other])

    def test_masked_values_are_refused(self, processor, make_rows):
        row = make_rows(1)[0]
        row["brain_values"] = np.ma.masked_less(np.asarray(row["brain_values"]), 0)
        with pytest.raises(ValueError, match="values are masked"):
            BrainDataCollator(processor)([row])


class TestLengths:
    def test_oldest_words_are_dropped(self, processor, make_rows):
        row = {**make_rows(1)[0], "prompt": "the cat and the dog is", "completion": "red ."}
        batch = BrainDataCollator(processor, max_prompt_tokens=3)([row])
        assert tokens(processor, batch["input_ids"][0])[5:] == ["the", "dog", "is", "red", "."]

    def test_no_half_words(self, processor, make_rows):
        # "the." is two tokens but one word: it stays or goes as a whole.
        row = {**make_rows(1)[0], "prompt": "cat the. dog", "completion": "red"}
        batch = BrainDataCollator(processor, max_prompt_tokens=2)([row])
        assert tokens(processor, batch["input_ids"][0])[5:] == ["dog", "red"]

    def test_completion_keeps_its_first_words(self, processor, make_rows):
        row = {**make_rows(1)[0], "prompt": "the", "completion": "cat is very red."}
        batch = BrainDataCollator(processor, max_completion_tokens=4)([row])
        assert tokens(processor, batch["input_ids"][0])[6:] == ["cat", "is", "very"]

    def test_empty_completion_names_the_sample(self, processor, make_rows):
        with pytest.raises(ValueError, match="'tiny/0/1' has an empty completion"):
            BrainDataCollator(processor)([{**make_rows(1)[0], "completion": " "}])


class TestReading:
    def test_sentence(self, make_rows):
        rows = read_as(make_rows(3), "sentence")
        assert list(rows["prompt"]) == [""] * 3
        assert list(rows["completion"]) == list(rows["text"])
        assert len(set(rows["brain_id"])) == 3

    def test_mixed_is_both(self, make_rows):
        rows = make_rows(3)
        mixed = read_as(rows, "mixed")
        assert mixed.column_names == rows.column_names
        assert mixed[:6] == rows[:6]
        assert mixed[6:] == read_as(rows, "sentence")[:3]

    def test_collator_reading_equals_prepared_rows(self, processor, make_rows):
        rows = make_rows(3)
        asked = BrainDataCollator(processor, reading="sentence")([rows[i] for i in (0, 2, 4)])
        prepared = BrainDataCollator(processor)(list(read_as(rows, "sentence")))
        assert torch.equal(asked["labels"], prepared["labels"])

    def test_unknown(self, processor, make_rows):
        with pytest.raises(ValueError, match="one of continuation, sentence, mixed"):
            read_as(make_rows(1), "chapter")
        with pytest.raises(ValueError, match="property of a dataset"):
            BrainDataCollator(processor, reading="mixed")
