"""Stages of the receive path."""
