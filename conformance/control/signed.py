"""Requests as clients of other versions send them, signed here by hand (Signature Version 4)."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse

FORM = "application/x-www-form-urlencoded; charset=utf-8"
# The service that a form's version is of.
SERVICES = {"2016-11-15": "ec2", "2011-06-15": "sts", "2010-05-08": "iam", "2010-08-01": "monitoring"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def chain(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


class Signer:
    """A key, and what it signs for."""

    def __init__(self, key_id, secret, token, region, service, time):
        self.key_id, self.secret, self.token = key_id, secret, token
        self.time = time.strftime("%Y%m%dT%H%M%SZ")
        self.scope = [self.time[:8], region, service, "aws4_request"]

    def signature(self, method, path, query, headers, body):
        names = ";".join(sorted(headers))
        pairs = sorted((quoted(name), quoted(value)) for name, value in query)
        canonical = "\n".join([
            method, path, "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)), "",
            names, digest(body),
        ])
        text = "\n".join([
            "AWS4-HMAC-SHA256", self.time, "/".join(self.scope), digest(canonical.encode()),
        ])
        key = ("AWS4" + self.secret).encode()
        for part in self.scope:
            key = chain(key, part)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    @property
    def credential(self):
        return "/".join([self.key_id, *self.scope])

    def headers(self, method, host, body, extra):
        """The headers of a request, those that sign it among them."""
        headers = {"host": host, "x-amz-date": self.time, **extra}
        if self.token:
            headers["x-amz-security-token"] = self.token
        signature = self.signature(method, "/", [], headers, body)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credential}, "
            f"SignedHeaders={';'.join(sorted(headers))}, Signature={signature}"
        )
        return headers

    def query(self, method, host, pairs, seconds):
        """The query string of a request whose query signs it."""
        pairs = [
            *pairs,
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", self.credential),
            ("X-Amz-Date", self.time),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if self.token:
            pairs.append(("X-Amz-Security-Token", self.token))
        signature = self.signature(method, "/", pairs, {"host": host}, b"")
        pairs.append(("X-Amz-Signature", signature))
        return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)


class Request:
    """A request of a case, and how it is signed."""

    def __init__(self, method, text, region):
        self.method = method
        self.body = text.encode()
        self.headers = {"content-type": FORM} if method == "POST" else {}
        self.unsigned = {}
        pairs = urllib.parse.parse_qs(text)
        self.service = SERVICES.get(pairs.get("Version", [""])[0], "ec2")
        self.region = region
        self.after = datetime.timedelta()
        self.presigned = None  # for how many seconds
        self.changed = False  # after it was signed
        self.is_signed = True
        self.host = None

    def send(self, endpoint, key_id, secret, token):
        """Sends it, and returns the status, the headers and the body of the answer."""
        address = endpoint.removeprefix("http://").rstrip("/")
        host = self.host or address
        now = datetime.datetime.now(datetime.timezone.utc) + self.after
        signer = Signer(key_id, secret, token, self.region, self.service, now)
        target, body, headers = "/", self.body, {"host": host, **self.headers}
        if self.presigned is not None:
            pairs = urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True)
            target = "/?" + signer.query(self.method, host, pairs, self.presigned)
            body = b""
        elif self.method == "GET":
            target, body = "/?" + self.body.decode(), b""
        elif self.is_signed:
            headers = signer.headers(self.method, host, body, self.headers)
        if self.changed:
            body = body.replace(b"optional", b"required")
            target = target.replace("optional", "required")
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.putrequest(self.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in {**headers, **self.unsigned, "content-length": str(len(body))}.items():
                connection.putheader(name, value)
            try:
                connection.endheaders(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # of a body that is too large the rest is not read, and the answer may be there
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode()
        finally:
            connection.close()
