"""Drive a program through scenarios, record a history, and prove verdicts from it."""
