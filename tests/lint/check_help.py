#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What --help says is said everywhere: every command and option of the built programs is in their manual, and completed by bash, zsh and fish, which
are asked for real where they are installed (zsh for its syntax alone).

check_help.py MANUALS PROGRAM...   exit 1 on a finding;   check_help.py --self-test   judges made-up texts."""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

# Those that every command has: the manual names them once.
COMMON = {"-h", "--help", "-V", "--version"}


def output(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def parse(text):
    """(commands, options) of one page of --help."""
    commands, options, section = [], set(), ""
    for line in text.splitlines():
        if re.match(r"[A-Z][\w ]*:$", line):
            section = line
        elif match := re.match(r"  (-\S+)", line):
            options |= set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", match.group(1)))
        elif section == "Subcommands:" and (match := re.match(r"  ([a-z][\w-]*)(\s|$)", line)):
            commands.append(match.group(1))
        elif line and not line.startswith(" "):
            section = ""
    return commands, options


def walk(program, path=()):
    """{("snapshot", "verify"): (commands, options)} of all pages."""
    commands, options = parse(output(program, *path, "--help"))
    pages = {path: (commands, options)}
    for command in commands:
        pages.update(walk(program, (*path, command)))
    return pages


def plain(manual):
    """The text of a manual without its formatting."""
    text = re.sub(r"\\f[BIRP]|\\&", "", manual).replace("\\-", "-").replace("\\ ", " ")
    return re.sub(r'^\.[A-Z]{1,2} ?|"', "", text, flags=re.M)


def missing_in_manual(name, pages, manual):
    text = plain(manual)
    findings = []
    for path, (commands, options) in pages.items():
        for command in commands:
            if not re.search(rf"(?<![\w-]){re.escape(command)}(?![\w-])", text):
                findings.append(f"{name}: the manual has no command {' '.join((*path, command))}")
        for option in sorted(options - COMMON):
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text):
                findings.append(f"{name}: the manual has no option {' '.join((*path, option))}")
    return findings


def bash_answers(name, script, path, begun):
    words = " ".join(shlex.quote(w) for w in (name, *path, begun))
    function = "_" + name.replace("-", "_")
    done = output("bash", "--norc", "-c", f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(path) + 1}; {function}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return set(done.split())


def fish_answers(name, script, path, begun):
    line = " ".join((name, *path, begun))
    done = output("fish", "--no-config", "-c", f"source {script}; complete -C {shlex.quote(line)}", stderr=subprocess.DEVNULL)
    return {answer.split("\t")[0] for answer in done.splitlines()}


def missing_in_completion(name, shell, answers, script, pages):
    findings = []
    for path, (commands, options) in pages.items():
        for begun, wanted in (("", set(commands)), ("-", {o for o in options if o.startswith("--") or shell == "bash"})):
            if lost := wanted - answers(name, script, path, begun):
                findings.append(f"{name}: {shell} does not complete {' '.join((*path, '…'))} to {', '.join(sorted(lost))}")
    return findings


def check(manuals, program):
    name, pages = pathlib.Path(program).name, walk(program)
    manual = next(manuals.glob(f"{name}.[18]"))
    findings = missing_in_manual(name, pages, manual.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        scripts = {}
        for shell in ("bash", "zsh", "fish"):
            scripts[shell] = pathlib.Path(folder) / f"{name}.{shell}"
            scripts[shell].write_text(output(program, "completion", shell), encoding="utf-8")
        findings += missing_in_completion(name, "bash", bash_answers, scripts["bash"], pages)
        if shutil.which("fish"):
            findings += missing_in_completion(name, "fish", fish_answers, scripts["fish"], pages)
        if shutil.which("zsh"):
            done = subprocess.run(["zsh", "--no-exec", scripts["zsh"]], check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode or done.stdout:
                findings.append(f"{name}: zsh does not take its completion: {done.stdout}")
        text = scripts["zsh"].read_text(encoding="utf-8")
        for path, (commands, options) in pages.items():
            findings += [f"{name}: zsh does not complete {' '.join((*path, word))}" for word in (*commands, *options) if f"'{word}:" not in text]
    return findings, sum(len(commands) + len(options) for commands, options in pages.values())


HELP = ("A tool\nUsage: x [OPTIONS] [SUBCOMMAND]\n\nOptions:\n  -h,--help                   Print this help\n  --out,--dir DIR             Where --nowhere\n\n"
        "Subcommands:\n  show                        What is there\n  check-config                Is it right\n\nExamples:\n  x show --much\n")


def self_test():
    commands, options = parse(HELP)
    failed = []
    if (commands, options) != (["show", "check-config"], {"-h", "--help", "--out", "--dir"}):
        failed.append(f"help: read as {commands}, {options}")
    pages = {(): (commands, options)}
    good = ".B show\n.B check\\-config\n.BR \\-\\-out ,\\ \\-\\-dir\n"
    for what, manual, words in (("whole", good, None), ("no command", good.replace("show", "shown"), "no command show"),
                                ("no option", good.replace("dir", "directory"), "no option --dir")):
        found = missing_in_manual("x", pages, manual)
        if (words is None) != (not found) or words and not any(words in line for line in found):
            failed.append(f"{what}: {found}")
    print("\n".join(failed) if failed else "4 texts judged right")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    findings, words = [], 0
    for program in sys.argv[2:]:
        found, count = check(pathlib.Path(sys.argv[1]), program)
        findings, words = findings + found, words + count
    print("\n".join(findings) if findings else f"{words} commands and options are in the manuals and in every completion")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
