"""Clients as CSV: `rows` reads, `importing` takes in, `exporting` gives out."""
