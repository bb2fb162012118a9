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
"""
What leaves this machine: the one list of files that a push to the Hub takes, and the terms of the data they come from.

Names and tensors go, under names that are listed here: nothing pickled, nothing that merely lay in the folder. What is
said of a single person (statistics, geometry) goes only where the terms of the corpus allow it, or whoever pushes asks
for it by name; the card then says so.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, ModelCard, get_token
from huggingface_hub.errors import EntryNotFoundError
from transformers.dynamic_module_utils import get_relative_import_files

from .checksums import CHECKSUMS_FILE, select_checksums, verify_checksums
from .sharing_brainllama import (
    DATA_END,
    DATA_START,
    SUBJECTS_FILE,
    choose_subject_arrays,
    describe_data,
    merge_terms,
)


CARD_FILE = "README.md"
#: Every other file of a folder stays where it is.
ALLOWED = re.compile(
    r"""
      model(-\d{5}-of-\d{5})?\.safetensors | model\.safetensors\.index\.json | adapter_model\.safetensors
    | (config|generation_config|processor_config|preprocessor_config)\.json
    | (adapter_config|adapter_base|training_brains)\.json
    | (tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json | tokenizer\.model | vocab\.txt
    | merges\.txt | chat_template\.jinja | additional_chat_templates/[\w-]+\.jinja
    | brain_subjects\.safetensors | README\.md | (LICENSE|NOTICE|USE_POLICY)(\.(md|txt))? | \.eval_results/[\w-]+\.yaml
    """,
    re.VERBOSE,
)
SETTINGS_FILES = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_HUB_OPTIONS = (
    *("repo_id", "private", "token", "revision", "create_pr", "commit_message", "commit_description"),
    *("share_statistics", "share_geometry"),
)
_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{20,}")
_SHORTEST_TOKEN = 8


def files_to_push(
    folder: str | os.PathLike,
    *,
    share_statistics: bool | None = None,
    share_geometry: bool | None = None,
    terms: Iterable[Mapping[str, Any]] = (),
    token: str | None = None,
) -> tuple[dict[str, Path | bytes], str]:
    """
    Decides what any push of a model, adapter, processor or checkpoint takes of a folder.

    Args:
        folder (`str` or `os.PathLike`):
            Holds what was saved, and whatever else.
        share_statistics, share_geometry (`bool`, *optional*):
            Whether mean and deviation of subjects, and where their voxels lie, go along. By default they do where the
            terms of every corpus allow it, and the push is refused elsewhere. `False` leaves them out, `True` shares
            them against the terms, for those who have the permission.
        terms (`Iterable[Mapping]`, *optional*):
            Terms of the data, beside those that the settings in the folder hold; see [`merge_terms`].
        token (`str`, *optional*):
            The token of the Hub that is used, which must not be in any file.

    Returns:
        `tuple`: each file by its name in the repository, and what the card has to say on the data.

    Raises:
        PermissionError: terms forbid what would be shared, statistics rest on fewer than 20 scans, or a file holds a
            token.
        ValueError: a file is not what its name says, or names a folder of this machine.
    """
    folder = Path(folder)
    settings = {name: _read_json(folder / name) for name in SETTINGS_FILES if (folder / name).is_file()}
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    allowed = {name for name in names if ALLOWED.fullmatch(name)} | set(_code_files(folder, settings.values()))
    files: dict[str, Path | bytes] = {name: folder / name for name in sorted(allowed)}
    _refuse_local_names(folder, settings.get("config.json", {}))
    known = merge_terms(None, [*terms, *read_terms(folder)]) or []
    shared = {}
    if SUBJECTS_FILE in files:
        asked = {"statistics": share_statistics, "geometry": share_geometry}
        shared = choose_subject_arrays(files, folder, known, asked)
    for name, content in files.items():
        _check_content(name, content, token)
    listed = {name: content for name, content in files.items() if name != CARD_FILE}  # which each push writes anew
    verify_checksums(folder, [name for name, content in listed.items() if isinstance(content, Path)])
    checksums = select_checksums(folder, listed)
    if checksums is not None:
        files[CHECKSUMS_FILE] = checksums
    return files, describe_data(known, shared)


def push_folder(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    private: bool | None = True,
    token: str | None = None,
    path_in_repo: str = "",
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Upload model",
    commit_description: str | None = None,
    **sharing: Any,
) -> CommitInfo:
    """
    Pushes what [`files_to_push`] allows of a folder, and no other file, with a card that says what of the data it is.

    Args:
        folder (`str` or `os.PathLike`):
            Holds what was saved.
        repo_id (`str`):
            `<user or organisation>/<name>`; made where it does not exist. Nothing is made where the push is refused.
        private (`bool`, *optional*, defaults to `True`):
            Who may see a new repository. A push into a public one needs `private=False`.
        token, path_in_repo, revision, create_pr, commit_message, commit_description (*optional*):
            As in `huggingface_hub.HfApi.upload_folder`.
        **sharing:
            `share_statistics`, `share_geometry` and `terms` of [`files_to_push`].
    """
    files, data_section = files_to_push(folder, token=token, **sharing)
    api = HfApi(token=token)
    repo_id = open_repository(api, repo_id, private)
    if path_in_repo:
        files.pop(CARD_FILE, None)  # a repository has one
    else:
        files[CARD_FILE] = _card(api, repo_id, files, data_section).encode()
    if revision is not None and not revision.startswith("refs/pr"):
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    operations = [
        CommitOperationAdd(str(PurePosixPath(path_in_repo, name)), content) for name, content in files.items()
    ]
    return api.create_commit(
        repo_id,
        operations,
        commit_message=commit_message,
        commit_description=commit_description,
        revision=revision,
        create_pr=create_pr,
    )


def open_repository(api: HfApi, repo_id: str, private: bool | None, repo_type: str = "model") -> str:
    """
    The id of a repository, which is made where it does not exist: private unless `private=False` is given.

    Raises:
        PermissionError: it exists, is public, and nobody asked for that.
    """
    repo_id = api.create_repo(repo_id, private=private is not False, repo_type=repo_type, exist_ok=True).repo_id
    if private is not False and api.repo_info(repo_id, repo_type=repo_type).private is False:
        raise PermissionError(
            f"'{repo_id}' exists and is public, and a push is private unless asked otherwise; nothing was pushed. "
            "Make it private, name another repository, or say `private=False` (`--hub_private_repo false` of a "
            "training script, `--private false` of push_to_hub.py)."
        )
    return repo_id


class GuardedPush:
    """Pushes through [`push_folder`]; stands before the classes of transformers whose `push_to_hub` it replaces."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = True,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str | None = None,
        commit_description: str | None = None,
        share_statistics: bool | None = None,
        share_geometry: bool | None = None,
        **save_options: Any,
    ) -> CommitInfo:
        """
        Saves into a new folder and pushes what [`files_to_push`] allows of it.

        Args:
            repo_id (`str`):
                `<user or organisation>/<name>`.
            private (`bool`, *optional*, defaults to `True`):
                Who may see a new repository; a public one needs `False`.
            token, revision, create_pr, commit_message, commit_description (*optional*):
                As in `transformers`.
            share_statistics, share_geometry (`bool`, *optional*):
                See [`files_to_push`].
            **save_options:
                Of `save_pretrained`, such as `max_shard_size`.

        Raises:
            PermissionError: the terms of the data forbid it; see [`files_to_push`].
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **save_options)
            return push_folder(
                folder,
                repo_id,
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
                share_statistics=share_statistics,
                share_geometry=share_geometry,
            )

    def save_pretrained(self, save_directory: str | os.PathLike, *args, push_to_hub: bool = False, **kwargs) -> Any:
        """Saves as `transformers` does; with `push_to_hub=True` the same is pushed as by `push_to_hub`."""
        hub = {name: kwargs.pop(name) for name in _HUB_OPTIONS if push_to_hub and name in kwargs}
        saved = super().save_pretrained(save_directory, *args, **kwargs)
        if push_to_hub:
            with tempfile.TemporaryDirectory() as folder:  # the other may hold what somebody else has saved
                super().save_pretrained(folder, *args, **kwargs)
                push_folder(folder, hub.pop("repo_id", Path(save_directory).name), **hub)
        return saved


def read_terms(folder: str | os.PathLike) -> list[dict]:
    """The terms of the data that the settings of a folder hold, of its model and of its processor."""
    parts = [_read_json(Path(folder, name)) for name in SETTINGS_FILES if Path(folder, name).is_file()]
    parts += [part["feature_extractor"] for part in parts if "feature_extractor" in part]
    return [entry for part in parts for entry in part.get("data_terms") or ()]


def _files(folder: Path) -> list[Path]:
    """Files that a listed name can have: checkpoints below a folder are none of it."""
    places = (folder, folder / "additional_chat_templates", folder / ".eval_results")
    return [path for place in places if place.is_dir() for path in place.iterdir() if path.is_file()]


def _read_json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _code_files(folder: Path, settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The modules that `trust_remote_code` needs: those that `auto_map` names, and what they import beside them."""
    maps = [part.get("auto_map", {}) for part in settings]
    maps += [part["feature_extractor"].get("auto_map", {}) for part in settings if "feature_extractor" in part]
    classes = [one for auto_map in maps for entry in auto_map.values() for one in _as_list(entry) if one]
    modules = {f"{name.rpartition('--')[2].partition('.')[0]}.py" for name in classes}
    roots = [folder / module for module in sorted(modules) if (folder / module).is_file()]
    imported = [Path(file) for root in roots for file in get_relative_import_files(root)]
    return sorted({path.name for path in [*roots, *imported] if path.is_file() and path.parent == folder})


