"""Make, list and remove API keys.

    python -m service.keys add keys.json shop --task intent --task urgency --inputs-per-s 50
    python -m service.keys list keys.json
    python -m service.keys remove keys.json shop

The service reads the file when it starts (``ENCODEONCE_API_KEYS_FILE``).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from export.manifest import describe_faults
from service.keys.file import KeyEntry, KeyFile, KeyFileError, hash_key, new_key


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if it was done; 1 with a sentence if it cannot be."""
    given = _parser().parse_args(arguments)
    try:
        keys = KeyFile.read(given.file) if given.command != "add" or given.file.exists() else KeyFile()
        match given.command:
            case "add":
                _add(keys, given)
            case "remove":
                _remove(keys, given.file, given.name)
            case "list":
                _list(keys)
    except KeyFileError as error:
        print(error, file=sys.stderr)
        return 1
    except ValidationError as error:
        print(describe_faults(error), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service.keys", description="API keys of the service.")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a key, and print it: it is shown once")
    remove = commands.add_parser("remove", help="take a key out")
    for command in (add, remove, commands.add_parser("list", help="list the keys by name")):
        command.add_argument("file", type=Path)
    add.add_argument("name")
    add.add_argument("--task", action="append", help="a task that it opens (default: all)")
    add.add_argument("--inputs-per-s", type=float, help="inputs a second in the long run (default: any)")
    add.add_argument("--burst", type=int, help="inputs at once (default: those of ten seconds)")
    remove.add_argument("name")
    return parser


def _add(keys: KeyFile, given: argparse.Namespace) -> None:
    key = new_key()
    entry = KeyEntry(
        name=given.name,
        sha256=hash_key(key),
        tasks=None if given.task is None else frozenset(given.task),
        inputs_per_s=given.inputs_per_s,
        burst=given.burst,
    )
    KeyFile(keys=(*keys.keys, entry)).write(given.file)
    print(key)


def _remove(keys: KeyFile, file: Path, name: str) -> None:
    kept = tuple(key for key in keys.keys if key.name != name)
    if len(kept) == len(keys.keys):
        raise KeyFileError(
            f"There is no key {name!r}. There are: {', '.join(key.name for key in keys.keys)}."
        )
    KeyFile(keys=kept).write(file)


def _list(keys: KeyFile) -> None:
    for key in keys.keys:
        tasks = "all tasks" if key.tasks is None else ", ".join(sorted(key.tasks))
        rate = "any rate" if key.inputs_per_s is None else f"{key.inputs_per_s:g} inputs/s"
        print(f"{key.name}\t{tasks}\t{rate}")


if __name__ == "__main__":
    sys.exit(main())
