# SPDX-License-Identifier: PostgreSQL
"""An issuer of tokens that publishes its keys by HTTPS, with an authority of its own."""

import base64
import contextlib
import datetime
import gzip
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import time

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject, key, issuer, issuer_key, authority, address="127.0.0.1"):
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1))
               .not_valid_after(now + datetime.timedelta(days=1))
               .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
    if not authority:
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _number(n):
    return base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode()


class Issuer:
    """Serves what `answer` is: "set", or the name of a misbehaviour. `asked` counts requests."""

    def __init__(self, directory, address="127.0.0.1"):
        self.keys = {}
        self.others = []  # where it has no key of its own
        self.answer, self.headers, self.etag = "set", {}, None
        self.asked = self.unchanged = 0
        self.encodings = set()
        self.stop_slow = threading.Event()
        self.ca = directory / "issuer-ca.pem"
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = _certificate("authority", ca_key, "authority", ca_key, True)
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.ca.chmod(0o644)
        pair = directory / "issuer.pem"
        pair.write_bytes(_certificate("issuer", key, "authority", ca_key, False, address)
                         .public_bytes(serialization.Encoding.PEM)
                         + key.private_bytes(serialization.Encoding.PEM,
                                             serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 50
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def get_request(self):
                s, peer = super().get_request()
                s.settimeout(30)
                return context.wrap_socket(s, server_side=True, do_handshake_on_connect=False), peer

            def handle_error(self, *args):
                pass  # clients that break off are wanted here

        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                issuer.encodings.add(self.headers.get("Accept-Encoding"))
                issuer.serve(self)

            def log_message(self, *args):
                pass

        at, named = ("::1", "[::1]") if ":" in address else ("127.0.0.1", "127.0.0.1")
        self.server = Server((at, 0), Handler)
        self.url = f"https://{named}:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.stop_slow.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, kid):
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        return self

    def token(self, user=2, kid="one", key=None, **claims):
        return jwt.encode({"sub": str(user), "exp": int(time.time()) + 3600} | claims,
                          key or self.keys[kid], "ES256", headers={"kid": kid})

    def document(self):
        keys = [{"kty": "oct", "kid": "shared", "k": "c" * 64, "alg": "HS256"},
                {"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}]
        for kid, key in self.keys.items():
            p = key.public_key().public_numbers()
            keys.append({"kty": "EC", "kid": kid, "crv": "P-256", "use": "sig", "x5c": ["AA=="],
                         "x": _number(p.x), "y": _number(p.y)})
        return json.dumps({"keys": keys if self.keys else self.others}).encode()

    def reply(self, request, status, body, headers=()):
        request.send_response(status)
        for name, value in (*self.headers.items(), *headers):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def serve(self, request):
        what = self.answer
        if what == "set":
            if self.etag and request.headers.get("If-None-Match") == self.etag:
                self.unchanged += 1
                return self.reply(request, 304, b"")
            tag = [("ETag", self.etag)] if self.etag else []
            return self.reply(request, 200, self.document(), tag)
        if what == "redirect":
            return self.reply(request, 302, b"", [("Location", self.url + "/elsewhere")])
        if what == "broken":
            return self.reply(request, 200, self.document()[:-9])
        if what == "error":
            return self.reply(request, 500, b"{}")
        if what == "huge":
            return self.reply(request, 200, b'{"keys": [' + b" " * 1_000_000 + b"]}")
        if what == "html":
            return self.reply(request, 200, b"<!DOCTYPE html><title>Sign in</title>", [("Content-Type", "text/html")])
        if what == "list":
            return self.reply(request, 200, b"[" + self.document() + b"]")
        if what == "deep":
            return self.reply(request, 200, b'{"keys": ' + b"[" * 5000 + b"]" * 5000 + b"}")
        if what == "gzip":
            return self.reply(request, 200, gzip.compress(self.document()), [("Content-Encoding", "gzip")])
        if what == "short":
            return self.reply(request, 200, self.document(), [("Content-Length", 1_000_000)])
        if what == "http2":  # its first frame, whatever was negotiated
            return request.wfile.write(b"\0\0\0\4\0\0\0\0\0")
        if what == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return request.connection.close()
        with contextlib.suppress(OSError, ssl.SSLError):  # slow: a byte now and then
            if what == "headers":
                request.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: x\r\n" * 10000)
            request.send_response(200)
            request.end_headers()
            while not self.stop_slow.wait(0.2):
                request.wfile.write(b" ")
        return None
