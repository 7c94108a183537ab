#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bill of materials of one package, SPDX 2.3 as JSON, and the copyright notices of what is in it.

    sbom.py --name NAME --version VERSION --build DIR --compiler CXX [--root DIR] --sbom FILE --notices FILE PROGRAM...

It is made of facts: the linker's map beside each program says which archives are in it, its dynamic section which shared objects it asks for, the
build's depfiles which headers its sources read; dpkg says which packages those are. The time is that of the newest entry of the change log, so that
the same sources and packages give the same file. --root: where the libraries of a cross compiler are (deploy/arm64_root.py)."""
import argparse
import email.utils
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# What every program of this compiler is made with; of these no code is in the programs but what stands in the map.
TOOLCHAIN = re.compile(r"^(libc6-dev|linux-libc-dev|libstdc\+\+-\d+-dev|libgcc-\d+-dev|libc6-dev-.*|clang.*|libclang.*)$")
OURS = "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)"
PARTS = {"culprit-agent": ("agent", "bpf", "common", "proto")}
OTHERS = ("collector", "common", "proto")


def output(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, **options).stdout


class Packages:
    """What dpkg knows of the files below a root."""

    def __init__(self, root):
        self.root = root.rstrip("/")
        self.query = ["dpkg-query", f"--admindir={self.root}/var/lib/dpkg"]

    def owners(self, paths):
        """{package: [paths]}, for merged and unmerged /usr."""
        found = {}
        inside = [p.removeprefix(self.root) for p in paths if p.startswith(f"{self.root}/")]
        for start in range(0, len(inside), 400):
            part = inside[start:start + 400]
            done = subprocess.run([*self.query, "-S", *part, *(p[4:] for p in part if p.startswith("/usr/lib/"))], check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for line in done.stdout.splitlines():
                names, _, path = line.rpartition(": ")
                if names and not line.startswith("diversion"):
                    found.setdefault(names.split(", ")[0], []).append(path)
        return found

    def facts(self, package):
        form = "${binary:Package}\\t${Version}\\t${source:Package}\\t${source:Version}\\t${Architecture}"
        name, version, source, source_version, architecture = output(*self.query, "-W", f"-f={form}", package).split("\t")
        path = pathlib.Path(f"{self.root}/usr/share/doc") / name.split(":")[0] / "copyright"
        return {"name": name.split(":")[0], "version": version, "source": source, "source_version": source_version, "architecture": architecture,
                "copyright": path.read_text(errors="replace") if path.exists() else ""}


def archives(program):
    """Archives of others that the linker took something from."""
    linked = pathlib.Path(f"{program}.map")
    return set(re.findall(r"(/\S*/usr/lib/[^\s()]+\.a|/usr/lib/[^\s()]+\.a)\(", linked.read_text(errors="replace"))) if linked.exists() else set()


def shared_objects(program, compiler, root):
    """Where the compiler's machine has what the program asks for at its start."""
    names = re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", output("readelf", "-d", program))
    if root != "/":
        return {str(path) for name in names for path in pathlib.Path(root).glob(f"usr/lib/*-linux-gnu/{name}")}
    paths = [output(compiler, f"-print-file-name={name}").strip() for name in names]
    return {path for path in paths if path.startswith("/")}


def headers(build, name, root):
    """System headers that objects of the program's folders read."""
    found, wanted = set(), False
    if not (pathlib.Path(build) / "build.ninja").exists():
        return found
    for line in output("ninja", "-C", build, "-t", "deps", stderr=subprocess.DEVNULL).splitlines():
        if line and not line.startswith(" "):
            wanted = line.split("/")[0] in PARTS.get(name, OTHERS)
        elif wanted and "/usr/include/" in line:
            found.add(line.strip())
    # A path that is not below / is relative to where it was compiled.
    return {path for path in (os.path.normpath(os.path.join(build, p)) for p in found) if path.startswith(os.path.join(root, "usr/include/"))}


def owners(paths, systems):
    """The facts of all packages that the paths are of."""
    paths = sorted({str(pathlib.Path(p).resolve()) for p in paths} | {str(p) for p in paths})
    for packages in systems:
        for name in sorted(packages.owners(paths)):
            yield packages.facts(name)


def entry(fact):
    licences = sorted(set(re.findall(r"^License:[ \t]*(\S.*)$", fact["copyright"], re.M)))
    said = f"Debian's copyright file names: {'; '.join(licences)}" if licences else "See Debian's copyright file"
    return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", fact["name"]), "name": fact["name"], "versionInfo": fact["version"],
            "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION", "licenseComments": said, "copyrightText": "NOASSERTION",
            "sourceInfo": f"built from the Debian source package {fact['source']} {fact['source_version']}",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{fact['name']}@{fact['version']}?arch={fact['architecture']}"}]}


def created():
    stamp = re.search(r"^ -- .*>  (.+)$", (HERE / "debian/changelog").read_text(encoding="utf-8"), re.M).group(1)
    return email.utils.parsedate_to_datetime(stamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def document(name, version, related):
    """related: {package: (relationship, facts)}."""
    root = {"SPDXID": "SPDXRef-culprit", "name": name, "versionInfo": version, "supplier": "Organization: The Culprit authors",
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": OURS, "licenseDeclared": OURS,
            "copyrightText": "The Culprit authors", "primaryPackagePurpose": "APPLICATION"}
    packages = [entry(fact) for _, fact in related.values()]
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": root["SPDXID"]}]
    relations += [{"spdxElementId": root["SPDXID"], "relationshipType": kind, "relatedSpdxElement": package["SPDXID"]}
                  for (kind, _), package in zip(related.values(), packages)]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
            "documentNamespace": f"urn:culprit:sbom:{name}:{version}", "creationInfo": {"created": created(), "creators": ["Tool: culprit-sbom"]},
            "packages": [root, *packages], "relationships": relations}


def notices(related):
    parts = ["What stands in the programs of this package and is not Culprit's own, by the copyright files of the Debian packages it comes from.\n"]
    for package, (kind, fact) in related.items():
        if kind != "DYNAMIC_LINK":
            parts.append(f"\n{'=' * 100}\n{package} {fact['version']}\n{'=' * 100}\n{fact['copyright']}")
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for option in ("--name", "--version", "--build", "--compiler", "--sbom", "--notices"):
        parser.add_argument(option, required=True)
    parser.add_argument("--root", default="/")
    parser.add_argument("programs", nargs="+")
    given = parser.parse_args()
    related = {}
    systems = [Packages(root) for root in dict.fromkeys((given.root, "/"))]
    for kind, paths in (("STATIC_LINK", set().union(*(archives(p) for p in given.programs))),
                        ("DYNAMIC_LINK", set().union(*(shared_objects(p, given.compiler, given.root) for p in given.programs))),
                        ("CONTAINS", headers(given.build, given.name, given.root))):
        for fact in owners(paths, systems):
            # A -dev package whose library is linked stands there for the library; headers alone are code, too.
            if fact["name"] not in related and not (kind == "CONTAINS" and TOOLCHAIN.match(fact["name"])):
                related[fact["name"]] = (kind, fact)
    pathlib.Path(given.sbom).write_text(json.dumps(document(given.name, given.version, related), indent=1) + "\n", encoding="utf-8")
    pathlib.Path(given.notices).write_bytes(gzip.compress(notices(related).encode(), 9, mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
