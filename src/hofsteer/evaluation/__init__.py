"""What a model or a steered model answers, in final numbers."""
