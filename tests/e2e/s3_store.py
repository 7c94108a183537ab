# SPDX-License-Identifier: Apache-2.0
"""A bucket with Object Lock on loopback, as far as a client that only puts objects sees it. Signatures are checked with botocore, which shares
no code with what signs.

What it answers has the shape of S3's answers: XML errors with their codes, 412 for a name that is taken, 400 for a lock without Content-MD5. It
counts every request that is not a PUT: a sink must not make one."""
import base64
import datetime
import hashlib
import hmac
import http.server
import os
import socket
import sys
import threading

sys.path.append("/usr/lib/python3/dist-packages")  # where Debian's package is, for a Python that is not Debian's
import botocore.auth  # noqa: E402
import botocore.awsrequest  # noqa: E402
import botocore.credentials  # noqa: E402


def utc():
    return datetime.datetime.now(datetime.timezone.utc)


class Refused(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Store:
    """with Store("evidence", "eu-central-1") as store: store.keys[id] = secret, token; store.endpoint; store.objects"""

    def __init__(self, bucket, region, locked=True):
        self.bucket, self.region, self.locked = bucket, region, locked
        self.keys = {}      # access key id -> (secret, session token or None)
        self.ended = set()  # access key ids whose time is over
        self.objects = {}   # key -> (bytes, headers, datetime)
        self.requests, self.other_requests, self.repeated = 0, 0, 0
        self.versions = []  # of HTTP's user agent
        self.trouble = []   # what happens to the next requests: "slow_down", "cut", "store_and_cut", "deny"
        self.denied = False
        self.lock = threading.Lock()

    def __enter__(self):
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):  # noqa: N802
                store.requests += 1
                trouble = store.trouble.pop(0) if store.trouble else ""
                length = int(self.headers["Content-Length"])
                if trouble == "cut":
                    self.rfile.read(length // 2)
                    return self.hang_up()
                body = self.rfile.read(length)
                try:
                    if trouble == "slow_down":
                        raise Refused(503, "SlowDown", "Please reduce your request rate.")
                    store.put(self.path, self.headers, body)
                except Refused as refused:
                    return self.answer(refused.status, (
                        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refused.code}</Code><Message>{refused.message}</Message>'
                        "<RequestId>4442587FB7D0A2F9</RequestId></Error>").encode())
                if trouble == "store_and_cut":
                    return self.hang_up()
                self.answer(200, b"")

            def hang_up(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def other(self):
                store.other_requests += 1
                self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")

            do_GET = do_HEAD = do_POST = do_DELETE = other  # noqa: N815

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/xml")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.endpoint = f"http://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    # --- What S3 does with a PUT, in its order
    def put(self, path, headers, body):
        self.check_signature(path, headers)
        if self.denied:
            raise Refused(403, "AccessDenied", "Access Denied")
        if not path.startswith(f"/{self.bucket}/"):
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            raise Refused(400, "XAmzContentSHA256Mismatch")
        md5 = headers.get("Content-MD5")
        if md5 is not None and base64.b64encode(hashlib.md5(body).digest()).decode() != md5:
            raise Refused(400, "BadDigest")
        self.check_lock(headers, md5)
        key = path[len(self.bucket) + 2:]
        with self.lock:
            if key in self.objects:
                self.repeated += 1
                if headers.get("If-None-Match") == "*":
                    raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
            self.objects[key] = body, dict(headers.items()), utc()

    def check_lock(self, headers, md5):
        mode, until = headers.get("x-amz-object-lock-mode"), headers.get("x-amz-object-lock-retain-until-date")
        if mode is None and until is None:
            return
        if not self.locked:
            raise Refused(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
        if md5 is None and not any(name.lower().startswith("x-amz-checksum-") for name in headers):
            raise Refused(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
        if mode not in ("GOVERNANCE", "COMPLIANCE") or datetime.datetime.strptime(until, "%Y-%m-%dT%H:%M:%S%z") <= utc():
            raise Refused(400, "InvalidArgument", "The retain until date must be in the future!")

    def check_signature(self, path, headers):
        scheme, _, rest = headers.get("Authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            raise Refused(403, "AccessDenied", "no signature")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key_id, day, region, service, end = parts["Credential"].split("/")
        date = headers["x-amz-date"]
        if key_id not in self.keys:
            raise Refused(403, "InvalidAccessKeyId")
        secret, token = self.keys[key_id]
        if (region, service, end) != (self.region, "s3", "aws4_request") or not date.startswith(day):
            raise Refused(400, "AuthorizationHeaderMalformed", f"the region '{region}' is wrong; expecting '{self.region}'")
        signed = parts["SignedHeaders"].split(";")
        missing = {"host", *(n.lower() for n in headers if n.lower().startswith("x-amz-"))} - set(signed)
        if missing:
            raise Refused(403, "AccessDenied", f"There were headers present in the request which were not signed: {sorted(missing)}")
        if token is not None and headers.get("x-amz-security-token") != token:
            raise Refused(400, "InvalidToken")
        request = botocore.awsrequest.AWSRequest("PUT", f"http://{headers['Host']}{path}", headers={n: headers[n] for n in signed})
        request.context["timestamp"] = date
        auth = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(key_id, secret), "s3", self.region)
        wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        if not hmac.compare_digest(wanted, parts["Signature"]):
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        if key_id in self.ended:
            raise Refused(400, "ExpiredToken", "The provided token has expired.")

    def sync(self, folder):
        """As `aws s3 sync` does: files under the names of the objects, with the time at which each came."""
        for key, (body, _, came) in sorted(self.objects.items()):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size == len(body):
                continue
            path.write_bytes(body)
            os.utime(path, (came.timestamp(), came.timestamp()))
