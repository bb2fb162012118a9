# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Feature extractor of BrainLlama: brain recordings from any container to checked, standardised, padded tensors."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from transformers import BatchFeature, FeatureExtractionMixin, PreTrainedConfig
from transformers.utils import cached_file

from .checksums import EXTRACTOR_FILES, record_checksums, verify_checksums
from .configuration_brainllama import VoxelEncoderConfig
from .publishing_brainllama import GuardedPush
from .sharing_brainllama import SUBJECTS_FILE, refuse_blocked


_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class BrainLlamaFeatureExtractor(GuardedPush, FeatureExtractionMixin):
    r"""
    Turns brain samples into the brain inputs of [`BrainLlamaForCausalLM`].

    `subjects` keeps the arrays known of each subject: `mean` and `std` `[features]` and `num_scans` `[1]` from `fit`,
    `coordinates` `[voxels, 3]` and `regions` `[voxels, atlases]` from `add_subject`. They are saved as tensors named
    `<subject>.mean` and so on in `brain_subjects.safetensors`, beside the JSON file, which holds the names only.

    Args:
        input_kind (`str`, *optional*, defaults to `"frames"`):
            `"frames"`: a brain sample is `[frames, features]`, the same features for every subject. `"voxels"`: a
            brain sample is `[voxels]`, each subject with its own voxels, which `add_subject` describes.
        num_features (`int`, *optional*, defaults to 1000):
            Features of a frame; `None` for voxels, where each subject has its own count.
        num_frames (`int`, *optional*, defaults to 1):
            Most frames of one brain sample.
        region_sizes (`list[int]`, *optional*):
            Labels of each atlas, for voxels.
        do_standardize (`bool`, *optional*, defaults to `False`):
            Whether each feature is brought to mean 0 and standard deviation 1 with the statistics of its subject;
            `fit` sets it, so that statistics once fitted cannot be forgotten.
        subjects (`dict[str, dict[str, np.ndarray]]`, *optional*):
            What is known of each subject; filled by `fit`, `add_subject` and `from_pretrained`.
        data_terms (`list[dict]`, *optional*):
            Terms of the corpora that the subjects are of, which decide what a push takes along; see
            [`~modeling_brainllm.sharing_brainllama.merge_terms`].
        blocked_subjects (`list[str]`, *optional*):
            People whose brain samples are refused; set by `block_subjects`.
    """

    def __init__(
        self,
        input_kind: str = "frames",
        num_features: int | None = 1000,
        num_frames: int = 1,
        region_sizes: list[int] | None = None,
        do_standardize: bool = False,
        subjects: dict[str, dict[str, np.ndarray]] | None = None,
        data_terms: list[dict[str, Any]] | None = None,
        blocked_subjects: list[str] | None = None,
        **kwargs: Any,
    ):
        if input_kind not in ("frames", "voxels"):
            raise ValueError(f'`input_kind` must be "frames" or "voxels"; got {input_kind!r}.')
        if isinstance(subjects, list) and subjects:
            raise ValueError(f"The arrays of {subjects} lie in {SUBJECTS_FILE}: load with `from_pretrained`.")
        super().__init__(**kwargs)
        self.input_kind = input_kind
        self.num_features = num_features
        self.num_frames = num_frames
        self.region_sizes = region_sizes
        self.do_standardize = do_standardize
        self.data_terms = data_terms
        self.blocked_subjects = blocked_subjects
        self.subjects = dict(subjects or {})
        for name, arrays in self.subjects.items():
            self._check_known(name, arrays)

    def _check_known(self, subject: str, arrays: dict[str, np.ndarray]) -> None:
        """What a file or a caller says of a subject is usable: a brain divided by a deviation of 0 is none."""
        for field in ("mean", "std"):
            values = np.asarray(arrays.get(field, 1.0))
            wrong = ~np.isfinite(values) | ((values <= 0) if field == "std" else False)
            if (
                wrong.any()
                or ("mean" in arrays) != ("std" in arrays)
                or values.shape != np.shape(arrays.get("mean", 1.0))
            ):
                raise ValueError(
                    f"The statistics of subject '{subject}' must be finite `mean` and positive `std` of one shape "
                    f"(in `{SUBJECTS_FILE}`); `{field}` has the shape {list(values.shape)} and "
                    f"{np.count_nonzero(wrong)} values that are none. Call `fit` on the subject's training samples."
                )
        if "coordinates" in arrays:
            self._check_geometry(subject, np.asarray(arrays["coordinates"]), np.asarray(arrays.get("regions")))

    @staticmethod
    def settings_of(config: PreTrainedConfig) -> dict[str, Any]:
        """The arguments of a feature extractor that agrees with a [`BrainLlamaConfig`]."""
        encoder = config.encoder_config
        blocked = {"blocked_subjects": getattr(config, "blocked_subjects", None)}
        if encoder.model_type == VoxelEncoderConfig.model_type:
            sizes = list(encoder.region_sizes)
            return {"input_kind": "voxels", "num_features": None, "num_frames": 1, "region_sizes": sizes, **blocked}
        sizes = {"num_features": encoder.num_features, "num_frames": encoder.num_frames}
        return {"input_kind": "frames", **sizes, "region_sizes": None, **blocked}

    @classmethod
    def from_config(cls, config: PreTrainedConfig, **kwargs: Any) -> "BrainLlamaFeatureExtractor":
        """A feature extractor that agrees with a [`BrainLlamaConfig`]; `kwargs` are further arguments."""
        return cls(**cls.settings_of(config), **kwargs)

    @property
    def model_input_names(self) -> list[str]:
        """Names of the model inputs that a call returns."""
        if self.input_kind == "frames":
            return ["brain_values", "brain_attention_mask", "brain_index"]
        return ["brain_values", "voxel_coordinates", "voxel_regions", "brain_subjects", "brain_index"]

    def add_subject(self, subject: str, coordinates: Any, regions: Any) -> None:
        """
        Describes the voxels of a subject, in the order of its `brain_values`; replaces all that was known of it.

        Args:
            subject (`str`):
                Name of the subject.
            coordinates (`[voxels, 3]`):
                Position in a common space in millimetres (MNI). They are handed on as they are: the model scales them.
            regions (`[voxels, atlases]`, integers):
                Label in each atlas: 1 and above are the atlas's labels, 0 is cortex without a label, -1 is not cortex.

        Raises:
            `ValueError`: if a shape or a label does not fit.
        """
        if self.input_kind != "voxels":
            raise ValueError('Voxel geometry belongs to `input_kind="voxels"`; this feature extractor has "frames".')
        coordinates, regions = _to_array(coordinates, f"`coordinates` of '{subject}'"), np.asarray(regions)
        self._check_geometry(subject, coordinates, regions)
        self.subjects[subject] = {"coordinates": coordinates.copy(), "regions": regions.astype(np.int64)}

    def block_subjects(self, names: list[str], config: PreTrainedConfig) -> None:
        """
        From now on refuses the brains of some people, of whom all that was known is forgotten.

        Args:
            names (`list[str]`):
                Names of the subjects.
            config ([`BrainLlamaConfig`]):
                Of the model that belongs to it, which then refuses them too. Save both.
        """
        self.blocked_subjects = config.blocked_subjects = sorted({*(self.blocked_subjects or ()), *names})
        self.subjects = {name: known for name, known in self.subjects.items() if name not in names}

    def _check_geometry(self, subject: str, coordinates: np.ndarray, regions: np.ndarray) -> None:
        if coordinates.ndim != 2 or coordinates.shape[1] != 3 or not np.isfinite(coordinates).all():
            raise ValueError(
                f"`coordinates` of subject '{subject}' must be finite [voxels, 3] in millimetres; found shape "
                f"{list(coordinates.shape)} with {np.count_nonzero(~np.isfinite(coordinates))} values not finite."
            )
        expected = (len(coordinates), len(self.region_sizes))
        labels_fit = regions.shape == expected and (regions >= -1).all() and (regions <= self.region_sizes).all()
        if regions.dtype.kind not in "iu" or not labels_fit:
            raise ValueError(
                f"`regions` of subject '{subject}' must be integers [voxels, atlases] = {list(expected)} from -1 to "
                f"{self.region_sizes} (one bound per atlas); found {regions.dtype} {list(regions.shape)} from "
                f"{regions.min(initial=0)} to {regions.max(initial=0)}."
            )

    def fit(self, values: Any, subject: str) -> "BrainLlamaFeatureExtractor":
        """
        Takes mean and standard deviation of each feature over all training frames and turns standardisation on.

        A feature that never varies is an error for frames. A voxel that never varies (a corpus can have set it to zero
        because it was unusable) becomes 0, since it cannot be left out without its place in the geometry.

        Args:
            values (an array `[rows, features]` or `[brains, frames, features]`, or an iterable of brain samples):
                Training samples only: statistics that saw a test sample leak it into the score.
            subject (`str`):
                Name of the subject.

        Raises:
            `ValueError`: for constant features of frames, and for all that a call refuses.
        """
        count, mean, squares, low, high = 0, 0.0, 0.0, np.inf, -np.inf
        scans: set[int] = set()
        for number, sample in enumerate(_split(values)):
            frames = self._check(sample, number, subject)
            # One frame given many times is still one scan, which its mean would give away.
            scans.update(hash(frame.tobytes()) for frame in frames)
            # Merge of moments in float64 (Chan, Golub and LeVeque 1979): exact, and one sample in memory at a time.
            block_mean = frames.mean(axis=0, dtype=np.float64)
            delta, total = block_mean - mean, count + len(frames)
            squares = squares + ((frames - block_mean) ** 2).sum(axis=0) + delta**2 * (count * len(frames) / total)
            mean, count = mean + delta * (len(frames) / total), total
            low, high = np.minimum(low, frames.min(axis=0)), np.maximum(high, frames.max(axis=0))
        if count == 0:
            raise ValueError(f"`fit` got no samples for subject '{subject}'; pass its training samples.")
        std = np.sqrt(squares / count).astype(np.float32)
        constant = np.flatnonzero((low == high) | (std == 0))
        if self.input_kind == "voxels":
            std[constant] = 1.0
        elif len(constant):
            raise ValueError(
                f"{len(constant)} of {len(std)} features are constant over the {count} training frames of '{subject}' "
                f"and cannot be standardised; remove them when the corpus is built. Indices: {constant.tolist()}"
            )
        self.subjects.setdefault(subject, {}).update(
            mean=mean.astype(np.float32), std=std, num_scans=np.array([len(scans)])
        )
        self.do_standardize = True
        return self

    def __call__(
        self,
        brain: Any,
        subject: str | list[str] | None = None,
        return_tensors: str | None = "pt",
        names: list[str] | None = None,
    ) -> BatchFeature:
        """
        Checks, standardises and batches brain samples.

        Args:
            brain (a list with one entry per brain sample, one sample, or an array `[brains, frames, features]`):
                A sample is `[frames, features]`, `[features]` (one frame) or `[voxels]`, as list, NumPy array, torch
                tensor, `h5py.Dataset`, `NpzFile` (its only array, or `brain_values`) or nibabel image: `[X, Y, Z,
                frames]`, its voxels flattened in C order, or with two axes (CIFTI) `[frames, features]`.
            subject (`str` or `list[str]`, *optional*):
                Subject of all samples, or of each; needed for voxels and for standardising.
            return_tensors (`str`, *optional*, defaults to `"pt"`):
                `"pt"` for torch tensors; NumPy arrays otherwise.
            names (`list[str]`, *optional*):
                What errors call each sample, such as the `sample_id` of its row; its number by default.

        Returns:
            [`BatchFeature`] with `brain_index` `[brains]`, the place of each given sample in the batch, and for frames
            `brain_values` `[brains, frames, features]`, right-padded with zeros, and `brain_attention_mask` `[brains,
            frames]`, 1 for a real frame; for voxels lists over the subjects, in order of appearance: `brain_values`
            `[brains of the subject, voxels]`, `voxel_coordinates` `[voxels, 3]`, `voxel_regions` `[voxels, atlases]`,
            and their names `brain_subjects`.

        Raises:
            `ValueError`: naming the brain sample, for a wrong shape, NaN, too many frames or an unknown subject.
        """
        samples = list(_split(brain))
        subjects = [subject] * len(samples) if subject is None or isinstance(subject, str) else list(subject)
        if not samples or len(subjects) != len(samples):
            raise ValueError(f"Expected one `subject` for each brain sample; got {len(subjects)} for {len(samples)}.")
        refuse_blocked(subjects, self.blocked_subjects)
        called = range(len(samples)) if names is None else [f"'{name}'" for name in names]
        values = [self._prepare(*item) for item in zip(samples, called, subjects, strict=True)]
        data = self._pad_frames(values) if self.input_kind == "frames" else self._group_voxels(values, subjects)
        return BatchFeature(_to_tensors(data) if return_tensors == "pt" else data)

    def _check(self, sample: Any, name: int | str, subject: str | None) -> np.ndarray:
        where = f"Brain sample {name}" + (f" of subject '{subject}'" if subject is not None else "")
        values = _to_array(sample, where)
        values = values[None] if values.ndim == 1 else values
        expected = self.num_features
        if self.input_kind == "voxels":
            expected = len(self._known(subject, "coordinates", "Describe its voxels with `add_subject`."))
        if values.ndim != 2 or len(values) == 0:
            raise ValueError(f"{where} must be [frames, features] or [features]; found shape {list(values.shape)}.")
        if values.shape[1] != expected:
            raise ValueError(
                f"{where} must have {expected} features in each frame; found {values.shape[1]}. Give the features"
                " that the model was trained on; apply a mask to a whole image first (nilearn NiftiMasker)."
            )
        num_bad = np.count_nonzero(~np.isfinite(values))
        if num_bad:
            raise ValueError(
                f"{where} holds {num_bad} NaN or infinite values (of {values.size}). Drop or repair it when the corpus"
                " is built."
            )
        return values

    def _prepare(self, sample: Any, name: int | str, subject: str | None) -> np.ndarray:
        values = self._check(sample, name, subject)
        if len(values) > self.num_frames:
            raise ValueError(
                f"Brain sample {name} has {len(values)} frames; at most {self.num_frames} fit (`num_frames`)."
                " Pass several samples as a list with one entry each, or configure the model for more frames."
            )
        if self.do_standardize:
            remedy = "Call `fit` on its training samples, or set `do_standardize=False` to pass raw values."
            with np.errstate(over="ignore"):  # what becomes infinite is refused
                values = (values - self._known(subject, "mean", remedy)) / self._known(subject, "std", remedy)
            if not np.isfinite(values).all():
                raise ValueError(
                    f"Brain sample {name} of subject '{subject}' is finite, but not once it is standardised: "
                    f"{np.count_nonzero(~np.isfinite(values))} values overflow, far out of the scale of the "
                    "subject's statistics. Give values in the units of the training samples, or `fit` again."
                )
        return values

    def _known(self, subject: str | None, name: str, remedy: str) -> np.ndarray:
        known = [key for key, arrays in self.subjects.items() if name in arrays]
        if subject not in known:
            found = "no `subject` was given" if subject is None else f"subject '{subject}' is unknown"
            raise ValueError(f"The {name} of the subject is needed, but {found}; known are {known}. {remedy}")
        return self.subjects[subject][name]

    def _pad_frames(self, values: list[np.ndarray]) -> dict[str, np.ndarray]:
        lengths = np.array([len(frames) for frames in values])
        padded = np.zeros((len(values), lengths.max(), self.num_features), dtype=np.float32)
        for row, frames in zip(padded, values, strict=True):
            row[: len(frames)] = frames
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        return {"brain_values": padded, "brain_attention_mask": mask, "brain_index": np.arange(len(values))}

    def _group_voxels(self, values: list[np.ndarray], subjects: list[str]) -> dict[str, Any]:
        names = list(dict.fromkeys(subjects))
        members = [[number for number, subject in enumerate(subjects) if subject == name] for name in names]
        return {
            "brain_values": [np.concatenate([values[number] for number in group]) for group in members],
            "voxel_coordinates": [self.subjects[name]["coordinates"] for name in names],
            "voxel_regions": [self.subjects[name]["regions"] for name in names],
            "brain_subjects": names,
            # argsort of a permutation is its inverse: where in the grouped order each given sample now stands
            "brain_index": np.argsort(np.concatenate(members)),
        }

    def to_dict(self) -> dict[str, Any]:
        """The settings, with the names of the subjects in place of their arrays."""
        return {**super().to_dict(), "subjects": list(self.subjects)}

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Writes the settings and, beside them, `brain_subjects.safetensors`: two halves of one state."""
        super().to_json_file(json_file_path)
        folder = os.path.dirname(json_file_path)
        self.save_subjects(folder)
        record_checksums(folder, EXTRACTOR_FILES)

    def save_subjects(self, folder: str | os.PathLike) -> None:
        """Writes `brain_subjects.safetensors`, or removes a stale one when there is nothing to keep."""
        path = os.path.join(folder, SUBJECTS_FILE)
        arrays = {f"{name}.{key}": array for name, known in self.subjects.items() for key, array in known.items()}
        if arrays:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, path)
        elif os.path.exists(path):
            os.remove(path)

    @classmethod
    def get_feature_extractor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads the settings and the subjects' tensors, from a folder or from the Hub."""
        verify_checksums(pretrained_model_name_or_path, EXTRACTOR_FILES, kwargs.get("subfolder"))
        settings, unused = super().get_feature_extractor_dict(pretrained_model_name_or_path, **kwargs)
        names = settings.get("subjects")
        if names:
            hub = {key: kwargs[key] for key in _HUB_ARGUMENTS if key in kwargs}
            path = cached_file(pretrained_model_name_or_path, SUBJECTS_FILE, **hub)
            settings["subjects"] = _load_subjects(path, names)
        return settings, unused


