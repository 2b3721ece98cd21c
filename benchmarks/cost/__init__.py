"""Speed, memory and compiled programs of the library, beside those of its peers."""
