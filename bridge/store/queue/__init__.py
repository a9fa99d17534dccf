"""How a delivery leaves: lanes are leased, sends settled, destinations limited."""
