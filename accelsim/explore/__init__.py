"""Explores designs: a space file in, a study out whose trials are simulations.

Read `study` first: the head that asks for points, hands them to workers and tells what came back.
"""
