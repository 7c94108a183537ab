#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The built programs run where they shall: no symbol of glibc above 2.34 (Amazon Linux 2023, Ubuntu 22.04, Debian 12), no shared object but glibc's,
libgcc and what EXTRA names; no library that they carry shows its symbols to shared objects, which may have another version of it; and they are hardened: position-independent, all relocations bound at the start and then read-only, no executable
stack, stack protector.

check_programs.py PROGRAM...   exit 1 on a finding;   check_programs.py --self-test COMPILER   makes programs that must be found."""
import pathlib
import re
import subprocess
import sys
import tempfile

HIGHEST = {"GLIBC": (2, 34), "GCC": (7, 0), "LIBSYSTEMD": (249,)}
ALLOWED = re.compile(r"lib(c|m|gcc_s)\.so\.\d+|ld-linux[-\w]*\.so\.\d+")
EXTRA = {"culprit-agent": {"libsystemd.so.0"}, "culprit-collector": {"libcurl.so.4"}}


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def symbols_above(program):
    found = set()
    for text in re.findall(r"\b([A-Z]+_\d[\d.]*)\b", output("readelf", "--version-info", "--wide", program)):
        family, version = text.split("_", 1)
        if family in HIGHEST and tuple(map(int, version.split("."))) > HIGHEST[family]:
            found.add(text)
    return sorted(found)


def check(program, extra):
    name = pathlib.Path(program).name
    findings = [f"{name}: needs {version}, the highest is {HIGHEST[version.split('_')[0]]}" for version in symbols_above(program)]
    dynamic = output("readelf", "--dynamic", "--wide", program)
    for needed in re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", dynamic):
        if not ALLOWED.fullmatch(needed) and needed not in extra:
            findings.append(f"{name}: asks for {needed}, which a host may lack or have in another version")
    if "Type:                              DYN" not in output("readelf", "--file-header", "--wide", program):
        findings.append(f"{name}: is at a fixed address")
    if not re.search(r"\(FLAGS_1\).*\bNOW\b|BIND_NOW", dynamic):
        findings.append(f"{name}: relocations are not bound at the start")
    headers = output("readelf", "--program-headers", "--wide", program)
    if "GNU_RELRO" not in headers:
        findings.append(f"{name}: relocations stay writable")
    if re.search(r"GNU_STACK .* RWE", headers):
        findings.append(f"{name}: its stack can be executed")
    symbols = output("readelf", "--dyn-syms", "--wide", program)
    if "__stack_chk_fail" not in symbols:
        findings.append(f"{name}: no stack protector")
    if shown := re.findall(r" (?:FUNC|OBJECT) +GLOBAL +DEFAULT +\d+ ((?:SSL|CRYPTO|EVP|X509)_\w+)$", symbols, re.M):
        findings.append(f"{name}: shared objects that it loads would take {shown[0]} and {len(shown) - 1} more from it instead of from their own OpenSSL")
    return findings


GOOD_FLAGS = ("-fPIE", "-pie", "-fstack-protector-all", "-Wl,-z,relro,-z,now")
BROKEN = (
    ("a symbol of glibc 2.36", '#include <stdlib.h>\nint main() { return (int)arc4random(); }', GOOD_FLAGS, "needs GLIBC_2.36"),
    ("another library", "#include <zlib.h>\nint main() { return zlibVersion()[0]; }", (*GOOD_FLAGS, "-lz"), "asks for libz.so.1"),
    ("a fixed address", "int main() { return 0; }", ("-no-pie", *GOOD_FLAGS[2:]), "fixed address"),
    ("lazy relocations", "int main() { return 0; }", (*GOOD_FLAGS[:3], "-Wl,-z,relro,-z,lazy"), "not bound"),
    ("a shown library", "#include <openssl/ssl.h>\nint main() { return SSL_CTX_new(TLS_method()) == nullptr; }",
     (*GOOD_FLAGS, "-Wl,--export-dynamic", "-l:libssl.a", "-l:libcrypto.a"), "instead of from their own OpenSSL"),
    ("no protector", "int main() { return 0; }", ("-fPIE", "-pie", "-fno-stack-protector", "-Wl,-z,relro,-z,now"), "no stack protector"),
)


def self_test(compiler):
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "program"

        def verdict(source, flags):
            source_file = program.with_suffix(".cc")
            source_file.write_text(source)
            output(compiler, source_file, *flags, "-o", program)
            return check(program, ())
        if found := verdict("int main() { return 0; }", GOOD_FLAGS):
            failed.append(f"good program: {found}")
        for what, source, flags, words in BROKEN:
            found = verdict(source, flags)
            if not any(words in line for line in found):
                failed.append(f"{what}: expected '{words}', found {found}")
    print("\n".join(failed) if failed else f"{1 + len(BROKEN)} programs judged right")
    return 1 if failed else 0


def main():
    if sys.argv[1:2] == ["--self-test"]:
        return self_test(sys.argv[2])
    findings = [line for program in sys.argv[1:] for line in check(program, EXTRA.get(pathlib.Path(program).name, ()))]
    print("\n".join(findings) if findings else f"{len(sys.argv) - 1} programs run on glibc 2.34")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
