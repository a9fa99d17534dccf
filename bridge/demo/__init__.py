"""The whole bridge on one machine: made-up Jiras, the true bridge, and a stand-in for Aha!."""
