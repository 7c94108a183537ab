# SPDX-License-Identifier: Apache-2.0
"""A double of the EC2 instance metadata service (IMDSv2) on loopback, and an authority that signs identity documents as AWS does.

What it answers has the shape of AWS's answers: a token for PUT alone, 401 without one, documents as pretty JSON, signatures as base64 in lines
of 64 without PEM lines."""
import datetime
import http.server
import json
import pathlib
import threading

from harness import run

TOKEN = "AQAEAFakeTokenOfTheDouble=="


class Authority:
    """A self-signed RSA-2048 certificate of one region."""

    def __init__(self, folder, name, over=False):
        self.key, self.certificate = folder / f"{name}.key", folder / f"{name}.pem"
        self.folder = folder
        subject = f"/C=US/O=Test Web Services LLC/OU={name}"
        if not over:
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", 3650, "-subj", subject)
            return
        # Only `openssl ca` makes a certificate for the past.
        request, config = folder / f"{name}.csr", folder / f"{name}.cnf"
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", request, "-subj", subject)
        (folder / f"{name}.txt").write_text("")
        config.write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={folder}/{name}.txt\nnew_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\n"
                          "policy=p\n[p]\ncountryName=optional\norganizationName=optional\norganizationalUnitName=optional\n")
        run("openssl", "ca", "-batch", "-selfsign", "-notext", "-config", config, "-keyfile", self.key, "-in", request, "-out", self.certificate,
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")

    def sign(self, document):
        (self.folder / "document").write_bytes(document)
        run("openssl", "smime", "-sign", "-nodetach", "-binary", "-md", "sha256", "-in", self.folder / "document", "-signer", self.certificate,
            "-inkey", self.key, "-outform", "DER", "-out", self.folder / "signature")
        return run("base64", "-w", "64", self.folder / "signature").stdout.encode()


def document(instance, region="ap-south-1", account="123456789012", started=None):
    started = started or datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=3)
    return json.dumps({
        "accountId": account, "architecture": "x86_64", "availabilityZone": region + "a", "billingProducts": None, "devpayProductCodes": None,
        "marketplaceProductCodes": None, "imageId": "ami-0123456789abcdef0", "instanceId": instance, "instanceType": "t3.nano", "kernelId": None,
        "pendingTime": started.strftime("%Y-%m-%dT%H:%M:%SZ"), "privateIp": "192.0.2.10", "ramdiskId": None, "region": region,
        "version": "2017-09-30"}, indent=2).encode()


class Imds:
    """with Imds() as imds: imds.serve(document, signature); imds.endpoint"""

    def __enter__(self):
        double = self
        self.answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body=b"", kind="text/plain"):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Server", "EC2ws")
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):  # noqa: N802
                ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
                if self.path != "/latest/api/token" or "X-Forwarded-For" in self.headers:
                    return self.answer(403)
                return self.answer(200, TOKEN.encode()) if ttl.isdigit() and 1 <= int(ttl) <= 21600 else self.answer(400)

            def do_GET(self):  # noqa: N802
                if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                    return self.answer(401)
                body = double.answers.get(self.path)
                return self.answer(404) if body is None else self.answer(200, body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, text, signature):
        self.answers = {"/latest/dynamic/instance-identity/document": text, "/latest/dynamic/instance-identity/rsa2048": signature}


def region_file(path, regions):
    """{region: Authority} as enrol.aws_certificates reads it."""
    pathlib.Path(path).write_text("".join(f"region {name}\n{a.certificate.read_text()}" for name, a in regions.items()))
