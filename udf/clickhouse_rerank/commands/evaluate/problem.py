"""What keeps an evaluation from going on."""


class EvaluationError(Exception):
    """One line for the user that names what to change."""
