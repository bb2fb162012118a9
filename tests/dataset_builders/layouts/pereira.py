# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Files in the layout of Pereira et al. (2018), written by `scipy.io.savemat` from a known truth.

Their quirks are copied: labels counted from 1 as doubles, in a column for 384 sentences and in a row for 243; topics
nested one level deeper for 384; atlases in fields of their own (`examples_*`) or in cells of 15 (`data_*`), some of
them with a single region; voxels that are NaN in P01, and others that only one experiment has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.io import savemat


#: Sentences, passages and topics as published.
PUBLISHED = {"384sentences": (384, 96, 24), "243sentences": (243, 72, 24)}
SMALL = {"384sentences": (40, 10, 5), "243sentences": (33, 10, 5)}
GUISES = ("180concepts_sentences", "180concepts_pictures", "180concepts_wordclouds")
GRID = (7, 6, 5)

_AAL = ["Precentral_L", "Precentral_R", "Frontal_Sup_L"]
_GORDON = ["ROI1_Default_L_-11.2_-52.4_36.5", "ROI241_VentralAttn_R_48.1_38.3_-9.2"]
_FIFTEEN = ["aal_1ofN", "languageParcelsConservative_aal", "languageParcels_aal", "semantic_aal", "multipleDemand_aal"]
_FIFTEEN += ["MD", "DMN", "languageLH", "languageRH", "visual_body", "visual_face", "visual_object", "visual_scene"]
_FIFTEEN += ["visual", "gordon"]
_SYLLABLES = ["ba", "ce", "di", "fa", "gu", "la", "me", "ni", "po", "ru", "sa", "ty", "vi", "wo", "zu"]

Change = Callable[[str, dict], None]


@dataclass
class PereiraTruth:
    """What the files say. Keys are `<subject>/<kind>_<experiment>`, or experiments where all subjects share them."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    passages: dict[str, list[int]] = field(default_factory=dict)  # of each text, counted from 0
    topics: dict[str, list[str]] = field(default_factory=dict)  # of each passage
    images: dict[str, np.ndarray] = field(default_factory=dict)  # float64 [texts, voxels]
    coordinates: dict[str, np.ndarray] = field(default_factory=dict)  # [voxels, 3], counted from 0
    atlases: dict[str, dict[str, tuple[np.ndarray, list[str]]]] = field(default_factory=dict)


def vocabulary(number):
    """Pronounceable words, all different."""
    return [a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES][:: len(_SYLLABLES) ** 3 // number]


def write_sentences(number, seed):
    """Sentences of 5 to 14 words that have little in common."""
    generator, words = np.random.default_rng(seed), vocabulary(400)
    drawn = [generator.choice(words, size) for size in generator.integers(5, 15, number)]
    return [" ".join(chosen).capitalize() + "." for chosen in drawn]


def cell(entries, shape=None):
    """A MATLAB cell, a column unless `shape` says otherwise."""
    found = np.empty(len(entries), object)
    found[:] = entries
    return found.reshape(shape or (-1, 1))


def column(numbers):
    return np.asarray(numbers, float).reshape(-1, 1)


def place_voxels(num_voxels, seed):
    """Coordinates `[voxels, 3]`, counted from 0, in the order of MATLAB's linear indices; most are in every file."""
    pool = np.random.default_rng(0).permutation(np.prod(GRID))[: num_voxels * 5 // 4]
    places = np.random.default_rng(seed).choice(pool, num_voxels, replace=False)
    return np.stack(np.unravel_index(np.sort(places), GRID, order="F"), 1)


def _label(coordinates, num_regions, step):
    return (coordinates @ [1, step, 2]) % (num_regions + 1)


def _columns(labels, num_regions):
    return cell([column(np.flatnonzero(labels == region + 1) + 1) for region in range(num_regions)])


def make_meta(coordinates, kind):
    """The struct `meta`, and the atlases that it holds."""
    number = len(coordinates)
    col_of = np.zeros(GRID)
    col_of[tuple(coordinates.T)] = np.arange(number) + 1
    meta = {f"dim{axis}": float(size) for axis, size in zip("xyz", GRID, strict=True)}
    meta |= {
        "dimensions": np.array([GRID], float),
        "indicesIn3D": column(np.ravel_multi_index(tuple(coordinates.T), GRID, order="F") + 1),
        "colToCoord": coordinates + 1.0,
        "coordToCol": col_of,
        "voxelsToNeighbours": np.zeros((number, 26)),
        "numberOfNeighbours": np.zeros((number, 1)),
    }
    names = {"AAL": _AAL, "Gordon": _GORDON}
    if kind == "data":
        names = {atlas: [f"{atlas}_{n}" for n in range(1 + place % 4)] for place, atlas in enumerate(_FIFTEEN)}
    atlases = {
        atlas: (_label(coordinates, len(regions), 1 + place), regions)
        for place, (atlas, regions) in enumerate(names.items())
    }
    if kind == "data":
        across = (1, len(atlases))
        meta["atlases"] = cell(list(atlases), across)
        meta["rois"] = cell([cell(regions) for _, regions in atlases.values()], across)
        meta["roiColumns"] = cell([_columns(labels, len(regions)) for labels, regions in atlases.values()], across)
        meta["roiMultimask"] = cell([column(labels) for labels, _ in atlases.values()], across)
    else:
        for atlas, (labels, regions) in atlases.items():
            meta[f"rois{atlas}"] = cell(regions)
            meta[f"roiColumns{atlas}"] = _columns(labels, len(regions))
            meta[f"roiMultimask{atlas}"] = column(labels)
    return meta, atlases


def _draw_images(texts, num_voxels, seed):
    """A fixed linear map of the words of a text, and noise."""
    words = sorted({word for text in texts for word in text.split()})
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(len(words), num_voxels))
    counts = np.array([[text.split().count(word) for word in words] for text in texts])
    return 20 * counts @ weights + generator.normal(0, 10, (len(texts), num_voxels))


