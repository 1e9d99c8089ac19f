"""The terminal dashboard and the closing report: what is shown of a running station."""
