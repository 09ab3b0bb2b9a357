"""The extras of an installation: libraries that only some commands need."""


def missing_library(user: str, package: str, extra: str) -> str:
    """The sentence for a library that this installation does not have.

    user: the command that needs the library; package: its name in the package registry; extra: the extra that has it.
    """
    return (
        f"{user} needs the package {package}. Run in a checkout: pip install '.[{extra}]' "
        f"(once published: pip install 'clickhouse-rerank[{extra}]')"
    )
