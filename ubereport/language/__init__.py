"""In the reader's language: catalogs of messages, plurals, numbers, dates and lists."""
