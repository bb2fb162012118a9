# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What was asked about the images of NSD, joined by COCO id, and rows made of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...readers.questions import Dialogue, Question, merged, read_question_table, read_visdial, read_vqa
from ...schema import Sample


CAPTIONS, QUESTIONS, DIALOGUES = "captions", "questions", "dialogues"
#: What a row decodes.
TARGETS = (CAPTIONS, QUESTIONS, DIALOGUES)

_VQA_SPLITS = ("train2014", "val2014")


def find_targets(folder: Path, target: str, table: Path | None) -> dict[int, list[Any]]:
    """
    Questions or dialogues of images by COCO id.

    Args:
        folder (`Path`):
            Folder of annotations, with the files of VQA v2 or VisDial. Their splits are those of COCO 2014, which
            divide the same photographs otherwise: all that are there are read.
        target (`str`):
            [`QUESTIONS`] or [`DIALOGUES`].
        table (`Path`, *optional*):
            A table of questions, in place of VQA.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged.
    """
    if table is not None:
        return read_question_table(table)
    if target == DIALOGUES:
        paths, expected = sorted(folder.glob("visdial_*.json")), "visdial_1.0_train.json"
        readers = [partial(read_visdial, path) for path in paths]
    else:
        pairs = [
            (folder / f"v2_OpenEnded_mscoco_{split}_questions.json", folder / f"v2_mscoco_{split}_annotations.json")
            for split in _VQA_SPLITS
        ]
        expected = f"{pairs[0][0].name} and {pairs[0][1].name}"
        readers = [partial(read_vqa, *pair) for pair in pairs if any(path.exists() for path in pair)]
    if not readers:
        raise FileNotFoundError(f"{folder} holds no {target}: expected {expected}, or a table by question_table=")
    return merged(readers)


def target_samples(
    samples: Iterable[Sample], coco_ids: Mapping[str, int], found: Mapping[int, Sequence[Question | Dialogue]]
) -> Iterator[Sample]:
    """
    One row for each question, or each dialogue, about the image of each trial.

    Args:
        samples (`Iterable[Sample]`):
            A row for each trial.
        coco_ids (`Mapping[str, int]`):
            The photograph behind each stimulus.
        found (`Mapping[int, Sequence]`):
            What [`find_targets`] found.
    """
    for sample in samples:
        for number, target in enumerate(found.get(coco_ids[sample.stimulus], ())):
            if isinstance(target, Question):
                yield replace(
                    sample,
                    sample_id=f"{sample.sample_id}/{target.name}",
                    completion=target.answer,
                    question=target.text,
                    answers=target.answers,
                    question_type=target.kind,
                )
            else:
                yield replace(
                    sample, sample_id=f"{sample.sample_id}/{number}", completion=target[-1][1], rounds=target
                )


__all__ = ["CAPTIONS", "DIALOGUES", "QUESTIONS", "TARGETS", "find_targets", "target_samples"]
