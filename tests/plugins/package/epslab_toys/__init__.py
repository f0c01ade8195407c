"""Things that come into epslab from outside, each in a file of its own."""
