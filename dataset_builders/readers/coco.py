# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions of COCO annotation files (Chen et al. 2015, arXiv:1504.00325), such as `captions_val2017.json`."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .sources import check_source


def read_captions(path: str | Path) -> dict[int, list[str]]:
    """
    The captions of every image of an annotation file.

    Captions keep the order of the file. Line breaks and repeated spaces become single spaces, because some captions
    of the published files end in a line break; nothing else is changed.

    Args:
        path (`str` or `Path`):
            A JSON file `{"images": [{"id", ...}], "annotations": [{"image_id", "caption", ...}]}`.

    Returns:
        `dict[int, list[str]]`: captions by COCO image id, images in the order of the file. Published images have 5,
        some 6 or 7.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no COCO annotation file, an image is listed twice or has no caption, or a caption is
            empty or belongs to no image.
    """
    path = check_source(path)
    content = _load(path)
    captions = {_image_id(image, "id", path): [] for image in content["images"]}
    if len(captions) < len(content["images"]):
        counts = Counter(image["id"] for image in content["images"])
        twice = [image_id for image_id, count in counts.items() if count > 1]
        raise ValueError(f"{path}: {len(twice)} image(s) are listed more than once, such as {twice[0]}{_REMEDY}")
    for annotation in content["annotations"]:
        image_id = _image_id(annotation, "image_id", path)
        if image_id not in captions:
            raise ValueError(f"{path}: a caption belongs to image {image_id}, which 'images' does not list{_REMEDY}")
        captions[image_id].append(_caption(annotation, image_id, path))
    silent = [image_id for image_id, texts in captions.items() if not texts]
    if silent:
        raise ValueError(f"{path}: {len(silent)} image(s) have no caption, such as {silent[0]}{_REMEDY}")
    return captions


_REMEDY = ". Download the file again from https://cocodataset.org (annotations_trainval2017.zip)"


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ValueError(f"{path} is not readable as JSON ({error}){_REMEDY}") from error
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list) or not content[key]:
            raise ValueError(f"{path}: expected a COCO annotation file with a list {key!r} and found none{_REMEDY}")
    return content


def _image_id(entry: Any, key: str, path: Path) -> int:
    image_id = entry.get(key) if isinstance(entry, dict) else None
    if type(image_id) is not int:  # a bool is an int, and no id
        raise ValueError(f"{path}: expected entries with a whole number {key!r}, found {entry!r:.80}{_REMEDY}")
    return image_id


def _caption(annotation: dict[str, Any], image_id: int, path: Path) -> str:
    caption = annotation.get("caption")
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"{path}: image {image_id} has the caption {caption!r:.80}: expected a text{_REMEDY}")
    return " ".join(caption.split())


__all__ = ["read_captions"]