def _load_subjects(path: str, names: list[str]) -> dict[str, dict[str, np.ndarray]]:
    subjects: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    try:
        for key, array in load_file(path).items():
            name, _, field = key.rpartition(".")
            subjects.setdefault(name, {})[field] = array
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}). Save the processor again.") from error
    if list(subjects) != names or not all(subjects.values()):
        raise ValueError(f"{path} must hold the subjects {names}; found {sorted(subjects)}. Save the processor again.")
    return subjects


def _split(brain: Any) -> Iterable[Any]:
    """One entry per brain sample: what has a shape is one sample or, with three axes, a stack of them."""
    if not any(hasattr(brain, name) for name in ("shape", "files", "dataobj")):
        return brain
    array = _to_array(brain, "`brain`")
    return array if array.ndim == 3 else [array]


def _to_array(brain: Any, where: str) -> np.ndarray:
    """float32 array of any container; known by what it can do, so that none of their libraries is imported."""
    if hasattr(brain, "files"):
        brain = _from_npz(brain, where)
    if hasattr(brain, "dataobj"):
        brain = _from_image(brain)
    if np.ma.is_masked(brain):
        raise ValueError(
            f"{where} is a masked array of which {np.ma.count_masked(brain)} values are masked, and a model reads "
            "all. Fill them (`.filled(...)`), or leave such features out for all samples."
        )
    if isinstance(brain, torch.Tensor):
        brain = brain.detach().to("cpu", torch.float32).numpy()
    try:
        array = np.asarray(brain)
    except ValueError as error:
        raise ValueError(f"{where} must be a regular array; its rows differ in length ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where} must hold real numbers; found {type(brain).__name__} of dtype {array.dtype}.")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, which is refused with its count
        return array.astype(np.float32, copy=False)


def _from_npz(archive: Any, where: str) -> np.ndarray:
    if "brain_values" not in archive.files and len(archive.files) != 1:
        raise ValueError(
            f"{where} is an .npz archive that must hold one array, or one named 'brain_values'; found {archive.files}."
        )
    return archive["brain_values" if "brain_values" in archive.files else archive.files[0]]


def _from_image(image: Any) -> np.ndarray:
    volumes = np.asarray(image.dataobj)
    if volumes.ndim == 2:
        return volumes
    # A volume on its own is one frame; else the frames are last, and become first.
    return volumes.reshape(1, -1) if volumes.ndim == 3 else np.moveaxis(volumes, -1, 0).reshape(volumes.shape[-1], -1)


def _to_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_tensors(item) for item in value]
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


BrainLlamaFeatureExtractor.register_for_auto_class()

__all__ = ["BrainLlamaFeatureExtractor"]
