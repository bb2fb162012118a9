# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Questions and dialogues about images, in the forms of VQA v2, of tables and of VisDial; and their defects."""

import json

import pytest

from dataset_builders.readers.questions import Question, merged, read_question_table, read_visdial, read_vqa


QUESTIONS = {
    "info": {"description": "This is v2.0 of the VQA dataset."},
    "task_type": "Open-Ended",
    "questions": [
        {"image_id": 262148, "question": "Where is he  looking?", "question_id": 262148000},
        {"image_id": 262148, "question": "How many people?", "question_id": 262148002},
        {"image_id": 393225, "question": "Is this a creamy soup?", "question_id": 393225001},
    ],
}


def _annotation(question_id, image, kind, answers):
    said = [
        {"answer": text, "answer_confidence": "yes", "answer_id": number} for number, text in enumerate(answers, 1)
    ]
    named = {"question_id": question_id, "image_id": image, "question_type": kind, "answer_type": "other"}
    return named | {"multiple_choice_answer": "down", "answers": said}


ANNOTATIONS = {
    "annotations": [
        _annotation(262148000, 262148, "where is", ["down"] * 6 + ["at table", "skateboard", "down", "table"]),
        _annotation(262148002, 262148, "how many", ["2"] * 10),
        _annotation(393225001, 393225, "is this a", ["no"] * 5 + ["yes"] * 5),
    ]
}


@pytest.fixture
def files(tmp_path):
    """Paths of questions and annotations, and a function that writes them changed."""

    def write(questions=QUESTIONS, annotations=ANNOTATIONS):
        paths = tmp_path / "questions.json", tmp_path / "annotations.json"
        for path, content in zip(paths, (questions, annotations), strict=True):
            path.write_text(json.dumps(content))
        return paths

    return write


def _changed(content, key, place, **fields):
    entries = [entry | (fields if number == place else {}) for number, entry in enumerate(content[key])]
    return content | {key: entries}


class TestVQA:
    def test_questions_by_image(self, files):
        found = read_vqa(*files())
        assert set(found) == {262148, 393225}
        first, second = found[262148]
        assert first.text == "Where is he looking?"
        assert (first.name, first.kind, first.answer, len(first.answers)) == ("262148000", "where is", "down", 10)
        assert second == Question("262148002", "How many people?", ("2",) * 10, "how many")
        assert found[393225][0].answer == "no"  # five to five: the first

    def test_annotations_need_not_be_in_the_order_of_questions(self, files):
        shuffled = {"annotations": ANNOTATIONS["annotations"][::-1]}
        assert read_vqa(*files(annotations=shuffled))[262148][0].text == "How many people?"

    @pytest.mark.parametrize(
        ("questions", "annotations", "message"),
        [
            ({"questions": []}, ANNOTATIONS, r"questions.json: expected a list 'questions' and found none"),
            (QUESTIONS, [], r"annotations.json: expected a list 'annotations' and found none"),
            (_changed(QUESTIONS, "questions", 0, question=" "), ANNOTATIONS, "entries with 'question' of str, found"),
            (_changed(QUESTIONS, "questions", 0, image_id="7"), ANNOTATIONS, "entries with 'image_id' of int, found"),
            (
                _changed(QUESTIONS, "questions", 1, question_id=262148000),
                ANNOTATIONS,
                "question_id 262148000 is",
            ),
            (
                QUESTIONS,
                _changed(ANNOTATIONS, "annotations", 2, image_id=1),
                "question_id 393225001 of image 1",
            ),
            (QUESTIONS, _changed(ANNOTATIONS, "annotations", 2, answers=[]), "question_id 393225001 has no answer"),
            (QUESTIONS, {"annotations": ANNOTATIONS["annotations"][:2]}, "lacks 1 questions of .*, such as 393225001"),
        ],
    )
    def test_damaged_files(self, files, questions, annotations, message):
        with pytest.raises(ValueError, match=message):
            read_vqa(*files(questions, annotations))

    def test_no_json(self, files):
        path, other = files()
        path.write_text('{"questions": [')
        with pytest.raises(ValueError, match="questions.json is not readable as JSON"):
            read_vqa(path, other)
        path.unlink()
        with pytest.raises(FileNotFoundError, match=r"questions.json"):
            read_vqa(path, other)


