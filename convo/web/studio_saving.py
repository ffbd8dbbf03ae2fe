"""A chat of the studio becomes a case of a test file, as one of ``convo chat`` does."""

from __future__ import annotations

from convo.analysis.transcripts_writing import add_case, case_of, quoted

__all__ = ["add_case", "case_of", "quoted"]
