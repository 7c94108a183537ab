#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents say what is there: linked files exist, and every --flag shown with one of our commands is in its source."""
import pathlib
import re
import sys

import lintlib

LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")
COMMANDS = {
    "culprit-agent": ("agent/",),
    "culprit-collector": ("collector/",),
    "culprit": ("collector/",),
    "quickstart.sh": ("deploy/quickstart.sh",),
    "run.sh": ("tests/run.sh",),
    "install.sh": ("deploy/install.sh",),
    "install-packages.sh": ("deploy/install-packages.sh",),
}
CALL = re.compile(r"(?<![\w.-])(?:\./)?(?:[\w./-]*/)?(" + "|".join(re.escape(c) for c in COMMANDS) + r")((?:[ \t]+[^\s|&;`#]+)*)")
FLAG = re.compile(r"--[a-z][a-z-]+")


def source_of(root, files, command):
    return "\n".join(lintlib.read(root, f) for f in files
                     if any(str(f).startswith(p) for p in COMMANDS[command]) and f.suffix in (".cc", ".h", ".sh"))


def code_lines(text):
    """Lines inside ``` fences and `code spans` of a markdown file."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, line
        else:
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span


def check_manual(root, files, name, findings):
    if lintlib.read(root, name).startswith(".so "):  # another name of a manual
        return
    command = name.name.rsplit(".", 1)[0]
    source = source_of(root, files, command)
    for number, line in enumerate(lintlib.read(root, name).splitlines(), 1):
        for flag in FLAG.findall(line.replace("\\-", "-")):
            if flag not in source:
                findings.append(f"{name}:{number}: {command} has no {flag}")


def check(root):
    findings = []
    files = lintlib.tree(root)
    sources = {}
    for name in files:
        if str(name).startswith("deploy/man/"):
            check_manual(root, files, name, findings)
        if name.suffix != ".md":
            continue
        text = lintlib.read(root, name)
        for number, line in enumerate(text.splitlines(), 1):
            for match in LINK.finditer(line):
                if not (pathlib.Path(root) / name.parent / match.group(1)).exists():
                    findings.append(f"{name}:{number}: link to {match.group(1)}, which does not exist")
        for number, line in code_lines(text):
            for match in CALL.finditer(line):
                command = match.group(1)
                sources.setdefault(command, source_of(root, files, command))
                for flag in FLAG.findall(match.group(2)):
                    if flag not in ("--help", "--version") and flag not in sources[command]:
                        findings.append(f"{name}:{number}: {command} has no {flag}")
    return findings


GOOD = {
    "README.md": "See [design](DESIGN.md).\n```\nculprit flows --follow\nsudo deploy/quickstart.sh --stop\n```\n",
    "DESIGN.md": "text\n",
    "collector/cli/main.cc": 'app.add_flag("--follow");\n',
    "deploy/quickstart.sh": "--stop) ;;\n",
}
BROKEN = [
    ("dead link", {"README.md": "[x](NOWHERE.md)\n"}, "does not exist"),
    ("unknown flag", {"README.md": "```\nculprit flows --fellow\n```\n"}, "culprit has no --fellow"),
    ("unknown flag in a manual", {"deploy/man/culprit.1": ".B \\-\\-fellow\n"}, "culprit has no --fellow"),
    ("unknown flag in a span", {"README.md": "Use `deploy/quickstart.sh --halt`.\n"}, "quickstart.sh has no --halt"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
