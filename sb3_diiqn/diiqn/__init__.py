"""DIIQN."""

from sb3_diiqn.diiqn.diiqn import DIIQN

__all__ = ["DIIQN"]
