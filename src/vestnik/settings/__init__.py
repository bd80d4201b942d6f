"""YAML in, frozen settings out: `parsing` and `document` read, `values` are the kinds, `validation` reports."""
