"""From the path of a key to its line in ``persona.toml``."""

import re
from typing import Any


def toml_path(raw: dict[str, Any], loc: tuple[str, ...]) -> tuple[str, ...]:
    """The key path in the file: targets are validated as a list, so their index becomes their name again."""
    if len(loc) > 1 and loc[0] == "targets" and loc[1].isdigit():
        return ("targets", list(raw["targets"])[int(loc[1])], *loc[2:])
    if loc == ("budget_day",):
        return ("limits", "budget_day_total")
    return loc


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) on which the longest known prefix of a key path stands."""
    table: tuple[str, ...] = ()
    best_line, best_length = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if header:
            table = _split_key(header[1])
            candidate = table
        elif key:
            candidate = (*table, *_split_key(key[1]))
        else:
            continue
        shared = min(len(candidate), len(path))
        if shared > best_length and candidate[:shared] == path[:shared]:
            best_line, best_length = number, shared
    return best_line


def _split_key(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
