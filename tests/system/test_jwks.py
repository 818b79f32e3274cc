# SPDX-License-Identifier: PostgreSQL
"""Keys of JSON Web Tokens that are had by URL: from a server with TLS and an authority of its own, which
behaves, changes its keys, and then does not behave."""

import re
import time
import uuid

import pytest
from conftest import Served, run_pgherald
from lib.daemon import Client, wait_until

pytest.importorskip("jwt", reason="no PyJWT")
pytest.importorskip("cryptography", reason="no cryptography")

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from lib.issuer import Issuer  # noqa: E402

DOORS = """
[auth issuer]
preset = jwt
jwks_url = {url}
jwks_ca_file = {ca}
jwks_pause = {pause}
jwks_refresh = {refresh}
jwks_grace = {grace}
user_table = public.api_user

[route events]
path = /api/v1/sse/events/
auth = issuer, drf
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


@pytest.fixture
def issuer(tmp_path):
    i = Issuer(tmp_path).add("one")
    yield i
    i.close()


@pytest.fixture
def doors(install, issuer, tmp_path):
    served = Served(install, tmp_path)
    base = install.conf.read_text().replace("[database]\n", "[database]\nrecheck = 1h\n")

    def start(pause="1s", refresh="1h", grace="0s", ca=issuer.ca, url=issuer.url, wait=True):
        install.conf.write_text(base + DOORS.format(pause=pause, refresh=refresh, grace=grace,
                                                    ca=ca or "", url=url))
        install.apply()
        served.daemon.start().wait_ready()
        if wait:
            served.daemon.wait_log("auth issuer: 1 keys from")
        return served
    yield start
    served.daemon.kill()


def stream(served, token, scheme="Bearer"):
    return Client(served.daemon, None, headers={"Authorization": f"{scheme} {token}"})


def status(served, token):
    client = stream(served, token)
    client.read_until(lambda: client.headers is not None, "an answer")
    client.close()
    return client.status


def test_a_key_that_is_new(doors, issuer):
    served = doors()
    anna = stream(served, issuer.token()).hello()
    issuer.add("two")  # nobody tells us
    later = stream(served, issuer.token(kid="two")).hello()
    assert issuer.asked == 2
    served.daemon.wait_log("auth issuer: 2 keys, others than before")
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('n', 10, 2)")
    for client in (anna, later):
        client.wait_message("estimate.created")
    # what is published for everybody is no secret, and a weak key none
    assert "4 keys" not in served.daemon.log()
    assert status(served, issuer.token(key=ec.generate_private_key(ec.SECP256R1()))) == 401


def test_names_of_keys_that_nobody_has(doors, issuer):
    served = doors(pause="1h")
    stranger = ec.generate_private_key(ec.SECP256R1())
    for _ in range(30):
        assert status(served, issuer.token(kid=uuid.uuid4().hex, key=stranger)) == 401
    assert issuer.asked == 2  # at the start, and for the first of them: an hour has not passed
    assert status(served, issuer.token()) == 200


def test_a_key_that_has_gone(doors, issuer):
    served = doors(refresh="1s")
    issuer.add("two")
    old, new = stream(served, issuer.token()).hello(), stream(served, issuer.token(kid="two")).hello()
    token, size = issuer.token(), served.daemon.log_size()
    del issuer.keys["one"]
    old.wait_end()
    served.daemon.wait_log("token is not valid any more", size)
    assert status(served, token) == 401
    assert not new.ended
    two, issuer.keys = issuer.keys, {}  # an empty set is one: nobody's token is good
    new.wait_end()
    assert "has no key that could verify a token: none is good" in served.daemon.log(size)
    issuer.keys = two
    wait_until(lambda: status(served, issuer.token(kid="two")) == 200, "the keys are back")
    # so is one in which there are keys for something else, as an issuer has that has disabled the one for signatures
    new, size = stream(served, issuer.token(kid="two")).hello(), served.daemon.log_size()
    issuer.keys, issuer.others = {}, [{"kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}]
    new.wait_end()
    assert "has no key that could verify a token: none is good" in served.daemon.log(size)


def test_a_key_that_has_gone_and_has_its_time(doors, issuer):
    served = doors(refresh="1s", grace="3s")
    old = stream(served, issuer.token()).hello()
    token = issuer.token()
    issuer.add("two")
    del issuer.keys["one"]
    served.daemon.wait_log("others than before")
    began = time.monotonic()
    assert status(served, token) == 200
    old.wait_end()
    assert time.monotonic() - began > 2
    assert status(served, token) == 401


MISBEHAVIOURS = {
    "broken": "no JWK set of at most 65536 bytes",
    "huge": "the answer is too large",
    "error": "the answer is 500",
    "redirect": "the answer is 302, and no redirection is followed",
    "reset": "Connection reset",
    "headers": "the answer's headers are too large",
    "slow": "[Tt]imed? ?out",
}
ODDITIES = {
    "html": "no JWK set",
    "list": "no JWK set",
    "deep": "no JWK set",
    "gzip": "no JWK set",  # which nobody has asked for
    "short": "transfer closed",
    "http2": "HTTP/0.9",
}


@pytest.mark.parametrize("misbehaviours", (MISBEHAVIOURS, ODDITIES), ids=("wrong", "odd"))
def test_the_old_keys_stay(install, tmp_path, misbehaviours):
    """An issuer for each thing that one can do wrong, at once."""
    served, issuers, text = Served(install, tmp_path), {}, install.conf.read_text()
    for answer in misbehaviours:
        (tmp_path / answer).mkdir()
        issuers[answer] = i = Issuer(tmp_path / answer).add("one")
        text += (f"\n[auth {answer}]\npreset = jwt\nissuer = {answer}\njwks_url = {i.url}\n"
                 f"jwks_ca_file = {i.ca}\njwks_pause = 1s\njwks_refresh = 1s\n"
                 f"user_table = public.api_user\n")
    install.conf.write_text(f"{text}\n[route events]\npath = /api/v1/sse/events/\n"
                            f"auth = {', '.join(issuers)}, drf\n[route stats]\n"
                            f"path = /api/v1/sse/stats/\nkind = stats\nauth = drf\n")
    install.apply()
    served.daemon.start().wait_ready()
    tokens = {answer: i.token(iss=answer) for answer, i in issuers.items()}
    streams = []
    for answer, i in issuers.items():
        served.daemon.wait_log(f"auth {answer}: 1 keys from")
        streams.append(stream(served, tokens[answer]).hello())
        i.answer = answer
    for answer, says in misbehaviours.items():
        # while it is under way, and after it has failed
        assert status(served, tokens[answer]) == 200
        stream(served, served.anna, "Token").hello().close()
        served.daemon.wait_log(f"no keys from {re.escape(issuers[answer].url)}: .*{says}.*; the old")
        assert status(served, tokens[answer]) == 200
    assert not any(s.ended for s in streams)
    for answer, i in issuers.items():
        i.stop_slow.set()
        i.answer = "set"
    for answer in issuers:
        served.daemon.wait_log(f"auth {answer}: keys can be had again")
    served.daemon.kill()
    for i in issuers.values():
        i.close()


def test_without_keys_nobody_is_refused_for_good(doors, issuer):
    issuer.answer = "slow"
    served = doors(wait=False)
    stream(served, served.anna, "Token").hello()  # others do not wait
    waiting = stream(served, issuer.token())
    stream(served, served.boss, "Token").hello()
    waiting.read_until(lambda: waiting.headers is not None, "an answer")
    assert waiting.status == 503
    served.daemon.wait_log("nobody can come in by it")
    issuer.stop_slow.set()
    issuer.answer = "set"
    wait_until(lambda: status(served, issuer.token()) == 200, "the keys have come")


def test_a_stop_does_not_wait(doors, issuer):
    issuer.answer = "slow"
    served = doors(wait=False)
    wait_until(lambda: issuer.asked, "a request")
    began = time.monotonic()
    served.daemon.stop()
    assert time.monotonic() - began < 3  # its time is 5 s


def test_another_authority(doors, issuer, tmp_path):
    served = doors(ca=None, wait=False)  # those of the system do not know it
    served.daemon.wait_log("no keys from .*(certificate|SSL)")
    assert status(served, issuer.token()) == 503
    assert issuer.asked == 0


def test_what_it_has_is_not_sent_again(doors, issuer):
    issuer.etag = '"v1"'
    issuer.headers = {"Cache-Control": "public, max-age=5"}
    served = doors(refresh="1s")
    wait_until(lambda: issuer.unchanged >= 2, "304, twice")
    assert status(served, issuer.token()) == 200
    issuer.add("two")
    issuer.etag = '"v2"'
    assert status(served, issuer.token(kid="two")) == 200


def test_an_issuer_by_ipv6(doors, tmp_path):
    (tmp_path / "six").mkdir()
    try:
        six = Issuer(tmp_path / "six", "::1").add("one")
    except OSError:
        pytest.skip("no IPv6 here")
    served = doors(url=six.url, ca=six.ca)
    assert status(served, six.token()) == 200 and six.encodings == {"identity"}
    six.close()


def test_keys_that_change_all_the_time(doors, issuer):
    """A new key for each token: nobody is let in by one that is gone, and the issuer is asked once in jwks_pause."""
    served = doors(pause="1s")
    began = time.monotonic()
    for n in range(40):
        old, new = issuer.token(kid=list(issuer.keys)[0]), f"k{n}"
        issuer.keys.clear()
        issuer.add(new)
        assert status(served, issuer.token(kid=new)) in (200, 401)
    took = time.monotonic() - began
    assert issuer.asked <= took + 3, (issuer.asked, took)
    wait_until(lambda: status(served, issuer.token(kid=new)) == 200, "the last one")
    assert status(served, old) == 401


def test_a_url_that_changes_at_a_reload(doors, issuer, tmp_path):
    served = doors()
    anna = stream(served, issuer.token()).hello()
    (tmp_path / "other").mkdir()
    other = Issuer(tmp_path / "other").add("one")
    served.configure(issuer.url, other.url)
    served.configure(str(issuer.ca), str(other.ca))
    served.daemon.signal(1)
    anna.wait_end()
    assert status(served, other.token()) == 200
    assert status(served, issuer.token()) == 401
    other.close()


REFUSED = (
    ("jwks_url = http://issuer.example/keys", "must be https://"),
    ("jwks_url = https://anna@issuer.example/keys", "must be https://"),
    ("jwks_url = http://127.0.0.1@issuer.example/keys", "must be https://"),
    ("jwks_url = http://localhost.issuer.example/keys", "must be https://"),
    ("jwks_url = https://issuer.example:99999/keys", "must be https://"),
    ("jwks_url = file:///etc/passwd", "must be https://"),
    ("jwks_url = https://issuer.example/keys\nkey_file = /x", "key_file and jwks_url: one of them"),
    ("jwks_url = https://issuer.example/keys\nalgorithm = HS256", "is for secrets"),
    ("jwks_url = https://issuer.example/keys\njwks_ca_file = ca.pem", "must begin with /"),
    ("jwks_url = https://issuer.example/keys\njwks_ca_file = /nowhere.pem", "No such file"),
    ("key_file = /x\njwks_ca_file = /ca.pem", "is not for preset = jwt without jwks_url"),
    ("", "or jwks_url"),
)


def test_check(install):
    text = install.conf.read_text()
    for lines, says in REFUSED:
        install.conf.write_text(f"{text}\n[auth i]\npreset = jwt\n{lines}\n")
        done = run_pgherald("-c", install.conf, "-t")
        assert done.returncode != 0 and says in done.stderr, (lines, done.stderr)
