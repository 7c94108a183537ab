#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The include arrows of DESIGN.md: which folder may include which, and what pure stages must never touch."""
import re
import sys

import lintlib

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)

# The interfaces by which stages know each other; everything else of a stage is its own.
CONTRACTS = {
    "agent/source/source.h", "agent/spool/spool.h", "agent/stream/sender_link.h", "agent/parser/parser_link.h",
    "agent/names/name_observer.h",
    "collector/model/stored.h", "collector/journal/journal.h", "collector/store/evidence_store.h",
    "collector/detect/bill.h", "collector/detect/finding_store.h", "collector/detect/rules.h", "collector/alert/alerter.h", "collector/alert/alert_target.h",
    "collector/snapshot/snapshots.h",
}
# Folders that stand outside the chain of stages: values, and what every stage may use.
SHARED = {"agent": {"agent/enrol", "agent/imds", "agent/model", "agent/process", "agent/s3"},
          "collector": {"collector/audit", "collector/model", "collector/pki", "collector/sqlite", "collector/geo", "collector/cost", "collector/answer",
                        "collector/format", "collector/report"}}
PURE = ("agent/model", "agent/decode", "agent/assemble", "agent/names", "agent/login", "agent/enrich", "agent/aggregate", "agent/triage",
        "collector/model", "collector/cost", "collector/answer", "collector/format", "collector/report")
PURE_FILES = (
    "agent/parser/parser_wire", "agent/posture/accounts", "agent/posture/authorized_keys", "agent/posture/drop_in", "agent/posture/glob",
    "agent/posture/host_checks", "agent/posture/key_checks", "agent/posture/key_options", "agent/posture/key_paths",
    "agent/posture/key_records", "agent/posture/key_scan", "agent/posture/policy", "agent/posture/posture", "agent/posture/posture_facts", "agent/posture/posture_scan", "agent/posture/watched_tree",
    "agent/posture/private_keys", "agent/posture/revoked_keys", "agent/posture/ssh_key",
    "agent/posture/server_checks", "agent/posture/ssh_servers", "agent/posture/sshd_checks", "agent/posture/sshd_command",
    "agent/posture/sshd_defaults", "agent/posture/sshd_rows", "agent/posture/systemd_unit",
    "agent/posture/sshd_effective", "agent/posture/sshd_keywords", "agent/posture/sshd_lexer", "agent/posture/sshd_numbers",
    "agent/posture/sshd_parser", "agent/posture/sshd_patterns", "agent/posture/sshd_values", "agent/ring/contact_book",
    "agent/ring/lane", "agent/s3/aws_keys", "agent/s3/s3_answer", "agent/s3/sink_options", "agent/stream/spool_object", "agent/ring/packet_export", "agent/ring/packet_join", "agent/ring/segment_index",
    "agent/snapshot/process_text", "agent/snapshot/redact", "agent/snapshot/sock_diag", "agent/snapshot/socket_text", "agent/stream/control_wire", "collector/detect/beacon", "collector/detect/brute_force", "collector/detect/dns_tunnel",
    "collector/detect/baseline", "collector/detect/bill", "collector/detect/budget", "collector/detect/egress", "collector/detect/engine",
    "collector/detect/episodes", "collector/detect/events", "collector/detect/programs", "collector/detect/scene",
    "collector/detect/session_book", "collector/detect/spend", "collector/detect/weights", "collector/detect/work_hours", "collector/detect/flood",
    "collector/detect/group", "collector/detect/host_detector", "collector/detect/integrity", "collector/detect/integrity_beat",
    "collector/detect/integrity_state", "collector/detect/mining", "collector/detect/process_book",
    "collector/detect/reflector", "collector/detect/relay", "collector/detect/rules", "collector/detect/scan",
    "collector/detect/spam", "collector/detect/windows",
    "collector/alert/alert_body", "collector/alert/alert_rules", "collector/alert/retry_delay", "collector/alert/signature",
    "collector/alert/syslog_address",
    "collector/audit/audit_chain", "collector/enrol/identity_document", "collector/enrol/join_token", "collector/enrol/region_certificates",
    "collector/metrics/collector_metrics", "collector/metrics/health", "collector/pki/access", "collector/pki/client_check", "collector/pki/peer_identity", "collector/pki/signing_request",
    "collector/geo/ip_ranges", "collector/geo/geo_tables", "collector/ingest/control_rules", "collector/ingest/validate", "collector/snapshot/custody",
)
IMPURE = re.compile(
    r"^(grpc|grpcpp/|bpf/(libbpf|bpf)\.h|pcap|sqlite3|fstream|filesystem|sys/(socket|epoll|stat|mman)\.h|fcntl\.h|"
    r"unistd\.h|ctime|time\.h|thread|mutex)")
