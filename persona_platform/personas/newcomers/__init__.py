"""Newcomers: workloads that are too young to have levels and patterns of their own.

Read in the order of the data's flow: labels and places, what of a known workload is kept (peer_sums, peers, peer_days,
peer_tables), what labels say (label_prior), what the first hours add (posterior), what will be needed (demand), which
personas it may turn out to play (roles); meeting is the whole way.
"""
