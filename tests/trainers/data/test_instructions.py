# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Instructions: what is asked and what is answered, task by task; what never crosses a split; what is refused."""

import pytest
import torch
from datasets import Dataset, concatenate_datasets
from testing_utils import shared_path
from transformers import AutoTokenizer, LlamaConfig

from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.data.instruction_tasks import TASKS, find_task
from trainers.data.instructions import InstructionMaker
from trainers.data.prompts import Renderer, caption_prompt, store_caption_settings


# In the manner of Llama 3: a date, headers, trimmed contents, a token at the end of each turn.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{% for message in messages %}<|{{ message['role'] }}|>\n\n"
    "{% if message['role'] == 'system' %}Today is {{ date_string }}\n\n{% endif %}"
    "{{ message['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
TURNS = [
    {"role": "user", "content": "who is it"},
    {"role": "assistant", "content": "the cat"},
    {"role": "user", "content": "and is it red"},
    {"role": "assistant", "content": "very red ."},
]


@pytest.fixture
def processor(make_model, make_processor) -> BrainLlamaProcessor:
    return make_processor(make_model())


@pytest.fixture
def chat_processor(make_model, make_processor) -> BrainLlamaProcessor:
    processor = make_processor(make_model())
    processor.chat_template = CHAT_TEMPLATE
    return processor


def with_columns(rows: Dataset, **columns) -> Dataset:
    for name, value in columns.items():
        rows = rows.add_column(name, [value] * len(rows))
    return rows


class TestPrompt:
    def test_of_a_chat_model_by_hand(self, chat_processor):
        prompt = Renderer(chat_processor).prompt("What is it?")
        head, marker, tail = prompt.partition("<|brain|>")
        assert head.startswith("<s><|system|>\n\nToday is 26 Jul 2024\n\n")
        assert head.endswith("</s>\n<|user|>\n\n")
        assert marker + tail == "<|brain|>What is it?</s>\n<|assistant|>\n\n"

    def test_of_a_base_model_by_hand(self, processor):
        renderer = Renderer(processor)
        assert renderer.prompt("What is it?") == "<|brain|>What is it?"
        assert renderer.answer("A cat.") == " A cat.</s>"

    def test_answer_follows_the_prompt_as_in_the_whole_conversation(self, chat_processor):
        renderer = Renderer(chat_processor)
        messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "A cat."}]
        whole = chat_processor.apply_chat_template(messages)
        assert renderer.answer("A cat.") == "A cat.</s>"
        assert whole.endswith(renderer.answer("A cat.") + "\n")

    def test_dialogue_is_the_whole_conversation_in_pieces(self, chat_processor, processor):
        for own in (chat_processor, processor):
            prompt, pieces = Renderer(own).dialogue(TURNS)
            assert prompt == Renderer(own).prompt("who is it")
            assert [pieces[0].strip(), pieces[2].strip()] == ["the cat</s>", "very red .</s>"]
            assert "and is it red" in pieces[1]
            assert len(pieces) == 3

    def test_template_without_an_end_is_refused(self, processor):
        processor.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
        with pytest.raises(ValueError, match="ends no answer"):
            Renderer(processor)

    def test_template_that_rewrites_the_past_is_refused(self, processor):
        processor.chat_template = (
            "{{ messages | length }}{% for message in messages %}{{ message['content'] }}</s>{% endfor %}"
        )
        with pytest.raises(ValueError, match="rewrites earlier turns"):
            Renderer(processor)


class TestCaptionPrompt:
    def test_is_the_canonical_wording(self, processor):
        assert caption_prompt(processor) == "<|brain|>" + TASKS["caption"].prompts[0]

    def test_travels_with_the_checkpoint(self, make_model, processor, tmp_path):
        model = make_model()
        processor.caption_prompt = "<|brain|>the cat"
        store_caption_settings(model, processor, max_new_tokens=17)
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        loaded = BrainLlamaProcessor.from_pretrained(tmp_path)
        assert caption_prompt(loaded) == "<|brain|>the cat"
        settings = BrainLlamaForCausalLM.from_pretrained(tmp_path).generation_config
        assert (settings.do_sample, settings.num_beams, settings.max_new_tokens) == (False, 1, 17)
        assert settings.eos_token_id == [processor.tokenizer.eos_token_id]


class TestTable:
    def test_every_task_has_what_it_reads_and_a_group(self):
        for name, task in TASKS.items():
            assert task.name == name
            assert task.columns
            assert bool(task.prompts) == (name != "dialogue")
            assert all(("{question}" in prompt) == ("question" in task.columns) for prompt in task.prompts)
        assert len({task.group for task in TASKS.values()}) == 4

    def test_unknown_task(self):
        with pytest.raises(ValueError, match="no task 'poem'; choose among caption, previous_image"):
            find_task("poem")


