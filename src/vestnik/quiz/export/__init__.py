"""The exporter: batches of ready questions to the main server, each question once (Q9-Q11)."""
