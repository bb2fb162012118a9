# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Stories with a planted brain in the files of LeBel et al. (2023): no download, no license, a known answer.

Stories come from a small grammar and are told word by word. Each content word calls up a fixed pattern over voxels,
which rises and falls with the haemodynamic response; noise is added that is slow, as that of scanners is. Everything
is written as ds003020 has it (responses as `.hf5`, TextGrids, `respdict.json`) and read back by that corpus's own
reader. At `signal_to_noise=0` the brain is noise alone: whatever is decoded then is an error of the decoder or of its
evaluation.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...preparation.alignment import LEBEL_CLOCK
from ...readers.words import Word
from ..huth.lebel2023_facts import TEST_STORY, TRIMMED_FRAMES


#: Correlation of the noise of one frame with that of the next.
_SLOWNESS = 0.3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PERSONS = _words("brother sister uncle neighbor teacher captain grandmother cousin stranger doctor friend boss")
_MOODS = _words("angry sleepy famous shy loud cheerful lucky careful stubborn worried drunk funny")
_DEEDS = _words(
    "lost borrowed dropped kicked opened wrapped burned painted washed stole carried broke sold hid repaired forgot"
)
_LOOKS = _words("tiny heavy broken shiny wooden purple orange gray dusty expensive")
_THINGS = _words(
    "suitcase bicycle guitar mirror ladder camera sandwich umbrella television wallet sofa "
    "telescope microphone piano bucket helmet jacket telephone aquarium necklace"
)
_PLACES = _words(
    "kitchen airport garage hospital theater basement swamp stadium office elevator harbor attic desert museum"
)
_OPENINGS = ("so", "and then", "that night", "the next morning", "years later", "for some reason", "of course", "but")
_PREPOSITIONS = _words("behind inside near under outside")

#: The words to which the planted brain responds, in the order of rows of [`StoryTruth.maps`].
CONTENT_WORDS = (*_PERSONS, *_MOODS, *_DEEDS, *_LOOKS, *_THINGS, *_PLACES)
_POSITION = {word: index for index, word in enumerate(CONTENT_WORDS)}


@dataclass
class StoryTruth:
    """
    What was planted.

    Args:
        words (`dict[str, list[Word]]`):
            Of each story, with times in seconds of the TextGrid's clock.
        maps (`dict[str, np.ndarray]`):
            Of each subject, float64 `[content words, voxels]`.
        signals (`dict[str, dict[str, np.ndarray]]`):
            Of each subject and story, the responses without noise, z-scored: float64 `[frames, voxels]`.
        signal_to_noise (`np.ndarray`):
            float64 `[voxels]`: variance of the signal over variance of the noise.
    """

    words: dict[str, list[Word]]
    signal_to_noise: np.ndarray
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    signals: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def haemodynamic_response(seconds: np.ndarray) -> np.ndarray:
    """
    How a brain voxel answers a moment of activity, so many seconds later.

    `t^5 e^-t / 5! - t^15 e^-t / (6 * 15!)`, 0 before the moment: the double-gamma function of SPM (Friston et al.
    1998, NeuroImage 7:30) with its usual delays of 6 and 16 s. It peaks after 5 s.
    """
    after = np.maximum(seconds, 0)
    return after**5 * np.exp(-after) / 120 - after**15 * np.exp(-after) / (6 * 1307674368000)


def word_responses(words: Sequence[Word], num_frames: int) -> np.ndarray:
    """How strongly each of [`CONTENT_WORDS`] is being answered in each frame, float64 `[frames, content words]`."""
    heard = [word for word in words if word.text in _POSITION]
    middles = np.array([(word.onset + word.offset) / 2 for word in heard])
    meanings = np.zeros((len(heard), len(CONTENT_WORDS)))
    meanings[np.arange(len(heard)), [_POSITION[word.text] for word in heard]] = 1
    return haemodynamic_response(LEBEL_CLOCK.frame_centres(num_frames)[:, None] - middles) @ meanings


