"""The language of a case: what is asked, and what must come of it. README.md describes it."""

import datetime
import json
import re
import shlex
import xml.etree.ElementTree

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z")
KINDS = {
    "<any>": lambda seen: True,
    "<boolean>": lambda seen: isinstance(seen, bool),
    "<list>": lambda seen: isinstance(seen, list),
    "<number>": lambda seen: isinstance(seen, (int, float)) and not isinstance(seen, bool),
    "<object>": lambda seen: isinstance(seen, dict),
    "<string>": lambda seen: isinstance(seen, str),
    "<time>": lambda seen: isinstance(seen, str) and bool(TIME.fullmatch(seen)),
}
CAPTURE = re.compile(r"(?P<pattern>.*) as \$(?P<name>[a-z][a-z0-9_]*)", re.DOTALL)
NAME = re.compile(r"\$(?:([a-z][a-z0-9_]*)|\{([a-z][a-z0-9_]*)\})")
STATUSES = {"json", "xml"}


class Wrong(Exception):
    """What was seen is not what the case says; the text says what differs, and where."""


class Unreadable(Exception):
    """A case that cannot be read; the text names the line."""


class Case:
    """One command or request, and what is expected of it."""

    def __init__(self, file, number, name):
        self.where = f"{file.name}:{number}"
        self.name = name
        self.steps = []


class Step:
    """A line that starts with `$` or with a method, its conditions, and its expectations."""

    def __init__(self, where, line):
        self.where = where
        self.line = line
        self.conditions = []  # (word, rest), in order
        self.status = None
        self.expectations = []  # (word, rest), in order


def read(file):
    """Reads a file of cases."""
    cases = []
    step = None
    lines = list(enumerate(file.read_text(encoding="utf-8").splitlines(), start=1))
    while lines:
        number, line = lines.pop(0)
        where = f"{file.name}:{number}"
        while line.endswith("\\") and lines:
            line = line[:-1].rstrip() + " " + lines.pop(0)[1].strip()
        words = line.split(maxsplit=1)
        rest = words[1] if len(words) > 1 else ""
        if not words or line.startswith("#"):
            continue
        if words[0] == "case":
            cases.append(Case(file, number, rest))
            step = None
        elif not line.startswith(" ") and words[0] != "=>" and cases:
            step = Step(where, line)
            cases[-1].steps.append(step)
        elif step is None:
            raise Unreadable(f"{where}: stands outside a step of a case")
        elif words[0] == "=>":
            if not rest.isdigit():
                raise Unreadable(f"{where}: `=>` needs a status")
            step.status = int(rest)
        elif step.status is None:
            step.conditions.append((words[0], rest))
        else:
            # A document goes on until it is whole.
            while words[0] in STATUSES and not whole(rest) and lines:
                rest += "\n" + lines.pop(0)[1]
            step.expectations.append((words[0], rest))
    for case in cases:
        unfinished = [step for step in case.steps if step.status is None]
        if unfinished or not case.steps:
            raise Unreadable(f"{case.where}: a step without `=>`, or no step")
    return cases


def whole(text):
    try:
        json.loads(text.removeprefix("exactly "))
    except ValueError:
        return False
    return True


def filled(text, names):
    """Puts captures in the place of their names. What starts with a capital letter is none."""

    def value(found):
        name = found[1] or found[2]
        if name not in names:
            raise Unreadable(f"nothing was captured as ${name}")
        return names[name]

    return NAME.sub(value, text)


def words_of(line, names):
    """Splits a command as a shell does, then fills in the captures."""
    return [filled(word, names) for word in shlex.split(line)]


def match_text(pattern, seen, names, where):
    """Compares a text with a pattern in which `*` stands for any characters."""
    captured = CAPTURE.fullmatch(pattern)
    if captured:
        pattern = captured["pattern"]
    pattern = filled(pattern, names)
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    if not re.fullmatch(expression, seen, re.DOTALL):
        raise Wrong(f"{where}: expected {pattern!r}, saw {seen!r}")
    if captured:
        names[captured["name"]] = seen


def match(pattern, seen, names, exactly=False, where="answer"):
    """Compares a value with a pattern: members that the pattern does not name may be there."""
    captured = CAPTURE.fullmatch(pattern) if isinstance(pattern, str) else None
    kind = captured["pattern"] if captured else pattern
    if isinstance(kind, str) and kind in KINDS:
        if not KINDS[kind](seen):
            raise Wrong(f"{where}: expected {kind}, saw {json.dumps(seen)}")
        if captured:
            names[captured["name"]] = seen if isinstance(seen, str) else json.dumps(seen)
    elif isinstance(pattern, str) and isinstance(seen, str):
        match_text(pattern, seen, names, where)
    elif isinstance(pattern, dict) and isinstance(seen, dict):
        for name, member in pattern.items():
            if member == "<absent>":
                if name in seen:
                    raise Wrong(f"{where}.{name}: should not be there, saw {json.dumps(seen[name])}")
            elif name not in seen:
                raise Wrong(f"{where}.{name}: is not there; there are {sorted(seen)}")
            else:
                match(member, seen[name], names, exactly, f"{where}.{name}")
        more = sorted(set(seen) - set(pattern))
        if exactly and more:
            raise Wrong(f"{where}: has also {more}")
    elif isinstance(pattern, list) and isinstance(seen, list):
        open_end = pattern[-1:] == ["..."]
        items = pattern[:-1] if open_end else pattern
        if len(seen) < len(items) or (len(seen) > len(items) and not open_end):
            raise Wrong(f"{where}: expected {len(items)} items, saw {len(seen)}: {json.dumps(seen)}")
        for index, (item, other) in enumerate(zip(items, seen)):
            match(item, other, names, exactly, f"{where}[{index}]")
    elif type(pattern) is not type(seen) or pattern != seen:
        raise Wrong(f"{where}: expected {json.dumps(pattern)}, saw {json.dumps(seen)}")


def check_document(rest, seen, names):
    exactly = rest.startswith("exactly ")
    match(json.loads(rest.removeprefix("exactly ")), seen, names, exactly)


def check_lines(expected, seen, names):
    """Compares the lines of a text; ⇥ is a tab."""
    lines = seen.splitlines()
    if len(lines) != len(expected):
        raise Wrong(f"expected {len(expected)} lines, saw {len(lines)}: {seen!r}")
    for number, (pattern, line) in enumerate(zip(expected, lines), start=1):
        match_text(re.sub(r" *⇥ *", "\t", pattern), line, names, f"line {number}")


def as_tree(element):
    """Turns XML into what JSON could say: items of a list are a list, texts are texts."""
    children = list(element)
    if not children:
        return element.text or ""
    tags = [re.sub(r"^\{.*\}", "", child.tag) for child in children]
    if set(tags) <= {"item", "member"}:
        return [as_tree(child) for child in children]
    return dict(zip(tags, map(as_tree, children)))


def xml_tree(text):
    try:
        root = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError as fault:
        raise Wrong(f"no XML: {fault}: {text!r}") from fault
    return {re.sub(r"^\{.*\}", "", root.tag): as_tree(root)}


def duration(text):
    """Reads `14m59s`, `10s` or `2h`, with a sign or without."""
    found = re.fullmatch(r"([+-]?)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not found or not any(found.groups()[1:]):
        raise Unreadable(f"`{text}` is no duration")
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    length = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] == "-" else length
