# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The files that are published with BrainLLM (Ye et al. 2025): Pereira, Huth and Narratives in their pickled form."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from datasets.utils import tqdm

from ..readers.unpickling import load_pickle
from ..schema import Recording, Sample
from .base import BrainCorpusBuilder, BrainCorpusConfig
from .facts import ANY_SUBJECT


PEREIRA, HUTH, NARRATIVES = "pereira", "huth", "narratives"

_TEXTS_SUFFIX = ".wq.pkl"
_BRAIN_SUFFIX = ".pca1000.wq.pkl.dic"
_DOWNLOAD = "https://cloud.tsinghua.edu.cn/d/04e8cfe6c9c743c69f08/"
_NUM_FEATURES = 1000

# The first 72 passages of Pereira's experiment 3 are 24 topics of 3 passages; the 96 of experiment 2 have one concept
# each (their 24 broader categories are not in the published files). The experiments were scanned in two sessions.
_PEREIRA_FACTS = {"stories": 168, "sentences": 627, "samples": 1254, "features": _NUM_FEATURES}
_PASSAGES_WITH_TOPIC = 72
_PASSAGES_PER_TOPIC = 3


@dataclass(frozen=True)
class _Layout:
    """What differs between the three: letter case, when the published code draws, and what must be found."""

    lower_case: bool
    draw_unit: str
    expected_facts: dict[str, int]


LAYOUTS = {
    PEREIRA: _Layout(lower_case=False, draw_unit="sample", expected_facts=_PEREIRA_FACTS),
    HUTH: _Layout(lower_case=True, draw_unit="new_target", expected_facts={"features": _NUM_FEATURES}),
    NARRATIVES: _Layout(lower_case=True, draw_unit="first_of_target", expected_facts={"features": _NUM_FEATURES}),
}


@dataclass
class BrainLLM2025Config(BrainCorpusConfig):
    """
    Choices for the files of BrainLLM; see [`BrainCorpusConfig`] for those that all corpora share.

    Args:
        layout (`str`, *optional*, defaults to `"pereira"`):
            `"pereira"`, `"huth"` or `"narratives"`.
        stories (`list[str]`, *optional*):
            Only these stories, in this order. Defaults to all, in the order of the file (Narratives: by name). The
            draws of `split="paper"` follow this order; the published code takes Huth's from its `Huth.json` and a
            Narratives subject's from its `u2s.json`.
    """

    dtype: str = "float32"
    bad_voxels: str = "error"
    layout: str = PEREIRA
    stories: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout={self.layout!r} is unknown: choose one of {', '.join(LAYOUTS)}")


@dataclass(frozen=True)
class _Story:
    """One story of one subject: its items (sentences or windows) and its frames, and the files to blame."""

    subject: str
    story: str
    items: list[dict[str, Any]]
    frames: np.ndarray
    texts_path: Path


