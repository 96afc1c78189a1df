"""Documentation and a C header of the records, made of the layouts that the hardware is made of."""
