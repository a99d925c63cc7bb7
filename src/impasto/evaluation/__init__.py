"""Evaluation: features are computed once, scored overall and by class, and recorded."""
