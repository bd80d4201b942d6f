"""Statements on the tables of questions, by who needs them: taking in, looking up, moderating, sending out."""
