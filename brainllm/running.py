# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""How every script runs: options as dataclasses, checked before anything heavy is imported; errors as one message."""

import argparse
import difflib
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from .sources import read_options


#: What a user can mend; everything else is a defect of ours and shows where it happened.
USER_ERRORS = (ValueError, OSError, ModuleNotFoundError, NotImplementedError)


def run(main: Callable[..., Any], *options: type | str, argv: Sequence[str] | None = None) -> None:
    """
    Reads the options of a script and calls its `main` with them.

    `--help`, an unknown option, and what the light dataclasses refuse are answered from what is quick to import.
    Options may stand in a YAML file that `--config` names; those of the command line prevail.

    Args:
        main (`Callable`):
            Takes one object for each of `options`, in their order.
        options (`type` or `str`):
            Dataclasses; one whose import is heavy by its name, `"module:Class"`.
        argv (`Sequence[str]`, *optional*):
            Arguments; those of the process by default.

    Raises:
        SystemExit: with one message, unless `--traceback` is given: an option is unknown, missing or refused, or
            `main` raised a `ValueError`, `OSError`, `ModuleNotFoundError` or `NotImplementedError`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    shows_traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    try:
        parsed = parse(main, options, arguments)
        main(*parsed)
    except USER_ERRORS as error:
        if shows_traceback:
            raise
        raise SystemExit(_describe(error)) from error


def parse(main: Callable[..., Any], options: Sequence[type | str], arguments: Sequence[str]) -> tuple[Any, ...]:
    """The objects that `main` is called with, in two passes: quick checks of everything, then heavy classes."""
    light = [option for option in options if not isinstance(option, str)]
    described = [read_options(*option.split(":")) for option in options if isinstance(option, str)]
    quick = _parser(light, getattr(main, "__globals__", {}).get("__doc__") or "")
    training = quick.add_argument_group("training") if described else quick
    for option in (option for fields in described for option in fields.values()):
        names = [option.name, *([f"no_{option.name}"] if option.is_on else [])]
        names = list(dict.fromkeys(f"--{spelling}" for name in names for spelling in (name, name.replace("_", "-"))))
        text = option.help.replace("%", "%%")
        training.add_argument(*names, dest=option.name, nargs="*", default=argparse.SUPPRESS, metavar="X", help=text)
    parsed = _read(quick, arguments)
    if not described:
        return parsed[: len(light)]
    classes = [option if not isinstance(option, str) else _load(option) for option in options]
    return _read(_parser(classes, ""), arguments)[: len(classes)]


def _parser(dataclasses: Sequence[Any], text: str) -> Any:
    from transformers.hf_argparser import HfArgumentParser

    parser = HfArgumentParser(
        dataclasses,
        usage="%(prog)s [options]",
        description=text.strip(),
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of options; the command line prevails")
    parser.add_argument("--traceback", action="store_true", help="show where an error was raised")
    parser.error = _refuse
    return parser


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The text of a script as it stands, and defaults beside options."""


def _read(parser: Any, arguments: Sequence[str]) -> tuple[Any, ...]:
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    file = finder.parse_known_args(arguments)[0].config
    known: dict[str, list[Any]] = {}  # a switch has two actions, `--x` and `--no_x`
    for action in parser._actions:
        known.setdefault(action.dest, []).append(action)
    for name, value in (_read_file(file) if file else {}).items():
        if name not in known:
            _refuse(f"{file}: there is no option `{name}`{_nearest(name, known)}")
        for action in known[name]:
            action.default, action.required = value, False
    for name in (argument.partition("=")[0] for argument in arguments if argument.startswith("--")):
        if name not in parser._option_string_actions:
            _refuse(f"there is no option {name}{_nearest(name, parser._option_string_actions)}")
    *parsed, unknown = parser.parse_args_into_dataclasses(
        list(arguments), return_remaining_strings=True, look_for_args_file=False
    )
    if unknown:
        _refuse(f"{unknown[0]!r} belongs to no option")
    return tuple(parsed)


def _read_file(file: str) -> dict[str, Any]:
    import yaml

    if not Path(file).is_file():
        raise FileNotFoundError(f"--config {file}: there is no such file")
    try:
        found = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"--config {file}: this is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"--config {file}: expected lines `name: value`, found {found!r}")
    return found


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else "; --help lists them"


def _load(option: str) -> type:
    module, name = option.split(":")
    return getattr(import_module(module), name)


def _refuse(message: str) -> NoReturn:
    """Ends as argparse does, with status 2, without its list of all options."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)


def _describe(error: BaseException) -> str:
    """Its message and where it was raised; the whole way there is a matter of asking."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    message = str(error).strip() or type(error).__name__
    if isinstance(error, ModuleNotFoundError):
        message += ". Install what this command needs: pip install 'brainllm[train,data,eval]'"
    where = f"{Path(frame.filename).name}:{frame.lineno}; --traceback shows the way there"
    return f"{Path(sys.argv[0]).name}: error: {message}\n({where})"


__all__ = ["USER_ERRORS", "parse", "run"]
