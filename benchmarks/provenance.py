"""What results were made with: the revision of this checkout, and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from sb3_diiqn.expert.manifest import installed_versions


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
    return {**machine, **installed_versions(("numpy", "scipy", "torch", "stable_baselines3"))}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
