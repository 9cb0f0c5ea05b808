"""What results were made with: the revision of this package, the versions of others, and the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sb3_diiqn

PACKAGES = ("stable_baselines3", "sb3_contrib", "gymnasium", "torch", "numpy", "imitation", "minatar", "gymnasium_robotics")


def versions() -> dict[str, str]:
    """Find the versions of Python, this package, and the packages that results depend on."""
    return {"python": platform.python_version(), "sb3_diiqn": sb3_diiqn.__version__, **_installed(PACKAGES)}


def git_revision() -> str | None:
    """Find the revision of the checkout that this package is imported from, ``-dirty`` with changes; None outside of one."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.check_output(
            ["git", *arguments], cwd=folder, stderr=subprocess.DEVNULL, text=True, timeout=10
        ).strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed inside of somebody else's checkout: not ours
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def describe_machine() -> dict[str, Any]:
    """Describe this machine, and the versions of what matters."""
    machine = {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    return {**machine, **_installed(("numpy", "scipy", "torch", "stable_baselines3"))}


def _installed(packages: Iterable[str]) -> dict[str, str]:
    """Find the versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
