"""The extras of an installation: libraries that only some commands need."""


def missing_library(user: str, package: str, extra: str) -> str:
    """The sentence for a library that this installation leaves out.

    user: what needs the library; package: its name in the package registry; extra: the extra that brings it.
    """
    return (
        f"{user} needs the package {package}. Run: pip install 'clickhouse-rerank[{extra}]', "
        f"or in a checkout: pip install '.[{extra}]'"
    )
