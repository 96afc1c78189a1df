"""Synthesizable NIC offload datapath: large send, checksum insertion and validation, through tunnels."""
