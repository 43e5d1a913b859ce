"""Factor analysis of respondents' answers: correlations, number of factors, extraction, rotation, reliability."""
