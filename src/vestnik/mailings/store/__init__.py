"""The SQL of clients and mailings."""
