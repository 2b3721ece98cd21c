"""Tests of the pictures: what is drawn, and that it can be told apart in grey."""
