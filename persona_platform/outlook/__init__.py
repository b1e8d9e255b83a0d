"""P(workload plays persona at slot) over the horizon: hazards learned from activations, then carried forward.

The method is a semi-Markov process over each workload's patterns: hazards of starting and ending that depend
on the slot of the week, the age of what is played now, day types and events, shrunk from fleet to persona to
workload. Marginals come from an exact recursion, joint behaviour from simulated paths with shared shocks.
What belongs here: when personas are played. What they need is the business of forecasting.
"""
