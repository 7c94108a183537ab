#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Terraform files and IAM policies: blocks close, every variable, local and resource that is named is declared and every declared variable is used, files
exist; instances want IMDSv2 tokens over one hop, are protected and encrypted; nothing comes in at the agent; policies parse, and say * only where they look."""
import json
import pathlib
import re
import sys

import lintlib

LOOKS = re.compile(r"\w+:(Describe|Get|List)\w*")


def blank(text):
    """Without comments, and strings without what is not a reference."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', lambda m: '"' + " ".join(re.findall(r"\$\{([^}]*)\}", m.group(0))) + '"', text)
    return re.sub(r"#[^\n]*", "", text)


def blocks(text, kind):
    """{label: body} of the blocks of a kind."""
    found = {}
    for match in re.finditer(rf'^{kind}((?: "[\w-]+")*) \{{\n(.*?)^\}}', text, re.M | re.S):
        found[".".join(re.findall(r'"([\w-]+)"', match.group(1)))] = match.group(2)
    return found


def check_names(folder, text, findings):
    plain = blank(text)
    declared = set(blocks(text, "variable"))
    used = set(re.findall(r"\bvar\.(\w+)", plain))
    findings += [f"{folder}: var.{name} is not declared" for name in sorted(used - declared)]
    outside = re.sub(r'^variable.*?^\}', "", text, flags=re.M | re.S)
    findings += [f"{folder}: variable {name} is never used" for name in sorted(declared - set(re.findall(r"\bvar\.(\w+)", outside)))]
    resources = set(blocks(text, "resource"))
    for kind, name in set(re.findall(r"\b(aws_\w+)\.(\w+)", plain)):
        if f"{kind}.{name}" not in resources:
            findings.append(f"{folder}: {kind}.{name} is not declared")
    held = set(re.findall(r"^  (\w+) +=", "".join(blocks(text, "locals").values()), re.M))
    findings += [f"{folder}: local.{name} is not declared" for name in sorted(set(re.findall(r"\blocal\.(\w+)", plain)) - held)]
    for left, right in ("{}", "()", "[]"):
        if plain.count(left) != plain.count(right):
            findings.append(f"{folder}: {left} and {right} do not match")


def check_rules(folder, text, findings):
    for name, body in blocks(text, "resource").items():
        wanted = ()
        if name.startswith(("aws_instance.", "aws_launch_template.")):
            wanted = (r'http_tokens +=\s*"required"', r"http_put_response_hop_limit +=\s*1\b", r"disable_api_termination +=\s*true", r"encrypted +=\s*true",
                      r"delete_on_termination +=\s*false")
        findings += [f"{folder}: {name} lacks {rule}" for rule in wanted if not re.search(rule, body)]
        agents = "agent" in name or "aws_security_group.agent" in body
        if "security_group" in name and agents and ("ingress" in name or re.search(r"\bingress\b", body)):
            findings.append(f"{folder}: {name} lets in to the agent")


def check_policy(name, text, findings):
    try:
        policy = json.loads(text)
    except ValueError as error:
        findings.append(f"{name}: {error}")
        return
    if policy.get("Version") != "2012-10-17":
        findings.append(f"{name}: Version is {policy.get('Version')}")
    for statement in policy.get("Statement", []):
        actions = statement.get("Action", [])
        actions = [actions] if isinstance(actions, str) else actions
        unbound = statement.get("Resource") == "*" and "boundary" not in name.name
        if statement.get("Effect") != "Allow":
            continue
        for action in actions:
            if "*" in action:
                findings.append(f"{name}: {statement.get('Sid')} allows {action}")
            elif unbound and not LOOKS.fullmatch(action):
                findings.append(f"{name}: {statement.get('Sid')} allows {action} on everything")


def check(root):
    findings, folders = [], {}
    for name in lintlib.tree(root):
        if name.suffix == ".tf":
            folders.setdefault(name.parent, []).append(lintlib.read(root, name))
        if name.suffix == ".json" and name.parent.name == "policies":
            check_policy(name, lintlib.read(root, name), findings)
    for folder, texts in folders.items():
        text = "\n".join(texts)
        check_names(folder, text, findings)
        check_rules(folder, text, findings)
        for path in re.findall(r'file\("\$\{path\.module\}/([^"]+)"', text):
            if not (pathlib.Path(root) / folder / path).exists():
                findings.append(f"{folder}: file {path} does not exist")
    return findings


MAIN = '''resource "aws_instance" "a" {
  ami                     = var.ami
  user_data               = file("${path.module}/x.sh")
  disable_api_termination = true
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  root_block_device {
    encrypted             = true
    delete_on_termination = false
  }
}
resource "aws_security_group" "agent" {
  name = "a-${aws_instance.a.id}"
}
'''
POLICY = '{"Version": "2012-10-17", "Statement": [{"Sid": "S", "Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"}]}'
GOOD = {"t/main.tf": MAIN, "t/variables.tf": 'variable "ami" {\n  type = string\n}\n', "t/x.sh": "true\n", "t/policies/p.json": POLICY}
BROKEN = [
    ("an undeclared variable", {"t/main.tf": MAIN.replace("var.ami", "var.image")}, "var.image is not declared"),
    ("a variable without use", {"t/main.tf": MAIN.replace("var.ami", '"ami-1"')}, "variable ami is never used"),
    ("an unknown resource", {"t/main.tf": MAIN.replace("aws_instance.a.id", "aws_instance.b.id")}, "aws_instance.b is not declared"),
    ("a missing file", {"t/main.tf": MAIN.replace("x.sh", "y.sh")}, "y.sh does not exist"),
    ("IMDSv1", {"t/main.tf": MAIN.replace('"required"', '"optional"')}, "lacks http_tokens"),
    ("no protection", {"t/main.tf": MAIN.replace("termination = true", "termination = false")}, "lacks disable_api_termination"),
    ("a brace", {"t/main.tf": MAIN.replace("metadata_options {", "metadata_options {{")}, "do not match"),
    ("an open agent", {"t/main.tf": MAIN + 'resource "aws_vpc_security_group_ingress_rule" "x" {\n  security_group_id = aws_security_group.agent.id\n}\n'},
     "lets in to the agent"),
    ("a policy for everything", {"t/policies/p.json": POLICY.replace("DescribeInstances", "*")}, "allows ec2:*"),
    ("a change of everything", {"t/policies/p.json": POLICY.replace("Describe", "Terminate")}, "on everything"),
    ("no policy", {"t/policies/p.json": "{"}, "p.json"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
