"""What came out: run directories -> tables and figures. Reads files; no torch, no agents."""
