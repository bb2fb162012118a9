# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Captions of any system, from JSON files, with the references people wrote: the table that a report is made of.

Predictions lie in one file per system, or, as BrainHub (Xia et al. 2024, ECCV) lays them out, in a folder per system
with one file per subject, such as `umbrae/sub01_decoded_caption.json`. A file of predictions is

- `{"0": "caption", ...}`, by image (BrainHub);
- `[{"image_id": 0, "caption": "caption"}, ...]`, the results format of COCO;
- `["caption", ...]`, a plain list, whose places are the images `"0"`, `"1"`, ...

References have the same forms with a list of captions, or one caption, in the place of the caption (BrainHub's
`fmri_cococap.json`), and may be COCO annotations: `{"annotations": [{"image_id": 0, "caption": "caption"}, ...]}`.
"""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..metrics import MeteorData
from ..metrics.captions import DocumentFrequencies
from ..metrics.embedding_scores import TokenEmbeddings
from ..reports.provenance import find_versions
from ..reports.report import EvaluationReport
from ..reports.requirements import EMPTY, NUM_RESAMPLES, SUBSET
from ..scoring.caption_scorer import Embedder
from ..scoring.captions import CaptionScorer, human_scores, references_of_images, score_captions
from ..scoring.rules import CAPTION_RULES
from ..scoring.table import CONSTANT, SHUFFLED


_FORMS = "an object from image to caption, a list of captions, or a list of objects with `image_id` and `caption`"
_SHOWN = 3
#: The task of captions that somebody else's system wrote: nothing is known of how they came about.
PREDICTIONS = "predictions"
PREDICTION_RULES = replace(CAPTION_RULES, controls=(), baselines=(CONSTANT, SHUFFLED), knows_split=False)
LIMITS = (
    "Captions alone do not tell how they came about: whether the images were unseen, and what the system writes "
    "without a brain or with another person's, takes the checkpoint (`examples/evaluate.py --checkpoint`)."
)

#: (subject, image) → caption. Files that are given alone have no subject.
Captions = dict[tuple[str, str], str]


def read_predictions(path: str | Path) -> dict[str, str]:
    """
    One caption of each image, from a JSON file of any form that [`~trainers.evaluation.predictions`] lists.

    Args:
        path (`str` or `Path`):
            File.

    Returns:
        `dict[str, str]`: Image → caption.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no JSON, has another form, holds no predictions, an image twice, or something that
            is not a string.
    """
    found: dict[str, str] = {}
    for image, text in _entries(_read_json(path), path, "predictions"):
        if image in found:
            raise ValueError(f"{path} has two predictions of image '{image}'. Keep one caption for each image.")
        if not isinstance(text, str):
            raise ValueError(
                f"{path}: the prediction of image '{image}' is {_show(text)}, expected a string. "
                "Give one caption for each image; lists of captions are references."
            )
        found[image] = text
    return found


def read_references(path: str | Path) -> dict[str, list[str]]:
    """
    All reference captions of each image, from a JSON file of any form that [`~trainers.evaluation.predictions`] lists.

    Args:
        path (`str` or `Path`):
            File.

    Returns:
        `dict[str, list[str]]`: Image → captions, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no JSON, has another form, holds no references, or an image with none, with an empty
            one or with something that is not a string.
    """
    found: dict[str, list[str]] = {}
    for image, texts in _entries(_read_json(path), path, "references"):
        texts = [texts] if isinstance(texts, str) else texts
        if (
            not isinstance(texts, list)
            or not texts
            or not all(isinstance(text, str) and text.strip() for text in texts)
        ):
            raise ValueError(
                f"{path}: the references of image '{image}' are {_show(texts)}, expected a caption or a list of "
                "captions, none of them empty. Leave out images that nobody described."
            )
        found.setdefault(image, []).extend(texts)
    return found


def _read_json(path: str | Path) -> Any:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, expected a JSON file of captions. Check the path.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Where a key stands twice, JSON readers keep the last in silence."""
        names = [name for name, _ in pairs]
        twice = (
            [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
        )
        if twice:
            raise ValueError(f"{path} names {_list(twice)} twice in one object. Keep one entry for each image.")
        return dict(pairs)

    text = path.read_bytes()
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON file ({error}). Write the captions as {_FORMS}.") from error


def _entries(content: Any, path: str | Path, what: str) -> list[tuple[str, Any]]:
    """Image and whatever the file holds for it, entry by entry."""
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        if what == "predictions":
            raise ValueError(
                f"{path} holds annotations of COCO, which are references, where predictions are expected. Pass it as "
                "references."
            )
        content = content["annotations"]
    if isinstance(content, dict):
        entries = list(content.items())
    elif isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        entries = [_coco_entry(entry, path) for entry in content]
    elif isinstance(content, list):
        entries = [(str(place), entry) for place, entry in enumerate(content)]
    else:
        raise ValueError(f"{path} holds {_show(content)}, expected {what}: {_FORMS}.")
    if not entries:
        raise ValueError(f"{path} holds no {what}: it is empty. Expected {_FORMS}.")
    return entries


def _coco_entry(entry: Mapping[str, Any], path: str | Path) -> tuple[str, Any]:
    if "image_id" not in entry or "caption" not in entry:
        raise ValueError(
            f"{path} has the entry {_show(entry)}, expected `image_id` and `caption`. Boxes and other annotations are "
            "in other files of COCO; take `captions_*.json`."
        )
    return str(entry["image_id"]), entry["caption"]


def read_systems(paths: Sequence[str | Path]) -> dict[str, Captions]:
    """
    The captions of several systems.

    Args:
        paths (`Sequence`):
            For each system a file, or for each system a folder with one file per subject, whose name begins with that
            of the subject, up to the first `_` (`sub01_decoded_caption.json`).

    Returns:
        `dict[str, Captions]`: Name of the system, which is what its path does not share with the others, → captions by
        subject and image.

    Raises:
        FileNotFoundError, ValueError: See [`read_predictions`]; and if a path is given twice, files and folders are
            mixed, or a folder holds no files or two of one subject.
    """
    given = [Path(path) for path in paths]
    if not given or len({path.resolve() for path in given}) < len(given):
        raise ValueError(f"`paths` must name different files, found {[str(path) for path in given]}. Name each once.")
    folders = [path for path in given if path.is_dir()]
    if folders and len(folders) < len(given):
        raise ValueError(
            f"`paths` mixes folders, one for each system ({_list(folders)}), and files. Name files alone or folders "
            "alone, so that it is known which captions are of the same brains."
        )
    read = _read_folder if folders else _read_file
    return {name: read(path) for name, path in zip(_name_systems(given), given, strict=True)}


def _name_systems(paths: Sequence[Path]) -> list[str]:
    if len(paths) == 1:
        return [paths[0].stem]
    absolute = [path.resolve() for path in paths]
    common = os.path.commonpath([path.parent for path in absolute])
    names = [path.relative_to(common).with_suffix("").as_posix() for path in absolute]
    # Of files that are called alike in every folder, the folder says it all.
    heads = [name.rpartition("/")[0] for name in names]
    same_file = len({name.rpartition("/")[2] for name in names}) == 1
    return heads if same_file and len(set(heads)) == len(heads) else names


def _read_file(path: Path) -> Captions:
    return {("", image): text for image, text in read_predictions(path).items()}


def _read_folder(folder: Path) -> Captions:
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        subject = path.stem.split("_")[0]
        if subject in files:
            raise ValueError(
                f"{folder} holds two files of the subject '{subject}': {files[subject].name} and {path.name}. Keep "
                "one of each subject, or name the files themselves."
            )
        files[subject] = path
    if not files:
        raise ValueError(f"{folder} holds no .json file. Expected one for each subject, such as sub01_captions.json.")
    return {
        (subject, image): text for subject, path in files.items() for image, text in read_predictions(path).items()
    }


def make_table(
    systems: Mapping[str, Captions], references: Mapping[str, list[str]], allow: Collection[str] = ()
) -> list[dict[str, Any]]:
    """
    One row for each subject and image, as [`~trainers.scoring.table`] describes it; the systems are its arms.

    Args:
        systems (`Mapping[str, Captions]`):
            Result of [`read_systems`].
        references (`Mapping[str, list[str]]`):
            Result of [`read_references`].
        allow (`Collection[str]`, *optional*):
            `"subset"`: score the images that the references and all files have in common. `"empty"`: an empty caption
            counts as one, and scores nothing.

    Returns:
        `list[dict]`: Rows in the order of subjects and of the references. A system without captions of a subject is
        absent from its rows.

    Raises:
        ValueError: If an image is missing on one side, a caption is empty, and `allow` does not say that it may be; or
            fewer than two images are left.
    """
    subjects = list(dict.fromkeys(subject for captions in systems.values() for subject, _ in captions))
    files = {
        (name, subject): {image for other, image in captions if other == subject}
        for name, captions in systems.items()
        for subject in dict.fromkeys(subject for subject, _ in captions)
    }
    shared = set(references).intersection(*files.values())
    if SUBSET not in allow:
        _require_same_images(files, set(references))
    if len(shared) < 2:
        raise ValueError(
            f"Predictions and references share {len(shared)} image(s): a score needs two or more to be tested. Check "
            f"that they name images alike; references: {_list(references)}."
        )
    if EMPTY not in allow:
        _require_words(systems, shared)
    rows = []
    for subject in subjects:
        for image in [image for image in references if image in shared]:
            texts = {name: found[subject, image] for name, found in systems.items() if (subject, image) in found}
            brain = f"{subject}/{image}" if subject else image
            row = {"task": PREDICTIONS, "sample_id": brain, "subject": subject, "group": image, "brain_id": brain}
            rows.append(row | {"references": references[image], "texts": texts, "control_brains": {}})
    return rows


def _require_same_images(files: Mapping[tuple[str, str], set[str]], images: set[str]) -> None:
    remedy = (
        f"Predict every image that has references and no other; or allow '{SUBSET}', and the images that all files "
        "share are scored, which the report says at its top."
    )
    for (name, subject), found in files.items():
        whose = f"'{name}'" + (f" of the subject '{subject}'" if subject else "")
        if images - found:
            lacking = sorted(images - found)
            raise ValueError(
                f"The predictions {whose} lack {len(lacking)} of {len(images)} images with references "
                f"({_list(lacking)}). {remedy}"
            )
        if found - images:
            strange = sorted(found - images)
            raise ValueError(
                f"The references lack {len(strange)} of {len(found)} images of the predictions {whose} "
                f"({_list(strange)}). {remedy}"
            )


def _require_words(systems: Mapping[str, Captions], images: Collection[str]) -> None:
    for name, captions in systems.items():
        empty = [image for (_, image), text in captions.items() if image in images and not text.strip()]
        if empty:
            raise ValueError(
                f"The predictions '{name}' are empty for {len(empty)} images ({_list(empty)}). Mend the file; or, if "
                f"the system said nothing there, allow '{EMPTY}': they score nothing, and the report says so."
            )


def fingerprint_files(paths: Sequence[str | Path]) -> dict[str, str]:
    """SHA-256 of every file, and of every `.json` file of every folder, by its path as it was given."""
    files = [file for path in map(Path, paths) for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    return {file.as_posix(): sha256(file.read_bytes()).hexdigest() for file in files}


def _list(names: Collection[Any]) -> str:
    shown = ", ".join(f"'{name}'" for name in list(names)[:_SHOWN])
    return shown + (", ..." if len(names) > _SHOWN else "")


def _show(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def evaluate_predictions(
    predictions: Sequence[str | Path],
    references: str | Path,
    *,
    allow: Collection[str] = (),
    frequencies: DocumentFrequencies | None = None,
    embed: Embedder | None = None,
    meteor: MeteorData | None = None,
    embed_tokens: TokenEmbeddings | None = None,
    max_identification: int = 256,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> EvaluationReport:
    """
    Score the captions of any system beside baselines and ceiling; of two systems or more, compare each pair.

    Args:
        predictions (`Sequence`), references (`str` or `Path`):
            Files, or of the predictions folders; see [`~trainers.evaluation.predictions`].
        allow (`Collection[str]`, *optional*):
            See [`~trainers.evaluation.predictions.make_table`]. The report must be saved with the same leave.
        frequencies ([`~trainers.metrics.DocumentFrequencies`], *optional*):
            For CIDEr; by default of the images that are scored, as COCO does.
        embed (`Callable`, *optional*):
            Texts → vectors `[texts, width]`, such as a sentence encoder; adds `text_similarity` to the scores.
        meteor ([`~trainers.metrics.MeteorData`], *optional*), embed_tokens (`Callable`, *optional*):
            Add `meteor` and `bert_score`; see [`~trainers.scoring.caption_scorer.CaptionScorer`].
        max_identification (`int`, *optional*, defaults to 256):
            Images of a subject among which captions are to find their own; more are thinned out by a seeded draw.
        num_resamples (`int`, *optional*, defaults to 10000):
            See [`~trainers.statistics.resampling.Resampler`].
        seed (`int`, *optional*, defaults to 0), progress (`bool`, *optional*, defaults to `True`):
            Seed of everything drawn; whether to show progress bars.

    Returns:
        [`EvaluationReport`]: Not yet saved.

    Raises:
        FileNotFoundError, ValueError: See [`~trainers.evaluation.predictions`].
    """
    described, systems = read_references(references), read_systems(predictions)
    samples = make_table(systems, described, allow)
    images = references_of_images(samples)
    scorer = CaptionScorer(frequencies or DocumentFrequencies.fit(images), embed, meteor, embed_tokens)
    scored = score_captions(samples, scorer, tuple(systems), max_identification, seed, progress)
    settings: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples, "max_identification": max_identification}
    settings |= {"num_references": len(described), "allow": sorted(allow), "gaps": _gaps(samples, len(described))}
    settings |= {"document_frequencies": "the evaluation's references" if frequencies is None else "given"}
    return EvaluationReport.from_samples(
        scored,
        rules={PREDICTIONS: replace(PREDICTION_RULES, systems=tuple(systems))},
        settings=settings,
        split={},
        versions=find_versions(),
        fingerprint=fingerprint_files([*predictions, references]),
        origin=[_describe_table(samples, len(systems)), LIMITS],
        ceilings=human_scores(samples, scorer),
    )


def _gaps(samples: Sequence[Mapping[str, Any]], num_references: int) -> list[dict[str, str]]:
    """What a sceptical reader would miss of the files."""
    scored, gaps = len(references_of_images(samples)), []
    if scored < num_references:
        why = f"Scored are {scored} of {num_references} images with references, those that all files hold "
        why += f"(`{SUBSET}`)."
        gaps.append({"name": SUBSET, "why": why})
    empty = sum(not text.strip() for sample in samples for text in sample["texts"].values())
    if empty:
        gaps.append({"name": EMPTY, "why": f"{empty} captions are empty and score nothing (`{EMPTY}`)."})
    return gaps


def _describe_table(samples: Sequence[Mapping[str, Any]], num_systems: int) -> str:
    """What was scored, and whether there is a ceiling."""
    sizes = [len(texts) for texts in references_of_images(samples)]
    subjects = [name for name in dict.fromkeys(sample["subject"] for sample in samples) if name]
    text = f"Captions of {num_systems} system(s), {len(sizes)} images"
    text += f", subjects {', '.join(subjects)}" if subjects else ""
    text += f"; {sum(sizes)} references, {min(sizes)} to {max(sizes)} of an image."
    alone = sum(size == 1 for size in sizes)
    if alone == len(sizes):
        return text + " No human ceiling: with one reference for each image, no person is left to compare with."
    return text + (f" The human ceiling leaves out {alone} images with a single reference." if alone else "")


__all__ = [
    "EMPTY",
    "SUBSET",
    "Captions",
    "evaluate_predictions",
    "fingerprint_files",
    "make_table",
    "read_predictions",
    "read_references",
    "read_systems",
]
