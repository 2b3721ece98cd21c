"""Measuring two sides in turns: clocks, ratios, trees of parameters, reports."""