CLOCK = re.compile(r"(system_clock|steady_clock|high_resolution_clock)::now|clock_gettime|gettimeofday")


def folder(name):
    return "/".join(str(name).split("/")[:2])


def wires_stages(name):
    """agent/*.cc and collector/*.cc join the stages, so they may include all of them."""
    parts = str(name).split("/")
    return parts[0] in ("agent", "collector") and len(parts) == 2


def allowed(name, target):
    side, target_side = str(name).split("/")[0], target.split("/")[0]
    if side == "tests":
        return True
    if target_side == "tests":
        return False
    if target_side == "common":
        return side != "bpf"
    if target_side == "culprit":  # generated from proto/
        return side in ("agent", "collector")
    if target_side == "bpf":
        return side == "bpf" or (side == "agent" and target in ("bpf/abi.h", "bpf/tap_abi.h", "bpf/tasks_abi.h"))
    if target_side in ("agent", "collector"):
        if side != target_side:
            return False
        if wires_stages(name) or wires_stages(target) and folder(name) == f"{side}/cli":
            return True
        if folder(target) == folder(name) or folder(target) in SHARED[side] or target in CONTRACTS:
            return True
        return False
    return True


def check_pure(name, text, findings):
    pure = folder(name) in PURE or str(name).rsplit(".", 1)[0] in PURE_FILES
    if not pure:
        return
    for match in INCLUDE.finditer(text):
        if IMPURE.match(match.group(2)):
            findings.append(f"{name}:{line_of(text, match)}: pure stage includes {match.group(2)}")
    for match in CLOCK.finditer(text):
        findings.append(f"{name}:{line_of(text, match)}: pure stage reads a clock; time arrives in the data")


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def check(root):
    findings = []
    files = lintlib.tree(root)
    known = {str(f) for f in files}
    for name in files:
        if not lintlib.is_cpp(name):
            continue
        text = lintlib.read(root, name)
        check_pure(name, text, findings)
        for match in INCLUDE.finditer(text):
            target, where = match.group(2), f"{name}:{line_of(text, match)}"
            generated = target.startswith("culprit/") or target.endswith(".skel.h")
            if match.group(1) == '"' and not generated and target not in known:
                findings.append(f'{where}: "{target}" is not a path from the top of the tree')
            if target in known and not allowed(name, target) or target.startswith("culprit/") and not allowed(name, target):
                findings.append(f"{where}: {folder(name)} must not include {target}")
            side = str(name).split("/")[0]
            if side == "agent" and target.endswith(".pb.h"):
                wire = str(name).startswith(("agent/model/wire.", "agent/model/wire_")) or folder(name) == "agent/stream"
                if not wire:
                    findings.append(f"{where}: protobuf belongs in agent/model/wire.* and agent/stream")
    return findings


GOOD = {
    "common/a.h": "#include <string>\n",
    "agent/model/m.h": '#include "common/a.h"\n',
    "agent/spool/spool.h": '#include "common/a.h"\n',
    "agent/decode/d.cc": '#include "agent/model/m.h"\n',
    "agent/stream/s.cc": '#include "agent/spool/spool.h"\n#include "culprit/v1/ingest.pb.h"\n#include <fcntl.h>\n',
    "agent/agent.cc": '#include "agent/decode/d.h"\n',
    "agent/decode/d.h": "",
    "collector/query/q.cc": '#include "common/a.h"\n',
}
BROKEN = [
    ("stage includes stage", {"agent/enrich/e.cc": '#include "agent/decode/d.h"\n'}, "must not include agent/decode/d.h"),
    ("side includes side", {"collector/query/q.cc": '#include "agent/model/m.h"\n'}, "must not include agent/model/m.h"),
    ("common includes agent", {"common/a.h": '#include "agent/model/m.h"\n'}, "must not include"),
    ("pure stage with file access", {"agent/decode/d.cc": "#include <fstream>\n"}, "pure stage includes fstream"),
    ("pure stage with gRPC", {"agent/enrich/e.cc": "#include <grpcpp/grpcpp.h>\n"}, "pure stage includes grpcpp"),
    ("pure stage with a clock", {"agent/decode/d.cc": "auto t = std::chrono::steady_clock::now();\n"}, "reads a clock"),
    ("relative include", {"agent/decode/d.cc": '#include "d.h"\n'}, "not a path from the top"),
    ("protobuf in decode", {"agent/decode/d.cc": '#include "culprit/v1/evidence.pb.h"\n'}, "protobuf belongs in"),
    ("production includes tests", {"agent/decode/d.cc": '#include "tests/x.h"\n', "tests/x.h": ""}, "must not include tests"),
    ("agent includes the generated skeleton's folder", {"collector/query/q.cc": '#include "bpf/abi.h"\n', "bpf/abi.h": ""},
     "must not include bpf/abi.h"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