class TestCaptions:
    def test_all_captions_of_an_image_are_branches_of_one_row(self, processor, make_images):
        images = make_images(3)
        rows = InstructionMaker(processor, ["caption"])(images)
        assert len(rows) == 3
        for row, image in zip((rows[i] for i in range(3)), images, strict=True):
            assert row["segments"] == [[f" {caption}</s>"] for caption in image["references"]]
            assert row["references"] == image["references"]
            assert row["brain_values"] == image["brain_values"]
            assert row["prompt"].startswith("<|brain|>")

    def test_no_brain_value_is_copied(self, processor, make_images):
        images = make_images(3)
        rows = InstructionMaker(processor, ["caption"])(images)
        assert rows.source is images
        assert "brain_values" not in rows.texts.column_names

    def test_wording_depends_on_sample_and_seed_alone(self, processor, make_images):
        images = make_images(40)
        prompts = InstructionMaker(processor, ["caption"])(images)["prompt"]
        assert set(prompts) == {"<|brain|>" + wording for wording in TASKS["caption"].prompts}
        assert InstructionMaker(processor, ["caption"])(images.select(range(20, 40)))["prompt"] == prompts[20:]
        assert InstructionMaker(processor, ["caption"], seed=1)(images)["prompt"] != prompts
        canonical = InstructionMaker(processor, ["caption"], paraphrase=False)(images)["prompt"]
        assert set(canonical) == {caption_prompt(processor)}

    def test_answers_are_capped(self, processor, make_images):
        rows = InstructionMaker(processor, ["caption"], max_answers=2, max_answer_tokens=5)(make_images(1))
        first, second = rows[0]["references"]
        assert rows[0]["segments"] == [[f" {first}</s>"], [" " + " ".join(second.split()[:5])]]

    def test_completion_stands_in_for_references(self, processor, make_images):
        images = make_images(2).remove_columns("references")
        rows = InstructionMaker(processor, ["caption"])(with_columns(images, references=[]))
        assert rows[1]["references"] == [images[1]["completion"]]

    def test_row_without_captions_is_named(self, processor, make_images):
        images = make_images(2).remove_columns(["references", "completion"])
        with pytest.raises(ValueError, match="'tiny/s1/session01/0' has no caption"):
            InstructionMaker(processor, ["caption"])(with_columns(images, references=[], completion=" "))

    def test_empty_answer_is_named(self, processor, make_images):
        images = with_columns(make_images(2).remove_columns("references"), references=["the cat", " "])
        with pytest.raises(ValueError, match="'tiny/s1/session01/0' has an empty answer"):
            InstructionMaker(processor, ["caption"])(images)

    def test_shares(self, processor, make_images):
        images = make_images(200)
        rows = InstructionMaker(processor, ["caption", "previous_image"], shares=[1.0, 0.25])(images)
        assert rows["task"].count("caption") == 200
        assert 30 < rows["task"].count("previous_image") < 70
        with pytest.raises(ValueError, match="needs a share above 0"):
            InstructionMaker(processor, ["caption"], shares=[0.5, 0.5])

    def test_missing_column_is_named(self, processor, make_images):
        with pytest.raises(ValueError, match="'question_number' reads the columns question, answers"):
            InstructionMaker(processor, ["question_number"])(make_images(1))


class TestPreviousImage:
    def test_reads_the_trial_before(self, processor, make_images):
        images = make_images(4)
        rows = InstructionMaker(processor, ["previous_image"])(images)
        assert rows["sample_id"] == images["sample_id"][1:]
        assert rows["references"] == images["references"][:3]

    def test_never_crosses_a_split(self, processor, make_images):
        images = make_images(6)
        train = images.select([0, 1, 3, 4])
        rows = InstructionMaker(processor, ["previous_image"])(train)
        # Trial 2 is in another split: trial 3 has nothing before it, not even trial 1.
        assert rows["sample_id"] == [images["sample_id"][1], images["sample_id"][4]]

    def test_never_crosses_sessions_or_subjects(self, processor, make_images):
        images = make_images(2)
        other = make_images(2, subject="s2").map(lambda row: {"sample_id": row["sample_id"].replace("01/", "02/")})
        rows = InstructionMaker(processor, ["previous_image"])(concatenate_datasets([images, other]))
        assert rows["sample_id"] == ["tiny/s1/session01/1", "tiny/s2/session02/1"]

    def test_averages_follow_no_trial(self, processor, make_images):
        averages = with_columns(make_images(3).remove_columns("session"), session="average")
        with pytest.raises(ValueError, match="No row serves any of the tasks previous_image"):
            InstructionMaker(processor, ["previous_image"])(averages)

    def test_needs_numbered_trials(self, processor, make_images):
        images = make_images(1).remove_columns("sample_id")
        with pytest.raises(ValueError, match="end with the number of the trial; found 'tiny/one'"):
            InstructionMaker(processor, ["previous_image"])(with_columns(images, sample_id="tiny/one"))


