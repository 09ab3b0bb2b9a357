"""What the worker connects to and reads, seen from outside: by strace, whose sight does not end at Python's hooks."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path

import certifi
import pytest

import engine_bytes
from asking import row
from certificates import Certificates
from clickhouse_rerank.types import Row
from conftest import Worker, worker_environment
from provider import Provider

SYSCALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,execve"
_V4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)')
_V6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"')
_OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)"')
_CERTIFICATES = re.compile(r"\.(?:pem|crt|cer|key)$|/ssl/|/pki/|/ca-certificates")


@pytest.fixture(scope="session")
def strace() -> str:
    """The command; a test without it, or where no process may be traced, is skipped."""
    command = shutil.which("strace")
    if command is None:
        pytest.skip("needs the strace command")
    tried = subprocess.run([command, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no process may be traced here: {tried.stderr.strip()}")
    return command


class Witness:
    """Runs the real launcher under strace."""

    def __init__(self, command: str, launcher: Path, folder: Path) -> None:
        self._command, self._launcher, self._folder = command, launcher, folder
        self.spoken: set[tuple[str, int]] = set()
        """(address, port) of everything that was dialled or sent to."""
        self.opened: set[str] = set()
        """Files that were opened, or tried."""

    def watch(self, rows: list[Row], configuration: str) -> list[bytes]:
        """The answers of rows, one chunk each."""
        config, trace = self._folder / "config.toml", self._folder / "trace"
        config.write_text(configuration)
        arguments = ["-f", "-s", "4096", "-e", f"trace={SYSCALLS}", "-o", str(trace), str(self._launcher), "--embedded"]
        # What a library might follow of its own accord.
        lures = {
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
            "SSL_CERT_FILE": "/nonexistent/lure.pem",
            "SSLKEYLOGFILE": str(self._folder / "lure.key"),
        }
        one = Worker(Path(self._command), arguments, worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config), **lures))
        try:
            found: list[bytes] = []
            for asked in rows:
                one.send(engine_bytes.chunk([asked], "JSONEachRow"))
                found += one.lines(1)
            one.finish()
        finally:
            one.process.kill()
            one.process.wait()
        text = trace.read_text("utf-8", "replace")
        for pattern in (_V4, _V6):
            self.spoken |= {(address, int(port)) for port, address in pattern.findall(text)}
        self.opened = set(_OPENED.findall(text))
        return found

    @property
    def dialled(self) -> set[tuple[str, int]]:
        """`spoken` without port 0: the system's look-up dials it, and sends nothing, to sort addresses."""
        return {(address, port) for address, port in self.spoken if port}


@pytest.fixture
def witness(strace: str, launcher: Path, tmp_path: Path) -> Witness:
    return Witness(strace, launcher, tmp_path)


def answered(line: bytes) -> bool:
    return line != b'{"result":[]}\n'


CACHELESS = "[cache]\nmemory_s = 0\n"


@pytest.mark.fault("F30")
def test_nothing_but_the_hosts_of_rows_is_dialled(witness: Witness, provider: Provider) -> None:
    """A literal address, a name, and addresses that are refused: nobody else hears of it, no name server either."""
    literal, name = row(provider.url), row(f"http://localhost:{provider.port}", query="one zebra and more")
    refused = [
        row(url) for url in ("https://10.1.2.3", "http://10.1.2.3", "https://169.254.169.254", "https://[fc00::1]")
    ]
    first, second, *others = witness.watch([literal, name, *refused], CACHELESS)
    assert (answered(first), answered(second), any(map(answered, others))) == (True, True, False)
    assert len(provider.requests) == 2
    assert {port for _, port in witness.dialled} == {provider.port}
    assert ("127.0.0.1", provider.port) in witness.dialled
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in witness.spoken)


@pytest.mark.fault("F28")
def test_no_certificates_but_the_public_ones_and_ours_are_read(witness: Witness, certificates: Certificates) -> None:
    """Those of certifi and of network.ca_file, whatever the system and the environment have."""
    provider = Provider(tls=certificates.server("witness"))
    configuration = f'{CACHELESS}[network]\nca_file = "{certificates.authority}"\n'
    (answer,) = witness.watch([row(provider.url)], configuration)
    provider.close()
    assert answered(answer)
    assert witness.spoken == {("127.0.0.1", provider.port)}
    read = {path for path in witness.opened if _CERTIFICATES.search(path) and not path.endswith((".cnf", ".so", ".py"))}
    assert {str(Path(path).resolve()) for path in read} == {
        str(Path(certifi.where()).resolve()),
        str(certificates.authority.resolve()),
    }
