import os

import pytest


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    """Without waiting for the disk: what these tests look at is what was written, and in which order."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