class TestTable:
    def test_rows_of_one_question_are_its_answers(self, tmp_path):
        path = tmp_path / "asked.csv"
        path.write_text(
            'answer,question,image_id,more\nred,"What color, exactly?",7,x\nblue,"What color, exactly?",7,x\n'
            "yes,Is it red?,8,x\nred,What color,7,x\n"
        )
        assert read_question_table(path) == {
            7: [
                Question("7-0", "What color, exactly?", ("red", "blue"), "what color,"),
                Question("7-1", "What color", ("red",), "what color"),
            ],
            8: [Question("8-0", "Is it red?", ("yes",), "is it")],
        }

    def test_types_can_be_given(self, tmp_path):
        path = tmp_path / "asked.tsv"
        path.write_text("image_id\tquestion\tanswer\tquestion_type\n7\tIs it red?\tyes\tcolor\n7\tWho?\tI\t\n")
        assert [one.kind for one in read_question_table(path)[7]] == ["color", "who?"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "asked.csv is empty: download it again"),
            ("question,answer\n", r"asked.csv has no column 'image_id', only \['question', 'answer'\]"),
            ("image_id,question\n7,Who?\n", "asked.csv has no column 'answer', only"),
            ("image_id,question,answer\n7,Who?\n", "asked.csv, line 2: expected 3 cells"),
            ("image_id,question,answer\nx7,Who?,I\n", "asked.csv, line 2: expected 3 cells with a number in column"),
            ("image_id,question,answer\n7,Who?,\n", "asked.csv, line 2: expected 3 cells"),
            (
                "image_id,question,answer,question_type\n7,Who?,I,who\n7,Who?,he,person\n",
                r"line 3: column 'question_type' is 'person', and 'who' in an earlier row of the same question",
            ),
        ],
    )
    def test_damaged_tables(self, tmp_path, text, message):
        (tmp_path / "asked.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_question_table(tmp_path / "asked.csv")


ROUND = {"question": 0, "answer": 1}


class TestVisDial:
    DATA = {
        "questions": ["is it sunny", "any people", "what color is the bus?"],
        "answers": ["yes", "no", "it 's  red"],
        "dialogs": [
            {
                "image_id": 5,
                "caption": "a bus",
                "dialog": [{"question": 2, "answer": 2}, {"question": 0, "answer": 1}],
            },
            {"image_id": 6, "caption": "a cat", "dialog": [{"question": 1, "answer": 1}, {"question": 0}]},
            {"image_id": 7, "caption": "a dog", "dialog": [{"question": 1}]},
        ],
    }

    def test_rounds(self, tmp_path):
        (tmp_path / "visdial.json").write_text(json.dumps({"version": "1.0", "data": self.DATA}))
        assert read_visdial(tmp_path / "visdial.json") == {
            5: [(("what color is the bus?", "it 's red"), ("is it sunny?", "no"))],
            6: [(("any people?", "no"),)],
        }

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"questions": []}, "expected 'data' with lists 'dialogs', 'questions' and 'answers'"),
            (DATA | {"answers": ["yes"]}, "a round names number 2 of the 1 texts in 'answers'"),
            (DATA | {"dialogs": [{"image_id": 5}]}, "expected entries with 'dialog' of list"),
        ],
    )
    def test_damaged_files(self, tmp_path, data, message):
        (tmp_path / "visdial.json").write_text(json.dumps({"data": data}))
        with pytest.raises(ValueError, match=message):
            read_visdial(tmp_path / "visdial.json")

    def test_no_json(self, tmp_path):
        (tmp_path / "visdial.json").write_text("{")
        with pytest.raises(ValueError, match="visdial.json is not readable as JSON"):
            read_visdial(tmp_path / "visdial.json")


def test_files_follow_one_another():
    assert merged([lambda: {1: ["a"]}, lambda: {2: ["b"], 1: ["c"]}]) == {1: ["a", "c"], 2: ["b"]}
