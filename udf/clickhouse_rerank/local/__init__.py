"""Scorers that run in the worker: no network, no key."""
