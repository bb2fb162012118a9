# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus as a folder of its own, and on the Hub."""

import hashlib
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

from datasets import Dataset, Features, Image, Value, load_from_disk
from filelock import FileLock
from huggingface_hub import DatasetCard, HfApi

from ..corpora.base import BrainCorpusBuilder
from ..corpora.info import CORPUS_FILE, CorpusInfo
from ..preparation.storage import RECORDINGS_DIR
from .card import dataset_card, people
from .pictures import subject_picture


#: Statistics and geometry of each subject.
SUBJECTS_DIR = "subjects"
#: Checksums of all files but the card; `sha256sum -c` reads them.
CHECKSUMS_FILE = "SHA256SUMS"
#: Configurations of the published dataset: rows, and a row with a picture for each subject.
SAMPLES_CONFIG, PEOPLE_CONFIG = "samples", "people"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def save_corpus(builder: BrainCorpusBuilder, output_dir: str | Path) -> None:
    """
    Writes a folder that `datasets.load_from_disk` opens, with the card `README.md`, `corpus.json`, statistics,
    geometry and a picture of each subject in `subjects/`, and `recordings/` where rows refer to them.

    A corpus that was saved there before is replaced once the new one is complete; of two preparations into one folder
    the second waits.

    Args:
        builder ([`~dataset_builders.corpora.base.BrainCorpusBuilder`]):
            Prepared, e.g. by [`~dataset_builders.prepare_corpus`].
        output_dir (`str` or `Path`):
            A new or empty folder, or one that holds a prepared corpus.

    Raises:
        FileExistsError: the folder holds something else, or something beside the corpus.
    """
    folder, info, dataset = Path(output_dir).resolve(), builder.corpus_info, builder.as_dataset_dict()
    with FileLock(folder.with_name(f".{folder.name}.lock")):  # the second of two preparations waits
        _replace(folder, builder, info, dataset)