class BrainLLM2025(BrainCorpusBuilder):
    """
    Text and fMRI components as published with BrainLLM.

    Three corpora share one format: a pickle of texts, `<name>.wq.pkl`, and a pickle of 1,000 principal components per
    fMRI frame, `<name>.pca1000.wq.pkl.dic`. The published archives must be unpacked with gunzip.

    - `pereira` (Pereira et al. 2018): participants read 627 sentences of 168 passages, one image a sentence. Each
      sentence is cut in three; samples 1 and 2 decode the second and the third part from the same image.
    - `huth` (LeBel et al. 2023) and `narratives` (Nastase et al. 2021): participants heard stories. Windows of
      consecutive volumes slide over a story; a sample decodes the words of one volume from the frames that follow it.
      Text is lower-cased.

    Pereira's first 72 passages and the other 96 are two experiments and two sessions, named `243sentences` and
    `384sentences` after their numbers of sentences. The brain tells them apart almost surely, so a decoder may earn by
    the session what it seems to know of the words: `standardize="session"` takes the means apart. It is not the
    default, because it brings all components to one scale, which holds their order.

    Runs leave a fingerprint: in Pereira's data the nearest other frame lies in the same passage 94 times in 100, so
    only splits that hold out whole passages measure decoding. The published split does not.
    """

    config: BrainLLM2025Config  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = BrainLLM2025Config
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = (f"*{_TEXTS_SUFFIX}", f"*{_BRAIN_SUFFIX}")
    LICENCE = "CC BY-NC 4.0"
    HOMEPAGE = "https://github.com/YeZiyi1998/Brain-language-generation"
    REDISTRIBUTION = (
        "Non-commercial, with attribution (CC BY-NC 4.0). The terms of the original corpora apply as well; no license "
        "for the data of Pereira et al. (2018) is known, so do not publish rows made from them."
    )
    KNOWN_DEFECTS = (
        "The components are not scaled, and were fitted on an unknown pool of frames that may include the test split.",
        "In Pereira's files, components beyond the 626th are linear combinations of the others.",
    )
    CITATION = """@article{ye2025brainllm,
  title = {Generative language reconstruction from brain recordings},
  author = {Ye, Ziyi and Ai, Qingyao and Liu, Yiqun and de Rijke, Maarten and Zhang, Min
            and Lioma, Christina and Ruotsalo, Tuukka},
  journal = {Communications Biology},
  year = {2025},
  doi = {10.1038/s42003-025-07731-7}
}"""

    @property
    def corpus_name(self) -> str:
        return f"brainllm2025-{self.config.layout}"

    @property
    def draw_unit(self) -> str:
        return LAYOUTS[self.config.layout].draw_unit

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        return {ANY_SUBJECT: LAYOUTS[self.config.layout].expected_facts}

    def list_recordings(self) -> list[Recording]:
        pairs = _find_pairs(self.config.data_dir)
        by_story = self.config.layout == NARRATIVES
        # Texts and values lie in the same pickles, which are read whole; so both are kept.
        self._stories = list(self._stories_by_story(pairs) if by_story else self._stories_by_subject(pairs))
        widths = sorted({story.frames.shape[1] for story in self._stories})
        if len(widths) > 1:
            raise ValueError(f"{self.config.data_dir}: stories differ in features ({widths}); all must have the same")
        return [
            Recording(
                recording_id=f"{story.subject}/{story.story}",
                subject=story.subject,
                num_frames=len(story.frames),
                num_features=story.frames.shape[1],
                session=self._session(story.story),
                read=partial(np.asarray, story.frames),
                sources=(story.texts_path,),
            )
            for story in self._stories
        ]

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        chosen = {recording.recording_id for recording in recordings}
        return [
            sample
            for story in self._stories
            if f"{story.subject}/{story.story}" in chosen
            for sample in self._samples(story)
        ]

    def _stories_by_subject(self, pairs: dict[str, tuple[Path, Path]]) -> Iterator[_Story]:
        """Pereira and Huth: a pair of files is a subject, and its keys are stories."""
        chosen = _choose(pairs, self.config.subjects, "subjects", self.config.data_dir)
        for subject in tqdm(chosen, desc="Reading subjects", disable=len(chosen) < 2):
            texts_path, texts, brain = _load_pair(*pairs[subject])
            for key, story in _choose_stories(texts, self.config.stories, texts_path):
                yield _story(subject, story, texts[key], brain[key], texts_path)

    def _stories_by_story(self, pairs: dict[str, tuple[Path, Path]]) -> Iterator[_Story]:
        """Narratives: a pair of files is a story, and its keys are subjects."""
        chosen = _choose(pairs, self.config.stories, "stories", self.config.data_dir)
        for story in tqdm(chosen, desc="Reading stories", disable=len(chosen) < 2):
            texts_path, texts, brain = _load_pair(*pairs[story])
            for subject in sorted(texts):
                yield _story(subject, story, texts[subject], brain[subject], texts_path)

    def _samples(self, story: _Story) -> Iterator[Sample]:
        """Prompt and completion for every cut of every item: chunk `k` is decoded, given the chunks before it."""
        corpus, lower_case = self.corpus_name, LAYOUTS[self.config.layout].lower_case
        recording_id = f"{story.subject}/{story.story}"
        topic = _topic(story.story) if self.config.layout == PEREIRA else story.story
        for index, item in enumerate(story.items):
            place = f"{story.texts_path}, story {story.story}, item {index}"
            chunks = [_text(chunk, place).lower() if lower_case else _text(chunk, place) for chunk in item["word"]]
            for k in range(1, len(chunks)):
                frames = _frames(item["word"][k], len(story.frames), place)
                yield Sample(
                    sample_id=f"{corpus}/{recording_id}/{index}/{k}",
                    corpus=corpus,
                    subject=story.subject,
                    stimulus=story.story,
                    group=story.story,
                    topic=topic,
                    brain_id=f"{corpus}/{recording_id}/{'-'.join(map(str, frames))}",
                    prompt=" ".join(chunks[:k]).strip(),
                    completion=chunks[k],
                    text=_text(item, place) if self.config.layout == PEREIRA else chunks[k],
                    recording=recording_id,
                    frames=frames,
                    session=self._session(story.story),
                )

    def _session(self, story: str) -> str:
        """The experiment of a passage of Pereira's; unknown of the stories of the others."""
        if self.config.layout != PEREIRA or not story.isdigit():
            return ""
        return "243sentences" if int(story) < _PASSAGES_WITH_TOPIC else "384sentences"


