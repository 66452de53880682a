from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge_csv import CsvConnector, CsvSettings

Open = Callable[..., CsvConnector]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "files"
    place.mkdir()
    return place


@pytest.fixture
def opened(folder: Path) -> Open:
    """Open the folder; a dialect and the settings of streams may be given."""

    def open_(dialect: str = "plain", streams: dict[str, Any] | None = None, page_size: int = 10_000, **more: Any) -> CsvConnector:
        settings = {"folder": folder, "dialect": dialect, "identity": "test-folder", "streams": streams or {}, **more}
        return CsvConnector(
            CsvSettings.model_validate({name: value for name, value in settings.items() if value is not None}), page_size=page_size
        )

    return open_
