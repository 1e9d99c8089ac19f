"""A recorded session on disk: how it is laid out, written, read, verified and made into tables.

``docs/session-format.md`` describes the same for other programs.
"""
