"""Where questions come from: APIs, scraped sites, files. source.py says what a source is."""
