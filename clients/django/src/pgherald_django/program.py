# SPDX-License-Identifier: PostgreSQL
"""Calls the program `pgherald` with a configuration that settings and models give."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from . import conf, render


class ProgramError(Exception):
    """The program is missing, or said what is wrong."""


def run(*args: str, watched: str, database: str = "", env: Dict[str, str] = {}) -> Tuple[int, str, str]:  # noqa: B006
    """(exit status, standard output, standard error) of the program with this configuration."""
    with tempfile.TemporaryDirectory(prefix="pgherald-") as directory:
        path = Path(directory) / "pgherald.conf"
        path.write_text(render.everything(watched, database), encoding="utf-8")
        command = [*conf.binary(), *args, "-c", str(path)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=conf.get("TIMEOUT"),
            )
        except FileNotFoundError:
            raise ProgramError(
                f"{command[0]} is not installed here; PGHERALD['BINARY'] says where it is"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProgramError(f"{command[0]}: {error}") from None
        said = done.stderr.replace(str(path), "the configuration")
        return done.returncode, done.stdout.replace(str(path), "the configuration"), said


def output(*args: str, watched: str) -> str:
    """Its standard output; ProgramError when it does not succeed."""
    status, out, said = run(*args, watched=watched)
    if status:
        raise ProgramError((said or out).strip() or f"pgherald {' '.join(args)}: status {status}")
    return out


def server(alias: str) -> Tuple[str, Dict[str, str]]:
    """(conninfo, environment) of one of DATABASES: a password is not for `ps`."""
    from django.db import connections

    params = dict(connections[alias].get_connection_params())
    words = {
        "dbname": params.get("dbname") or params.get("database"),
        "host": params.get("host"),
        "port": params.get("port"),
        "user": params.get("user"),
    }
    words.update(
        {k: v for k, v in params.items() if k.startswith("ssl") or k in ("service", "passfile", "options")}
    )
    items = [f"{k}={_quoted(v)}" for k, v in words.items() if v]
    password = params.get("password")
    return " ".join(items), {"PGPASSWORD": str(password)} if password else {}


def _quoted(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def statements(args: List[str], watched: str) -> str:
    """SQL for a transaction that is under way."""
    return output("sql", *args, "--migration", watched=watched)