class TestQuestions:
    @pytest.fixture
    def rows(self, make_images):
        return with_columns(
            make_images(1),
            question="how many?",
            answers=["2", "two", "two"],
            choices=["one", "two"],
            explanation="One by one.",
        )

    @pytest.mark.parametrize(
        ("task", "request_end", "answer"),
        [
            ("question_phrase", "Answer in a few words.", "two"),
            ("question_number", "Answer with a number alone.", "two"),
            ("question_yes_no", "Answer with yes or no.", "two"),
            ("question_choice", "letter of the right choice.\nA. one\nB. two", "B"),
            ("question_sentence", "Answer in one whole sentence.", "two"),
            ("question_explained", "Answer, and explain why.", "two. One by one."),
        ],
    )
    def test_style(self, processor, rows, task, request_end, answer):
        row = InstructionMaker(processor, [task])(rows)[0]
        assert "how many?" in row["prompt"]
        assert row["prompt"].endswith(request_end)
        assert row["segments"] == [[f" {answer}</s>"]]

    def test_all_answers_count_and_the_most_frequent_is_taught(self, processor, rows):
        row = InstructionMaker(processor, ["question_phrase"], max_answers=1)(rows)[0]
        assert row["references"] == ["two", "two", "2"]
        assert (row["completion"], row["segments"]) == ("two", [[" two</s>"]])

    def test_rows_without_a_question_make_none(self, processor, make_images, rows):
        silent = with_columns(make_images(1, subject="s2"), question=None, answers=None)
        mixed = concatenate_datasets([rows.remove_columns(["choices", "explanation"]), silent])
        assert len(InstructionMaker(processor, ["question_number"])(mixed)) == 1

    def test_rows_of_another_task_make_none(self, processor, rows):
        tasked = with_columns(rows, task="question_number")
        made = InstructionMaker(processor, ["question_phrase", "question_number"])(tasked)
        assert made["task"] == ["question_number"]

    def test_answer_outside_the_choices(self, processor, rows):
        wrong = with_columns(rows.remove_columns("answers"), answers=["three"])
        with pytest.raises(ValueError, match="'three' of row 'tiny/s1/session01/0' is not among its `choices`"):
            InstructionMaker(processor, ["question_choice"])(wrong)

    def test_paragraph(self, processor, make_images):
        row = InstructionMaker(processor, ["paragraph"])(with_columns(make_images(1), paragraph="the cat . red ."))[0]
        assert row["segments"] == [[" the cat . red .</s>"]]


class TestDialogue:
    def test_is_one_branch(self, processor, make_images):
        row = InstructionMaker(processor, ["dialogue"])(with_columns(make_images(1), dialogue=TURNS))[0]
        assert row["segments"] == [[" the cat</s>", " and is it red", " very red .</s>"]]
        assert row["references"] == ["the cat", "very red ."]

    @pytest.mark.parametrize("kept", [[0, 2, 1, 3], [0, 1, 2], [1, 0], [0]])
    def test_must_alternate(self, processor, make_images, kept):
        images = with_columns(make_images(1), dialogue=[TURNS[i] for i in kept])
        with pytest.raises(ValueError, match="dialogue of row 'tiny/s1/session01/0' must alternate"):
            InstructionMaker(processor, ["dialogue"])(images)


class TestRealTokenizer:
    """A byte-level BPE, whose tokens depend on what stands before them."""

    @pytest.fixture
    def real(self) -> BrainLlamaProcessor:
        tokenizer = AutoTokenizer.from_pretrained(shared_path("models/english-llama-28m"))
        text_config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=8, num_attention_heads=2)
        return BrainLlamaProcessor.from_config(BrainLlamaConfig(text_config=text_config), tokenizer)

    def test_answer_begins_at_a_token(self, real):
        renderer = Renderer(real)
        prompt, answer = renderer.prompt(TASKS["caption"].prompts[0]), renderer.answer("A man rides a wave.")
        together, apart = (
            [torch.tensor(real.tokenizer(text.removeprefix("<|brain|>"))["input_ids"]) for text in texts]
            for texts in ([prompt + answer], [prompt, answer])
        )
        bos = 1
        assert torch.equal(together[0], torch.cat([apart[0], apart[1][bos:]]))
        assert together[0][-1] == real.tokenizer.eos_token_id
