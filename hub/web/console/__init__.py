"""Handlers of `openapi/console.yaml`; each is named by its operationId."""
