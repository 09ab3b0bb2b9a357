"""The page of faults and their tests is true."""

import subprocess
import sys

import faults


def test_the_page_is_current_and_complete() -> None:
    """FAULTS.md is what the tests say today, and each row has a test or a reason."""
    check = subprocess.run([sys.executable, faults.__file__, "--check"], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout) == (0, "")
