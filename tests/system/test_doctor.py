# SPDX-License-Identifier: PostgreSQL
"""`pgherald doctor`: finds what is wrong at each stop, and nothing where nothing is. The proxy is a
real nginx, broken on purpose in the ways in which they are broken."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import PGHERALD, Install, run_pgherald
from lib import debs
from lib.cluster import Cluster, Database, wait_for
from lib.daemon import as_ordinary_user, free_port, wait_until
from lib.replica import Replica

KEEPALIVE = """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
"""


class Nginx:
    """An nginx in front of the daemon; `location` is what stands in its location besides proxy_pass."""

    def __init__(self, directory, upstream, location="", server="", listen="127.0.0.1:{port}"):
        self.port = free_port()
        self.dir = directory / f"nginx{self.port}"
        self.dir.mkdir()
        self.dir.chmod(0o777)
        conf = self.dir / "nginx.conf"
        temp = "".join(f"{kind}_temp_path {self.dir}/{kind};" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(f"""
            daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log;
            events {{}}
            http {{ access_log off; {temp}
              server {{ listen {listen.format(port=self.port)}; {server}
                location /api/v1/sse/ {{ proxy_pass http://{upstream[0]}:{upstream[1]}; {location} }} }} }}
            """)
        self.process = subprocess.Popen(
            as_ordinary_user([debs.find("nginx"), "-e", str(self.dir / "error.log"),
                              "-c", str(conf)]),
            stderr=subprocess.DEVNULL, env=debs.environment())
        wait_for(self._answers, "nginx")

    def _answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.process.terminate()
        self.process.wait()

    def url(self, scheme="http"):
        return f"{scheme}://localhost:{self.port}/api/v1/sse/events/"


@pytest.fixture
def edge(served, tmp_path):
    """doctor(location…) through an nginx, as JSON: a dict of findings by id."""
    debs.fetch("nginx")
    if not debs.find("nginx") or not shutil.which("curl"):
        pytest.skip("no nginx or no curl")
    served.install.conf.write_text(served.install.conf.read_text() + KEEPALIVE)
    served.daemon.start().wait_ready()
    token = tmp_path / "token"
    token.write_text(served.boss + "\n")
    opened = []

    def ask(*args, scheme="http", env=None, **nginx):
        proxy = Nginx(tmp_path, served.daemon.address, **nginx)
        opened.append(proxy)
        return doctor(served.install, "--url", proxy.url(scheme), "--token-file", token, *args, env=env)

    yield ask
    for proxy in opened:
        proxy.close()


def doctor(install, *args, env=None):
    """Findings by id; those of `sql check` are its tests' business."""
    done = subprocess.run([PGHERALD, "doctor", "-c", str(install.conf), "--json", *map(str, args)],
                          capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    own = {f["id"]: f for f in report["findings"] if f["id"].split("-")[0] in
           ("edge", "daemon", "login", "pooler", "port", "conf", "clock", "files")}
    own["stderr"] = done.stderr
    return own


def ids(found):
    return {f for f in found if f not in ("stderr", "edge-outage-untried", "files")}


def test_a_whole_way(edge):
    found = edge()
    assert ids(found) == set(), found
    assert "edge-outage-untried" in found


@pytest.mark.parametrize("finding, location", [
    ("edge-idle", "proxy_read_timeout 400ms;"),
    ("edge-position", 'proxy_set_header Last-Event-ID "";'),
    ("edge-refused", 'proxy_set_header Authorization "";'),
    ("edge-redirect", "return 301 https://elsewhere.example/;"),
    ("edge-missing", "return 404;"),
    ("edge-answer", "return 500;"),
    ("edge-type", "proxy_hide_header Content-Type; add_header Content-Type text/plain;"),
    ("edge-buffered", "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"),
    ("edge-compressed", "gzip on; gzip_types text/event-stream; gzip_min_length 1; gzip_proxied any;"
                        " proxy_hide_header Cache-Control; proxy_http_version 1.1;"),
])
def test_a_broken_proxy(edge, finding, location):
    args = [] if finding == "edge-idle" else ["--quick"]
    found = edge(*args, location=location)
    assert finding in ids(found) and found[finding]["fix"], found


def test_a_port_where_nobody_listens(edge, served, tmp_path):
    found = doctor(served.install, "--quick", "--url", f"http://localhost:{free_port()}/x/",
                   "--token-file", tmp_path / "token")
    assert "edge-unreachable" in ids(found)
    assert "connect" in found["edge-unreachable"]["message"].lower()


def test_tls(edge, tmp_path):
    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                    cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    key.chmod(0o644)
    server = f"ssl_certificate {cert}; ssl_certificate_key {key};"
    old = edge("--quick", scheme="https", server=server, listen="127.0.0.1:{port} ssl",
               env={"CURL_CA_BUNDLE": str(cert)})
    assert ids(old) == {"edge-http1"}, old
    new = edge("--quick", scheme="https", server=server, listen="127.0.0.1:{port} ssl http2",
               env={"CURL_CA_BUNDLE": str(cert)})
    assert ids(new) == set(), new
    unknown = edge("--quick", scheme="https", server=server, listen="127.0.0.1:{port} ssl")
    assert ids(unknown) == {"edge-unreachable"} and "ertificate" in str(unknown)


def test_cors(edge, served):
    served.configure("[server]\n", "[server]\ncors_origins = https://app.example\n")
    found = edge("--quick")  # the daemon has not been told yet
    assert ids(found) == {"edge-cors"} and found["edge-cors"]["object"] == "https://app.example"
    served.daemon.signal(1)
    served.daemon.wait_log("reloaded")
    assert ids(edge("--quick")) == set()


def test_what_an_outage_does_to_an_event_source(edge, served):
    served.daemon.stop()
    found = edge("--quick")
    assert ids(found) == {"daemon-away", "edge-outage"} and "502" in found["edge-outage"]["message"]
    found = edge("--quick", location="error_page 502 =200 @away;",
                 server="location @away { default_type text/event-stream; return 200 'retry: 5000\\n\\n'; }")
    assert ids(found) == {"daemon-away"}


def test_token_does_not_show_in_the_process_list(edge, served, tmp_path):
    """Whatever curl is given goes in by standard input."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "curl").write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/seen\nexec {shutil.which('curl')} \"$@\"\n")
    (fake / "curl").chmod(0o755)
    edge("--quick", env={"PATH": f"{fake}:{os.environ['PATH']}"})
    seen = (tmp_path / "seen").read_text()
    assert "--config -" in seen and served.boss not in seen


def test_what_the_environment_says_of_proxies_is_not_for_this_machine(served, tmp_path):
    """Nor does the daemon look away because of a file of curl's that root once wrote."""
    served.daemon.start().wait_ready()
    (tmp_path / ".curlrc").write_text(f"output = {tmp_path}/out\n")
    dead = f"http://127.0.0.1:{free_port()}"
    found = doctor(served.install, env={"http_proxy": dead, "ALL_PROXY": dead, "HOME": str(tmp_path)})
    assert ids(found) == set(), found


def test_another_role(served, cluster):
    """Whether it may more than the daemon's or less, the installation has not meant it."""
    cluster.execute("DO $$BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
    before = served.install.conf.read_text()
    for name in ("plain", "postgres"):
        served.install.conf.write_text(re.sub("(?m)^(conninfo = .*)user=\\w+", rf"\1user={name}", before))
        found = doctor(served.install)
        assert found["login-other"]["object"] == name and "user=pgherald" in found["login-other"]["fix"]
    served.install.conf.write_text(before)
    assert "login-other" not in doctor(served.install)


@pytest.mark.parametrize("was, now, remedy", [
    ("host=\\S+", "host=/nonexistent", "start PostgreSQL"),
    ("user=\\w+", "user=nobody_here", "makes the role"),
    ("dbname=\\w+", "dbname=nowhere", "the database's name"),
])
def test_no_way_into_the_database(served, was, now, remedy):
    served.install.conf.write_text(re.sub(f"(?m)^(conninfo = .*){was}", rf"\1{now}", served.install.conf.read_text()))
    found = doctor(served.install)
    assert remedy in found["login-refused"]["fix"] and "cannot connect" in found["stderr"]


def test_a_file_that_is_not_understood(served):
    served.install.conf.write_text("nonsense\n")
    found = doctor(served.install)
    assert ids(found) == {"conf-refused"} and "pgherald.conf:1:" in found["conf-refused"]["message"]


def test_certificates_of_the_database(cluster, installed, tmp_path):
    """Whom nobody knows has signed it; and it is another's."""
    where = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.7"
    for name in ("server", "other"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / f"{name}.key",
                        "-out", tmp_path / f"{name}.pem", "-days", "2", "-subj", f"/CN={name}", "-addext",
                        f"subjectAltName=IP:{where}"], check=True, capture_output=True)
    own = Cluster({"listen_addresses": where, "ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key"},
                  files=[tmp_path / "server.key", tmp_path / "server.pem"])
    try:
        install = installed
        before = install.conf.read_text()
        own.execute("CREATE ROLE pgherald LOGIN")

        def ask(host, root):
            conninfo = f"host={host} port=5432 dbname=postgres user=pgherald sslmode=verify-full sslrootcert={tmp_path}/{root}"
            install.conf.write_text(re.sub("(?m)^conninfo = .*", f"conninfo = {conninfo}", before))
            return doctor(install)

        for host, root in ((where, "other.pem"), (where, "nothing.pem"), (f"elsewhere hostaddr={where}", "server.pem")):
            assert "sslrootcert" in ask(host, root)["login-refused"]["fix"], (host, root)
        found = ask(where, "server.pem")
        assert not [f for f in ids(found) if f.startswith("login")], found
    finally:
        own.destroy()


def test_a_standby(tmp_path):
    """The primary beside it is where the daemon goes, and this."""
    primary = Cluster()
    replica = None
    try:
        replica = Replica(primary)
        primary.execute("CREATE ROLE pgherald LOGIN")
        wait_until(replica.caught_up, "the standby has it all")
        install = Install(Database(primary, "postgres"), tmp_path)
        text = install.conf.read_text()
        for host, here in ((replica.dir, True), (f"{replica.dir},{primary.dir}", False)):
            install.conf.write_text(re.sub("(?m)^(conninfo = .*)host=\\S+ port=\\S+", rf"\1host={host}", text))
            found = doctor(install)
            assert ("login-standby" in found) == here and "pooler-transaction" not in found, found
    finally:
        if replica:
            replica.destroy()
        primary.destroy()


def test_without_curl(served, tmp_path):
    found = doctor(served.install, env={"PATH": str(tmp_path)})
    assert "no curl" in found["stderr"]


def test_nobody_listens(served):
    served.configure("127.0.0.1:0", f"127.0.0.1:{free_port()}")
    assert ids(doctor(served.install)) == {"daemon-away"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may put a file where everybody looks for it")
@pytest.mark.parametrize("name", ["pgherald", "shop"])
def test_a_socket_that_systemd_keeps(served, tmp_path, name):
    """It counts, and not what the configuration says, while it is active."""
    usual = Path(re.search(r"\((\S+/pgherald/pgherald.conf)\)", run_pgherald("doctor", "--help").stdout)[1])
    place = usual.parent.parent
    if not place.is_dir() or place == Path("/etc"):
        pytest.skip(f"{place} cannot be another one for a moment")
    served.daemon.start().wait_ready()
    (etc := tmp_path / "etc/pgherald").mkdir(parents=True)
    (etc / f"{name}.conf").write_text(re.sub(
        "(?m)^listen = .*", f"listen = 127.0.0.1:{free_port()}", served.install.conf.read_text()))
    unit = "pgherald.socket" if name == "pgherald" else "pgherald@shop.socket"
    (fake := tmp_path / "bin").mkdir()

    def ask(state):
        (fake / "systemctl").write_text(f"""#!/bin/sh
            case "$*" in "show --property=ActiveState,Listen {unit}") ;; *) exit 1 ;; esac
            echo "Listen=@abstract (Stream)"; echo "Listen=/nowhere (FIFO)"
            echo "Listen=127.0.0.1:{served.daemon.address[1]} (Stream)"; echo ActiveState={state}""")
        (fake / "systemctl").chmod(0o755)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "-", etc.parent, place,
             PGHERALD, "doctor", "--json", "-c", usual.parent / f"{name}.conf"],
            env={**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60)
        assert done.stdout, done.stderr
        return {f["id"] for f in json.loads(done.stdout)["findings"]}

    assert "daemon-away" not in ask("active")
    assert "daemon-away" in ask("inactive")


def test_somebody_else_listens(served, tmp_path):
    server = subprocess.Popen(["python3", "-m", "http.server", "--bind", "127.0.0.1",
                               str(port := free_port())], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the other server")
        served.configure("127.0.0.1:0", f"127.0.0.1:{port}")
        assert ids(doctor(served.install)) == {"port-taken"}
    finally:
        server.terminate()
        server.wait()


def test_daemon_that_cannot_serve(served, cluster):
    served.daemon.start().wait_ready()
    name = served.db.name
    served.db.close()
    cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    served.daemon.wait_log("trying again")
    found = doctor(served.install)
    assert {"daemon-unready", "login-refused"} <= ids(found)
    assert "not currently accepting connections" in found["stderr"]
    cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_few_files(served):
    served.configure("[server]\n", "[server]\nmax_streams = 900000000\n")
    assert "files" in doctor(served.install)


def test_password_for_everybody_to_read(served):
    served.configure("conninfo = ", "conninfo = password=x ")
    served.install.conf.chmod(0o644)
    assert "conf-readable" in doctor(served.install)
    served.install.conf.chmod(0o600)
    assert "conf-readable" not in doctor(served.install)


def test_what_check_finds_is_part_of_it(served):
    served.db.run("DROP TRIGGER zz_pgherald_u ON api_estimate")
    done = run_pgherald("doctor", "-c", served.install.conf, "--dsn", served.db.conninfo())
    assert done.returncode == 1
    assert "zz_pgherald_u" in done.stdout and "to mend" in done.stdout


def test_clock(served):
    if not shutil.which("faketime"):
        pytest.skip("no faketime")
    if "libasan" in subprocess.run(["ldd", PGHERALD], capture_output=True, text=True).stdout:
        pytest.skip("faketime and AddressSanitizer both want to be loaded first")
    done = subprocess.run(["faketime", "-f", "+90s", PGHERALD, "doctor", "-c", served.install.conf],
                          capture_output=True, text=True)
    assert "behind this machine's" in done.stdout


@pytest.mark.parametrize("args", [["--url", "ftp://x/"], ["--token-file", "/nonexistent"], ["more"],
                                  ["--nonsense"]])
def test_misuse(served, args):
    done = run_pgherald("doctor", "-c", served.install.conf, *args)
    assert done.returncode == 2 and done.stderr and not done.stdout
