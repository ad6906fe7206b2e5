"""How the next combination is proposed: one module for each strategy."""
