# SPDX-License-Identifier: PostgreSQL
"""A page in a real browser, with the code that the README shows, its application, a proxy and a
daemon: whatever happens, the page's list must be the table."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conftest import HEAD, PGHERALD, Install

from . import browser
from .daemon import Daemon, wait_until
from .django_env import TOP

CONF = HEAD + """
[watch order]
table = public.api_estimate
owners = foreman_id
fields = id, number, status
[route events]
path = /api/v1/sse/events/
keepalive = 1h
retry = 200ms
[route stats]
path = /api/v1/sse/stats/
kind = stats
"""
PAGE = """<!doctype html><meta charset="utf-8"><script>
Math.random = () => 0;                                     // wait no longer than needed
const given = new URLSearchParams(location.hash.slice(1)); // what no proxy sees
let token = given.get("token");
let logins = 0, gaps = 0, gaveUp = 0, cameAt = 0;
const logIn = () => { logins += 1; };
window.EventSource = class extends EventSource {
  constructor(url) {
    super((given.get("origin") ?? "") + url);
    this.addEventListener("message", () => { cameAt = Date.now(); });
    this.addEventListener("error", () => { gaps += 1; gaveUp += this.readyState === 2; });
  }
};
</script><script>
%s
</script>"""


def machine_lacks(proxy):
    """What to say when a test is skipped; "" when all is there."""
    missing = [] if proxy.program() else [proxy.NAMES[0]]
    missing += [name for name in ("openssl", "curl") if not shutil.which(name)]
    missing += [] if browser.find() else ["chromium"]
    return "not installed: " + ", ".join(missing) if missing else ""


def snippet():
    """The page's code, as the README has it."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    return re.search(r"## In the browser.*?```js\n(.*?)```", text, re.S).group(1)


class Site:
    """The application behind the same proxy: the page, and the list that it loads."""

    def __init__(self, db):
        self.db, self.lists, self.gate = db, 0, threading.Event()
        self.gate.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path.startswith("/api/orders/"):
                    return self.answer("application/json", site.list())
                return self.answer("text/html", PAGE % snippet())

            def answer(self, kind, text):
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def rows(self):
        return self.db.run("SELECT id, number, status FROM api_estimate ORDER BY id")

    def list(self):
        """What the table is now, sent when the gate is open: until then it grows old."""
        connection = self.db.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, number, status FROM api_estimate WHERE foreman_id = 2")
            rows = cursor.fetchall()
        connection.close()
        self.lists += 1
        assert self.gate.wait(60)
        return json.dumps([dict(zip(("id", "number", "status"), row)) for row in rows])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Stage:
    def __init__(self, cluster, directory, proxy, conf=CONF):
        self.kind = proxy
        self.db = cluster.create_database("app_template")
        self.install = Install(self.db, directory)
        self.install.write(conf)
        self.install.apply()
        self.daemon = Daemon(PGHERALD, self.install.conf, directory / "daemon.log")
        self.daemon.start().wait_ready()
        self.site = Site(self.db)
        self.proxy = self.another(proxy.QUICK)
        self.browser = browser.Browser()
        self.n = 0

    def another(self, change=()):
        """The proxy, with `change` exchanged in the recipe besides addresses and paths."""
        return self.kind(self.daemon.address[1], self.site.port, change)

    def open(self, url=None, token="token-anna", more=""):
        def opened():  # who does it in the moment of a reload may have to do it again
            page = self.browser.open(f"{url or self.proxy.url}/#token={token}{more}")
            if page.failed:
                page.close()
            return not page.failed and page

        page = wait_until(opened, "the page opens")
        page.wait("position !== ''", "the greeting")
        return page

    def write(self):
        """One row more, one changed, and now and then one less."""
        self.n += 1
        self.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, 2)",
                    (f"n{self.n}",))
        self.db.run("UPDATE api_estimate SET status = %s WHERE id = (SELECT max(id) FROM api_estimate)",
                    (f"s{self.n}",))
        if self.n % 3 == 0:
            self.db.run("DELETE FROM api_estimate WHERE id = (SELECT min(id) FROM api_estimate)")

    def same(self, page):
        """Until the page shows what the table has."""
        want = json.dumps([list(row) for row in self.site.rows()])
        page.wait("work.then(() => JSON.stringify([...orders.values()].sort((a, b) => a.id - b.id)"
                  f".map((o) => [o.id, o.number, o.status])) === JSON.stringify({want}))",
                  f"the table: {want}")

    def outage(self, page, end="stop", in_vain=1, between=lambda: None):
        """The daemon goes, rows change, the page asks in vain, and the daemon comes back."""
        self.write()
        self.same(page)
        gaps = page.eval("gaps")
        getattr(self.daemon, end)()
        self.write()
        page.wait(f"gaps > {gaps + in_vain}", "it asks in vain")
        between()
        self.daemon.start().wait_ready()
        self.write()
        self.same(page)

    def streams(self):
        return self.daemon.streams("token-boss")

    def close(self):
        self.browser.close()
        self.proxy.close()
        self.site.close()
        self.daemon.kill()
        self.db.drop()
