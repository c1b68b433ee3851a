"""A sweep as a job of a Ray cluster: packed, handed to the cluster's job server, followed and stopped.

Nothing of Ray is imported before a server is connected to, and nothing of PyTorch here: who packs a job imports
`orchestrator.jobs.parcel` and `orchestrator.jobs.places`.
"""

from orchestrator.jobs.address import Address, address_of
from orchestrator.jobs.following import follow, last_word, last_word_of, stop
from orchestrator.jobs.server import Ended, JobServer, Listed, connected

__all__ = [
    "Address",
    "Ended",
    "JobServer",
    "Listed",
    "address_of",
    "connected",
    "follow",
    "last_word",
    "last_word_of",
    "stop",
]
