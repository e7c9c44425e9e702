"""An origin that lets in only what the edge vouches for: a WSGI middleware checks `Portcullis-Assertion` with PyJWT.

    apt-get install python3-jwt        # or: pip install PyJWT
    ORIGIN_SECRET=… PUBLIC_URL=https://app.example.test PORT=8090 python3 origin.py

The other `Portcullis-*` headers say the same without proof; an origin that only the edge can reach may read those.
"""

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import jwt

TYPE = "portcullis-assertion+jwt"


class Assertions:
    """What assertions are checked against."""

    def __init__(self, public_url: str, origin_secret: str):
        # The site as its users see it: not the `Host` of a request, which says how the edge got here.
        self.site = public_url.rstrip("/")
        # One secret, or `new,old` while it is being changed.
        self.keys = [derive(secret.strip().encode()) for secret in origin_secret.split(",")]
        self.seen = Seen()

    def check(self, token: str, method: str, target: str) -> dict:
        """What the edge says of whoever sent the request; raises where it does not vouch for this very request."""
        claims = self.verified(token)
        request = hashlib.sha256(f"{method} {self.site}{target}".encode("latin-1")).digest()
        if claims["request_hash"] != base64.urlsafe_b64encode(request).rstrip(b"=").decode():
            raise jwt.InvalidTokenError("the assertion was made for another request")
        if not self.seen.add(claims["jti"], claims["exp"]):
            raise jwt.InvalidTokenError("the assertion came before")
        return claims

    def verified(self, token: str) -> dict:
        if jwt.get_unverified_header(token).get("typ") != TYPE:
            raise jwt.InvalidTokenError("another type of token")
        refusal = jwt.InvalidTokenError("no key")
        for key in self.keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=["HS256"],
                    issuer=self.site,
                    audience=self.site,
                    # `exp` ends it after 30 seconds; an `iat` in the future only says that this clock is behind.
                    options={
                        "require": ["exp", "iss", "aud", "jti", "sub", "sid", "roles", "request_hash"],
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidTokenError as error:
                refusal = error
        raise refusal


def derive(secret: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) without salt; for 32 bytes one round of its second step is enough."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, b"portcullis assertion v2" + b"\x01", "sha256")


class Seen:
    """Assertions that came and have not expired, the oldest first. Several processes behind one edge need a place in
    common, such as Redis; where only the edge can reach the origin, none is needed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.until = {}

    def add(self, jti: str, exp: int) -> bool:
        """Whether it is new."""
        with self.lock:
            now = time.time()
            while self.until and next(iter(self.until.values())) <= now:
                del self.until[next(iter(self.until))]
            if jti in self.until:
                return False
            self.until[jti] = exp
            return True


def only_vouched(application, assertions: Assertions):
    """Whoever has no good assertion for this very request is turned away."""

    def middleware(environ, start_response):
        try:
            token = environ.get("HTTP_PORTCULLIS_ASSERTION", "")
            claims = assertions.check(token, environ["REQUEST_METHOD"], environ["REQUEST_URI"])
        except jwt.InvalidTokenError:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"come through the edge\n"]
        return application({**environ, "portcullis.user": claims}, start_response)

    return middleware


def hello(environ, start_response):
    user = environ["portcullis.user"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: user[name] for name in ("sub", "sid", "roles")}).encode()]


class RawTarget(WSGIRequestHandler):
    """Path and query as they were sent: WSGI's PATH_INFO is decoded, and may have been spelled differently. uWSGI and
    waitress set REQUEST_URI themselves, gunicorn calls it RAW_URI."""

    def get_environ(self):
        return {**super().get_environ(), "REQUEST_URI": self.path}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    guard = Assertions(os.environ["PUBLIC_URL"], os.environ["ORIGIN_SECRET"])
    port = int(os.environ.get("PORT", "8090"))
    with make_server("127.0.0.1", port, only_vouched(hello, guard), Server, RawTarget) as server:
        print(f"listening on http://127.0.0.1:{port}", flush=True)
        server.serve_forever()
