"""What is done with every question, whatever its source, before it is stored.

rules.py      the table: every rule by its name, what it does, and how it reads for a moderator
cleaning.py   repairs of a single text: entities, invisible characters, spaces, ...
letters.py    alphabets: mixed ones, the wrong ones, capitals
content.py    a candidate's cleaned parts as the content of a question
refusals.py   what is not taken at all
answers.py    what may be wrong with answers and options
wording.py    what may be wrong with the wording
words.py      the word lists those ask
screening.py  all of it in order: decode, clean, validate, hash, flag
near.py       questions that are worded almost the same
"""
