"""The family: each paper's name in lower case, a short chain of parts."""
