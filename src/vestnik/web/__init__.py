"""HTTP toolkit below the domains: application, errors, auth, OpenAPI, metrics, access log."""
