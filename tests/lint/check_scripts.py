#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shell and Python scripts: shellcheck is clean, scripts with a shebang are executable, Python files compile."""
import ast
import os
import pathlib
import subprocess
import sys

import lintlib


def check(root):
    findings = []
    shell = []
    for name in lintlib.tree(root):
        path = pathlib.Path(root) / name
        with open(path, "rb") as file:
            first = file.read(80).split(b"\n")[0]
        if first.startswith(b"#!") and not os.access(path, os.X_OK):
            findings.append(f"{name}:1: has an interpreter line but is not executable")
        if name.suffix == ".sh" or first.endswith((b"bash", b"/sh")) and first.startswith(b"#!"):
            shell.append(str(name))
        if name.suffix == ".py":
            try:
                ast.parse(lintlib.read(root, name))
            except SyntaxError as error:
                findings.append(f"{name}:{error.lineno}: {error.msg}")
    if shell:
        done = subprocess.run(["shellcheck", "-x", "-f", "gcc", "-P", "SCRIPTDIR", *shell], cwd=root,
                              stdout=subprocess.PIPE, text=True, check=False)
        findings += done.stdout.splitlines()
        if done.returncode not in (0, 1):
            findings.append(f"shellcheck ended with {done.returncode}")
    return findings


GOOD = {"a.sh": '#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\necho "$1"\n', "b.py": "x = 1\n"}
BROKEN = [
    ("unquoted variable", {"a.sh": "#!/usr/bin/env bash\nrm -rf $1\n"}, "SC2086"),
    ("Python that does not parse", {"b.py": "def f(:\n"}, "b.py:1"),
    ("not executable", {"c.py": "#!/usr/bin/env python3\n"}, "not executable"),
]


def check_made_executable(root):
    """The self-test's own files get their mode here, except the one that must lack it."""
    for name in ("a.sh",):
        path = pathlib.Path(root) / name
        if path.exists():
            path.chmod(0o755)
    return check(root)


if __name__ == "__main__":
    sys.exit(lintlib.run(check_made_executable if "--self-test" in sys.argv else check, GOOD, BROKEN))
