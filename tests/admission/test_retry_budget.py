"""How many retries there are together."""

from clickhouse_rerank.admission.retry_budget import RetryBudget


def test_f13_retries_are_paid_from_a_budget_that_success_refills() -> None:
    """Twenty retries in a total outage, then none; five answers pay for one more; no more than twenty are saved up."""
    budget = RetryBudget()
    assert sum(budget.take() for _ in range(1000)) == 20
    for _ in range(5):
        budget.answered()
    assert [budget.take(), budget.take()] == [True, False]
    for _ in range(1000):
        budget.answered()
    assert sum(budget.take() for _ in range(1000)) == 20
