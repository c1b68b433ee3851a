"""What is wrong and how it is mended."""

from orchestrator.doctor.examination import examine

__all__ = ["examine"]
