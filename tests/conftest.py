"""What all tests share: one torch thread, and hypothesis without deadlines and with the same examples every time."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile("sb3_diiqn", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("sb3_diiqn")
