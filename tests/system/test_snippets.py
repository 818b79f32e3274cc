# SPDX-License-Identifier: PostgreSQL
"""Pages that were written for a chat's own server, as they stand, against the preset: before and after that had
changed its transport. Only the URL's origin is ours, and the token that is spelled in them."""

import json

import pytest

from conftest import HEAD, HERE, Install, Served
from lib import browser

NAMED_EVENTS = """
const eventSource = new EventSource('/my/chat/session-id/events/?token=jwt');

eventSource.addEventListener('task_started', (e) => {
  const data = JSON.parse(e.data);
  console.log('Task started:', data);
});
"""

LINES = """
const response = await fetch('/my/chat/session-id/events/', {
  headers: {
    'Authorization': 'Bearer ' + token
  },
  signal: abortController.signal
});

const reader = response.body.getReader();
const decoder = new TextDecoder();

while (true) {
  const {done, value} = await reader.read();
  if (done) break;
  
  const chunk = decoder.decode(value);
  const lines = chunk.split('\\n').filter(line => line.trim());
  
  for (const line of lines) {
    const event = JSON.parse(line);
    if (event.event_type === 'task_started') {
      console.log('Task started:', event);
    }
  }
}
"""

LISTEN = """
window.told = [];
console.log = (what, data) => window.told.push([what, data]);
const token = 'jwt', abortController = new AbortController();
window.failed = null;
(async () => {%s})().catch(e => window.failed = String(e));
0
"""


@pytest.fixture
def chat(db, tmp_path):
    install = Install(db, tmp_path)
    install.write(HEAD.replace("receives = own\n", "receives = own\nchannels = chat:*\n") + f"""
[publish]
roles = app
[watch project]
table = public.api_project
fields = id
""" + f"\ninclude = {HERE.parents[1]}/presets/chat.conf\n")
    install.apply()
    db.run("UPDATE authtoken_token SET key = 'jwt' WHERE user_id = 2")
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()


@pytest.mark.parametrize("snippet, payload", [(NAMED_EVENTS, None), (LINES, "payload")], ids=["named events", "lines"])
def test_a_chat_s_page(chat, snippet, payload):
    if not browser.find():
        pytest.skip("no Chromium is installed")
    host, port = chat.daemon.address
    b = browser.Browser()
    try:
        page = b.open(f"http://{host}:{port}/healthz")  # any page of that origin
        page.eval(LISTEN % snippet)
        chat.daemon.wait_log("stream opened")
        for channel, n in (("chat:another", 0), ("chat:session-id", 1), ("chat:session-id", 2)):
            chat.db.run("SELECT pgherald.publish(%s, 'task_started', %s::jsonb)", (channel, json.dumps({"task": n})), user="app")
            if n:  # one after the other: the second page takes for granted that no line is cut on its way
                page.wait(f"window.failed || window.told.length === {n}")
        assert page.eval("window.failed") is None
        told = page.eval("window.told")
        assert [what for what, _ in told] == ["Task started:"] * 2
        documents = [data[payload] if payload else data for _, data in told]
        assert documents == [{"task": 1}, {"task": 2}]
    finally:
        b.close()
