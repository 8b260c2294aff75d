"""Handlers of `openapi/app.yaml`, the interface of the operator's own app for drivers; each is named by its operationId."""
