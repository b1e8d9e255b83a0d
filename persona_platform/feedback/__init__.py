"""Predicted against observed: what came of every action, and how well the plans were calibrated."""
