"""Pure functions that several families of algorithms share, each written once."""
