# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Writes what is asked about scenes in the files of VQA v2 and VisDial."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .scenes import Scene


_VQA_SPLITS = ("train2014", "val2014")
# VQA numbers questions by the image and their place.
_PER_IMAGE = 1000


def write_questions(folder: Path, scenes: Mapping[int, Scene]) -> None:
    """
    Writes the questions of some scenes, and a dialogue of all questions of each.

    Args:
        folder (`Path`):
            Folder of annotations.
        scenes (`Mapping[int, Scene]`):
            By COCO image id.
    """
    asked = {image: scene.questions() for image, scene in scenes.items()}
    for part, split in enumerate(_VQA_SPLITS):
        own = {image: asked[image] for place, image in enumerate(asked) if place % len(_VQA_SPLITS) == part}
        questions: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image, found in own.items():
            for place, (kind, text, answers) in enumerate(found):
                named = {"image_id": image, "question_id": _PER_IMAGE * image + place}
                questions.append(named | {"question": text})
                said = [{"answer": answer, "answer_id": number} for number, answer in enumerate(answers, 1)]
                annotations.append(named | {"question_type": kind, "answers": said})
        _write(folder / f"v2_OpenEnded_mscoco_{split}_questions.json", {"questions": questions})
        _write(folder / f"v2_mscoco_{split}_annotations.json", {"annotations": annotations})
    _write(folder / "visdial_1.0_train.json", {"data": _dialogues(asked)})


def _dialogues(asked: Mapping[int, list[tuple[str, str, list[str]]]]) -> dict[str, Any]:
    """One dialogue an image, whose rounds name texts by their number."""
    questions = sorted({text.removesuffix("?") for found in asked.values() for _, text, _ in found})
    answers = sorted({said[0] for found in asked.values() for _, _, said in found})
    places = [{text: place for place, text in enumerate(texts)} for texts in (questions, answers)]
    dialogues = [
        {
            "image_id": image,
            "dialog": [
                {"question": places[0][text.removesuffix("?")], "answer": places[1][said[0]]}
                for _, text, said in found
            ],
        }
        for image, found in asked.items()
    ]
    return {"questions": questions, "answers": answers, "dialogs": dialogues}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


__all__ = ["write_questions"]