class _Writer:
    """Writes files of a folder one by one and remembers what they say."""

    def __init__(self, folder: Path, change: Change | None):
        self.folder, self.change, self.truth = folder, change, PereiraTruth()

    def save(self, key, variables, images, coordinates, atlases):
        self.truth.images[key], self.truth.coordinates[key], self.truth.atlases[key] = images, coordinates, atlases
        if self.change is not None:
            self.change(key, variables)
        path = self.folder / f"{key}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, variables, do_compression=True)

    def sentences(self, subject, experiment, kind, num_voxels, size):
        truth, seed = self.truth, sum(map(ord, subject + experiment + kind))
        if experiment not in truth.texts:
            number, num_passages, num_topics = size
            truth.texts[experiment] = write_sentences(number, number)
            parts = np.array_split(np.arange(number), num_passages)
            truth.passages[experiment] = [passage for passage, part in enumerate(parts) for _ in part]
            truth.topics[experiment] = [
                f"topic {number * num_topics // num_passages}" for number in range(num_passages)
            ]
        texts, topics = truth.texts[experiment], truth.topics[experiment]
        images, coordinates = _draw_images(texts, num_voxels, seed), place_voxels(num_voxels, seed)
        if subject == "P01":
            images[:, 3], images[2, 5] = np.nan, np.nan
        images[:, 7] = 0
        meta, atlases = make_meta(coordinates, kind)
        names = list(dict.fromkeys(topics))
        line = column if experiment == "384sentences" else lambda numbers: column(numbers).T
        variables = {
            "keySentences": cell([f"{text} " for text in texts]),
            "labelsSentences": line(np.arange(len(texts)) + 1),
            "labelsPassageForEachSentence": line(np.array(truth.passages[experiment]) + 1),
            "keyPassages": cell([cell([f"passage {number}"]) for number in range(len(topics))]),
            "labelsPassageCategory": line([names.index(topic) + 1 for topic in topics]),
            "keyPassageCategory": cell([cell([n]) for n in names] if experiment == "384sentences" else names, (1, -1)),
            "meta": meta,
        }
        if kind == "data":
            variables |= {
                "examples_passagesentences": images,
                "examples_passages": np.zeros((len(topics), num_voxels)),
            }
        else:
            variables["examples"] = images
        self.save(f"{subject}/{kind}_{experiment}", variables, images, coordinates, atlases)

    def concepts(self, subject, experiment, kind, num_voxels):
        words = self.truth.texts[experiment] = vocabulary(180)[:180]
        images, coordinates = _draw_images(words, num_voxels, len(experiment)), place_voxels(num_voxels, 1)
        meta, atlases = make_meta(coordinates, kind)
        variables = {
            "examples": images,
            "keyConcept": cell(words),
            "labelsConcept": column(np.arange(180) + 1),
            "keyPOS": cell(["Noun", "Verb", "Adj+Adv"], (1, -1)),
            "labelsPOS": column(np.arange(180) % 3 + 1),
            "labelsConcreteness": column(np.linspace(1, 5, 180)),
            "meta": meta,
        }
        self.save(f"{subject}/{kind}_{experiment}", variables, images, coordinates, atlases)


def write_pereira(
    folder: Path,
    participants: dict[str, tuple[str, ...]],
    kind: str = "examples",
    sizes: dict[str, tuple[int, int, int]] = SMALL,
    num_voxels: int = 30,
    change: Change | None = None,
) -> PereiraTruth:
    """
    Writes `<subject>/<kind>_<experiment>.mat` for the experiments of each participant.

    `change` is given the key `<subject>/<kind>_<experiment>` and the variables of each file, to spoil them before they
    are written. The experiments of a subject have `num_voxels` voxels each, of which they share some.
    """
    writer = _Writer(folder, change)
    for subject, experiments in participants.items():
        for experiment in experiments:
            if experiment in GUISES:
                writer.concepts(subject, experiment, kind, num_voxels)
            else:
                writer.sentences(subject, experiment, kind, num_voxels, sizes[experiment])
    return writer.truth
