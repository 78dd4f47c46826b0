"""Tables of cells: what is missing in them, in memory and in files; reading text tables, and giving them back with
only their gaps filled.
"""
