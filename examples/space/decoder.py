# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the page of `app.py` shows: brains, the texts decoded from them and beside them, and likelihoods of a text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers import DataArguments, load_corpus_splits, read_as
from trainers.data.collator import BrainDataCollator
from trainers.data.prompts import Renderer
from trainers.evaluation.arms import continue_texts


ARMS = {
    "brain": "this brain",
    "twin": "the brain-deaf twin, given this brain",
    "other": "another brain, which perceived something else",
    "no_brain": "no brain",
}
UPLOADS = (".npz", ".npy", ".nii", ".nii.gz", ".parquet")
MEGABYTES = 64


@dataclass(frozen=True)
class Brain:
    """One brain sample: values `[frames, features]` or `[voxels]`, whose it is, and what was perceived, if known."""

    values: np.ndarray
    subject: str
    text: str | None = None


def read_upload(path: str | Path, row: int = 0) -> np.ndarray:
    """
    The brain sample in a visitor's file: the only array of an npz or npy, the voxels of a NIfTI that are not zero
    throughout, in the order of the array, or `brain_values` of one row of a prepared corpus; never unpickled.
    """
    path, name = Path(path), Path(path).name
    if not name.endswith(UPLOADS):
        raise ValueError(f"{name} is none of {', '.join(UPLOADS)}. Save the brain sample as one of these.")
    if path.stat().st_size > MEGABYTES * 2**20:
        raise ValueError(f"{name} is larger than {MEGABYTES} MB, which one brain sample is not. Upload one sample.")
    try:
        values = _read(path, row)
    except Exception as error:  # whatever a reader makes of a stranger's bytes, the visitor is told
        raise ValueError(f"{name} cannot be read as a brain sample: {error}") from error
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(
            f"{name} holds values of shape {list(values.shape)} and type {values.dtype}; expected finite numbers, "
            "[frames, features] or [voxels]."
        )
    return values.astype(np.float32)


def _read(path: Path, row: int) -> np.ndarray:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return np.array(parquet.read_table(path, columns=["brain_values"])["brain_values"][row].as_py())
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if len(arrays.files) != 1:
                raise ValueError(f"it holds the arrays {arrays.files}; expected one")
            return arrays[arrays.files[0]]
    import nibabel

    image = np.asarray(nibabel.load(path).get_fdata(dtype=np.float32))
    frames = image.reshape(-1, *image.shape[3:]).T
    return np.atleast_2d(frames)[:, np.atleast_2d(frames).any(axis=0)]


