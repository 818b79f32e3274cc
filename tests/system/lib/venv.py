# SPDX-License-Identifier: PostgreSQL
"""Environments for Python packages that the distribution has not."""

import subprocess
import sys


def make(run, place):
    """A new one at `place`, by run(argv), which raises when a program fails; argv of a pip that installs into it. The
    pip that is there does so since 22.3: to give each environment one of its own takes longer than all the rest."""
    pip = [sys.executable, "-m", "pip", "--python", str(place)]
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(place)])
    if subprocess.run([*pip, "--version"], capture_output=True).returncode == 0:
        return pip
    run([sys.executable, "-m", "venv", "--clear", str(place)])
    return [str(place / "bin" / "python"), "-m", "pip"]
