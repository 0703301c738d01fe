"""The summary of a batch, and the rows that it is made of."""