def _find_pairs(data_dir: str | None) -> dict[str, tuple[Path, Path]]:
    """The pairs of files in a folder by the name that they share."""
    if data_dir is None or not Path(data_dir).is_dir():
        raise FileNotFoundError(f"data_dir={data_dir!r} is not a folder: name the one with the files of {_DOWNLOAD}")
    folder = Path(data_dir)
    names = sorted(path.name.removesuffix(_TEXTS_SUFFIX) for path in folder.glob(f"*{_TEXTS_SUFFIX}"))
    if not names:
        packed = "; the files are still compressed, run gunzip on them" if any(folder.glob("*.gz")) else ""
        raise FileNotFoundError(f"{folder} holds no file *{_TEXTS_SUFFIX}{packed}. They are published at {_DOWNLOAD}")
    return {name: (folder / f"{name}{_TEXTS_SUFFIX}", folder / f"{name}{_BRAIN_SUFFIX}") for name in names}


def _choose(found: dict[str, Any], wanted: list[str] | None, argument: str, data_dir: str | None) -> list[str]:
    absent = [name for name in wanted or () if name not in found]
    if absent:
        raise ValueError(f"{argument}={absent} is not in {data_dir}: choose from {', '.join(found)}")
    return list(wanted or found)


def _load_pair(texts_path: Path, brain_path: Path) -> tuple[Path, dict[Any, Any], dict[Any, Any]]:
    """Both files of a pair, which must speak of the same stories (or subjects)."""
    texts, brain = load_pickle(texts_path), load_pickle(brain_path)
    for path, content in ((texts_path, texts), (brain_path, brain)):
        if not isinstance(content, dict) or not content:
            raise ValueError(f"{path} holds no dictionary of stories but {type(content).__name__}: check the file")
    if texts.keys() != brain.keys():
        only_texts, only_brain = sorted(map(str, texts.keys() - brain)), sorted(map(str, brain.keys() - texts))
        raise ValueError(
            f"{texts_path} and {brain_path} do not match: {only_texts} are missing in the second, {only_brain} in the "
            "first. Download both again from the same release"
        )
    return texts_path, texts, brain


def _choose_stories(texts: dict[Any, Any], wanted: list[str] | None, path: Path) -> list[tuple[Any, str]]:
    """Pairs of the file's key and our name. Numbers are padded so that names sort as numbers do."""
    names = [f"{key:03d}" if isinstance(key, (int, np.integer)) else str(key) for key in texts]
    keys = dict(zip(names, texts, strict=True))
    if len(keys) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: several keys mean the story {twice!r}: rename one of them")
    return [(keys[name], name) for name in _choose(keys, wanted, "stories", str(path))]


def _topic(passage: str) -> str:
    """The topic of a passage of Pereira's: three passages share one in the first experiment of the file."""
    if passage.isdigit() and int(passage) < _PASSAGES_WITH_TOPIC:
        return f"topic-{int(passage) // _PASSAGES_PER_TOPIC:02d}"
    return f"concept-{passage}"


def _story(subject: str, story: str, items: Any, brain: Any, texts_path: Path) -> _Story:
    place = f"{texts_path}, subject {subject}, story {story}"
    frames = brain.get("fmri") if isinstance(brain, dict) else None
    if not isinstance(frames, np.ndarray) or frames.ndim != 2:
        raise ValueError(f"{place}: the brain file has no matrix 'fmri' of [frames, features]; check the layout")
    bad = int((~np.isfinite(frames)).sum())
    if bad:
        raise ValueError(f"{place}: {bad} of {frames.size} values of 'fmri' are NaN or infinite; leave the story out")
    if not isinstance(items, list) or not all(isinstance(item, dict) and "word" in item for item in items):
        raise ValueError(f"{place}: expected a list of items with the key 'word'; check the layout")
    # A plain ndarray of our type: the values are few digits wide as published.
    return _Story(subject, story, items, np.asarray(frames, dtype=np.float32), texts_path)


def _text(part: Any, place: str) -> str:
    text = part.get("content") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{place}: 'content' is {text!r} and not text; check the layout")
    return text


def _frames(chunk: dict[str, Any], num_frames: int, place: str) -> tuple[int, ...]:
    """The rows of the recording that a chunk names."""
    frames = np.asarray(chunk.get("additional", ()))
    if frames.ndim != 1 or not frames.size or frames.dtype.kind not in "iu":
        raise ValueError(f"{place}: 'additional' must list at least one frame and is {chunk.get('additional')!r}")
    if frames.min() < 0 or frames.max() >= num_frames:
        raise ValueError(f"{place}: 'additional' names frames {frames.tolist()} of a recording with {num_frames}")
    return tuple(frames.tolist())


__all__ = ["HUTH", "LAYOUTS", "NARRATIVES", "PEREIRA", "BrainLLM2025", "BrainLLM2025Config"]
