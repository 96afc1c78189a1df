"""Boards that the datapath has been put on: pins, clocks and IO cells around cores from :mod:`offramp`.

Nothing here is needed to simulate or to use the cores; nothing in the simulation package is used here.
"""
