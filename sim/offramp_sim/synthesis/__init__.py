"""Area and clock rate of our blocks, from free tools: Yosys and nextpnr."""
