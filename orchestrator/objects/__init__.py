"""Object storage: what an address such as ``s3://BUCKET/FOLDER`` names, and what can be done there.

Other storages than a bucket do the same, see `Objects`. obstore is imported when a bucket is first asked.
"""

from orchestrator.objects.address import SCHEMES, Address, is_object_address
from orchestrator.objects.bucket import BucketObjects
from orchestrator.objects.objects import Found, Objects, ObjectsError

__all__ = [
    "SCHEMES",
    "Address",
    "BucketObjects",
    "Found",
    "Objects",
    "ObjectsError",
    "is_object_address",
]
