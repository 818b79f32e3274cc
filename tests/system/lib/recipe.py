# SPDX-License-Identifier: PostgreSQL
"""The proxies, with the configurations of doc/recipes/ as they stand there, each run as an ordinary
user: only addresses, paths and some times are exchanged for those of the test."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import debs
from .cluster import _unprivileged
from .daemon import free_port, wait_until
from .django_env import TOP

# "In `/etc/…`, …:" and the block after it
BLOCK = re.compile(r"`(/etc/[^`]+)`[^\n]*:\n\n```\w*\n(.*?)^```", re.S | re.M)


def blocks(document):
    """{path: text} of every file that a page of doc/recipes/ shows."""
    text = (TOP / "doc" / "recipes" / document).read_text(encoding="utf-8")
    return dict(BLOCK.findall(text))


def commands(document, language):
    """The blocks of a page in this language ("sh", "sql"), in order."""
    text = (TOP / "doc" / "recipes" / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def exchanged(text, *pairs):
    """With each (old, new) exchanged; all of the old must be there."""
    for old, new in pairs:
        assert old in text, f"{old} is not in:\n{text}"
        text = text.replace(old, str(new))
    return text


class Proxy:
    """One that runs. A class of it says NAMES (programs), DOCUMENT, EXCHANGE and configure()."""

    NAMES = ()
    PACKAGE = ""  # Debian's, where that starts a service when it is installed
    DOCUMENT = ""
    RELOAD = signal.SIGHUP

    def __init__(self, daemon_port, site_port, change=()):
        self.prefix, self.uid, self.gid = _unprivileged()
        self.dir = Path(tempfile.mkdtemp(prefix="pgherald-proxy-"))
        os.chown(self.dir, self.uid, self.gid)
        self.port, self.process = free_port(), None
        self.exchange = [("127.0.0.1:8080", f"127.0.0.1:{daemon_port}"),
                         ("127.0.0.1:8000", f"127.0.0.1:{site_port}"), *change]
        self.output = open(self.dir / "output.log", "ab")
        self.url = f"https://localhost:{self.port}"
        self._certificate()
        try:
            self._run(self.configure())
        except BaseException:
            self.close()
            raise

    @classmethod
    def program(cls):
        """Its path, or None."""
        if cls.PACKAGE:
            debs.fetch(cls.PACKAGE)
        return debs.find(*cls.NAMES)

    def configure(self):
        """Writes the files; the command line."""
        raise NotImplementedError

    def file(self, path, *exchange):
        """A file of the recipe, written with what is exchanged, all of which must be there."""
        return self.write(Path(path).name, exchanged(blocks(self.DOCUMENT)[path], *exchange))

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text, encoding="utf-8")
        os.chown(path, self.uid, self.gid)
        return path

    def _certificate(self):
        self.pem, self.key, self.both = self.dir / "c.pem", self.dir / "k.pem", self.dir / "both.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", self.key, "-out", self.pem],
                       check=True, capture_output=True)
        self.both.write_bytes(self.pem.read_bytes() + self.key.read_bytes())
        for path in (self.pem, self.key, self.both):
            os.chown(path, self.uid, self.gid)

    def _run(self, argv):
        prefix = list(self.prefix) or ["setpriv"]
        env = dict(debs.environment(), HOME=str(self.dir), XDG_DATA_HOME=str(self.dir),
                   XDG_CONFIG_HOME=str(self.dir))
        self.process = subprocess.Popen(
            [*prefix, "--pdeathsig", "TERM", *map(str, argv)], stdin=subprocess.DEVNULL, env=env,
            stdout=self.output, stderr=self.output, cwd=self.dir, start_new_session=True)
        wait_until(self._listens, lambda: f"{self.NAMES[0]} listens:\n{self.logs()}")

    def _listens(self):
        assert self.process.poll() is None, self.logs()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def logs(self):
        """Everything that it has written anywhere."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.dir.rglob("*.log")))

    def reload(self):
        self.process.send_signal(self.RELOAD)

    def close(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.output.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Nginx(Proxy):
    NAMES = ("nginx",)
    PACKAGE = "nginx"
    DOCUMENT = "nginx.md"
    # What a minute of waiting would be takes seconds.
    QUICK = [("    2000;", "    100;"), ("    4000;", "    200;"), ("    6000;", "    300;")]
    MAIN = """
daemon off;
pid {dir}/pid;
worker_processes 2;
error_log {dir}/error.log;
events {{}}
http {{
  access_log {dir}/access.log;
  client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
  uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
  include {dir}/{site};
}}
"""

    def configure(self, site=None):
        site = site or self.file(
            "/etc/nginx/conf.d/pgherald.conf",
            ("listen              443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("/etc/ssl/certs/shop.example.org.pem", self.pem),
            ("/etc/ssl/private/shop.example.org.key", self.key),
            ("/var/log/nginx", self.dir), *self.exchange)
        main = self.file("/etc/nginx/nginx.conf", ("1m;", "1s;"))
        main = self.write("nginx.conf", main.read_text() + self.MAIN.format(dir=self.dir, site=site.name))
        return [self.program(), "-c", main, "-e", self.dir / "start.log"]


class HAProxy(Proxy):
    NAMES = ("haproxy",)
    PACKAGE = "haproxy"
    DOCUMENT = "haproxy.md"
    QUICK = []
    RELOAD = signal.SIGUSR2

    def configure(self):
        away = self.file("/etc/haproxy/pgherald-away.http", ("retry: 3000", "retry: 200"))
        conf = self.file("/etc/haproxy/haproxy.cfg", ("bind :443", f"bind 127.0.0.1:{self.port}"),
                         ("/etc/haproxy/shop.example.org.pem", self.both), ("after 1m", "after 1s"),
                         ("/etc/haproxy/pgherald-away.http", away), *self.exchange)
        return [self.program(), "-W", "-db", "-f", conf]


class PlainHAProxy(HAProxy):
    """Without TLS: behind something else that has it."""

    def configure(self):
        argv = super().configure()
        conf = self.dir / "haproxy.cfg"
        conf.write_text(re.sub(r"(bind \S+) ssl.*", r"\1", conf.read_text()))
        self.url = self.url.replace("https", "http")
        return argv


class Apache(Proxy):
    NAMES = ("apache2", "httpd")
    DOCUMENT = "apache.md"
    QUICK = []
    RELOAD = signal.SIGUSR1
    MODULES = {"mpm_event", "unixd", "authz_core", "socache_shmcb", "log_config"}
    MAIN = """
ServerRoot {dir}
PidFile {dir}/pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {dir}/error.log
"""

    def configure(self):
        away = self.file("/etc/apache2/pgherald-away.asis", ("retry: 3000", "retry: 200"))
        site = self.file("/etc/apache2/sites-available/shop.conf", ("*:443", f"127.0.0.1:{self.port}"),
                         ("/etc/ssl/certs/shop.example.org.pem", self.pem),
                         ("/etc/ssl/private/shop.example.org.key", self.key),
                         ("/etc/apache2/pgherald-away.asis", away), ("/etc/apache2", self.dir),
                         ("/var/log/apache2", self.dir), *self.exchange)
        where = next(d for d in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules",
                                           "/usr/lib/httpd/modules")) if d.is_dir())
        text = self.MAIN.format(dir=self.dir, port=self.port)
        document = (TOP / "doc" / "recipes" / self.DOCUMENT).read_text(encoding="utf-8")
        named = re.search(r"`a2enmod ([^`]+)`", document).group(1).split()
        for name in sorted(self.MODULES) + named:
            if (where / f"mod_{name}.so").exists():  # or it is built in
                text += f"LoadModule {name}_module {where}/mod_{name}.so\n"
        main = self.write("main.conf", text + f"Include {site}\n")
        return [self.program(), "-D", "FOREGROUND", "-f", main]


class Caddy(Proxy):
    NAMES = ("caddy",)
    PACKAGE = "caddy"
    DOCUMENT = "caddy.md"
    QUICK = []

    def configure(self):
        conf = self.file("/etc/caddy/Caddyfile",
                         ("{\n\t# Errors", "{\n\tadmin off\n\tauto_https disable_redirects\n\t# Errors"),
                         ("shop.example.org {", f"https://localhost:{self.port} {{\n"
                          f"\tbind 127.0.0.1\n\ttls {self.pem} {self.key}"),
                         ("/var/log/caddy", self.dir), ("retry: 3000", "retry: 200"), *self.exchange)
        return [self.program(), "run", "--adapter", "caddyfile", "--config", conf]
