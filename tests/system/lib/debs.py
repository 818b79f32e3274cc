# SPDX-License-Identifier: PostgreSQL
"""Programs of Debian packages that would begin to serve when they are installed: fetched by apt-get
and unpacked below .cache/, so that nothing is installed and nothing is started."""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

from .django_env import TOP

TIMEOUT_S = 300
SBIN = "/usr/sbin:/usr/local/sbin:/sbin"


def _cache():
    return Path(os.environ.get("PGHERALD_CACHE", TOP / ".cache")) / "debs"


def _run(argv, **kw):
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=True, **kw)


def find(*programs):
    """The path of the first of these that is there, installed or unpacked, or None."""
    path = ":".join([os.environ.get("PATH", ""), SBIN, *(
        str(root / d) for root in sorted(_cache().glob("*/root")) for d in ("usr/sbin", "usr/bin"))])
    return next((found for found in (shutil.which(p, path=path) for p in programs) if found), None)


def fetch(package):
    """Unpacks it, and what it needs that is not installed, unless its program is here (it has the
    package's name). Does nothing where there is no apt-get or no package: find() then says so."""
    place = _cache() / package
    if find(package) or (place / "tried").exists() or not shutil.which("apt-get"):
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        with open(place / "lock", "w") as lock:  # two test runs at once fetch it once
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "tried").exists():
                _unpack(package, place)
                (place / "tried").touch()
    except (OSError, subprocess.SubprocessError):
        pass


def _unpack(package, place):
    wanted = _run(["apt-get", "install", "--print-uris", "-y", "-qq", "--no-install-recommends",
                   package]).stdout
    names = re.findall(r"^'\S+' ([^_\s]+)_", wanted, re.M)
    if not names:
        return
    debs = place / "debs"
    debs.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chmod(debs, 0o777)  # apt fetches as its own user
    _run(["apt-get", "download", "-qq", *names], cwd=debs)
    for deb in debs.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(deb), str(place / "root")])
    shutil.rmtree(debs)


def environment():
    """For programs that find() has found: where their libraries are."""
    libraries = [str(d) for d in sorted(_cache().glob("*/root/usr/lib/*-linux-gnu*"))]
    paths = [p for p in (*libraries, os.environ.get("LD_LIBRARY_PATH")) if p]
    return dict(os.environ, **({"LD_LIBRARY_PATH": ":".join(paths)} if paths else {}))
