"""obstore's clients of a bucket: each kind of request has one that waits, and tries again, as fits it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrator.environment import AWS_CREDENTIALS
from orchestrator.objects.address import Address
from orchestrator.objects.trouble import explained, without_package

# A server that says nothing for so long counts as silent. While something is sent it says nothing: a part of a large
# object may take longer on a slow line.
SILENCE_S, SENDING_S = 15, 120
# A part of a large object, from its first byte to its last.
PART_S = 900
PART_RETRIES = 4


@dataclass(frozen=True)
class Clients:
    """What asks.

    Attributes:
        small: For what is one request: it ends within `SILENCE_S`, and is not tried again.
        reading: For objects that are read in parts, which are tried again.
        sending: Likewise for objects that are sent in parts.
    """

    small: Any
    reading: Any
    sending: Any

    @classmethod
    def of(cls, address: Address, named: str) -> Clients:
        """Return those of an address.

        Raises:
            ObjectsError: obstore is not installed, or the address or the environment lacks something.
        """
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise without_package(address, named) from error
        config = {name: value for name in ("endpoint", "region") if (value := getattr(address, name))}
        more = {"credential_provider": provider} if (provider := _of_boto3(address)) is not None else {}

        def client(silence_s: float, whole_s: float, retries: int) -> Any:
            options = {
                "allow_http": address.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "read_timeout": timedelta(seconds=silence_s),
                "timeout": timedelta(seconds=whole_s),
            }
            again = {"max_retries": retries}
            return from_url(str(address), config=config, client_options=options, retry_config=again, **more)

        try:
            return cls(
                small=client(SILENCE_S, SILENCE_S, 0),
                reading=client(SILENCE_S, PART_S, PART_RETRIES),
                sending=client(SENDING_S, PART_S, PART_RETRIES),
            )
        except (BaseError, ValueError) as error:
            raise explained(error, address, named) from error


def _of_boto3(address: Address) -> Any:
    """Return what reads the credentials where AWS's own tools have them, which obstore does not: ``~/.aws``."""
    if address.scheme != "s3" or any(map(os.environ.get, AWS_CREDENTIALS)):
        return None
    with suppress(ImportError):
        import boto3  # a second, which whoever has other credentials need not pay
        from obstore.auth.boto3 import Boto3CredentialProvider

        session = boto3.Session()
        return Boto3CredentialProvider(session) if session.get_credentials() is not None else None
    return None
