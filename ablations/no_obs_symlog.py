"""No symlog of observations: vectors are read and reconstructed as they are (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. The decoder's squared error is
then on the raw scale. Rewards and values keep their own scale. Source: Hafner et al., Nature 2025, Fig. 6.
"""

CHANGES = {"agent.squash": {"kind": "identity"}}
SCOPE = "vectors"
