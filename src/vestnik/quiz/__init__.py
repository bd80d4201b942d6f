"""Questions: collected from sources, screened, moderated, sent on in batches, and then forgotten but for a hash."""
