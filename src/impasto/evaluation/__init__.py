"""How good are the pictures: features gathered once, scored overall and by class, and written down."""