def _as_list(entry: Any) -> list[Any]:
    return list(entry) if isinstance(entry, list | tuple) else [entry]


def _refuse_local_names(folder: Path, config: Mapping[str, Any]) -> None:
    """A slim checkpoint or an adapter that names a folder is of no use elsewhere, and tells whose folder it was."""
    adapter = _read_json(folder / "adapter_config.json") if (folder / "adapter_config.json").is_file() else {}
    named = {"base_model_name_or_path": adapter.get("base_model_name_or_path")}
    if config.get("text_model_included") is False:
        named["text_model_id"] = config.get("text_model_id")
    for field, value in named.items():
        if value and (os.path.isdir(value) or os.path.isabs(value)):
            raise ValueError(
                f"`{field}` is the local folder '{value}', which nobody else can load. Set it to the Hub id of the "
                "same model (`model.config.text_model_id`, `adapter_base` of `push_adapter`), or save a merged "
                "checkpoint."
            )


def _check_content(name: str, content: Path | bytes, token: str | None) -> None:
    """Tensors are tensors, and no text holds a token of the Hub."""
    if name.endswith(".safetensors"):
        start = content[:9] if isinstance(content, bytes) else _first_bytes(content)
        if start[8:9] != b"{":
            raise ValueError(f"Nothing was pushed: {content} is no safetensors file. Save the model again.")
        return
    data = content if isinstance(content, bytes) else content.read_bytes()
    tokens = [one.encode() for one in (token, get_token()) if isinstance(one, str) and len(one) >= _SHORTEST_TOKEN]
    if _TOKEN.search(data) or any(one in data for one in tokens):
        raise PermissionError(
            f"Nothing was pushed: {content if isinstance(content, Path) else name} holds a token of the Hub. Take it "
            "out, and revoke it at https://huggingface.co/settings/tokens if it was ever shared."
        )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)


def _card(api: HfApi, repo_id: str, files: Mapping[str, Path | bytes], data_section: str) -> str:
    """The card of the folder, or else of the repository, or a new one; with its section on the data."""
    given = files.get(CARD_FILE)
    if given is not None:
        text = given.decode() if isinstance(given, bytes) else given.read_text(encoding="utf-8")
    else:
        try:
            text = ModelCard.load(repo_id, token=api.token).content
        except EntryNotFoundError:
            text = f"---\ntags: [fmri, brain-decoding, brainllm]\n---\n\n# {repo_id}\n"
    start, _, rest = text.partition(DATA_START)
    if rest and SUBJECTS_FILE not in files and given is None:
        return text  # what an earlier push said of subjects, whose files are still there
    return f"{(start + rest.partition(DATA_END)[2]).rstrip()}\n\n{data_section}\n"


__all__ = ["GuardedPush", "files_to_push", "open_repository", "push_folder", "read_terms"]
