"""Alarms (告警): what the operator's staff must look at."""
