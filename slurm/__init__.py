"""Sends studies to a SLURM cluster. It reads studies and run directories, never agents or torch."""
