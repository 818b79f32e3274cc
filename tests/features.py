#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""doc/FEATURES.md out of tests/features.txt. `--check`: complains of rows that are missing or twice, of tests that are
not there, and of a document that is not what it would be made of now."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
DOCUMENT = TOP / "doc" / "FEATURES.md"
ROWS = {"S0": 28, "S1": 41, "S2": 31, "S3": 78, "S4": 40}
PLACES = ("tests/system/test_*.py", "tests/unit/test_*.c", "tests/guard/limits.txt", "clients/js/test/*/*.test.ts",
          "clients/js/test/*/*.test.tsx", "clients/python/tests/test_*.py", "clients/django/tests/test_*.py")
HEAD = """# What the five systems promise, and the test that shows it

`chat`, `estimates`, `project`, `streaming` and `tasks` are five systems that stream to browsers, each in its own way;
`presets/` has a file for each. This lists everything that their documents promise, where it stands in pgherald, and the
tests that show it. It is made by `tests/features.py` out of `tests/features.txt`; `make check` sees that each test is
there. Of the {all} rows {shown} are shown by tests, {no} are not ours by decision, and {missing} are not there yet.

Tests of `.py` and `.c` files are named without `test_`, others by words of their title. They are in tests/system,
tests/unit, tests/guard, and in the `test` directories of clients/.
"""


def rows():
    """(number of the line, system, id, what, where, proof) of each row."""
    system = ""
    for n, line in enumerate((TOP / "tests/features.txt").read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# == "):
            system = line[5:]
        elif line and not line.startswith("#"):
            part = [p.strip() for p in line.split(" | ")]
            if len(part) != 4 or not all(part):
                sys.exit(f"tests/features.txt:{n}: number | what | where | tests")
            yield (n, system, *part)


def proofs(text):
    """{file: names}"""
    found = {}
    for part in text.split(" / "):
        file, _, names = part.partition(": ")
        found.setdefault(file, []).extend(name.strip() for name in re.split(r"; ", names))
    return found


def there(path, name):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return re.search(rf"def test_{re.escape(name)}\(", text)
    if path.suffix == ".c":
        return f"TEST({name})" in text or f"test_{name}(" in text
    return re.search(rf"(test|describe)\b.*{re.escape(name)}", text) if path.suffix.startswith(".ts") else name in text


def document(table):
    decided = [r[5].partition(": ")[0] for r in table]
    count = {"no": decided.count("no"), "missing": decided.count("not yet"), "all": len(table)}
    out = [HEAD.format(shown=len(table) - count["no"] - count["missing"], **count)]
    before = None
    for _, system, number, what, where, proof in table:
        if system != before:
            out.append(f"\n## {system}\n\n| | what | where | shown by |\n|---|---|---|---|\n")
            before = system
        if proof.startswith(("no: ", "not yet: ")):
            kind, _, why = proof.partition(": ")
            shown = f"**{'not ours' if kind == 'no' else kind}**: {why}"
        else:
            shown = "; ".join(f"`{file}`: " + ", ".join(f"`{n}`" if re.fullmatch(r"[\w.]+", n) else f"“{n}”" for n in names)
                              for file, names in proofs(proof).items())
        out.append(f"| {number} | {what} | {where} | {shown} |\n".replace("<", "\\<"))
    return "".join(out)


def complaints(table):
    files = {}
    for pattern in PLACES:
        for path in TOP.glob(pattern):
            files.setdefault(path.name, []).append(path)
    numbers = [r[2] for r in table]
    want = [f"{system}-{i:02}" for system, n in ROWS.items() for i in range(1, n + 1)]
    for number in sorted(set(want) ^ set(numbers)) + sorted({n for n in numbers if numbers.count(n) > 1}):
        yield f"tests/features.txt:1: {number} must stand here once"
    if numbers != sorted(numbers):
        yield "tests/features.txt:1: rows stand in order"
    for n, _, number, _, _, proof in table:
        if proof.startswith(("no: ", "not yet: ")):
            continue
        for file, names in proofs(proof).items():
            for name in names:
                if not name or not any(there(path, name) for path in files.get(file, ())):
                    yield f"tests/features.txt:{n}: {number}: {file} has no {name or 'name of a test'}"
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != document(table):
        yield "doc/FEATURES.md:1: not made of tests/features.txt as it is: run tests/features.py"


def main():
    table = list(rows())
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(document(table), encoding="utf-8")
    bad = list(complaints(table))
    print("\n".join(bad))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
