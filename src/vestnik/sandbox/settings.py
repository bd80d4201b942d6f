"""Where the sandbox listens. Apart from the rest, so that a daemon without a sandbox loads none of it."""

from __future__ import annotations

from pydantic import field_validator

from vestnik.settings.values import Address, AddressValue, Section, is_loopback_host


class SandboxSettings(Section):
    listen: AddressValue = Address("127.0.0.1", 8090)
    smtp: AddressValue = Address("127.0.0.1", 1025)

    @field_validator("listen", "smtp")
    @classmethod
    def _on_loopback(cls, address: Address) -> Address:
        if not is_loopback_host(address.host):
            raise ValueError(
                f"a loopback address such as 127.0.0.1:{address.port}: the sandbox takes messages from anybody"
            )
        return address
