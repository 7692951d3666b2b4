"""How a study gets onto a cluster: reads studies and run directories, never agents or torch."""
