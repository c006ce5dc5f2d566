"""Is this machine well: versions, devices, memory, the data's files, the weights that metrics need."""
