"""A private certificate authority and what it signs."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Certificates:
    """A private authority and what it signs, by the openssl command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("req", "-x509", *self._key("ca"), "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
        self.authority = folder / "ca.pem"

    def server(self, name: str, *, host: str = "IP:127.0.0.1", days: int = 2, signed: bool = True) -> ssl.SSLContext:
        """A server's context with a new certificate."""
        self._folder.joinpath(f"{name}.ext").write_text(f"subjectAltName={host}\n")
        self._run("req", *self._key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial") if signed else ("-signkey", f"{name}.key")
        request = ("x509", "-req", "-in", f"{name}.csr", "-extfile", f"{name}.ext", "-days", str(days))
        self._run(*request, *by, "-out", f"{name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
