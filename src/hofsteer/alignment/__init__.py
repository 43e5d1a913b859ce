"""The search for a soft prompt: space, objective, loop and run folder."""