class _Teller:
    """Tells stories of which no sentence is ever told twice."""

    def __init__(self, generator: np.random.Generator):
        self.generator, self.told = generator, set[str]()

    def _one_of(self, words: Sequence[str]) -> str:
        return words[int(self.generator.integers(len(words)))]

    def _sentence(self, persons: Sequence[str], places: Sequence[str]) -> str:
        mood = f"{self._one_of(_MOODS)} " if self.generator.random() < 0.6 else ""
        look = f"{self._one_of(_LOOKS)} " if self.generator.random() < 0.6 else ""
        return (
            f"{self._one_of(_OPENINGS)} my {mood}{self._one_of(persons)} {self._one_of(_DEEDS)} the {look}"
            f"{self._one_of(_THINGS)} {self._one_of(_PREPOSITIONS)} the {self._one_of(places)}"
        )

    def tell(self, seconds: float) -> list[Word]:
        """The words of a story about three people in three places, as long as they fit into so many seconds."""
        persons, places = (self.generator.choice(words, 3, replace=False).tolist() for words in (_PERSONS, _PLACES))
        words: list[Word] = []
        onset = 0.5
        while True:
            sentence = self._sentence(persons, places)
            if sentence in self.told:
                continue
            spoken = []
            for text in sentence.split():
                offset = round(onset + 0.1 + 0.05 * len(text) + float(self.generator.uniform(0, 0.1)), 4)
                spoken.append(Word(text, onset, offset))
                onset = offset
            if onset > seconds:
                return words
            self.told.add(sentence)
            words += spoken
            onset = round(onset + float(self.generator.uniform(0.3, 0.9)), 4)


