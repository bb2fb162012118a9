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

    A corpus that was saved there before is replaced once the new one is complete.

    Args:
        builder ([`~dataset_builders.corpora.base.BrainCorpusBuilder`]):
            Prepared, e.g. by [`~dataset_builders.prepare_corpus`].
        output_dir (`str` or `Path`):
            A new or empty folder, or one that holds a prepared corpus.

    Raises:
        FileExistsError: the folder holds something else.
    """
    folder, info, dataset = Path(output_dir), builder.corpus_info, builder.as_dataset_dict()
    if folder.exists() and any(folder.iterdir()) and not (folder / CORPUS_FILE).is_file():
        raise FileExistsError(f"{folder} is not empty and holds no prepared corpus: choose another output folder")
    incomplete = folder.with_name(f"{folder.name}.incomplete")
    shutil.rmtree(incomplete, ignore_errors=True)
    dataset.save_to_disk(incomplete)
    for name in (SUBJECTS_DIR, RECORDINGS_DIR):
        if (builder.prepared_dir / name).is_dir():
            shutil.copytree(builder.prepared_dir / name, incomplete / name, copy_function=_link_or_copy)
    for path in sorted((incomplete / SUBJECTS_DIR).glob("*.safetensors")):
        path.with_suffix(".png").write_bytes(subject_picture(path))
    info.save(incomplete)
    _write_checksums(incomplete)
    (incomplete / "README.md").write_text(dataset_card(dataset, info), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    incomplete.rename(folder)


def _write_checksums(folder: Path) -> None:
    """What `sha256sum` prints of each file: a damaged one is noticed before Arrow reads it, which might not live."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    own = hashlib.sha256("".join(lines).encode()).hexdigest()
    (folder / CHECKSUMS_FILE).write_text("".join([*lines, f"# {own}\n"]), encoding="utf-8")


def push_corpus(folder: str | Path, repo_id: str, private: bool = True, token: str | None = None) -> str:
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

    Returns:
        `str`: address of the dataset.

    Raises:
        PermissionError: the terms of the corpus forbid that it is passed on.
        FileNotFoundError: the folder is not a prepared corpus.
    """
    folder, info = Path(folder), CorpusInfo.load(folder)
    if not info.may_redistribute:
        raise PermissionError(f"{info.corpus} may not be published, not even in private. {info.redistribution}")
    rows = load_from_disk(str(folder))
    # The card is written below, by us; what pushing adds to it (configurations, sizes) is merged in.
    configs = [_config(SAMPLES_CONFIG, [str(name) for name in rows]) | {"default": True}]
    rows.push_to_hub(repo_id, config_name=SAMPLES_CONFIG, private=private, token=token, set_default=True)
    if (folder / RECORDINGS_DIR).is_dir():
        recordings = cast("Dataset", load_from_disk(str(folder / RECORDINGS_DIR)))
        recordings.push_to_hub(repo_id, config_name=RECORDINGS_DIR, split="train", private=private, token=token)
        configs.append(_config(RECORDINGS_DIR, ["train"]))
    subjects = _pictured(folder, info)
    subjects.push_to_hub(repo_id, config_name=PEOPLE_CONFIG, split="train", private=private, token=token)
    configs.append(_config(PEOPLE_CONFIG, ["train"]))
    api = HfApi(token=token)
    api.upload_folder(
        repo_id=repo_id,
        repo_type="dataset",
        folder_path=folder,
        allow_patterns=[CORPUS_FILE, f"{SUBJECTS_DIR}/*.safetensors", f"{SUBJECTS_DIR}/*.png"],
        delete_patterns=_left_by_earlier_pushes(configs, api.list_repo_files(repo_id, repo_type="dataset")),
        commit_message="Add facts, statistics and geometry",
    )
    _push_card(folder, repo_id, configs, token)
    return f"{api.endpoint}/datasets/{repo_id}"


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


def _push_card(folder: Path, repo_id: str, configs: list[dict[str, Any]], token: str | None) -> None:
    written = DatasetCard.load(folder / "README.md")
    sizes = DatasetCard.load(repo_id, token=token).data.to_dict().get("dataset_info", [])
    names = {config["config_name"] for config in configs}
    # Of the card that is there only what describes the rows pushed just now: the rest may speak of earlier ones.
    sizes = [sizes] if isinstance(sizes, dict) else sizes
    written.data["dataset_info"] = [size for size in sizes if size.get("config_name") in names]
    written.data["configs"] = configs
    written.push_to_hub(repo_id, repo_type="dataset", token=token, commit_message="Add the card")


__all__ = ["push_corpus", "save_corpus"]
