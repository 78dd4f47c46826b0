"""Tables of cells: what is missing in them, in memory and in files."""
