"""What every test runs under: no network, no telemetry. Set before any library is imported."""

from __future__ import annotations

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
    # Charts are drawn without a screen.
    MPLBACKEND="Agg",
)
