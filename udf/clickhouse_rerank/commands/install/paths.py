"""The paths of an installation: the folders that the options name, and the files in them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...config.settings import config_path
from .. import masking
from . import artifacts

_MANIFEST = "rerank_installed.json"


class InstallPaths(NamedTuple):
    """The absolute paths that the options name."""

    user_scripts: Path
    """Folder: the server's user_scripts_path."""
    config_dir: Path
    """Folder of the server's config.xml."""
    config: Path
    """File: the configuration of Rerank."""

    @classmethod
    def of(cls, arguments: argparse.Namespace, environment: Mapping[str, str]) -> "InstallPaths":
        """The paths for the arguments of `install`, `uninstall` or `check`."""
        config: Path = arguments.config or config_path(environment)[0]
        return cls(arguments.user_scripts.absolute(), arguments.config_dir.absolute(), config.absolute())

    @property
    def embedded(self) -> bool:
        """Whether both folders are one, chDB's udf_path. Then no server reads masking rules or a configuration."""
        return self.user_scripts == self.config_dir

    @property
    def launcher(self) -> Path:
        """The command of the registration."""
        return self.user_scripts / artifacts.LAUNCHER

    @property
    def registration(self) -> Path:
        """The file that makes the function known to the server."""
        return self.config_dir / artifacts.REGISTRATION

    @property
    def masking_rules(self) -> Path:
        """The file of query_masking_rules."""
        return self.config_dir / "config.d" / masking.FILE

    @property
    def manifest(self) -> Path:
        """The record of what was written, for the next `install` and for `uninstall`."""
        return self.config_dir / _MANIFEST

    def files(self) -> tuple[Path, ...]:
        """All files but the manifest, in the order in which they are written."""
        if self.embedded:
            return self.launcher, self.registration
        return self.launcher, self.config, self.masking_rules, self.registration

    def folders(self) -> list[Path]:
        """All folders above the files, each above the next."""
        return sorted({folder for path in self.files() for folder in path.parents})
