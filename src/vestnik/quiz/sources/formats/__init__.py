"""What sources answer with, made candidates: pure, and run in a process of its own (reader.py)."""
