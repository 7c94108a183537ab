#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File and function length, licence line, registered tests, and words and paths that must not be committed."""
import re
import sys

import lintlib

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
LICENSED = {".h", ".cc", ".c", ".py", ".sh", ".proto", ".toml", ".cmake"}
# Put together from halves, so that this file passes its own check.
WORDS = re.compile("|".join(a + b for a, b in (
    (r"\bTO", r"DO\b"), (r"\bFIX", r"ME\b"), (r"\bXX", r"X\b"), (r"\bHA", r"CK\b"), (r"\bfor ", r"now\b"))))
PATHS = re.compile("|".join(a + b for a, b in (
    (r"(?<![\w./-])/wo", r"rk/"), (r"\bissue ", r"#?\d+\b"), (r"TEAM", r"\.md"), (r"\.\./sha", r"red/"))))


def strip(text):
    """Blanks comments, strings and preprocessor lines, so that braces and parentheses can be counted."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    pattern = (r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\''
               r"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*")
    return re.sub(pattern, blank, text, flags=re.S | re.M)


def is_function_head(head):
    head = " ".join(head.split())
    if not head or "(" not in head and not head.endswith(")"):
        return False
    if re.match(r"(template\s*<[^{]*>\s*)?(class|struct|union|enum|namespace)\b", head):
        return False
    return not re.search(r"(=|\breturn|,)\s*$", head)


def functions(text):
    """(first line, lines) of every function body at namespace or class level."""
    depth, opened, start, found = 0, None, 0, []
    code = strip(text)
    for pos, char in enumerate(code):
        if char == "{":
            if opened is None and is_function_head(code[start:pos]):
                head = code[start:pos]
                opened = (depth, code.count("\n", 0, start + len(head) - len(head.lstrip())) + 1)
            depth += 1
        elif char == "}":
            depth -= 1
            if opened is not None and depth == opened[0]:
                found.append((opened[1], code.count("\n", 0, pos) + 2 - opened[1]))
                opened = None
        if opened is None and char in "{};":
            start = pos + 1
    return found


def check_file(root, name, findings):
    text = lintlib.read(root, name)
    lines = text.count("\n") + (not text.endswith("\n"))
    code = lintlib.is_cpp(name) or name.suffix in (".py", ".sh", ".proto")
    if code and lines > MAX_FILE_LINES:
        findings.append(f"{name}:1: {lines} lines, at most {MAX_FILE_LINES}")
    if lintlib.is_cpp(name):
        for line, length in functions(text):
            if length > MAX_FUNCTION_LINES:
                findings.append(f"{name}:{line}: function of {length} lines, at most {MAX_FUNCTION_LINES}")
    if (name.suffix in LICENSED or name.name == "CMakeLists.txt") and "SPDX-License-Identifier:" not in text[:400]:
        findings.append(f"{name}:1: no SPDX-License-Identifier line")
    for what, pattern in (("word", WORDS), ("path or reference", PATHS)):
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            findings.append(f"{name}:{line}: {what} '{match.group(0)}' must not be committed")


def check_registered(root, files, findings):
    lists = "\n".join(lintlib.read(root, f) for f in files if f.name == "CMakeLists.txt")
    for name in files:
        if name.name.endswith("_test.cc") and not re.search(r"(?<![\w])" + re.escape(name.name) + r"\b", lists):
            findings.append(f"{name}:1: not registered in a CMakeLists.txt")


def check(root):
    findings = []
    files = lintlib.tree(root)
    for name in files:
        if not str(name).startswith("tests/fuzz/corpus/") and name.name != "LICENSE":
            check_file(root, name, findings)
    check_registered(root, files, findings)
    return findings


SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
BODY = "  x();\n"
GOOD = {
    "a.cc": SPDX + 'namespace n {\nconst char* k = "{(";\nint F(int a) {\n' + BODY * 58 + "}\nstruct S { int b; };\n}\n",
    "tests/a_test.cc": SPDX,
    "tests/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nculprit_test(a_test SOURCES a_test.cc)\n",
}
BROKEN = [
    ("long file", {"a.cc": SPDX + "\n" * 501}, "at most 500"),
    ("long function", {"a.cc": SPDX + "int F(int a) {\n" + BODY * 60 + "}\n"}, "function of 62 lines"),
    ("long method", {"a.cc": SPDX + "class C {\n int F() const {\n" + BODY * 70 + "}\n};\n"}, "function of 72 lines"),
    ("no licence", {"b.h": "int x;\n"}, "no SPDX"),
    ("a word", {"a.cc": SPDX + "// TO" + "DO later\n"}, "must not be committed"),
    ("a machine's path", {"a.cc": SPDX + "// see /wo" + "rk/x\n"}, "must not be committed"),
    ("unregistered test", {"tests/b_test.cc": SPDX}, "not registered"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
