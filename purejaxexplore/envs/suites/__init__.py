"""Adapters that give other people's environments gymnax's interface; one file a suite, each imported on demand.

Every file has ``names() -> list[str]`` and ``factory(name) -> callable(**options) -> Environment``.
"""
