"""Addresses of object storage, as they are written in an experiment file.

``s3://BUCKET/FOLDER``, ``gs://BUCKET/FOLDER``, ``abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER``. Behind ``?``
an S3 of one's own is named as pyarrow reads it: ``endpoint_override=HOST:PORT&scheme=http&region=REGION``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from orchestrator.environment import AWS_ENDPOINTS, AWS_REGIONS

SCHEMES = ("s3", "gs", "abfs", "abfss")
# What may stand behind the ? of an address.
OPTIONS = {"s3": ("endpoint_override", "region", "scheme")}
_BEGINS = re.compile(rf"(?:{'|'.join(SCHEMES)})://", re.IGNORECASE)


def is_object_address(text: str) -> bool:
    """Return whether a text begins as an address of object storage does."""
    return _BEGINS.match(text) is not None


@dataclass(frozen=True)
class Address:
    """Where objects lie.

    Attributes:
        scheme: One of `SCHEMES`.
        bucket: The bucket; of Azure the container, with its account if the address names it.
        folder: The folder in it, without ``/`` at its ends; empty for the bucket itself.
        endpoint: The server of an S3 that is not Amazon's, with its ``http://`` or ``https://``; else empty.
        region: Of S3; empty where it is not said.
    """

    scheme: str
    bucket: str
    folder: str
    endpoint: str = ""
    region: str = ""

    @classmethod
    def of(cls, text: str) -> Address:
        """Return what a text says.

        Raises:
            ValueError: It is no address that could be meant; says why.
        """
        parts = urlsplit(text)
        scheme = parts.scheme.lower()
        if scheme not in SCHEMES:
            raise ValueError(f"{parts.scheme or 'nothing'} is none of {', '.join(SCHEMES)}")
        if not parts.netloc or parts.netloc.startswith("@") or parts.netloc.endswith("@"):
            raise ValueError("it names no bucket")
        names = parts.path.split("/")
        if any(name in (".", "..") for name in names) or "" in names[1:-1] or parts.fragment:
            raise ValueError("its folder has //, # or a name that is . or ..")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        known = OPTIONS.get(scheme, ())
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"behind ? it has {', '.join(unknown)}; known is {', '.join(known) or 'nothing there'}")
        folder = unquote(parts.path).strip("/")
        return cls(scheme, parts.netloc, folder, endpoint=_endpoint(given), region=given.get("region", ""))

    def __str__(self) -> str:
        return "/".join(filter(None, (f"{self.scheme}://{self.bucket}", self.folder)))

    @property
    def in_full(self) -> str:
        """It with its server, as `of` reads it."""
        said = {"endpoint_override": self.endpoint, "region": self.region}
        query = urlencode({name: value for name, value in said.items() if value}, safe=":/")
        return f"{replace(self, folder=quote(self.folder, safe='/ '))}{'?' * bool(query)}{query}"

    def below(self, name: str) -> Address:
        """Return the address of what is called `name` there."""
        return replace(self, folder="/".join(filter(None, (self.folder, name))))

    def as_here(self) -> Address:
        """Return it with what this process's environment says of the server: another machine may say nothing of it."""
        if self.scheme != "s3":
            return self
        endpoint = next(filter(None, map(os.environ.get, AWS_ENDPOINTS)), "")
        region = next(filter(None, map(os.environ.get, AWS_REGIONS)), "")
        return replace(self, endpoint=self.endpoint or endpoint, region=self.region or region)


def _endpoint(given: Mapping[str, str]) -> str:
    endpoint = given.get("endpoint_override", "")
    if not endpoint:
        if "scheme" in given:
            raise ValueError("behind ? it has a scheme, and no endpoint_override that it is of")
        return ""
    if "://" not in endpoint:
        endpoint = f"{given.get('scheme') or 'https'}://{endpoint}"
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"{endpoint} is no address of a server: http or https, a name and a port")
    return endpoint
