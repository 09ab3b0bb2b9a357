"""The HTML report of an evaluation: one file for people who were not there, which asks no server for anything.

`page` writes the head, the verdict, the charts and the tables as HTML; the scripts beside it draw the questions from
JSON when they are opened. Text of questions and documents is data: it is escaped here and `textContent` there.
"""

from .page import page

__all__ = ["page"]
