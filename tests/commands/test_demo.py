"""`clickhouse-rerank demo` as a user runs it: a process of its own, what it prints, and the SQL that it prints."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clickhouse_rerank.commands.demo import fit_to_width
from conftest import Sql, worker_environment
from provider import Provider, Reply

COMMAND = (sys.executable, "-m", "clickhouse_rerank.commands.cli", "demo")
NO_NETWORK = ("unshare", "--map-root-user", "--net")
SQL_BEGINS = "The SQL that ran"


def demo(*arguments: str, before: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *COMMAND, *arguments],
        env=worker_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def printed() -> str:
    """What the demonstration prints without arguments, at 120 columns."""
    done = demo(COLUMNS="120")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rows(printed: str, question: str) -> list[tuple[str, str]]:
    """The halves of each line of a question's table, without its heads."""
    table = printed.partition(f"Question: {question}\n")[2].partition("\n\n* answers")[0]
    return [(left, right) for left, _, right in (line.partition("|") for line in table.splitlines()[4:])]


QUESTIONS = ("What keeps bread fresh and its crust crisp?", "夜中に猫が鳴くのはなぜ？")


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_table_shows_candidates_before_and_the_better_order_after(printed: str, question: str) -> None:
    """Twenty by distance beside five by score; fewer of the first five answer before than after, where all do."""
    table = rows(printed, question)
    before = [re.fullmatch(r"(\*| ) +(\d+) +(\d\.\d{3})  (\S.*?) *", left) for left, _ in table]
    assert [int(row[2]) for row in before if row] == list(range(1, 21))
    distances = [row[3] for row in before if row]
    assert distances == sorted(distances)
    after = [re.fullmatch(r" (\*| ) (\d) +(\d+) +(\d+\.\d{3})  (\S.*)", right) for _, right in table[:5]]
    assert [int(row[2]) for row in after if row] == [1, 2, 3, 4, 5]
    scores = [float(row[4]) for row in after if row]
    assert scores == sorted(scores, reverse=True)
    assert not any(right.strip() for _, right in table[5:])
    for row in after:
        was = before[int(row[3]) - 1]
        assert was[4].rstrip(".")[:15] == row[5][:15] and was[1] == row[1]
    hits = sum(row[1] == "*" for row in before[:5])
    assert hits < 5 and all(row[1] == "*" for row in after)
    assert f"Among the first 5: {hits} before, 5 after." in printed.partition(question)[2].partition("Question")[0]


def test_the_halves_are_aligned_in_terminal_columns(printed: str) -> None:
    """Japanese characters count two, so that every separator stands in the same column."""
    table = printed.partition(SQL_BEGINS)[0].splitlines()
    lefts = [line.rpartition(" |")[0] for line in table if " |" in line]
    assert len(lefts) == 2 * (20 + 2)
    assert {len(left) + sum(ord(c) > 0x2FFF for c in left) for left in lefts} == {58}


@pytest.mark.parametrize(
    ("text", "columns", "fitted"),
    (
        ("ab", 4, "ab  "),
        ("abcdef", 4, "ab.."),
        ("猫猫", 4, "猫猫"),
        ("猫猫猫", 5, "猫.. "),
        ("ha\u0308!", 3, "ha\u0308!"),
    ),
)
def test_a_text_is_cut_and_padded_by_columns(text: str, columns: int, fitted: str) -> None:
    """Wide characters take two columns, combining ones none."""
    assert fit_to_width(text, columns) == fitted


@pytest.fixture
def engine(sql: Sql) -> Iterator[Sql]:
    """The shared engine, without the demonstration's table and function afterwards."""
    yield sql
    sql.client.command("DROP TABLE IF EXISTS demo_docs")
    sql.client.command("DROP FUNCTION IF EXISTS demo_embedding")


def test_the_printed_sql_gives_the_printed_results(printed: str, engine: Sql) -> None:
    """Pasted as it is; its candidates come from the vector index."""
    _, _, script = printed.partition(SQL_BEGINS)[2].partition("\n\n")
    code = re.sub(r"^--.*\n", "", script, flags=re.MULTILINE)
    *setup, before_en, after_en, before_ja, after_ja = (part.strip() for part in code.split(";\n") if part.strip())
    for statement in setup:
        engine.client.command(statement)
    for question, before, after in zip(QUESTIONS, (before_en, before_ja), (after_en, after_ja), strict=True):
        table = rows(printed, question)
        assert [f"{row[-1]:.3f}" for row in engine.rows(before)] == [left[2:].split()[1] for left, _ in table]
        assert [(str(was), f"{score:.3f}") for _, was, score, _ in engine.rows(after)] == [
            tuple(right[2:].split()[1:3]) for _, right in table[:5]
        ]
        plan = engine.client.raw_query(f"EXPLAIN indexes = 1 {before}").decode()
        assert "vector_similarity" in plan


def test_the_demonstration_needs_no_network() -> None:
    """In a network namespace without even loopback."""
    if (
        not shutil.which("unshare")
        or subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets no user make a network namespace")
    done = demo(before=NO_NETWORK)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 after." in done.stdout


def test_another_provider_ranks_with_its_model(provider: Provider) -> None:
    """One request per question, to the URL given; the order shown is the provider's."""
    provider.reset(
        lambda request: Reply(
            json={"results": [{"index": i, "relevance_score": i / 100} for i in range(len(request.json["documents"]))]}
        )
    )
    done = demo("--provider", "LocalAI", "--base-url", provider.url, "--model", "it's a \\ model")
    assert (done.returncode, done.stderr) == (0, "")
    assert [request.json["model"] for request in provider.requests] == ["it's a \\ model"] * 2
    assert [request.json["query"] for request in provider.requests] == list(QUESTIONS)
    (_, first), (_, second), *_ = rows(done.stdout, QUESTIONS[0])
    assert (first[2:].split()[1:3], second[2:].split()[1:3]) == (["20", "0.190"], ["19", "0.180"])


def test_a_failure_is_one_line_and_exit_code_1(provider: Provider) -> None:
    """The provider's refusal, in our words, on stderr."""
    provider.reset(lambda _: Reply(status=401, json={"message": "invalid api token"}))
    done = demo("--provider", "LocalAI", "--base-url", provider.url, "--model", "m")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Rerank: AUTH: LocalAI answered 401") and done.stderr.count("\n") == 1


def test_a_provider_without_its_key_names_the_variable() -> None:
    """Nothing is dialled; the sentence says what to set."""
    done = demo("--provider", "Cohere")
    assert done.returncode == 1
    assert done.stderr.startswith("Rerank: BAD_KEY: ") and "COHERE_API_KEY" in done.stderr
