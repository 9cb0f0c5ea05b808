"""Prints the pins of one lane: python constraints/resolve.py LANE EXTRAS > constraints/LANE.txt (make constraints)."""

from __future__ import annotations

import json
import subprocess
import sys

#: what torch brings along for a GPU depends on the machine, and torch pins it itself
OF_TORCH = ("cuda", "nvidia", "triton")


def main(lane: str, extras: str) -> None:
    """Ask pip what it would install into an empty environment, and print that as pins without build suffixes."""
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run([*pip, "-c", f"constraints/{lane}.in", f".[{extras}]"], check=True, stdout=subprocess.PIPE)
    packages = [entry["metadata"] for entry in json.loads(report.stdout)["install"] if not entry["is_direct"]]
    packages = [package for package in packages if not package["name"].lower().startswith(OF_TORCH)]
    print(f"# The {lane} lane, resolved for Python {sys.version_info.major}.{sys.version_info.minor} by: make constraints")
    for package in sorted(packages, key=lambda package: package["name"].lower()):
        print(f"{package['name']}=={package['version'].partition('+')[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
