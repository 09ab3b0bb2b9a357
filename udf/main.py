#!/usr/bin/env python3
"""The process behind Rerank in ClickHouse Cloud, which starts this file without arguments, in whatever folder."""

import sys
from pathlib import Path

HERE = str(Path(__file__).absolute().parent)
sys.path.insert(0, HERE)  # the package lies beside this file; python -I and -P leave that folder out

from clickhouse_rerank.worker import main  # noqa: E402

main(["--format", "JSONEachRow", "--bundled", HERE])
