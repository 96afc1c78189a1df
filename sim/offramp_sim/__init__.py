"""Everything around the hardware: reference model, simulators, tools and measurements."""
