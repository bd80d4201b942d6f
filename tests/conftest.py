"""Lets a test module choose the event loops that its tests run on, each on all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

_USUAL: LoopFactories = {"asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(item: pytest.Function) -> LoopFactories:
    chosen: LoopFactories = getattr(item.module, "LOOP_FACTORIES", _USUAL)
    return chosen
