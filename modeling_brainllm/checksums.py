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

"""Checksums of what was saved: `SHA256SUMS`, which `sha256sum -c` reads too, written last and compared at load.

A flipped bit in a weight or in a number of a configuration would otherwise be believed. A folder without the file,
such as one of somebody else's, is loaded as it is.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, cached_file


CHECKSUMS_FILE = "SHA256SUMS"
#: Arguments of `from_pretrained` that say how the Hub is read; beside them `revision` and `subfolder` say what.
HUB_ARGUMENTS = ("cache_dir", "force_download", "proxies", "local_files_only", "token")
# What was compared of large files, so that they are read in full once and not at every load.
_COMPARED_FILE = ".SHA256SUMS.compared"
_LARGE = 64 * 1024**2

#: What a model writes, a feature extractor, and a processor, which holds one.
MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_*.json")
EXTRACTOR_FILES = ("processor_config.json", "preprocessor_config.json", "brain_subjects.safetensors")
PROCESSOR_FILES = (
    *(*EXTRACTOR_FILES, "tokenizer*", "special_tokens_map.json", "added_tokens.json"),
    *("vocab*", "merges.txt", "chat_template*"),
)


def record_checksums(folder: str | os.PathLike, patterns: Iterable[str]) -> None:
    """
    Writes the checksums of a folder's files; those of files that no pattern matches stay as they are.

    Args:
        folder (`str` or `os.PathLike`):
            Where the files are.
        patterns (`Iterable[str]`):
            Names of files, with wildcards, below the folder too where they hold a `/`.
    """
    folder, patterns = Path(folder), tuple(patterns)
    kept = {name: digest for name, digest in _read(folder).items() if not _matches(name, patterns)}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name, path in files.items():
        if name not in (CHECKSUMS_FILE, _COMPARED_FILE) and _matches(name, patterns):
            kept[name] = _digest(path)
    text = _text({name: digest for name, digest in kept.items() if name in files})
    aside = folder / f"{CHECKSUMS_FILE}.{os.getpid()}"
    aside.write_text(text, encoding="utf-8")
    aside.replace(folder / CHECKSUMS_FILE)


def verify_checksums(
    folder: str | os.PathLike, patterns: Iterable[str] = ("*",), subfolder: str | None = None
) -> None:
    """
    Compares files with the checksums that were written beside them.

    Args:
        folder (`str` or `os.PathLike`):
            A folder; one without checksums passes, as does what is no folder.
        patterns (`Iterable[str]`, *optional*):
            Names of the files to compare; all by default. A file of more than 64 MiB that was compared before, and has
            the same size and time of change since, is not read again.
        subfolder (`str`, *optional*):
            Where the files are below the folder.

    Raises:
        ValueError: If a file is missing or is not what was written.
    """
    folder, patterns = Path(folder, subfolder or ""), tuple(patterns)
    compared = _read_compared(folder)
    known = dict(compared)
    for name, digest in _read(folder).items():
        if not _matches(name, patterns):
            continue
        path = folder / name
        if not path.is_file():
            raise ValueError(
                f"{path} is missing, which {CHECKSUMS_FILE} beside it lists: the folder was not copied whole. Copy it "
                f"again; or, if the file was removed on purpose, delete {CHECKSUMS_FILE} to load without comparing."
            )
        stamp = [path.stat().st_size, path.stat().st_mtime_ns]
        if stamp[0] > _LARGE and compared.get(name) == [digest, *stamp]:
            continue
        found = _digest(path)
        if found != digest:
            raise ValueError(
                f"{path} is not what was saved: its SHA-256 is {found[:16]}..., {CHECKSUMS_FILE} says "
                f"{digest[:16]}.... It is damaged, or was changed by hand. Copy it again; or, if the change is meant, "
                f"delete {CHECKSUMS_FILE} to load without comparing."
            )
        if stamp[0] > _LARGE:
            known[name] = [digest, *stamp]
    if known != compared:
        _write_compared(folder, known)


def refuse_shards_elsewhere(repo: str | os.PathLike, **options) -> None:
    """
    Refuses an index of weights whose files are not beside it: a checkpoint must not have others of this machine read.

    Args:
        repo (`str` or `os.PathLike`):
            Folder or Hub id.
        options:
            Of `from_pretrained`.

    Raises:
        ValueError: If a file lies elsewhere.
    """
    hub = {name: options[name] for name in (*HUB_ARGUMENTS, "revision", "subfolder") if name in options}
    index = cached_file(repo, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False, **hub)
    if index is None:
        return
    names = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
    elsewhere = sorted({name for name in names if Path(name).name != name})
    if elsewhere:
        raise ValueError(
            f"{index} names the file '{elsewhere[0]}', which is not beside it. Do not load this checkpoint."
        )


def select_checksums(folder: str | os.PathLike, files: Mapping[str, Path | bytes]) -> bytes | None:
    """
    The checksums of some files of a folder, as they go on; `None` where there are none beside them.

    Args:
        folder (`str` or `os.PathLike`):
            Where the files are.
        files (`Mapping[str, Path | bytes]`):
            By its name each file that goes as it is, and the content of each that goes changed.
    """
    known = _read(Path(folder))
    digests = {
        name: hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else known[name]
        for name, content in files.items()
        if name in known
    }
    return _text(digests).encode() if digests else None


def _text(digests: Mapping[str, str]) -> str:
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    # The last line is of those above, which could be damaged themselves.
    return text + f"# {hashlib.sha256(text.encode()).hexdigest()}\n"


def _read(folder: Path) -> dict[str, str]:
    """Name → digest."""
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return {}
    text, mark, digest = path.read_bytes().decode("utf-8", "replace").rpartition("# ")
    if not mark or digest != f"{hashlib.sha256(text.encode()).hexdigest()}\n":
        raise ValueError(
            f"{path} is damaged: its last line is not the SHA-256 of the others. Copy the folder again, or delete "
            "this file to load without comparing."
        )
    found = {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}
    outside = [name for name in found if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{path} names '{outside[0]}', which is not within its folder. Do not load this checkpoint.")
    return found


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch(name, pattern) and ("/" not in name or "/" in pattern or pattern == "*") for pattern in patterns
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_compared(folder: Path) -> dict[str, list]:
    try:
        found = json.loads((folder / _COMPARED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # it only saves time
    return found if isinstance(found, dict) else {}


def _write_compared(folder: Path, known: dict[str, list]) -> None:
    with suppress(OSError):  # a folder that may only be read is compared each time
        (folder / _COMPARED_FILE).write_text(json.dumps(known), encoding="utf-8")


__all__ = [
    "CHECKSUMS_FILE",
    "EXTRACTOR_FILES",
    "HUB_ARGUMENTS",
    "MODEL_FILES",
    "PROCESSOR_FILES",
    "record_checksums",
    "refuse_shards_elsewhere",
    "select_checksums",
    "verify_checksums",
]
