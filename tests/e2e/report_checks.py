# SPDX-License-Identifier: Apache-2.0
"""`culprit report` after a night that 95_detection.py played: one file that tells it all, and needs no other."""
import json
import re

from harness import check, note


def check_report(rig, host, finding, far):
    """Of one finding, and of its host."""
    page, text, stix = (rig.dir / f"incident.{kind}" for kind in ("html", "md", "json"))
    rig.culprit("report", finding["id"], "--html", page, "--md", text, "--stix", stix)
    html, markdown, bundle = page.read_text(), text.read_text(), json.loads(stix.read_text())
    check(page.stat().st_mode & 0o777 == 0o600, "others can read the report")
    for words in (finding["id"], host.fingerprint(), host.outside.v4, far, "me-south-1", "Timeline", "Who did it", "How they got in", "Where it went",
                  "Indicators of compromise", "What to do next", "Draft of an answer", "culprit teardown"):
        for form, content in (("HTML", html), ("Markdown", markdown)):
            check(words in content, f"no {words!r} in the {form}")
    check("<svg" in html and 'class="sent"' in html, "no chart of bytes over time")
    for never in ("<script", "<link", "<img", "href=", "src=", "@import"):
        check(never not in html, f"{never} in the page")
    # A command line may name a place; a tag may not. What is not a tag of ours is escaped.
    tags = re.findall(r"<[^>]*>", html.split("</style>")[1])
    away = [tag for tag in tags if re.search(r"https?://(?!www\.w3\.org/2000/svg)", tag)]
    check(not away, f"the page names another place: {away[:3]}")
    patterns = " ".join(o["pattern"] for o in bundle["objects"])
    for value in (far, host.fingerprint()):
        check(value in patterns, f"{value} is no indicator: {patterns}")
    whole = rig.culprit("report", rig.host()["agent_id"])
    for known in rig.query("findings"):
        check(known["id"] in whole and known["rule"] in whole, f"{known['rule']} {known['id']} is not in the report of its host: {whole[:3000]}")
    check(host.fingerprint() in whole, "the report of the host names no login")
    note(f"report: {len(html) >> 10} KiB of HTML, {len(bundle['objects'])} indicators")
