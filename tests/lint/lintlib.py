# SPDX-License-Identifier: Apache-2.0
"""What the lint scripts share: the file list, the report, and the self-test that breaks a copy of a small tree.

Each script is called as  check_X.py ROOT  (checks the tree, prints FILE:LINE: message, exits 1 on a finding) or as
check_X.py --self-test  (writes a good and several broken trees and demands the right verdict for each).
"""
import os
import pathlib
import subprocess
import sys
import tempfile

SKIP_DIRS = {".git", "build", "culprit-data", ".cache"}


def tree(root):
    """Paths below root, relative and sorted: what git tracks or would track; the whole tree where git is no help."""
    root = pathlib.Path(root)
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if (root / ".git").exists() and listing.returncode == 0:
        names = {pathlib.PurePosixPath(os.fsdecode(n)) for n in listing.stdout.split(b"\0") if n}
        return sorted(n for n in names if (root / n).is_file())
    found = []
    for folder, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if d not in SKIP_DIRS and not d.startswith("build")]
        found += [pathlib.PurePosixPath(os.path.relpath(os.path.join(folder, f), root)) for f in files]
    return sorted(found)


def read(root, name):
    return (pathlib.Path(root) / name).read_text(encoding="utf-8", errors="replace")


def is_cpp(name):
    return name.suffix in (".h", ".cc", ".c") and not str(name).startswith("tests/fuzz/corpus/")


def write_tree(root, files):
    for name, text in files.items():
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run(check, good, broken):
    """check(root) -> list of findings. good: {file: text}. broken: [(what, {file: text}, part of the finding)]."""
    if len(sys.argv) == 2 and sys.argv[1] == "--self-test":
        return self_test(check, good, broken)
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} ROOT | --self-test", file=sys.stderr)
        return 2
    findings = check(sys.argv[1])
    print("\n".join(findings) if findings else "clean")
    return 1 if findings else 0


def self_test(check, good, broken):
    failed = []
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, good)
        if check(root):
            failed.append(f"good tree: expected no finding, got {check(root)}")
    for what, change, expected in broken:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, {**good, **change})
            findings = check(root)
            if not any(expected in f for f in findings):
                failed.append(f"{what}: expected a finding with '{expected}', got {findings}")
    print("\n".join(failed) if failed else f"{1 + len(broken)} trees judged right")
    return 1 if failed else 0
