"""Cells: the points of models x datasets x seeds. plan -> cell -> sampling, measuring -> record."""