def _zscored(values: np.ndarray) -> np.ndarray:
    """Each voxel over the frames of a story, as ds003020 has it."""
    return (values - values.mean(-2, keepdims=True)) / values.std(-2, keepdims=True)


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of variance 1, `[..., frames, voxels]`, each frame a little like the one before."""
    noise = generator.standard_normal(shape)
    for frame in range(1, shape[-2]):
        noise[..., frame, :] *= np.sqrt(1 - _SLOWNESS**2)
        noise[..., frame, :] += _SLOWNESS * noise[..., frame - 1, :]
    return noise


def _textgrid(words: Sequence[Word], seconds: float) -> str:
    """A TextGrid in Praat's long form: the tiers `phone` (here one sound a word) and `word`, words in capitals."""
    intervals, end = [], 0.0
    for word in words:
        if word.onset > end:
            intervals.append((end, word.onset, "sp"))
        intervals.append((word.onset, word.offset, word.text.upper()))
        end = word.offset
    intervals.append((end, seconds, "{BR}"))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {seconds} "]
    lines += ["tiers? <exists> ", "size = 2 ", "item []: "]
    for number, tier in enumerate(("phone", "word"), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{tier}" ']
        lines += ["        xmin = 0 ", f"        xmax = {seconds} ", f"        intervals: size = {len(intervals)} "]
        for index, (start, stop, label) in enumerate(intervals, 1):
            label = label if tier == "word" or not label.isalpha() or label == "sp" else label[:1]
            lines += [f"        intervals [{index}]:", f"            xmin = {start} ", f"            xmax = {stop} "]
            lines += [f'            text = "{label}" ']
    return "\n".join(lines) + "\n"


def write_synthetic_lebel(
    folder: str | Path,
    *,
    subjects: Sequence[str] = ("UTS01",),
    num_stories: int = 8,
    num_frames: int = 150,
    num_voxels: int = 128,
    num_repeats: int = 5,
    signal_to_noise: float = 1.0,
    seed: int = 0,
) -> StoryTruth:
    """
    Writes stories and responses in the layout of ds003020.

    `response = z(sqrt(s / (1 + s)) * z(word responses @ map) + sqrt(1 / (1 + s)) * noise)`, for each story and voxel,
    with `z` over the frames of the story and `s` the voxel's signal-to-noise ratio. The null corpus looks the same
    from outside. The test story is heard `num_repeats` times with fresh noise.

    Args:
        folder (`str` or `Path`):
            A new folder, or one whose files of these names are replaced.
        subjects (`Sequence[str]`, *optional*, defaults to `("UTS01",)`):
            Subjects; all hear the same stories, and each answers with a map of their own.
        num_stories (`int`, *optional*, defaults to 8):
            Stories beside the test story.
        num_frames (`int`, *optional*, defaults to 150):
            Frames of the responses to a story, give or take a fifth.
        num_voxels (`int`, *optional*, defaults to 128):
            Voxels of each subject.
        num_repeats (`int`, *optional*, defaults to 5):
            How often the test story is heard.
        signal_to_noise (`float`, *optional*, defaults to 1.0):
            Variance of signal over noise, on average over voxels. It falls evenly from twice that in the first voxel
            to 0 in the last. 0 plants nothing.
        seed (`int`, *optional*, defaults to 0):
            Seed of everything.

    Returns:
        [`StoryTruth`]: what was planted.
    """
    generator = np.random.default_rng(seed)
    derivative, teller = Path(folder) / "derivative", _Teller(generator)
    names = [*(f"story{number:02d}" for number in range(1, num_stories + 1)), TEST_STORY]
    spread = generator.integers(num_frames * 4 // 5, num_frames * 6 // 5 + 1, len(names))
    lengths = dict(zip(names, spread.tolist(), strict=True))
    # Sound starts ten seconds after the scan and ends ten before its end.
    seconds = {name: LEBEL_CLOCK.tr * (length + TRIMMED_FRAMES) - 20 for name, length in lengths.items()}
    truth = StoryTruth(
        words={name: teller.tell(seconds[name]) for name in names},
        signal_to_noise=signal_to_noise * np.linspace(2, 0, num_voxels),
    )
    (derivative / "TextGrids").mkdir(parents=True, exist_ok=True)
    for name, words in truth.words.items():
        text = _textgrid(words, seconds[name])
        (derivative / "TextGrids" / f"{name}.TextGrid").write_text(text, encoding="utf-8")
    scans = {name: length + TRIMMED_FRAMES for name, length in lengths.items()}
    (derivative / "respdict.json").write_text(json.dumps(scans), encoding="utf-8")
    heard = {name: word_responses(words, lengths[name]) for name, words in truth.words.items()}
    for subject in subjects:
        truth.maps[subject] = generator.standard_normal((len(CONTENT_WORDS), num_voxels))
        truth.signals[subject] = {name: _zscored(heard[name] @ truth.maps[subject]) for name in names}
        target = derivative / "preprocessed_data" / subject
        _write_responses(target, truth.signals[subject], truth.signal_to_noise, num_repeats, generator)
    return truth


def _write_responses(
    folder: Path,
    signals: dict[str, np.ndarray],
    signal_to_noise: np.ndarray,
    num_repeats: int,
    generator: np.random.Generator,
) -> None:
    """The responses of one subject, one `.hf5` a story: float64 `data`, and `individual_repeats` of the test story."""
    import h5py  # only who builds this corpus needs it

    share = signal_to_noise / (1 + signal_to_noise)
    folder.mkdir(parents=True, exist_ok=True)
    for name, signal in signals.items():
        times = num_repeats if name == TEST_STORY else 1
        noise = _noise(generator, (times, *signal.shape))
        repeats = _zscored(np.sqrt(share) * signal + np.sqrt(1 - share) * noise)
        with h5py.File(folder / f"{name}.hf5", "w") as file:
            file["data"] = repeats.mean(0)
            if name == TEST_STORY:
                file["individual_repeats"] = repeats


__all__ = ["CONTENT_WORDS", "StoryTruth", "haemodynamic_response", "word_responses", "write_synthetic_lebel"]
