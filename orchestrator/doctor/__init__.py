"""What is wrong and how it is mended."""

from orchestrator.doctor.examine import examine

__all__ = ["examine"]
