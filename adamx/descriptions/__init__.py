"""What a transformation is, said in equations, tables, JSON and references.

The names of this folder are loaded when they are first used (`adamx/__init__.py`).
"""
