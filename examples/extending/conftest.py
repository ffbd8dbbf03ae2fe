"""These transcripts need the package beside them; tests/flow/test_extending.py runs them with it."""

collect_ignore_glob = ["*.test.yaml"]
