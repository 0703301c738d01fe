"""The report of one case: what its view model, figures and sections say."""