def _replace(folder: Path, builder: BrainCorpusBuilder, info: CorpusInfo, dataset: Any) -> None:
    """Writes the corpus aside, takes away the files of an earlier one, and nothing else, and gives it its name."""
    replaced = _files_of_corpus(folder)
    strange = [path for path in folder.rglob("*") if path.is_file() and path not in replaced]
    strange = [path for path in strange if not path.match("cache-*.arrow")]  # what `datasets` puts beside its files
    if strange:
        raise FileExistsError(
            f"{folder} holds files that no preparation wrote ('{strange[0].relative_to(folder)}' and "
            f"{len(strange) - 1} more), which would be lost. Move them away, or choose another output folder."
        )
    incomplete = folder.with_name(f"{folder.name}.incomplete")
    shutil.rmtree(incomplete, ignore_errors=True)
    dataset.save_to_disk(incomplete)
    # Recordings are large and are never changed; of the rest, what a user edits here must not change in the cache.
    for name, copy in ((SUBJECTS_DIR, shutil.copy2), (RECORDINGS_DIR, _link_or_copy)):
        if (builder.prepared_dir / name).is_dir():
            shutil.copytree(builder.prepared_dir / name, incomplete / name, copy_function=copy)
    for path in sorted((incomplete / SUBJECTS_DIR).glob("*.safetensors")):
        path.with_suffix(".png").write_bytes(subject_picture(path))
    info.save(incomplete)
    _write_checksums(incomplete)
    (incomplete / "README.md").write_text(dataset_card(dataset, info), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    incomplete.rename(folder)


def _files_of_corpus(folder: Path) -> set[Path]:
    """What an earlier preparation wrote: the files that it lists, the list, the card, and what was compared since."""
    if not (folder / CORPUS_FILE).is_file() or not (folder / CHECKSUMS_FILE).is_file():
        return set()
    lines = (folder / CHECKSUMS_FILE).read_text(encoding="utf-8").splitlines()
    listed = [line[66:] for line in lines if not line.startswith("#")]
    return {folder / name for name in (*listed, "README.md", CHECKSUMS_FILE, f".{CHECKSUMS_FILE}.compared")}


def _write_checksums(folder: Path) -> None:
    """What `sha256sum` prints of each file: a damaged one is noticed before Arrow reads it, which might not live."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    own = hashlib.sha256("".join(lines).encode()).hexdigest()
    (folder / CHECKSUMS_FILE).write_text("".join([*lines, f"# {own}\n"]), encoding="utf-8")


def push_corpus(
    folder: str | Path,
    repo_id: str,
    private: bool = True,
    token: str | None = None,
    *,
    share_samples: bool = False,
    share_statistics: bool = False,
    share_geometry: bool = False,
) -> str:
    """
    Publishes a prepared corpus on the Hub: rows as the configuration `samples`, recordings, if rows refer to them, as
    `recordings`, a row with a picture for each subject as `people`, and card, `corpus.json` and `subjects/` as files.

    Args:
        folder (`str` or `Path`):
            Written by [`save_corpus`].
        repo_id (`str`):
            `<user or organisation>/<name>`.
        private (`bool`, *optional*, defaults to `True`):
            Who may see it. Brain recordings are personal data: publish them openly only with the consent for that.
        token (`str`, *optional*):
            A token of the Hub; the one of the machine's login if absent.
        share_samples, share_statistics, share_geometry (`bool`, *optional*, defaults to `False`):
            What is pushed of a corpus whose terms forbid it, by whoever has the permission: rows and recordings, and
            with both of the others what `subjects/` says of each subject. The card says so.

    Returns:
        `str`: address of the dataset.

    Raises:
        PermissionError: the terms of the corpus forbid that it is passed on, or the repository is public and
            `private=True`.
        FileNotFoundError: the folder is not a prepared corpus.
    """
    folder, info = Path(folder), CorpusInfo.load(folder)
    shared = _shared_against_terms(info, samples=share_samples, statistics=share_statistics, geometry=share_geometry)
    _open_repository(HfApi(token=token), repo_id, private)
    rows = load_from_disk(str(folder))
    # The card is written below, by us; what pushing adds to it (configurations, sizes) is merged in.
    configs = [_config(SAMPLES_CONFIG, [str(name) for name in rows]) | {"default": True}]
    rows.push_to_hub(repo_id, config_name=SAMPLES_CONFIG, private=private, token=token, set_default=True)
    if (folder / RECORDINGS_DIR).is_dir():
        recordings = cast("Dataset", load_from_disk(str(folder / RECORDINGS_DIR)))
        recordings.push_to_hub(repo_id, config_name=RECORDINGS_DIR, split="train", private=private, token=token)
        configs.append(_config(RECORDINGS_DIR, ["train"]))
    api, patterns = HfApi(token=token), [CORPUS_FILE]
    shares_subjects = not shared or {"statistics", "geometry"} <= set(shared)
    if shares_subjects:  # a picture shows where a person's voxels lie and what they do on average
        subjects = _pictured(folder, info)
        subjects.push_to_hub(repo_id, config_name=PEOPLE_CONFIG, split="train", private=private, token=token)
        configs.append(_config(PEOPLE_CONFIG, ["train"]))
        patterns += [f"{SUBJECTS_DIR}/*.safetensors", f"{SUBJECTS_DIR}/*.png"]
    api.upload_folder(
        repo_id=repo_id,
        repo_type="dataset",
        folder_path=folder,
        allow_patterns=patterns,
        delete_patterns=_left_by_earlier_pushes(configs, api.list_repo_files(repo_id, repo_type="dataset")),
        commit_message="Add facts, statistics and geometry",
    )
    _push_card(folder, repo_id, configs, token, shared)
    return f"{api.endpoint}/datasets/{repo_id}"


def _shared_against_terms(info: CorpusInfo, **asked: bool) -> list[str]:
    """What is pushed although the terms forbid it, by name; nothing where they allow it."""
    if info.may_redistribute:
        return []
    shared = [kind for kind, is_shared in asked.items() if is_shared]
    if "samples" not in shared:
        raise PermissionError(
            f"Nothing was pushed: rows of {info.corpus} may not be published, not even in private. "
            f"{info.redistribution} {info.url} Push a model that was trained on them in place of the rows; if you "
            "have the permission to share them, say so by `share_samples=True` (`--share_samples`), and the card will "
            "name it."
        )
    return shared


def _open_repository(api: HfApi, repo_id: str, private: bool) -> None:
    """Makes it where it does not exist; a public one is no place for what was meant to be private."""
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    if private and api.dataset_info(repo_id).private is False:
        raise PermissionError(
            f"The dataset '{repo_id}' exists and is public; nothing was pushed. Make it private, name another "
            "repository, or say `private=False`."
        )


def _pictured(folder: Path, info: CorpusInfo) -> Dataset:
    """A row for each subject, as the Hub shows it."""
    rows = people(info)
    for row in rows:
        picture = folder / SUBJECTS_DIR / f"{row['subject']}.png"
        row["picture"] = {"path": picture.name, "bytes": picture.read_bytes()}
    features = Features(
        {name: Value("string" if name == "subject" else "int64") for name in rows[0] if name != "picture"}
    )
    return Dataset.from_list(rows, features=Features({**features, "picture": Image()}))


def _config(name: str, splits: list[str]) -> dict[str, Any]:
    """What the card says of one configuration."""
    return {"config_name": name, "data_files": [{"split": one, "path": f"{name}/{one}-*"} for one in splits]}


def _left_by_earlier_pushes(configs: list[dict[str, Any]], files: list[str]) -> list[str]:
    """Files of an earlier push: splits and subjects that there are no longer."""
    now = [part["path"] for config in configs for part in config["data_files"]]
    rows = [
        file for file in files if file.startswith((f"{SAMPLES_CONFIG}/", f"{RECORDINGS_DIR}/", f"{PEOPLE_CONFIG}/"))
    ]
    return [file for file in rows if not any(fnmatch(file, path) for path in now)] + [f"{SUBJECTS_DIR}/*"]


def _push_card(
    folder: Path, repo_id: str, configs: list[dict[str, Any]], token: str | None, shared: list[str]
) -> None:
    written = DatasetCard.load(folder / "README.md")
    sizes = DatasetCard.load(repo_id, token=token).data.to_dict().get("dataset_info", [])
    names = {config["config_name"] for config in configs}
    # Of the card that is there only what describes the rows pushed just now: the rest may speak of earlier ones.
    sizes = [sizes] if isinstance(sizes, dict) else sizes
    written.data["dataset_info"] = [size for size in sizes if size.get("config_name") in names]
    written.data["configs"] = configs
    if shared:
        written.text += (
            f"\n**Shared against the terms of the corpus**, since whoever pushed asked for it by name: "
            f"{', '.join(shared)}.\n"
        )
    written.push_to_hub(repo_id, repo_type="dataset", token=token, commit_message="Add the card")


__all__ = ["push_corpus", "save_corpus"]
