"""Messages and tasks in the database: `intake` writes them, `claims` moves them on, `lookup` reads them.

Plain functions over a connection, to be run by `storage.Database`; each statement is text that runs in a shell.
"""
