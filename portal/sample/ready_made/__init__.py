"""Two sample databases in which all ready-made maps of the catalog can run.

Tables, types, keys and rows are derived from the catalog (`syncengine.catalog`); what
it does not say is in `tables.py` (which columns hold the company), `kinds.py` (the
types) and `words.py` (believable values).
"""
