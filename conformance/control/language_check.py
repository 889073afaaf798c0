"""Whether the judge judges: what patterns match, and what they must not match."""

import cases

# Pattern, what is seen, and what is wrong with it: nothing, or a word of the complaint.
DOCUMENTS = [
    ('{"a": 1}', {"a": 1, "b": 2}, None),
    ('exactly {"a": 1}', {"a": 1, "b": 2}, "has also"),
    ('exactly {"a": {"b": 1}}', {"a": {"b": 1, "c": 2}}, "answer.a: has also"),
    ('{"a": 1}', {"b": 1}, "is not there"),
    ('{"a": 1}', {"a": "1"}, "expected 1"),
    ('{"a": true}', {"a": 1}, "expected true"),
    ('{"a": 1}', {"a": True}, "expected 1"),
    ('{"a": null}', {"a": ""}, "expected null"),
    ('{"a": "<absent>"}', {}, None),
    ('{"a": "<absent>"}', {"a": None}, "should not be there"),
    ('{"a": "<number>"}', {"a": True}, "expected <number>"),
    ('{"a": "<time>"}', {"a": "2020-09-26T14:28:58.000Z"}, None),
    ('{"a": "<time>"}', {"a": "2020-09-26 14:28:58"}, "expected <time>"),
    ('{"a": "i-*"}', {"a": "i-0bad"}, None),
    ('{"a": "i-*"}', {"a": "xi-0bad"}, "expected 'i-*'"),
    ('{"a": "i.b"}', {"a": "ixb"}, "expected 'i.b'"),
    ('["a", "..."]', ["a", "b", "c"], None),
    ('["a", "..."]', [], "expected 1 items"),
    ('["a"]', ["a", "b"], "expected 1 items"),
    ('["a", "b"]', ["b", "a"], "answer[0]"),
    ('{"a": []}', {"a": {}}, "expected []"),
    ('{"a": "$known"}', {"a": "i-1"}, None),
    ('{"a": "${known}"}', {"a": "i-2"}, "expected 'i-1'"),
    ('{"a": "$Latest"}', {"a": "$Latest"}, None),
]
LINES = [
    (["a ⇥ b"], "a\tb\n", None),
    (["a ⇥ b"], "a b\n", "line 1"),
    (["a"], "a\nb\n", "expected 1 lines"),
    (["a"], "", "expected 1 lines"),
]


def complaint(check, *arguments):
    try:
        check(*arguments)
    except cases.Wrong as wrong:
        return str(wrong)
    return None


def failures():
    """What does not hold of the language."""
    names = {"known": "i-1"}
    rows = [(cases.check_document, row) for row in DOCUMENTS] + [(cases.check_lines, row) for row in LINES]
    found = []
    for check, (pattern, seen, expected) in rows:
        said = complaint(check, pattern, seen, dict(names))
        if (said is None) != (expected is None) or (said and expected not in said):
            found.append(f"{pattern} of {seen!r}: expected {expected!r}, saw {said!r}")
    captured = {}
    cases.check_document('{"a": "i-* as $id", "b": "<number> as $count"}', {"a": "i-1", "b": 2}, captured)
    if captured != {"id": "i-1", "count": "2"}:
        found.append(f"captures: {captured}")
    return found