class Decoder:
    """A checkpoint, its brain-deaf twin and the held-out rows of a prepared corpus."""

    def __init__(self, checkpoint: str, twin: str, corpus: str):
        self.models = {}
        for name, folder in (("brain", checkpoint), ("twin", twin)):
            model = BrainLlamaForCausalLM.from_pretrained(folder).eval()
            if model.config.blocked_topics:
                raise ValueError(
                    f"{folder} withholds texts on {len(model.config.blocked_topics)} topics, and this page has "
                    "nothing that compares them: show it with `examples/generate.py --sentence_encoder`."
                )
            self.models[name] = model, BrainLlamaProcessor.from_pretrained(folder)
        rows = read_as(load_corpus_splits(DataArguments(dataset=corpus))["test"], "sentence")
        self.brains = [Brain(np.asarray(row["brain_values"]), row["subject"], row["completion"]) for row in rows]
        self.subjects = sorted(self.models["brain"][1].feature_extractor.subjects) or sorted(
            {brain.subject for brain in self.brains}
        )

    def upload(self, path: str, subject: str) -> Brain:
        """A visitor's brain, refused where the checkpoint has no use for its size. The file is deleted at once."""
        try:
            brain = Brain(read_upload(path), subject)
            extractor = self.models["brain"][1].feature_extractor
            if extractor.input_kind == "frames":
                brain = Brain(np.atleast_2d(brain.values), subject)
            try:
                extractor([brain.values], subject=[subject], return_tensors="pt", names=[Path(path).name])
            except ValueError as error:
                raise ValueError(f"{Path(path).name} does not fit this checkpoint: {error}") from error
            return brain
        finally:
            Path(path).unlink(missing_ok=True)

    def other(self, brain: Brain) -> Brain:
        """A held-out brain of the same size with another text: of another person where there is one."""
        fitting = [b for b in self.brains if b.values.shape == brain.values.shape and b.text != brain.text]
        if not fitting:
            raise ValueError(f"No held-out brain has the size {list(brain.values.shape)} of this one to compare with.")
        return next((b for b in fitting if b.subject != brain.subject), fitting[len(fitting) // 2])

    def _arms(self, brain: Brain) -> dict[str, tuple[str, Brain | None]]:
        """Of each arm the model and the brain that it reads."""
        other = self.other(brain)
        return {
            "brain": ("brain", brain),
            "twin": ("twin", brain),
            "other": ("brain", other),
            "no_brain": ("brain", None),
        }

    def _continue(self, name: str, brain: Brain | None, prompt: str, options: dict[str, Any]) -> str:
        model, processor = self.models[name]
        options = {"min_new_tokens": 2, **options}
        temperature, seed = options.pop("temperature", 0.0), options.pop("seed", 0)
        if temperature > 0:
            options |= {"do_sample": True, "temperature": temperature}
        given = {}
        if brain is None:
            options.pop("brain_guidance_scale", None)
        else:
            prompt = prompt if processor.brain_token in prompt else processor.brain_token + prompt
            given = {"brain": [brain.values], "subject": [brain.subject]}
        torch.manual_seed(seed)
        return continue_texts(model, processor, [prompt], given, options)[0]

    def decode(self, brain: Brain, **options: Any) -> dict[str, str]:
        """Texts by arm; what is drawn at random is drawn alike."""
        return {arm: self._continue(*given, "", options) for arm, given in self._arms(brain).items()}

    def ask(self, brain: Brain, question: str, **options: Any) -> tuple[str, str]:
        """Answers to a question with the brain and without it."""
        processor = self.models["brain"][1]
        prompt = Renderer(processor).prompt(question)
        unaided = prompt.replace(processor.brain_token, "")
        return self._continue("brain", brain, prompt, options), self._continue("brain", None, unaided, options)

    @torch.no_grad()
    def likelihoods(self, brain: Brain, text: str) -> tuple[list[str], dict[str, np.ndarray]]:
        """Tokens of a text, and by arm the log-likelihood of each in nats."""
        if not text.strip():
            raise ValueError("Type a text first: there is nothing to compare.")
        found, tokens = {}, []
        for arm, (name, read) in self._arms(brain).items():
            model, processor = self.models[name]
            row = {
                "sample_id": "the text",
                "group": "",
                "brain_id": "0",
                "subject": "",
                "prompt": "",
                "completion": text,
            }
            if read is not None:
                row |= {"brain_values": read.values, "subject": read.subject}
            batch = BrainDataCollator(processor, with_brain=read is not None)([row | {"text": text}])
            for column in ("sample_id", "group", "subject"):
                batch.pop(column)
            labels = batch["labels"][0]
            tokens = [processor.tokenizer.decode([token]) for token in labels[labels != -100]]
            found[arm] = -model.token_losses(**batch)[0].double().numpy()
        return tokens, found


def draw_brain(decoder: Decoder, brain: Brain) -> Figure:
    """Voxels where they lie, from three sides; frames as their components."""
    arrays = decoder.models["brain"][1].feature_extractor.subjects.get(brain.subject, {})
    bound = float(np.abs(brain.values).max()) or 1.0
    colors = {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
    if brain.values.ndim == 1 and "coordinates" in arrays:
        figure = Figure(figsize=(7, 2.6), layout="constrained")
        for place, (x, y) in enumerate(((0, 1), (1, 2), (0, 2))):
            axes = figure.add_subplot(1, 3, place + 1, aspect="equal")
            drawn = axes.scatter(*arrays["coordinates"][:, [x, y]].T, c=brain.values, s=3, **colors)
            axes.set(xlabel=f"{'xyz'[x]} (mm)", ylabel=f"{'xyz'[y]} (mm)")
    else:
        figure = Figure(figsize=(7, 2.2), layout="constrained")
        axes = figure.add_subplot()
        drawn = axes.imshow(np.atleast_2d(brain.values), aspect="auto", interpolation="nearest", **colors)
        axes.set(xlabel="component", ylabel="frame", yticks=range(len(np.atleast_2d(brain.values))))
    figure.colorbar(drawn, label="value")
    return figure


def draw_likelihoods(found: dict[str, np.ndarray]) -> Figure:
    """Bars in nats: longer to the left is less likely."""
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.add_subplot()
    totals = [values.sum() for values in found.values()]
    bars = axes.barh([ARMS[arm] for arm in found], totals, color=["#00695c", "#757575", "#757575", "#757575"])
    axes.bar_label(bars, [f"{total:.2f}" for total in totals], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel("log-likelihood of the text (nats)")
    return figure
