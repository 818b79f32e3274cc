#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Proves that each user receives exactly what they may: three `curl -N` listen, the story is
told through the Django ORM, every line received is printed as `WHO| line`, and the events of
each are compared with what the story's facts say. No waiting by the clock: the story's last
step is one that all three hear, and each stream is read up to it.
Usage: proof.py EVENTS_URL USERS_JSON [--conf FILE] -- MANAGE...
(exit 0 only if everything is right; FILE is what `pgherald --print-config` says, if the daemon has
another configuration than the example's)"""

import json
import queue
import re
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

Json = Dict[str, Any]
Expected = Tuple[str, Optional[str], Json]  # event, scope, data
Wanted = Union[Expected, "Maybe"]

PATIENCE_S = 60  # for a broken system; a working one needs none of it
END = object()


class Either:
    """One of these values, whichever."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __eq__(self, other: Any) -> bool:
        return other in self.values

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.values))


# What the example's pgherald.conf tells of a row. With --conf it is what another configuration says.
FIELDS = {
    "estimate": "estimate_id=id, estimate_number=number,"
    " project_id, project_name=project_id->public.api_project.name,"
    " foreman_id, foreman_name=foreman_id->public.api_user.username,"
    " creator_id, creator_name=creator_id->public.api_user.username,"
    " status, created_at::utc",
    "project": "project_id=id, project_name=name, address, created_at::utc",
}
LEAVE = {"estimate": ["estimate_id", "project_id"]}


class Maybe:
    """An event that may come here or not; after one of these that came it must, if it says so."""

    def __init__(self, event: Expected, undoes: bool = False) -> None:
        self.event, self.undoes = event, undoes


class Fields:
    """`fields` of a [watch]: pairs of a document's key and the fact that stands there."""

    def __init__(self, text: str, leave: List[str], follow: bool = False) -> None:
        self.follow = follow
        self.pairs = []
        for item in re.sub(r"\s", "", text).split(","):
            name, _, source = item.split("::")[0].rpartition("=")
            column, _, joined = source.partition("->")
            fact = f"{column}.{joined.rsplit('.', 1)[1]}" if joined else column
            self.pairs.append((name or column, fact))
        self.leave = leave or [name for name, fact in self.pairs if fact == "id"]

    def document(self, facts: Json) -> Json:
        return {name: facts[fact] for name, fact in self.pairs}


def fields_of(conf: Optional[str]) -> Dict[str, Fields]:
    """Of a file that `pgherald --print-config` has written."""
    if not conf:
        return {topic: Fields(text, LEAVE.get(topic, [])) for topic, text in FIELDS.items()}
    with open(conf, encoding="utf-8") as file:
        sections = re.findall(r"(?m)^\[watch (\w+)\]\n((?:[^\[\n].*\n|\n)*)", file.read())
    settings = {topic: dict(re.findall(r"(?m)^(\w+) = (.*)$", body)) for topic, body in sections}
    return {
        topic: Fields(
            s["fields"],
            [name.strip() for name in s["leave"].split(",") if name.strip()],
            s["follow"] == "yes",
        )
        for topic, s in settings.items()
    }


def expectations(story: Dict[str, Json], fields: Dict[str, Fields]) -> Dict[str, List[Wanted]]:
    # A name from another table is that of the moment when the event is told, unless the row is gone.
    for step in ("create", "change", "reassign"):
        names = story[step]["project_id.name"], story["rename"]["name"]
        story[step]["project_id.name"] = Either(*names)
    docs = {
        step: fields["project" if step in ("rename", "end") else "estimate"].document(facts)
        for step, facts in story.items()
    }
    left = {key: docs["change"][key] for key in fields["estimate"].leave}
    created = ("estimate.created", None, docs["create"])
    changed = ("estimate.updated", None, docs["change"])
    deleted = ("estimate.deleted", None, docs["delete"])
    renamed = ("project.updated", None, docs["rename"])
    end = ("project.updated", None, docs["end"])
    # With `follow` the project comes and goes with the estimate, for who owns it when that is told: not
    # for somebody who has lost it again, now and then for one who had it already.
    gains: List[Wanted] = []
    loses: List[Wanted] = []
    if fields["project"].follow:
        house = dict(story["rename"], name=story["create"]["project_id.name"])
        document = fields["project"].document(house)
        gains = [Maybe(("project.updated", "enter", document))]
        left_house = {key: document[key] for key in fields["project"].leave}
        loses = [Maybe(("project.updated", "leave", left_house), undoes=True)]
    return {
        "manager": [
            created,
            changed,
            ("estimate.updated", None, docs["reassign"]),
            deleted,
            renamed,
            end,
        ],
        # Nothing of foreman1's is left in the house when it is renamed.
        "foreman1": [
            created,
            *gains,
            changed,
            ("estimate.updated", "leave", left),
            *loses,
            end,
        ],
        "foreman2": [
            ("estimate.updated", "enter", docs["reassign"]),
            *gains,
            deleted,
            renamed,
            end,
        ],
    }


class Listener:
    """One user's `curl -N`; its lines are printed as they come and its events queued."""

    def __init__(self, who: str, url: str, token: str, printing: threading.Lock) -> None:
        self.who, self.printing = who, printing
        self.events: "queue.Queue[Any]" = queue.Queue()
        # The token goes in by standard input, so that `ps` does not show it.
        self.curl = subprocess.Popen(
            ["curl", "-sSN", "--fail", "--config", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.curl.stdin
        self.curl.stdin.write(f'url = "{url}?token={token}"\n'.encode())
        self.curl.stdin.close()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        assert self.curl.stdout
        for raw in self.curl.stdout:
            line = raw.decode().rstrip("\n")
            with self.printing:
                print(f"{self.who}| {line}", flush=True)
            if line.startswith("data: "):
                self.events.put(line[len("data: ") :])
        self.events.put(END)

    def next(self, deadline: float) -> Json:
        while True:
            try:
                text = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Wrong(f"{self.who}: nothing came within {PATIENCE_S} s") from None
            if text is END:
                raise Wrong(f"{self.who}: the stream ended (curl exit {self.curl.wait()})")
            event = json.loads(text)
            if event.get("event") != "keepalive":
                return event

    def stop(self) -> None:
        self.curl.kill()
        self.curl.wait()
        self.thread.join()


class Wrong(Exception):
    pass


def same_time(got: Any, want: str) -> bool:
    if not isinstance(got, str) or not got.endswith("Z"):
        return False
    return datetime.fromisoformat(got[:-1] + "+00:00") == datetime.fromisoformat(want)


def same(key: str, got: Any, want: Any) -> bool:
    if key.endswith("_at"):
        return same_time(got, want)
    if key == "amount":  # a number in the document, a text in the facts
        return isinstance(got, (int, float)) and got == float(want)
    return got == want


def difference(got: Json, want: Expected) -> Optional[str]:
    event, scope, data = want
    keys = ["event", "data"] + (["scope"] if scope else []) + ["timestamp"]
    if list(got) != keys:
        return f"keys {list(got)}, expected {keys}"
    if got["event"] != event or got.get("scope") != scope:
        return f"{got['event']} (scope {got.get('scope')}), expected {event} (scope {scope})"
    if type(got["timestamp"]) is not int:
        return f"timestamp {got['timestamp']!r} is not an integer"
    if list(got["data"]) != list(data):
        return f"data has {list(got['data'])}, expected {list(data)}"
    for key, value in data.items():
        right = same(key, got["data"][key], value)
        if not right:
            return f"{key} is {got['data'][key]!r}, expected {value!r}"
    return None


def check(listener: Listener, wanted: List[Wanted], deadline: float) -> Iterator[str]:
    """Reads up to the last wanted event, which everybody hears; yields what is wrong."""
    received = []
    assert not isinstance(wanted[-1], Maybe)
    event, _, data = wanted[-1]
    while True:
        received.append(listener.next(deadline))
        last = received[-1]
        key = next(iter(data))
        if last["event"] == event and last["data"].get(key) == data[key]:
            break
    i, came = 0, False
    for want in wanted:
        if isinstance(want, Maybe):
            fits = i < len(received) and not difference(received[i], want.event)
            if want.undoes and came and not fits:
                yield f"{listener.who}: {want.event[0]} (scope {want.event[1]}) is missing"
            i, came = i + fits, fits
            continue
        if i >= len(received):
            yield f"{listener.who}: {want[0]} (scope {want[1]}) is missing"
            continue
        wrong = difference(received[i], want)
        i += 1
        if wrong:
            yield f"{listener.who}: event {i}: {wrong}"
    for extra in received[i:]:
        yield f"{listener.who}: one event too many: {json.dumps(extra, ensure_ascii=False)}"


def tell_story(manage: List[str]) -> Dict[str, Json]:
    done = subprocess.run(manage + ["story", "--json"], stdout=subprocess.PIPE, check=True)
    steps = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return {step["step"]: step["facts"] for step in steps}


def prove(
    url: str, users: Dict[str, Json], fields: Dict[str, Fields], manage: List[str]
) -> List[str]:
    deadline = time.monotonic() + PATIENCE_S
    printing = threading.Lock()
    listeners: List[Listener] = []
    try:
        for who, user in users.items():
            listeners.append(Listener(who, url, user["token"], printing))
        for listener in listeners:
            hello = listener.next(deadline)
            if hello != {"event": "connected", "message": "SSE connection established"}:
                raise Wrong(f"{listener.who}: a strange hello: {hello}")
        wanted = expectations(tell_story(manage), fields)
        return [
            wrong
            for listener in listeners
            for wrong in check(listener, wanted[listener.who], deadline)
        ]
    finally:
        for listener in listeners:
            listener.stop()


def main() -> int:
    url, users, *more = sys.argv[1:]
    conf = None
    if more and more[0] == "--conf":
        conf, more = more[1], more[2:]
    dashes, *manage = more
    assert dashes == "--" and manage, __doc__
    try:
        with open(users, encoding="utf-8") as file:
            wrong = prove(url, json.load(file), fields_of(conf), manage)
    except (Wrong, subprocess.CalledProcessError) as error:
        wrong = [str(error)]
    for line in wrong:
        print("proof: " + line, file=sys.stderr)
    if not wrong:
        print("proof: each of the three received exactly what they may, and nothing else")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
