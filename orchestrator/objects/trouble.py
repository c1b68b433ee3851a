"""What goes wrong with a bucket: whether it can pass, and in words what it is and what to do about it.

obstore has one error for most of it; what it says is read as far as a server's own code, such as ``NoSuchBucket``, and
the address that it asked.
"""

from __future__ import annotations

import re
import socket

from orchestrator.credentials import without_secrets
from orchestrator.errors import first_line
from orchestrator.objects.address import Address
from orchestrator.objects.objects import ObjectsError

# Where a machine of a cloud is asked for its own credentials: nobody else answers there.
_METADATA = ("/latest/api/token", "/latest/meta-data", "metadata.google.internal", "169.254.", "fd00:ec2::254")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed")
_ELSEWHERE = ("PermanentRedirect", "redirect without LOCATION", "AuthorizationHeaderMalformed", "IllegalLocation")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\"reason\": ?\"(\w+)\"")
# Too early, or too often; or another writes at the same moment.
_PASSING = {"408", "409", "425", "429"}
_FINAL_KINDS = (
    "PermissionDeniedError",
    "UnauthenticatedError",
    "InvalidPathError",
    "NotSupportedError",
    "UnknownConfigurationKeyError",
)

_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY there, or give the machine a role; with boto3 installed "
    "~/.aws is read, too (AWS_PROFILE)",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS there to the file of a service account, or give the machine one",
    "abfs": "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN there, or give the machine an identity",
}
_CREDENTIALS["abfss"] = _CREDENTIALS["abfs"]


def is_no_bucket(error: Exception) -> bool:
    """Return whether what is not there is the bucket itself."""
    return any(sign in str(error) for sign in _NO_BUCKET)


def can_pass(error: Exception, *, has_worked: bool = False) -> bool:
    """Return whether the same request may succeed a little later.

    Args:
        error: Of it.
        has_worked: Whether another one has, before: then a machine that has no credentials has only failed to get new
            ones.
    """
    text = str(error)
    if type(error).__name__ in _FINAL_KINDS or isinstance(error, ValueError | TypeError):
        return False
    if any(sign in text for sign in _METADATA):
        return has_worked
    if any(sign in text for sign in (*_NO_BUCKET, *_WRONG_KEYS, *_ELSEWHERE)):
        return False
    status = _STATUS.search(text)
    return status is None or status[1] in _PASSING or not status[1].startswith("4")


def without_package(address: Address, named: str) -> ObjectsError:
    """Return the error of an installation that has no obstore."""
    return ObjectsError(
        f"{named} = {address}: the package that reads and writes there is not installed",
        remedy="pip install 'zetasweep[objects]' (or obstore), on each machine",
    )


def explained(error: Exception, address: Address, named: str, *, passes: bool = False) -> ObjectsError:
    """Return what an error of obstore means.

    Args:
        error: It.
        address: Where.
        named: The key that says so.
        passes: Whether the same request may succeed a little later.
    """
    text, kind, server = str(error), type(error).__name__, address.endpoint
    # Of a listing it has one kind for all.
    found = _STATUS.search(text)
    status = found[1] if found is not None else ""
    code = _CODE.search(text)
    # Behind the request and how often it was tried.
    last = first_line(error).rpartition(" - ")[2]
    said = (code[1] or code[2]) if code else without_secrets(last)[:200]
    reached = f"the server at {server}" if server else "the server"
    credentials = _CREDENTIALS[address.scheme]
    if is_no_bucket(error):
        what = f"there is no bucket {address.bucket}" + (f" at {server}" if server else "")
        remedy = "make it, or mend its name" + ("" if server else "; AWS_ENDPOINT_URL names a server of your own")
    elif any(sign in text for sign in _METADATA):
        what, remedy = "there are no credentials", credentials
    elif any(sign in text for sign in _ELSEWHERE):
        what = f"the bucket is of another region than {address.region or 'us-east-1'}"
        remedy = "set AWS_REGION to the bucket's, or write ?region=REGION behind the address"
    elif any(sign in text for sign in _WRONG_KEYS) or kind == "UnauthenticatedError" or status == "401":
        what, remedy = "the credentials are not accepted", credentials
    elif kind == "PermissionDeniedError" or status == "403":
        what = "no permission"
        remedy = f"let who these credentials belong to list, read, write and delete there\nor {credentials}"
    elif "Account must be specified" in text:
        what = "the account is not known"
        remedy = "write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER, or set AZURE_STORAGE_ACCOUNT_NAME"
    elif status:
        what, remedy = f"{reached} does not do what is asked", "see what it says, and its log"
    else:
        what, remedy = f"{reached} does not answer", "start it, or mend the way to it"
        if address.scheme == "s3":
            remedy += "; AWS_ENDPOINT_URL, or ?endpoint_override=HOST:PORT behind the address, names it"
    told = f"{named} = {address}: {what} ({said}), seen from {socket.gethostname()}"
    return ObjectsError(told, remedy=remedy, can_pass=passes)
